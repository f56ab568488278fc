# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMs on XenServer and XCP-ng, made from a raw image through XenAPI.

The VM with its mark is made first, then its disk, and the disk's content last. So everything that
an import leaves belongs to a VM that the next run finds. The VM is made with ``VM.create`` from the
record of a built-in template, and not with ``VM.clone``: a clone has no mark for a moment, and
setting its memory needs a higher role (vm-power-admin) than everything else (vm-admin).
"""

from __future__ import annotations

import hashlib
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPermitted,
    NotPossible,
    TransferFailed,
    VmAmbiguous,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import MB, Progress, Source
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    DISK,
    Card,
    Difference,
    Hardware,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    Found,
    Mark,
    Nic,
    Platform,
    Say,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.requirements import MIB
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted

from .api import NULL, PORT, Xapi, XenapiError, XenapiLogin, told
from .machine import Record, XenapiMachine, no_machine
from .options import XenapiOptions
from .power import XenapiPower

TEMPLATE = "Other install media"
KEY = "outofband.chr"
"""The key in ``other_config`` of the VM and of its disk whose value is the mark."""
_BRIDGE = "xenbr0"  # the bridge of the first network card of every host
_NEEDED = ("vm.create", "vdi.create", "vbd.create", "vif.create", "vm.destroy", "vdi.destroy")
# The calls that change a VM. The MAC address of a card cannot be changed: a new card would have it.
_CHANGES = {
    "cpus": ("VM.set_VCPUs_max", "VM.set_VCPUs_at_startup"),
    "memory": ("VM.set_memory_limits",),
    "boot": ("VM.set_HVM_boot_params",),
    "nics": ("VIF.create", "VIF.destroy"),
    "network": ("VIF.move",),
}
_NO_LIMIT: Record = {"other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}
_ENDED = ("success", "failure", "cancelled")
_LOOK = 30.0  # seconds of one event.from
_SETTLE = 600.0  # seconds for the host to write the received data to its storage
_POWER = 300.0  # seconds for a start or a stop
_BROKEN = 10.0  # seconds for a host to notice that a transfer broke off
_BUSY = ("VDI_IN_USE", "OTHER_OPERATION_IN_PROGRESS")
_ROUNDED = 256 * MIB  # bytes by which a disk on a storage may be larger than its image
_RELEASE = 60.0  # seconds until a host releases the disk of an upload that broke off


@dataclass(frozen=True)
class XenapiVmSettings(VmSettings):
    """The options that only ``xenapi_vm`` has."""

    storage: str | None
    """The name or uuid of a storage repository (SR). None: the pool's default."""
    verify: bool
    """Whether the disk is read back."""


