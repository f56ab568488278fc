# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A VM of Proxmox VE, made of an image.

The VM comes first, without a disk and with the mark in its description; then the image, the disk, and last the mark that it is
complete. So whatever a killed run leaves has a VM beside it that says so. Sources: qemu-server 6.2 to 9.2.6.
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

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    GuestError,
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
    VmNotThere,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.https import Interrupted
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.api import Access, ApiError, shared_api
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.cluster import Listed, guests
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.tasks import finish
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.vm import Vm

from .base import Found, Mark, NameTaken, Nic, Platform, VmSpec
from .host import Host
from .proxmox_site import Site, Storage
from .proxmox_ways import FORMATS, Job, Way, choose, clear_uploads, disk_size, stem

MODES = ("auto", "upload", "path", "importdisk")
BUSES = ("virtio", "sata", "ide")
BRIDGE = "vmbr0"
_NAME = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_TRIES = 100  # numbers that others may take before us: a play with as many forks asks for all of them at once
_VM_PRIVILEGES = (
    *("VM.Allocate", "VM.Audit", "VM.Config.CPU", "VM.Config.Disk", "VM.Config.Memory", "VM.Config.Network"),
    *("VM.Config.Options", "VM.PowerMgmt"),
)
_ORDERED = (7, 0)
"""The first version with ``boot: order=`` for certain, and with destroy-unreferenced-disks."""


@dataclass(frozen=True)
class Settings:
    """The options that only Proxmox VE has; see the module."""

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
    """Seconds for one task of Proxmox VE."""


@dataclass(frozen=True)
class _Plan:
    """Where the VM goes, and how its disk does."""

    node: str
    storage: Storage
    way: Way


