# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMs of Proxmox VE, made from an image.

The VM is made first, without a disk and with the mark in its description. Then the image is
transferred and becomes the disk, and last the mark says that the VM is complete. So a VM that a
killed run left is marked as incomplete. Sources: qemu-server 6.2 to 9.2.6.
"""

from __future__ import annotations

import contextlib
import functools
import random
import re
import time
import typing as t
from dataclasses import dataclass
from pathlib import PurePosixPath

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Difference, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    Found,
    Mark,
    NameTaken,
    Nic,
    Outcome,
    Platform,
    Say,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .api import ApiError, Ask, ProxmoxLogin, shared_api
from .cluster import Listed, guests, silent_nodes
from .import_ways import FORMATS, ImportJob, ImportWay, choose, clear_uploads, disk_size, stem
from .lost_answers import persist
from .machine import ProxmoxMachine
from .options import ProxmoxOptions
from .power import ProxmoxPower
from .site import Site, Storage
from .tasks import finish
from .vm_config import BRIDGE, CHANGEABLE, PRIVILEGES, changes, hardware_of, net

MODES = ("auto", "upload", "path", "importdisk")
BUSES = ("virtio", "sata", "ide")
_NAME = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
# How many numbers to try: in a play with many forks, others may take a free number first.
_TRIES = 100
_VM_PRIVILEGES = (
    *("VM.Allocate", "VM.Audit", "VM.Config.CPU", "VM.Config.Disk", "VM.Config.Memory", "VM.Config.Network"),
    *("VM.Config.Options", "VM.PowerMgmt"),
)
_ORDERED = (7, 0)
"""The first version that certainly has ``boot: order=`` and destroy-unreferenced-disks."""


@dataclass(frozen=True)
class ProxmoxVmSettings(VmSettings):
    """The options that only ``proxmox_vm`` has. The module's page describes them."""

    node: str | None
    vmid: int | None
    storage: str | None
    import_mode: str
    import_storage: str | None
    node_folder: str
    disk_bus: str
    pool: str | None
    tags: tuple[str, ...]
    onboot: bool
    serial: bool
    timeout: float
    """The seconds that one task of Proxmox VE may take."""


@dataclass(frozen=True)
class _Plan:
    """The plan for a new VM: its node and storage, and the way to import its disk."""

    node: str
    storage: Storage
    way: ImportWay


