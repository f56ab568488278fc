# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMs on a vCenter or an ESXi host.

A VM carries its mark in its notes (``config.annotation``). An import puts files only into the
folder of the VM, which is made first. So the VM alone leads to everything that a broken import
left.
"""

from __future__ import annotations

import functools
import itertools
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import unquote

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPermitted,
    NotPossible,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Card, Difference, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    Found,
    Mark,
    Nic,
    Platform,
    Say,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin

from .guest import PORT
from .options import VmwareOptions
from .place import Place, PlaceNames, network, resolve
from .power import VmwarePower, template
from .task import explained, run_task
from .upload import Files, lease, upload
from .vm_config import CHANGEABLE, PRIVILEGES, cards, change, distributed_group, first_boot, found_card
from .vsphere import Vsphere, fault_words, library

_TASK = 300.0  # seconds for a task that moves little
_COPY = 3600.0  # seconds to copy a disk inside VMware
_BUSY = 360.0  # seconds until nothing holds a VM any more: a lease whose client has gone ends after 300
_LONGEST_NAME = 80
_DEVICES = ("config.hardware.device",)
_GUEST = "other3xLinux64Guest"  # known to vSphere 6.5 and every later one
_IDE = -200  # keys of a device that is about to be made are negative (API reference)
_SECTOR = 512  # bytes
# Flags of a sparse vmdk: compressed grains, markers (VMware's Virtual Disk Format 5.0).
_STREAM = 1 << 16 | 1 << 17
_UPLOADED, _SYSTEM = "import.vmdk", "system.vmdk"  # files of method datastore, in the VM's folder


@dataclass(frozen=True, kw_only=True)
class VmwareVmSettings(VmSettings, PlaceNames):
    """The options that only ``vmware_vm`` has."""

    method: str
    """``nfc`` or ``datastore``."""
    thin: bool


class VmwarePlatform(Platform[VmwareOptions, VmwareVmSettings]):
    """One VM of a vCenter or an ESXi host."""

    changeable = CHANGEABLE

    def __init__(self, spec: VmSpec, options: VmwareOptions, settings: VmwareVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        self._vsphere = Vsphere(PasswordLogin.from_options(options, PORT, "a vCenter or ESXi host"))
        library()
        self.title = self._vsphere.endpoint.where

    # -- what there is -----------------------------------------------------------------------------

    def find(self) -> Found | None:
        """Find the VM. Names are looked up in the whole inventory, as the backend does."""
        moids = [moid for moid, name in self._vsphere.values("name") if self.spec.name in (name, unquote(name))]
        if len(moids) > 1:
            raise VmAmbiguous(
                f"{self.title} has {len(moids)} VMs named {self.spec.name!r} "
                f"({', '.join(sorted(moids))}). None was touched. Rename or remove all but one "
                "yourself."
            )
        if not moids:
            return None
        try:
            values = self._vsphere.properties(moids[0], ["config.annotation", "runtime.powerState"])
        except VmNotFound:  # it went away in between
            return None
        running = str(values.get("runtime.powerState")) == "poweredOn"
        return Found(moids[0], Mark.parse(values.get("config.annotation")), running)

    def hardware(self, found: Found) -> Hardware:
        names = [f"config.hardware.{name}" for name in ("numCPU", "memoryMB")]
        values = self._vsphere.properties(found.id, [*names, *_DEVICES, "config.bootOptions"])
        nics = tuple(self._found_card(one) for one in cards(values))
        return Hardware(values.get(names[0]), values.get(names[1]), nics, boot=first_boot(values))

    def _found_card(self, card: t.Any) -> Card:
        group = distributed_group(card)
        if group is None:
            return found_card(card, None)
        try:
            name = self._vsphere.properties(group, ["name"], "dvs.DistributedVirtualPortgroup").get("name")
        except ChrError:  # a port group that this user does not see
            name = None
        return found_card(card, unquote(name) if name else None)

    @functools.cached_property
    def _place(self) -> Place:
        return resolve(self._vsphere, self._settings)

    # -- before ------------------------------------------------------------------------------------

    def check(self) -> None:
        if len(self.spec.name) > _LONGEST_NAME:
            raise InvalidInput(f"name {self.spec.name!r} is too long: VMware takes at most {_LONGEST_NAME} characters.")
        self._check_format()
        place = self._place
        for nic in self.spec.nics:
            self._backing(nic)
        store = place.datastore
        if not store.usable:
            raise NotPossible(
                f"Datastore {store.name!r} of {self.title} cannot be used now: it is not accessible "
                "or in maintenance mode."
            )
        if store.free < self._space():
            raise NotPossible(
                f"Datastore {store.name!r} of {self.title} has {store.free >> 20} MiB free, and "
                f"{self.spec.name!r} needs {-(-self._space() >> 20)} MiB. Nothing was made. Make space "
                "there, or choose another datastore."
            )
        self._check_privileges()

    def _check_format(self) -> None:
        image, method = self.image, self._settings.method
        if method == "datastore" and image.format != "raw":
            raise InvalidInput(
                f"{image.path} is a {image.format} image, but method: datastore takes a raw one. "
                "Let outofband.chr.image prepare it as raw, or convert it: qemu-img convert -O raw "
                f"{image.path.name} chr.img"
            )
        if method == "datastore" and image.virtual_size % _SECTOR:
            raise InvalidInput(
                f"{image.path} has {image.virtual_size} bytes, which is not a whole number of "
                "sectors. Is the download complete?"
            )
        if method == "nfc" and not _is_stream(image):
            raise InvalidInput(
                f"{image.path} is not a streamOptimized vmdk, which is the only format that "
                "vSphere's method nfc takes. Let outofband.chr.image prepare it as vmdk-stream, or "
                "convert it: qemu-img convert -O vmdk -o subformat=streamOptimized "
                f"{image.path.name} chr-stream.vmdk"
            )

    def _space(self) -> int:
        """The bytes that the import needs at least.

        A thin disk takes as much as the image holds. nfc sends the image compressed.
        """
        system = self.image.size if self._settings.thin else self.image.virtual_size
        return system + (self.image.size if self._settings.method == "datastore" else 0)

    def _check_privileges(self) -> None:
        """Check the privileges. Raises NotPermitted for those that the server says are missing.

        If the server does not say, the import itself will fail.
        """
        if missing := self._missing(self._needed()):
            raise NotPermitted(
                f"{self._vsphere.endpoint.user!r} cannot import {self.spec.name!r} into "
                f"{self.title}: the user lacks {missing}. Nothing was made. "
                "Add these privileges to the user's role there."
            )

    def _missing(self, needed: t.Iterable[tuple[str, t.Any, list[str]]]) -> str:
        """The privileges of those *needed* that the server says are missing."""
        missing = []
        for what, entity, privileges in needed:
            granted = self._vsphere.privileges(entity, privileges)
            if granted is None:
                return ""
            missing += [f"{name} on {what}" for name, has in granted.items() if not has]
        return ", ".join(dict.fromkeys(missing))

    def _needed(self) -> t.Iterator[tuple[str, t.Any, list[str]]]:
        """The objects that the import needs, each as (name, object, privileges on it).

        The privileges are those of the API reference for the calls below.
        """
        nfc, place = self._settings.method == "nfc", self._place
        vm = ["Inventory.Create", "Inventory.Delete", "Config.AddNewDisk" if nfc else "Config.AddExistingDisk"]
        vm += ["Config.Annotation", "Interact.PowerOn"]
        yield "the VM folder", place.folder, [f"VirtualMachine.{one}" for one in vm]
        pool = ["Resource.AssignVMToPool", *(["VApp.Import"] if nfc else [])]
        yield f"the resource pool of {place.compute}", place.pool, pool
        files = [] if nfc else ["Datastore.FileManagement", "Datastore.Browse"]
        yield f"datastore {place.datastore.name!r}", place.datastore.ref, ["Datastore.AllocateSpace", *files]
        for nic in self.spec.nics:
            yield f"network {nic.network or 'of the card'!r}", network(place, nic.network), ["Network.Assign"]

    # -- making it ---------------------------------------------------------------------------------

    def create(self) -> None:
        moid = self._by_lease() if self._settings.method == "nfc" else self._by_datastore()
        config = library().vim.vm.ConfigSpec(annotation=str(self.mark(complete=True)))
        self._reconfigure(moid, config, "import")

    def _by_lease(self) -> str:
        vim, place = library().vim, self._place
        disk = self._disk(_IDE, "", create=True)
        spec = vim.vm.VmImportSpec(configSpec=self._config("", [disk]))
        try:
            with lease(
                self._vsphere, lambda: place.pool.ImportVApp(spec=spec, folder=place.folder, host=place.host)
            ) as granted:
                upload(self._vsphere, granted, self.image, self._say, self.spec.name)
            return granted.vm
        except library().vmodl.MethodFault as error:
            raise self._explained(error, "import") from error

    def _by_datastore(self) -> str:
        """Make a VM without a disk, and upload the image into its folder.

        Its disk is a copy of the upload, made as ``vmkfstools -i`` does. Returns the VM's moid.
        """
        vim, place = library().vim, self._place
        config = self._config(f"\nMethod datastore: {_UPLOADED} and {_SYSTEM} in its folder belong to this import.", [])
        made = self._run("CreateVM_Task", lambda: place.folder.CreateVM_Task(config, place.pool, place.host), "import")
        moid = str(made._moId)
        home = self._home(moid)
        files = Files(self._vsphere, place.datacenter_path, place.datastore.name)
        folder = home.partition("] ")[2]
        files.put_image(self.image, f"{folder}{_flat(_UPLOADED)}", self._say, self.spec.name)
        files.put_text(_descriptor(self.image.virtual_size, _flat(_UPLOADED)), f"{folder}{_UPLOADED}")
        self._copy_disk(f"{home}{_UPLOADED}", f"{home}{_SYSTEM}")
        self._delete_disk(f"{home}{_UPLOADED}", place.datacenter)
        devices = self._vsphere.properties(moid, ["config.hardware.device"]).get("config.hardware.device") or []
        controllers = [one for one in devices if isinstance(one, vim.vm.device.VirtualIDEController)]
        controller = min(controllers, key=lambda one: (one.busNumber, one.key))
        disk = self._disk(controller.key, f"{home}{_SYSTEM}", create=False)
        self._reconfigure(moid, vim.vm.ConfigSpec(deviceChange=[disk]), "import")
        return moid

    def _config(self, note: str, devices: list[t.Any]) -> t.Any:
        """The configuration of the whole VM, with an IDE controller for the disk.

        The firmware is set to BIOS, as the default of a new VM on ESXi 8 is EFI.
        """
        device = library().vim.vm.device
        add = device.VirtualDeviceSpec.Operation.add
        controller = device.VirtualDeviceSpec(operation=add, device=device.VirtualIDEController(key=_IDE, busNumber=0))
        cards = [
            device.VirtualDeviceSpec(operation=add, device=self._card(at, nic)) for at, nic in enumerate(self.spec.nics)
        ]
        return library().vim.vm.ConfigSpec(
            name=self.spec.name,
            annotation=str(self.mark(complete=False)) + note,
            guestId=_GUEST,
            firmware="bios",
            numCPUs=self.spec.cpus,
            memoryMB=self.spec.memory,
            files=library().vim.vm.FileInfo(vmPathName=f"[{self._place.datastore.name}]"),
            deviceChange=[controller, *devices, *cards],
        )

    def _disk(self, controller: int, path: str, *, create: bool) -> t.Any:
        device = library().vim.vm.device
        disk = device.VirtualDisk(
            key=-300,
            controllerKey=controller,
            unitNumber=0,
            capacityInKB=-(-self.image.virtual_size // 1024),
            backing=device.VirtualDisk.FlatVer2BackingInfo(
                fileName=path, diskMode="persistent", thinProvisioned=self._settings.thin
            ),
        )
        spec = device.VirtualDeviceSpec(operation=device.VirtualDeviceSpec.Operation.add, device=disk)
        if create:
            spec.fileOperation = device.VirtualDeviceSpec.FileOperation.create
        return spec

    def _card(self, at: int, nic: Nic) -> t.Any:
        device = library().vim.vm.device
        kind = device.VirtualVmxnet3 if nic.model == "vmxnet3" else device.VirtualE1000
        card = kind(
            key=-400 - at,
            backing=self._backing(nic),
            addressType="manual" if nic.mac else "generated",
            connectable=device.VirtualDevice.ConnectInfo(startConnected=True, connected=True, allowGuestControl=True),
        )
        if nic.mac:
            card.macAddress = nic.mac
        return card

    def _backing(self, nic: Nic) -> t.Any:
        """The backing of a network card, which names its network. Raises InvalidInput."""
        if nic.vlan is not None:
            raise InvalidInput(
                f"vlan {nic.vlan} cannot be set on a network card of VMware: make a port group with "
                "that VLAN, and name it in network."
            )
        vim, found = library().vim, network(self._place, nic.network)
        cards = vim.vm.device.VirtualEthernetCard
        if isinstance(found, vim.dvs.DistributedVirtualPortgroup):
            group = self._vsphere.properties(
                found._moId, ["key", "config.distributedVirtualSwitch"], "dvs.DistributedVirtualPortgroup"
            )
            switch = self._vsphere.properties(
                group["config.distributedVirtualSwitch"]._moId, ["uuid"], "DistributedVirtualSwitch"
            )
            port = vim.dvs.PortConnection(portgroupKey=group["key"], switchUuid=switch["uuid"])
            return cards.DistributedVirtualPortBackingInfo(port=port)
        kind = type(found).__name__.rpartition(".")[2]
        if kind != "Network":
            raise InvalidInput(
                f"Network {nic.network!r} of {self.title} is a {kind}. This collection connects "
                "cards to port groups of standard and distributed switches."
            )
        name = nic.network or next(name for name, there in self._place.networks.items() if found in there)
        return cards.NetworkBackingInfo(deviceName=name, network=found)

    # -- disks in a datastore ----------------------------------------------------------------------

    def _home(self, moid: str) -> str:
        """The VM's folder, in the form ``[datastore] chr1/``."""
        path = str(self._vsphere.properties(moid, ["config.files.vmPathName"]).get("config.files.vmPathName") or "")
        return path[: path.rindex("/") + 1] if "/" in path else path

    def _copy_disk(self, source: str, dest: str) -> None:
        """Copy a disk as ``vmkfstools -i`` does.

        If the server cannot convert during a copy, it makes a plain copy.
        """
        vim, vmodl = library().vim, library().vmodl
        center = self._place.datacenter
        disks = self._vsphere.object("VirtualDiskManager", self._vsphere.content().virtualDiskManager._moId)
        kind = "thin" if self._settings.thin else "preallocated"
        spec = vim.VirtualDiskManager.VirtualDiskSpec(diskType=kind, adapterType="ide")
        deadline = Deadline(_COPY)

        def copy(how: t.Any) -> None:
            self._vsphere.run(
                "CopyVirtualDisk_Task",
                lambda: disks.CopyVirtualDisk_Task(source, center, dest, center, how, False),
                deadline,
                repr(self.spec.name),
            )

        try:
            try:
                copy(spec)
            except (vmodl.fault.NotSupported, vmodl.fault.NotImplemented, vmodl.fault.InvalidArgument):
                copy(None)
        except vmodl.MethodFault as error:
            raise self._explained(error, "copy the disk of") from error

    def _delete_disk(self, path: str, center: t.Any) -> None:
        """Remove a disk, or those of its files that exist."""
        vim, vmodl = library().vim, library().vmodl
        content = self._vsphere.content()
        disks = self._vsphere.object("VirtualDiskManager", content.virtualDiskManager._moId)
        files = self._vsphere.object("FileManager", content.fileManager._moId)
        of, deadline = repr(self.spec.name), Deadline(_TASK)
        try:
            self._vsphere.run(
                "DeleteVirtualDisk_Task", lambda: disks.DeleteVirtualDisk_Task(path, center), deadline, of
            )
        except vmodl.MethodFault:  # the disk is incomplete: remove its files one by one
            for one in (_flat(path), path):
                try:
                    self._vsphere.run(
                        "DeleteDatastoreFile_Task",
                        lambda one=one: files.DeleteDatastoreFile_Task(one, center),  # type: ignore[misc]
                        deadline,
                        of,
                    )
                except vim.fault.FileNotFound:
                    continue
                except vmodl.MethodFault as error:
                    raise self._explained(error, f"delete {one} of") from error

    def _datacenter(self, moid: str) -> t.Any:
        """The datacenter of an existing VM."""
        vim = library().vim
        parent = self._vsphere.properties(moid, ["parent"]).get("parent")
        while isinstance(parent, vim.Folder):
            parent = self._vsphere.properties(parent._moId, ["parent"], "Folder").get("parent")
        return parent

    # -- an existing one ---------------------------------------------------------------------------

    def start(self, found: Found) -> None:
        self._power(found).start(Deadline(_TASK))

    def stop(self, found: Found) -> None:
        self._power(found).stop(Deadline(_TASK))

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._power(found).check()
        self._change(found, wanted)
        vm, networks = self._vsphere.object("VirtualMachine", found.id), self.connected(wanted)
        needed = [f"VirtualMachine.{PRIVILEGES[one.what]}" for one in wanted]
        needed += [f"VirtualMachine.Interact.{one}" for one in ("PowerOff", "PowerOn") if found.running]
        places = [
            ("the VM", vm, needed),
            *((f"network {nic.network!r}", network(self._place, nic.network), ["Network.Assign"]) for nic in networks),
        ]
        if missing := self._missing(places):
            raise NotPermitted(
                f"{self._vsphere.endpoint.user!r} cannot change {self.spec.name!r} ({found.id}) of {self.title}: the user lacks "
                f"{missing}. Nothing was changed. Add these privileges to the user's role there."
            )

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._reconfigure(found.id, self._change(found, wanted), "change")

    def _change(self, found: Found, wanted: t.Sequence[Difference]) -> t.Any:
        values = self._vsphere.properties(found.id, [*_DEVICES, "config.hardware.numCoresPerSocket"])
        return change(values, wanted, self.spec.nics, self._card, self._backing)

    def check_adopt(self, found: Found) -> None:
        if self._vsphere.properties(found.id, ["config.template"]).get("config.template"):
            raise template(self._vsphere, found.id, self.spec.name)

    def adopt(self, found: Found, mark: Mark) -> None:
        notes = self._vsphere.properties(found.id, ["config.annotation"]).get("config.annotation")
        self._reconfigure(found.id, library().vim.vm.ConfigSpec(annotation=mark.put_into(notes)), "adopt")

    def _power(self, found: Found) -> VmwarePower:
        return VmwarePower(self._vsphere, found.id, self.spec.name)

    def remove(self, found: Found) -> None:
        vim, vmodl = library().vim, library().vmodl
        vm = self._vsphere.object("VirtualMachine", found.id)
        try:
            values = self._vsphere.properties(found.id, ["config.annotation", "runtime.powerState"])
            if str(values.get("runtime.powerState")) != "poweredOff":
                self._power(found).stop(Deadline(_TASK))
            if found.mark and not found.mark.complete and _SYSTEM in str(values.get("config.annotation")):
                home, center = self._home(found.id), self._datacenter(found.id)
                for name in (_UPLOADED, _SYSTEM):
                    self._delete_disk(f"{home}{name}", center)
        except VmNotFound:  # the server removed it itself, as it does after a lease was given up
            return
        deadline = Deadline(_BUSY)
        for attempt in itertools.count():
            try:
                self._vsphere.run("Destroy_Task", vm.Destroy_Task, deadline, repr(self.spec.name))
                return
            except vmodl.fault.ManagedObjectNotFound:
                return
            except (vim.fault.TaskInProgress, vim.fault.ConcurrentAccess) as error:
                if deadline.expired:
                    raise self._explained(error, "remove") from error
                if not attempt:  # the lease of a run that was killed ends by itself, after some minutes
                    self._say(f"{self.spec.name}: waiting until VMware no longer holds it ({fault_words(error)})")
                time.sleep(1)
            except vmodl.MethodFault as error:
                raise self._explained(error, "remove") from error

    def _reconfigure(self, moid: str, config: t.Any, tried: str) -> None:
        vm = self._vsphere.object("VirtualMachine", moid)
        self._run("ReconfigVM_Task", lambda: vm.ReconfigVM_Task(config), tried)

    def _run(self, call: str, start: t.Callable[[], t.Any], tried: str) -> t.Any:
        return run_task(self._vsphere, call, start, Deadline(_TASK), self.spec.name, tried)

    def _explained(self, error: t.Any, tried: str) -> ChrError:
        return explained(self._vsphere, error, self.spec.name, tried)


def _is_stream(image: Image) -> bool:
    """Whether *image* is a streamOptimized vmdk.

    Its sparse header has the flags for compressed grains and markers.
    """
    if image.format != "vmdk":
        return False
    with image.path.open("rb") as file:
        flags = int.from_bytes(file.read(12)[8:], "little")
    return flags & _STREAM == _STREAM


def _flat(path: str) -> str:
    return f"{path.removesuffix('.vmdk')}-flat.vmdk"


def _descriptor(size: int, extent: str) -> str:
    """The descriptor of a disk whose bytes are in one file *extent*, as in ESXi's own disks.

    Source: VMware's Virtual Disk Format 5.0.
    """
    sectors = size // _SECTOR
    cylinders = -(-sectors // (16 * 63))
    return f"""\
# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW {sectors} VMFS "{extent}"

# The Disk Data Base
#DDB

ddb.adapterType = "ide"
ddb.geometry.cylinders = "{min(cylinders, 16383)}"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.virtualHWVersion = "8"
"""