class XenapiPlatform(Platform[XenapiOptions, XenapiVmSettings]):
    """One VM of a pool."""

    changeable = frozenset(_CHANGES)

    def __init__(self, spec: VmSpec, options: XenapiOptions, settings: XenapiVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        self._xapi = Xapi(XenapiLogin.from_options(options, PORT, "a host, or the coordinator of a pool"))
        self.title = self._xapi.login.where

    # -- what there is -----------------------------------------------------------------------------

    def find(self) -> Found | None:
        machines = [
            one
            for ref in self._xapi.call("VM.get_by_name_label", self.spec.name)
            if not no_machine(one := self._xapi.call("VM.get_record", ref))
        ]
        found = [Found(str(one["uuid"]), mark_of(one), one["power_state"] != "Halted") for one in machines]
        if foreign := [one for one in found if one.mark is None]:
            return foreign[0]
        if len(found) > 1:
            raise VmAmbiguous(
                f"{self.title} has {len(found)} VMs named {self.spec.name!r} that this collection "
                f"imported: {', '.join(sorted(one.id for one in found))}. None was touched: remove "
                "or rename all but the right one."
            )
        if found:
            return found[0]
        disks = self._leftovers()
        return Found(str(disks[0][1]["uuid"]), mark_of(disks[0][1]), False) if disks else None

    def hardware(self, found: Found) -> Hardware:
        """The platform has one model for all emulated cards, which RouterOS need not use."""
        _ref, vm = self._record(found)
        order = vm["HVM_boot_params"].get("order", "")[:1] if vm["HVM_boot_policy"] else ""
        asked = self.spec.asked.nics or ()
        cards = [
            self._card(card, asked[number].network if number < len(asked) else None)
            for number, (_vif, card) in enumerate(self._cards(vm))
        ]
        return Hardware(
            int(vm["VCPUs_max"]),
            int(vm["memory_static_max"]) >> 20,
            tuple(cards),
            boot={"c": DISK, "d": "cdrom", "n": "network"}.get(order),
        )

    def _record(self, found: Found) -> tuple[str, Record]:
        ref = str(self._xapi.call("VM.get_by_uuid", found.id))
        return ref, self._xapi.call("VM.get_record", ref)

    def _cards(self, vm: Record) -> list[tuple[str, Record]]:
        """The cards of a VM, ``ether1`` first, each as its reference and its record."""
        found = [(ref, self._xapi.call("VIF.get_record", ref)) for ref in vm["VIFs"]]
        return sorted(found, key=lambda one: int(one[1]["device"]))

    def _card(self, card: Record, asked: str | None) -> Card:
        """A card, with its network by the name that is *asked* for, if it has that one."""
        network = self._xapi.call("network.get_record", card["network"])
        names = [network["name_label"], network["uuid"], network["bridge"]]
        return Card(mac=card["MAC"] or None, network=asked if asked in names else names[0])

    @property
    def _disk_name(self) -> str:
        return f"{self.spec.name} system disk"

    def _leftovers(self) -> list[tuple[str, Record]]:
        """The disks that a broken import of this VM left without a VM."""
        disks = [
            (ref, self._xapi.call("VDI.get_record", ref))
            for ref in self._xapi.call("VDI.get_by_name_label", self._disk_name)
        ]
        return [(ref, one) for ref, one in disks if (mark := mark_of(one)) and not mark.complete and not one["VBDs"]]

    # -- whether it can be made --------------------------------------------------------------------

    def check(self) -> None:
        image = self.image
        if image.format != "raw":
            raise InvalidInput(
                f"XenAPI takes a raw image, but {str(image.path)!r} is {image.format}. Prepare it "
                "with outofband.chr.image and format: raw, or convert it (qemu-img convert -O "
                "raw)."
            )
        self._emulated()
        for nic in self.spec.nics:
            self._check_nic(nic)
        self._networks()
        self._template()
        storage = self._sr()[1]
        # a storage that does not know its size says -1 or 0
        size, used = int(storage["physical_size"]), int(storage["physical_utilisation"])
        if size > 0 and size - used < image.virtual_size:
            raise NotPossible(
                f"The storage {storage['name_label']!r} of {self.title} has "
                f"{(size - used) / MB:.0f} MB free, and the disk needs "
                f"{image.virtual_size / MB:.0f} MB. Free some, or name another one (storage)."
            )
        permissions = self._xapi.permissions()
        if permissions is not None and (lacking := [call for call in _NEEDED if call not in permissions]):
            raise NotPermitted(
                f"{self.title} does not let {self._xapi.login.user!r} call {', '.join(lacking)}: "
                "an import needs the role vm-admin or a higher one. Nothing was done."
            )

    def _check_nic(self, nic: Nic) -> None:
        if nic.vlan is not None:
            raise InvalidInput(
                f"A network card of {self.spec.name!r} has the vlan {nic.vlan}. On XenServer and "
                "XCP-ng the tag belongs to the network: make one with that tag (xe vlan-create) "
                "and name it as the card's network."
            )

    def _emulated(self) -> str | None:
        """The model of the VM's emulated network cards. None is the host's default.

        All emulated cards of a VM have one model. Raises InvalidInput.
        """
        kinds = {nic.model for nic in self.spec.nics} - {"netfront"}
        if len(kinds) > 1:
            raise InvalidInput(
                f"The network cards of {self.spec.name!r} are {' and '.join(sorted(kinds))}. On "
                "XenServer and XCP-ng all emulated cards of a VM have one model: choose one."
            )
        return kinds.pop() if kinds else None

    def _template(self) -> Record:
        """The record of the template for HVM guests. Raises NotPossible."""
        records = [self._xapi.call("VM.get_record", ref) for ref in self._xapi.call("VM.get_by_name_label", TEMPLATE)]
        templates = [one for one in records if one["is_a_template"] and not one["is_a_snapshot"]]
        if not templates:
            raise NotPossible(
                f"{self.title} has no template {TEMPLATE!r}, which each XenServer and XCP-ng normally "
                "has. Restore it (/usr/bin/create-guest-templates on the coordinator)."
            )
        return min(templates, key=lambda one: "default_template" not in one["other_config"])

    def _sr(self) -> tuple[str, Record]:
        """The storage for the disk. Raises InvalidInput."""
        records: dict[str, Record] = self._xapi.call("SR.get_all_records")
        if self._settings.storage is None:
            (pool,) = self._xapi.call("pool.get_all_records").values()
            ref = str(pool["default_SR"])
            if ref not in records:
                raise InvalidInput(f"{self.title} does not have a default storage (SR). Name one with storage.")
            found = [(ref, records[ref])]
        else:
            wanted = self._settings.storage
            found = [(ref, one) for ref, one in records.items() if wanted in (one["uuid"], one["name_label"])]
        usable = [one for one in records.values() if "vdi_create" in one["allowed_operations"]]
        names = ", ".join(sorted(repr(one["name_label"]) for one in usable)) or "none"
        if len(found) != 1:
            what = "has no storage" if not found else f"has {len(found)} storages"
            raise InvalidInput(f"{self.title} {what} (SR) {self._settings.storage!r}. VMs can have disks on: {names}.")
        if found[0][1] not in usable:
            raise InvalidInput(
                f"The storage {found[0][1]['name_label']!r} of {self.title} does not take disks: it "
                f"is for other content, or it is not connected. VMs can have disks on: {names}."
            )
        return found[0]

    def _networks(self) -> list[tuple[str, Record]]:
        """The networks of the cards, in the order of the cards. Raises InvalidInput."""
        records: dict[str, Record] = self._xapi.call("network.get_all_records")
        networks = []
        for nic in self.spec.nics:
            wanted = nic.network or _BRIDGE
            found = [
                (ref, one) for ref, one in records.items() if wanted in (one["uuid"], one["name_label"], one["bridge"])
            ]
            if len(found) != 1:
                names = ", ".join(sorted(f"{one['name_label']!r} ({one['bridge']})" for one in records.values()))
                what = "no network" if not found else f"{len(found)} networks"
                raise InvalidInput(
                    f"{self.title} has {what} with the name, uuid or bridge {wanted!r}. It has: {names}."
                )
            networks.append(found[0])
        return networks

    # -- making it ---------------------------------------------------------------------------------

    def create(self) -> None:
        image, spec = self.image, self.spec
        storage, _record = self._sr()
        networks = self._networks()
        mark = self.mark(complete=False)
        vm = self._make("VM", self._vm_record(mark))
        disk = self._make(
            "VDI",
            {
                "name_label": self._disk_name,
                "name_description": f"System disk of {spec.name}",
                "SR": storage,
                "virtual_size": str(image.virtual_size),
                "type": "user",
                "sharable": False,
                "read_only": False,
                "other_config": {KEY: str(mark)},
            },
        )
        self._make(
            "VBD",
            {
                "VM": vm,
                "VDI": disk,
                "userdevice": "0",  # the first IDE disk
                "bootable": True,
                "mode": "RW",
                "type": "Disk",
                "empty": False,
                "unpluggable": False,
                **_NO_LIMIT,
            },
        )
        for number, (nic, network) in enumerate(zip(spec.nics, networks, strict=True)):
            self._make_card(vm, number, nic, network)
        self._upload(disk)
        if self._settings.verify:
            self._read_back(disk)
        for kind, ref in (("VDI", disk), ("VM", vm)):  # the VM last: its mark is what counts
            others = self._xapi.call(f"{kind}.get_record", ref)["other_config"]
            value = {**others, KEY: str(self.mark(complete=True))}
            self._xapi.repeat(f"{kind}.set_other_config", ref, value)

    def _make_card(self, vm: str, device: int, nic: Nic, network: tuple[str, Record]) -> None:
        ref, about = network
        card = {"VM": vm, "device": str(device), "network": ref, "MAC": nic.mac or "", "MTU": str(about["MTU"])}
        self._make("VIF", {**card, **_NO_LIMIT})

    def _make(self, kind: str, record: Record) -> str:
        return str(self._xapi.call(f"{kind}.create", record, changes=True, waits=_POWER))

    def _vm_record(self, mark: Mark) -> Record:
        spec, template = self.spec, self._template()
        memory = str(spec.memory * MIB)
        platform = {**template["platform"], "viridian": "false"}
        # A VM does not start if its number of CPUs is not a multiple of this.
        platform.pop("cores-per-socket", None)
        if kind := self._emulated():
            platform["nic_type"] = kind
        return {
            **template,
            "name_label": spec.name,
            "name_description": "MikroTik CHR, imported by outofband.chr",
            "is_a_template": False,
            "other_config": {KEY: str(mark), "base_template_name": TEMPLATE},
            "blocked_operations": {},
            **dict.fromkeys(
                ("memory_static_min", "memory_dynamic_min", "memory_dynamic_max", "memory_static_max", "memory_target"),
                memory,
            ),
            "VCPUs_max": str(spec.cpus),
            "VCPUs_at_startup": str(spec.cpus),
            "HVM_boot_policy": "BIOS order",
            "HVM_boot_params": {"order": "c", "firmware": "bios"},
            "platform": platform,
            "xenstore_data": {},
        }

    def _upload(self, disk: str) -> None:
        image = self.image
        with image.path.open("rb") as file:

            def body() -> tuple[Source, int]:
                file.seek(0)
                what = f"{self.spec.name}: uploading {image.path.name} to {self.title}"
                return Source(file, Progress(self._say, what, image.size)), image.size

            self._follow(
                "import_raw_vdi",
                f"Import of {self.spec.name}",
                lambda task: self._xapi.transfer("PUT", "/import_raw_vdi", _disk(disk, task), body=body),
            )

    def _read_back(self, disk: str) -> None:
        """Compare the disk with the image. XenAPI has no checksum, so the whole disk is read.

        A storage may have rounded its size up, so data after the image is ignored. Raises
        TransferFailed.
        """
        image = self.image
        digest = hashlib.sha256()
        limit = image.size + _ROUNDED
        progress = Progress(self._say, f"{self.spec.name}: reading back the disk from {self.title}", image.size)

        def take(block: bytes) -> None:
            digest.update(memoryview(block)[: max(image.size - progress.done, 0)])
            progress.add(len(block))

        self._follow(
            "export_raw_vdi",
            f"Verification of {self.spec.name}",
            lambda task: self._xapi.transfer("GET", "/export_raw_vdi", _disk(disk, task), into=take, limit=limit),
        )
        if digest.hexdigest() != image.sha256:
            raise TransferFailed(
                f"The disk of {self.spec.name!r} at {self.title} has the sha256 "
                f"{digest.hexdigest()} in its first {image.size} bytes ({progress.done} came), and "
                f"the image {image.sha256}. Look at the health of the storage and of the network "
                "before you try again."
            )

    def _follow(self, what: str, label: str, transfer: t.Callable[[str], None]) -> None:
        """Do *transfer* under a task, and wait for the task's own result.

        Raises TransferFailed, and the errors of Xapi.
        """
        task = str(self._xapi.call("task.create", label, "outofband.chr"))
        broken: Interrupted | None = None
        try:
            try:
                transfer(task)
            except Interrupted as error:
                broken = error
            record = self._ended(task, Deadline(_BROKEN if broken else _SETTLE))
            if record.get("status") == "success" and not broken:
                return
            said = told([str(one) for one in record.get("error_info", ())] or [str(record.get("status", "no task"))])
            reason = f"{broken} The task says: {said}." if broken else f"the task ended with {said}."
            raise TransferFailed(
                f"{label} at {self.title} failed in {what}: {reason} Look at the storage (full, "
                "disconnected?) and at /var/log/xensource.log of the host, then run it again."
            )
        finally:
            self._discard(task)

    def _ended(self, task: str, deadline: Deadline) -> Record:
        """Wait for the end of a task at most until *deadline*, and return its record."""
        token = ""
        record: Record = {}
        while record.get("status") not in _ENDED and not deadline.expired:
            records, token = self._xapi.changes([f"task/{task}"], token, min(deadline.remaining, _LOOK))
            record = records.get(task, record)
        return record

    def _discard(self, task: str) -> None:
        try:
            self._xapi.call("task.destroy", task)
        except ChrError:
            return  # XenAPI does so itself after a day

    # -- removing it, and power --------------------------------------------------------------------

    def remove(self, found: Found) -> None:
        try:
            ref = self._xapi.call("VM.get_by_uuid", found.id)
        except XenapiError as error:
            if error.code != "UUID_INVALID":
                raise
        else:
            self._remove_vm(ref)
        for disk, _record in self._leftovers():
            self._destroy_disk(disk)

    def _remove_vm(self, ref: str) -> None:
        """Remove a VM and its snapshots. The disks go first, so that none is left without a VM."""
        record = self._xapi.call("VM.get_record", ref)
        if record["power_state"] != "Halted" and not record["is_a_snapshot"]:
            XenapiPower(XenapiMachine(self._xapi, str(record["uuid"]))).stop(Deadline(_POWER))
        for snapshot in record["snapshots"]:
            self._remove_vm(snapshot)
        for vbd in record["VBDs"]:
            about = self._xapi.call("VBD.get_record", vbd)
            if about["type"] != "Disk" or about["VDI"] == NULL:
                continue
            disk = self._xapi.call("VDI.get_record", about["VDI"])
            if disk["VBDs"] == [vbd] and not disk["read_only"]:
                self._destroy_disk(about["VDI"])
        self._xapi.call("VM.destroy", ref, changes=True, waits=_POWER)

    def _destroy_disk(self, ref: str) -> None:
        """Destroy a disk. A host may hold the disk of a broken upload for a moment."""
        deadline = Deadline(_RELEASE)
        while True:
            try:
                self._xapi.call("VDI.destroy", ref, changes=True, waits=_POWER)
                return
            except XenapiError as error:
                if error.code == "HANDLE_INVALID":
                    return
                if error.code not in _BUSY or deadline.expired:
                    raise
            time.sleep(0.5)

    def start(self, found: Found) -> None:
        self._power(found).start(Deadline(_POWER))

    def stop(self, found: Found) -> None:
        self._power(found).stop(Deadline(_POWER))

    def _power(self, found: Found) -> XenapiPower:
        return XenapiPower(XenapiMachine(self._xapi, found.id))

    # -- one that exists ---------------------------------------------------------------------------

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._power(found).check()
        if any(one.what in ("network", "nics") for one in wanted):
            self._networks()
            for nic in self.connected(wanted):
                self._check_nic(nic)
        permissions = self._xapi.permissions()
        calls = sorted({call for one in wanted for call in _CHANGES[one.what]})
        if permissions is not None and (lacking := [call for call in calls if call.lower() not in permissions]):
            raise NotPermitted(
                f"{self.title} does not let {self._xapi.login.user!r} call {', '.join(lacking)}. The role vm-admin may change a "
                "VM, and vm-power-admin its memory, too. Nothing was changed."
            )

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        ref, vm = self._record(found)
        cards = self._cards(vm)
        for one in wanted:
            if one.what == "cpus":
                self._set_cpus(ref, vm, str(one.asked))
            elif one.what == "memory":
                self._xapi.repeat("VM.set_memory_limits", ref, *[str(int(one.asked) * MIB)] * 4)
            elif one.what == "boot":
                self._xapi.repeat("VM.set_HVM_boot_params", ref, {**vm["HVM_boot_params"], "order": "c"})
            elif one.what == "network" and one.card:
                self._xapi.repeat("VIF.move", cards[one.card - 1][0], self._networks()[one.card - 1][0])
            elif one.what == "nics":
                self._set_card_count(ref, cards)

    def _set_cpus(self, ref: str, vm: Record, cpus: str) -> None:
        """At no moment may more CPUs be there at startup than there are at most."""
        if int(cpus) % int(vm["platform"].get("cores-per-socket", 1)):
            kept = {name: value for name, value in vm["platform"].items() if name != "cores-per-socket"}
            self._xapi.repeat("VM.set_platform", ref, kept)
        calls = ["VM.set_VCPUs_max", "VM.set_VCPUs_at_startup"]
        for call in calls if int(cpus) > int(vm["VCPUs_max"]) else reversed(calls):
            self._xapi.repeat(call, ref, cpus)

    def _set_card_count(self, ref: str, cards: list[tuple[str, Record]]) -> None:
        for vif, _record in cards[len(self.spec.nics) :]:
            self._xapi.call("VIF.destroy", vif, changes=True)
        last = int(cards[-1][1]["device"]) if cards else -1
        networks = self._networks()
        for number in range(len(cards), len(self.spec.nics)):
            last += 1
            self._make_card(ref, last, self.spec.nics[number], networks[number])

    def check_adopt(self, found: Found) -> None:
        named = [
            ref
            for ref in self._xapi.call("VM.get_by_name_label", self.spec.name)
            if not no_machine(self._xapi.call("VM.get_record", ref))
        ]
        if len(named) != 1:
            raise VmAmbiguous(
                f"{self.title} has {len(named)} VMs named {self.spec.name!r}. None was adopted: remove or rename all but the "
                "router."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        ref, vm = self._record(found)
        self._xapi.repeat("VM.set_other_config", ref, {**vm["other_config"], KEY: str(mark)})


def mark_of(record: Record) -> Mark | None:
    """The mark in the ``other_config`` of a *record*."""
    return Mark.parse(record["other_config"].get(KEY))


def _disk(disk: str, task: str) -> dict[str, str]:
    """The parameters of the HTTP handlers for disks."""
    return {"vdi": disk, "format": "raw", "task_id": task}