class ProxmoxPlatform(Platform[ProxmoxOptions, ProxmoxVmSettings]):
    """One VM of a cluster."""

    changeable = CHANGEABLE

    def __init__(self, spec: VmSpec, options: ProxmoxOptions, settings: ProxmoxVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        positive_seconds("timeout", settings.timeout)
        self._api = shared_api(ProxmoxLogin.from_options(options))
        self._site = Site(self._api, options.connect_timeout)
        self._places: dict[str, tuple[int, str]] = {}
        self.title = self._api.where
        self._named: list[str] = []
        """The numbers of what has the VM's name."""
        self._silent = ""
        """A sentence about nodes whose VMs have no known name."""
        self._used: str | None = None
        """The way in which the image was imported. None if no image was imported."""

    def extra(self, outcome: Outcome) -> dict[str, t.Any]:
        return {"import_mode": self._used}

    # -- what there is -----------------------------------------------------------------------------

    def find(self) -> Found | None:
        try:
            listed = persist(lambda: guests(self._api, self._options.connect_timeout), self._options.connect_timeout)
        except Interrupted as error:
            raise ChrError(str(error)) from None
        self._silent = silent_nodes(listed)
        named = [one for one in listed if one.name == self.spec.name]
        found = [one for one in map(self._look, named) if one]
        self._named = [one.id for one in found]
        strangers = [one for one in found if one.mark is None]
        if strangers:
            return strangers[0]
        if len(found) > 1:
            raise VmAmbiguous(
                f"{self.title} has more than one VM {self.spec.name!r} that this collection made: "
                f"{' and '.join(one.id for one in found)}. None was touched. Rename or remove one "
                "of them."
            )
        return found[0] if found else None

    def _look(self, one: Listed) -> Found | None:
        if one.kind != "qemu" or one.template:
            return Found(str(one.vmid), None, running=False)
        vm = self._vm(one.vmid, one.node)
        try:
            config = vm.machine(lambda vm: vm.config.get())
            status = vm.machine(lambda vm: vm.status.current.get())
        except VmNotFound:
            return None  # it went away meanwhile
        try:
            mark, running = Mark.parse(config.get("description")), status["status"] == "running"
        except (AttributeError, KeyError, TypeError):
            raise ChrError(f"{self.title} did not answer with a configuration and a status of {vm}.") from None
        self._places[str(one.vmid)] = one.vmid, one.node
        return Found(str(one.vmid), mark, running)

    def hardware(self, found: Found) -> Hardware:
        return hardware_of(self._config(found))

    def _config(self, found: Found) -> dict[str, t.Any]:
        """The configuration that *found* runs with, or the one that it will start with."""
        current = {"current": 1} if found.running else {}
        config: dict[str, t.Any] = self._found(found).machine(lambda vm: vm.config.get(**current))
        return config

    def _found(self, found: Found) -> ProxmoxMachine:
        return self._vm(*self._places[found.id])

    def _vm(self, vmid: int, node: str) -> ProxmoxMachine:
        return ProxmoxMachine(self._api, self.spec.name, None, self._options.connect_timeout, (vmid, node))

    # -- whether it can be made --------------------------------------------------------------------

    @functools.cached_property
    def _plan(self) -> _Plan:
        settings, image = self._settings, self.image
        node = self._site.node(settings.node or self._options.node)
        storage = self._site.storage(node, settings.storage, "images")
        job = ImportJob(
            site=self._site,
            options=self._options,
            name=self.spec.name,
            image=image,
            node=node,
            storage=storage,
            folder=settings.node_folder,
            seconds=settings.timeout,
            say=self._say,
        )
        return _Plan(node, storage, choose(job, settings.import_mode, settings.import_storage))

    def check(self) -> None:
        self._check_input()
        if self._silent:
            self.warnings.append(
                f"{self._silent} If one of them is {self.spec.name!r}, there will be two of that name."
            )
        plan, image = self._plan, self.image
        vmid = self._site.vmid(self._settings.vmid)
        # A VM in _places was made by this collection, and is going to be removed.
        if vmid is None and str(self._settings.vmid) not in self._places:
            raise NameTaken(self._taken())
        self._check_privileges(vmid or self._settings.vmid, plan)
        self._check_bridges(plan.node, self.spec.nics)
        plan.storage.require(image.virtual_size, f"the disk of {self.spec.name!r}")
        plan.way.check()

    def _check_input(self) -> None:
        name, image = self.spec.name, self.spec.image
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is not a valid name for a VM of Proxmox VE: it must be a DNS name of "
                "letters, digits, '-' and '.', with at most 63 characters."
            )
        if image and image.format not in FORMATS:
            raise InvalidInput(
                f"Proxmox VE cannot import a {image.format} image ({image.path.name}), only "
                f"{', '.join(FORMATS)}. Convert it with outofband.chr.image."
            )
        if not PurePosixPath(self._settings.node_folder).is_absolute():
            raise InvalidInput(f"node_folder {self._settings.node_folder!r} must begin with a slash.")

    def _check_privileges(self, vmid: int | None, plan: _Plan) -> None:
        paths = [f"/vms/{vmid}", *([f"/pool/{self._settings.pool}"] if self._settings.pool else [])]
        serial = ("VM.Config.HWType",) if self._settings.serial else ()
        wanted = [
            ((*_VM_PRIVILEGES, *serial), paths),
            (("Datastore.AllocateSpace",), [f"/storage/{plan.storage.name}"]),
            *((privileges, [path]) for path, privileges in plan.way.privileges.items()),
        ]
        missing = [
            f"{', '.join(lacking)} on {' or '.join(places)}"
            for privileges, places in wanted
            if (lacking := self._site.missing(privileges, *places))
        ]
        if missing:
            raise NotPermitted(
                f"{self.title} does not let {self._api.login.account} import {self.spec.name!r} "
                f"({plan.way.name}): the account lacks {'; '.join(missing)}. Nothing was made. A token with "
                "privilege separation needs privileges of its own."
            )

    def _check_bridges(self, node: str, nics: t.Iterable[Nic]) -> None:
        known = self._site.bridges(node)
        for bridge in [nic.network or BRIDGE for nic in nics]:
            if known is not None and bridge not in known:
                raise InvalidInput(
                    f"Node {node!r} shows {self._api.login.account} no bridge {bridge!r}, but "
                    f"{', '.join(sorted(known)) or 'none'}. One for which it has no SDN.Use is not shown."
                )

    def _taken(self) -> str:
        return (
            f"{self.title} already has a VM {self._settings.vmid} (vmid), which may be one that "
            f"{self._api.login.account} does not see. It was not touched. Choose another vmid, or "
            "leave it out."
        )

    # -- making it ---------------------------------------------------------------------------------

    def create(self) -> None:
        plan, image = self._plan, self.image
        vm = self._make(plan.node, self.mark(complete=False))
        self._used = plan.way.name
        slot = f"{self._settings.disk_bus}0"
        boot = {"boot": f"order={slot}"} if self._ordered else {"boot": "c", "bootdisk": slot}
        disk = plan.way.bring(vm)
        self._task(vm, lambda vm: vm.config.post(**{slot: disk}, **boot), "VM.Config.Disk", "did not get its disk")
        volume = str(vm.machine(lambda vm: vm.config.get()).get(slot, "")).partition(",")[0]
        size = disk_size(self._site, plan.node, volume)
        if size is None or size < image.virtual_size:
            raise TransferFailed(
                f"The disk {volume or slot} of {vm} has {size} bytes, but the image {image.virtual_size}."
            )
        plan.way.clear()
        mark = self.mark(complete=True)
        try:
            vm.machine(lambda vm: vm.config.put(description=str(mark)), changes=True, privilege="VM.Config.Options")
        except OutcomeUnknown:
            if Mark.parse(vm.machine(lambda vm: vm.config.get()).get("description")) != mark:
                raise

    def _make(self, node: str, mark: Mark) -> ProxmoxMachine:
        """Make the VM without a disk, under a number that no other VM has."""
        values = self._hardware() | {"name": self.spec.name, "description": str(mark)}
        for _unused in range(_TRIES):
            vmid = self._settings.vmid or t.cast("int", self._site.vmid(None))
            try:
                upid = self._order(node, {**values, "vmid": vmid})
            except ApiError as error:
                if "already exists" not in error.said:
                    raise
                if self._settings.vmid:
                    raise NameTaken(self._taken()) from None
                time.sleep(random.uniform(0.0, 0.3))  # somebody else took the number first
                continue
            except Interrupted as error:
                raise OutcomeUnknown(
                    f"Whether VM {vmid} is being made is unknown; it was not asked again. {error}"
                ) from None
            ended = finish(self._api, upid, Deadline(self._settings.timeout))
            if not ended.done:
                raise NotPossible(f"{self.title} did not make VM {vmid}: {ended.exitstatus}")
            return self._vm(vmid, node)
        raise NotPossible(
            f"{_TRIES} numbers in turn that {self.title} called free were taken by others. Repeat the task."
        )

    def _order(self, node: str, values: dict[str, t.Any]) -> t.Any:
        return self._api.call(lambda pve: pve.nodes(node).qemu.post(**values))

    def _hardware(self) -> dict[str, t.Any]:
        settings = self._settings
        values: dict[str, t.Any] = {
            "ostype": "l26",
            "bios": "seabios",
            "cores": self.spec.cpus,
            "memory": self.spec.memory,
            "agent": "enabled=1,type=virtio",
            "onboot": int(settings.onboot),
            **{f"net{number}": net(nic) for number, nic in enumerate(self.spec.nics)},
        }
        if settings.serial:
            values["serial0"] = "socket"
        if settings.pool:
            values["pool"] = settings.pool
        if settings.tags:
            values["tags"] = ";".join(settings.tags)
        return values

    # -- afterwards --------------------------------------------------------------------------------

    def start(self, found: Found) -> None:
        ProxmoxPower(self._found(found)).start(Deadline(self._settings.timeout))

    def stop(self, found: Found) -> None:
        ProxmoxPower(self._found(found)).stop(Deadline(self._settings.timeout))

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        vm = self._found(found)
        ProxmoxPower(vm).check()
        needed = {PRIVILEGES.get(one.what, "VM.Config.Network") for one in wanted}
        needed |= {"VM.PowerMgmt"} if found.running else set()
        if lacking := self._site.missing(needed, f"/vms/{found.id}"):
            raise NotPermitted(
                f"{self.title} does not let {self._api.login.account} change {vm}: the account lacks {', '.join(lacking)} on "
                f"/vms/{found.id}. Nothing was changed."
            )
        changes(self._config(found), wanted, self.spec.nics, ordered=self._ordered)
        self._check_bridges(vm.locate()[1], self.connected(wanted))

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        vm, config = self._found(found), self._config(found)
        values = changes(config, wanted, self.spec.nics, ordered=self._ordered) | {"digest": config["digest"]}
        self._task(vm, lambda vm: vm.config.post(**values), "VM.Config.*", "was not changed")

    def check_adopt(self, found: Found) -> None:
        if len(self._named) > 1:
            raise VmAmbiguous(
                f"{self.title} has more than one VM {self.spec.name!r}: {' and '.join(self._named)}. None was adopted. Rename "
                "or remove all but the router."
            )
        if found.id not in self._places:
            raise NotPossible(
                f"{self.spec.name!r} ({found.id}) of {self.title} is a container or a template, so it was not adopted."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        vm = self._found(found)
        config = vm.machine(lambda vm: vm.config.get())
        notes = {"description": mark.put_into(config.get("description")), "digest": config["digest"]}
        vm.machine(lambda vm: vm.config.put(**notes), changes=True, privilege="VM.Config.Options")

    @property
    def _ordered(self) -> bool:
        return self._api.version(self._options.connect_timeout) >= _ORDERED

    def remove(self, found: Found) -> None:
        vm = self._found(found)
        options: dict[str, t.Any] = {"purge": 1}
        if found.mark and not found.mark.complete:
            self._clear(vm, stem(self.spec.name, found.mark.image))
            if self._ordered:
                options["destroy-unreferenced-disks"] = (
                    1  # of a qm importdisk that was killed; older versions always do
                )
        if found.running:
            ProxmoxPower(vm).stop(Deadline(self._settings.timeout))
        self._task(vm, lambda vm: vm.delete(**options), "VM.Allocate", "was not removed")

    def _clear(self, vm: ProxmoxMachine, begin: str) -> None:
        """Remove the images that a broken import has left."""
        _vmid, node = vm.locate()
        clear_uploads(self._site, node, begin, self._settings.timeout)
        if self._options.ssh_host:
            path = str(PurePosixPath(self._settings.node_folder) / begin)
            with contextlib.suppress(NotPossible):  # a machine without rm: nothing was put there
                Machine(self._options, self._say).run(["rm", "-rf", "--", path])

    def _task(self, vm: ProxmoxMachine, ask: Ask, privilege: str, otherwise: str) -> None:
        vm.task(ask, Deadline(self._settings.timeout), privilege, otherwise)