class ProxmoxPlatform(Platform):
    """One VM of a cluster. *say* takes a line about a long upload. Raises InvalidInput."""

    def __init__(self, spec: VmSpec, options: GuestOptions, settings: Settings, say: t.Callable[[str], None]) -> None:
        super().__init__(spec)
        positive_seconds("timeout", settings.timeout)
        self._options, self._settings, self._say = options, settings, say
        self._api = shared_api(Access.of(options))
        self._site = Site(self._api, options.connect_timeout)
        self._places: dict[str, tuple[int, str]] = {}
        self.title = self._api.where
        self.used: str | None = None
        """The way in which the image got there; None: none did."""

    # -- what there is -----------------------------------------------------------------------------------------------

    def find(self) -> Found | None:
        try:
            listed = guests(self._api, self._options.connect_timeout)
        except Interrupted as error:
            raise GuestError(str(error)) from None
        named = [one for one in listed if one.name == self.spec.name]
        found = [one for one in map(self._look, named) if one]
        strangers = [one for one in found if one.mark is None]
        if strangers:
            return strangers[0]
        if len(found) > 1:
            raise VmNotThere(
                f"{self.title} has more than one VM {self.spec.name!r} that this collection made: "
                f"{' and '.join(one.id for one in found)}. None was touched. Rename or remove one of them."
            )
        return found[0] if found else None

    def _look(self, one: Listed) -> Found | None:
        if one.kind != "qemu" or one.template:
            return Found(str(one.vmid), None, running=False)
        vm = self._vm(one.vmid, one.node)
        try:
            config = vm.machine("GET", "config")
            status = vm.machine("GET", "status/current")
        except VmNotThere:
            return None  # it went away meanwhile
        try:
            mark, running = Mark.of(config.get("description")), status["status"] == "running"
        except (AttributeError, KeyError, TypeError):
            raise GuestError(f"{self.title} answered with no configuration or status of {vm}.") from None
        self._places[str(one.vmid)] = one.vmid, one.node
        return Found(str(one.vmid), mark, running)

    def _vm(self, vmid: int, node: str) -> Vm:
        return Vm(self._api, self.spec.name, None, self._options.connect_timeout, (vmid, node))

    # -- whether it can be made --------------------------------------------------------------------------------------

    @functools.cached_property
    def _plan(self) -> _Plan:
        settings, image = self._settings, self.image
        node = self._site.node(settings.node or self._options.node)
        storage = self._site.storage(node, settings.storage, "images")
        job = Job(
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
        plan, image = self._plan, self.image
        vmid = self._site.vmid(self._settings.vmid)
        if vmid is None and str(self._settings.vmid) not in self._places:  # which is ours, and going to be removed
            raise NameTaken(self._taken())
        self._check_privileges(vmid or self._settings.vmid, plan)
        self._check_bridges(plan.node)
        plan.storage.require(image.virtual_size, f"the disk of {self.spec.name!r}")
        plan.way.check()

    def _check_input(self) -> None:
        name, image = self.spec.name, self.spec.image
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"Proxmox VE takes no VM with the name {name!r}: it must be a DNS name of letters, digits, '-' and '.', with at "
                "most 63 characters."
            )
        if image and image.format not in FORMATS:
            raise InvalidInput(
                f"Proxmox VE imports no {image.format} image ({image.path.name}), but {', '.join(FORMATS)}. Convert it with "
                "outofband.chr.image."
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
                f"{self.title} does not let {self._api.access.login} import {self.spec.name!r} ({plan.way.name}): it lacks "
                f"{'; '.join(missing)}. Nothing was made. A token with privilege separation needs privileges of its own."
            )

    def _check_bridges(self, node: str) -> None:
        known = self._site.bridges(node)
        for nic in self.spec.nics:
            if known is not None and (nic.network or BRIDGE) not in known:
                raise InvalidInput(
                    f"Node {node!r} shows {self._api.access.login} no bridge {nic.network or BRIDGE!r}, but "
                    f"{', '.join(sorted(known)) or 'none'}. One for which it has no SDN.Use is not shown."
                )

    def _taken(self) -> str:
        return (
            f"{self.title} already has a VM {self._settings.vmid} (vmid), which may be one that {self._api.access.login} does not "
            "see. It was not touched. Choose another vmid, or leave it out."
        )

    # -- making it ---------------------------------------------------------------------------------------------------

    def create(self) -> None:
        plan, image = self._plan, self.image
        vm = self._make(plan.node, Mark(image.sha256, complete=False))
        self.used = plan.way.name
        slot = f"{self._settings.disk_bus}0"
        ordered = self._api.version(self._options.connect_timeout) >= _ORDERED
        boot = {"boot": f"order={slot}"} if ordered else {"boot": "c", "bootdisk": slot}
        disk = plan.way.bring(vm)
        self._task(vm, "POST", "config", {slot: disk, **boot}, "VM.Config.Disk", "did not get its disk")
        volume = str(vm.machine("GET", "config").get(slot, "")).partition(",")[0]
        size = disk_size(self._site, plan.node, volume)
        if size is None or size < image.virtual_size:
            raise TransferFailed(
                f"The disk {volume or slot} of {vm} has {size} bytes, and the image {image.virtual_size}."
            )
        plan.way.clear()
        mark = Mark(image.sha256, complete=True)
        try:
            vm.machine("PUT", "config", {"description": str(mark)}, changes=True, privilege="VM.Config.Options")
        except OutcomeUnknown:
            if Mark.of(vm.machine("GET", "config").get("description")) != mark:
                raise

    def _make(self, node: str, mark: Mark) -> Vm:
        """The VM without a disk, under a number that nobody else has."""
        values = self._hardware() | {"name": self.spec.name, "description": str(mark)}
        for _unused in range(_TRIES):
            vmid = self._settings.vmid or t.cast("int", self._site.vmid(None))
            try:
                upid = self._api.call("POST", f"/nodes/{node}/qemu", {"vmid": vmid, **values})
            except ApiError as error:
                if "already exists" not in error.said:
                    raise
                if self._settings.vmid:
                    raise NameTaken(self._taken()) from None
                time.sleep(random.uniform(0.0, 0.3))  # somebody was faster
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

    def _hardware(self) -> dict[str, t.Any]:
        settings = self._settings
        values: dict[str, t.Any] = {
            "ostype": "l26",
            "bios": "seabios",
            "cores": self.spec.cpus,
            "memory": self.spec.memory,
            "agent": "enabled=1,type=virtio",
            "onboot": int(settings.onboot),
            **{f"net{number}": _net(nic) for number, nic in enumerate(self.spec.nics)},
        }
        if settings.serial:
            values["serial0"] = "socket"
        if settings.pool:
            values["pool"] = settings.pool
        if settings.tags:
            values["tags"] = ";".join(settings.tags)
        return values

    # -- afterwards --------------------------------------------------------------------------------------------------

    def start(self, found: Found) -> None:
        vm = self._vm(*self._places[found.id])
        self._task(vm, "POST", "status/start", {}, "VM.PowerMgmt", "did not start")

    def remove(self, found: Found) -> None:
        vm = self._vm(*self._places[found.id])
        options: dict[str, t.Any] = {"purge": 1}
        if found.mark and not found.mark.complete:
            self._clear(vm, stem(self.spec.name, found.mark.image))
            if self._api.version(self._options.connect_timeout) >= _ORDERED:
                options["destroy-unreferenced-disks"] = (
                    1  # of a qm importdisk that was killed; older versions always do
                )
        if found.running:
            self._task(vm, "POST", "status/stop", {}, "VM.PowerMgmt", "was not stopped")
        self._task(vm, "DELETE", "", options, "VM.Allocate", "was not removed")

    def _clear(self, vm: Vm, begin: str) -> None:
        """Take away the image that a broken import left beside its VM."""
        _vmid, node = vm.locate()
        clear_uploads(self._site, node, begin, self._settings.timeout)
        if self._options.ssh_host:
            path = str(PurePosixPath(self._settings.node_folder) / begin)
            with contextlib.suppress(NotPossible):  # it is no machine of this kind, so nothing was put there
                Host(self._options, self._say).run(["rm", "-f", "--", path, f"{path}.part"])

    def _task(self, vm: Vm, method: str, what: str, values: dict[str, t.Any], privilege: str, otherwise: str) -> None:
        """Have Proxmox VE do something to its end. Raises GuestError saying that *vm* *otherwise*."""
        upid = vm.machine(method, what, values, changes=True, privilege=privilege)
        ended = finish(self._api, upid, Deadline(self._settings.timeout))
        if not ended.done:
            raise GuestError(f"{vm} {otherwise}: {ended.exitstatus}")


def _net(nic: Nic) -> str:
    """The option that makes the card."""
    model = f"{nic.model}={nic.mac.upper()}" if nic.mac else nic.model
    tag = f",tag={nic.vlan}" if nic.vlan else ""
    return f"{model},bridge={nic.network or BRIDGE}{tag}"
