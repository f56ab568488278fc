# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A VM on a vCenter or an ESXi host.

It carries its mark in its notes (``config.annotation``). Whatever an import puts into a datastore lies in the folder of the VM,
which is there first, so an import that broke off is found by the VM alone.
"""

from __future__ import annotations

import functools
import itertools
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import unquote

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    GuestError,
    InvalidInput,
    NotPermitted,
    NotPossible,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vsphere import Vsphere, fault_words, library
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

from .base import Found, Mark, NameTaken, Nic, Platform, VmSpec
from .vmware_place import Place, Wanted, network, resolve
from .vmware_upload import Files, Say, lease, upload

_TASK = 300.0  # seconds for a task that moves little
_COPY = 3600.0  # seconds to copy a disk inside VMware
_BUSY = 360.0  # seconds for what holds a VM: a lease whose client has gone ends after 300
_LONGEST_NAME = 80
_GUEST = "other3xLinux64Guest"  # known to vSphere 6.5 and every later one
_IDE = -200  # keys of a device that is about to be made are negative (API reference)
_SECTOR = 512  # bytes
_STREAM = 1 << 16 | 1 << 17  # flags of a sparse vmdk: compressed grains, markers (VMware's Virtual Disk Format 5.0)
_UPLOADED, _SYSTEM = "import.vmdk", "system.vmdk"  # of method datastore, in the VM's folder

_ADVICE = {
    "ConcurrentAccess": "Something else changed it at the same time. Repeat the task.",
    "DuplicateName": "Something else in that folder has the name. Choose another one.",
    "FileAlreadyExists": "The datastore has a file of that name that nothing of VMware's inventory owns. Look at it there.",
    "FileLocked": "Another host or a backup has the file open.",
    "InsufficientResourcesFault": "The host or the resource pool has no CPU or memory left for it.",
    "InsufficientStorageSpace": "Make space in the datastore, or choose another one.",
    "InvalidArgument": "In a cluster without DRS, esxi_host must name the host.",
    "InvalidDatastore": "The datastore is not there, or not for that host.",
    "InvalidDatastorePath": "The datastore is not there, or not for that host.",
    "NoDiskSpace": "Make space in the datastore, or choose another one.",
    "NotEnoughLicenses": "The license of vSphere does not cover it.",
    "RestrictedVersion": "The license of this ESXi host (the free one) does not let the API change anything.",
    "TaskInProgress": "Something else is busy with it. Look at the tasks of VMware, and repeat this one.",
}


@dataclass(frozen=True)
class Choice:
    """How the VM is made, beyond what every platform has."""

    wanted: Wanted
    method: t.Literal["nfc", "datastore"] = "nfc"
    thin: bool = True


class VmwarePlatform(Platform):
    """One VM of a vCenter or an ESXi host."""

    def __init__(self, spec: VmSpec, vsphere: Vsphere, choice: Choice, say: Say) -> None:
        super().__init__(spec)
        self._vsphere, self._choice, self._say = vsphere, choice, say
        self.title = vsphere.endpoint.where

    # -- what there is -------------------------------------------------------------------------------------------------

    def find(self) -> Found | None:
        """Names are looked for in the whole inventory: the router is found by its name there, too."""
        listed = self._vsphere.listing("VirtualMachine", ["name"], through=("folder", "datacenter", "vapp"))
        moids = [
            moid for moid, values in listed if self.spec.name in (values.get("name"), unquote(values.get("name", "")))
        ]
        if len(moids) > 1:
            raise NameTaken(
                f"{self.title} has {len(moids)} VMs named {self.spec.name!r} ({', '.join(sorted(moids))}). None was touched. "
                "Rename or remove all but one yourself."
            )
        if not moids:
            return None
        try:
            values = self._vsphere.properties(moids[0], ["config.annotation", "runtime.powerState"])
        except InvalidInput:  # it went away in between
            return None
        running = str(values.get("runtime.powerState")) == "poweredOn"
        return Found(moids[0], Mark.of(values.get("config.annotation")), running)

    @functools.cached_property
    def _place(self) -> Place:
        return resolve(self._vsphere, self._choice.wanted)

    # -- before --------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        if len(self.spec.name) > _LONGEST_NAME:
            raise InvalidInput(f"name {self.spec.name!r} is too long: VMware takes {_LONGEST_NAME} characters.")
        self._check_format()
        place = self._place
        for nic in self.spec.nics:
            self._backing(nic)
        store = place.datastore
        if not store.usable:
            raise NotPossible(
                f"Datastore {store.name!r} of {self.title} cannot be used now: it is not accessible or in maintenance mode."
            )
        if store.free < self._space():
            raise NotPossible(
                f"Datastore {store.name!r} of {self.title} has {store.free >> 20} MiB free, and {self.spec.name!r} needs "
                f"{-(-self._space() >> 20)}. Nothing was made. Make space there, or choose another datastore."
            )
        self._check_privileges()

    def _check_format(self) -> None:
        image, method = self.image, self._choice.method
        if method == "datastore" and image.format != "raw":
            raise InvalidInput(
                f"{image.path} is a {image.format} image, and method: datastore takes a raw one. Let outofband.chr.image "
                f"prepare it as raw, or convert it: qemu-img convert -O raw {image.path.name} chr.img"
            )
        if method == "datastore" and image.virtual_size % _SECTOR:
            raise InvalidInput(
                f"{image.path} has {image.virtual_size} bytes, which is no whole number of sectors. Was it downloaded whole?"
            )
        if method == "nfc" and not _is_stream(image):
            raise InvalidInput(
                f"{image.path} is no streamOptimized vmdk, which is the only format that vSphere's method nfc takes. Let "
                "outofband.chr.image prepare it as vmdk-stream, or convert it: qemu-img convert -O vmdk -o "
                f"subformat=streamOptimized {image.path.name} chr-stream.vmdk"
            )

    def _space(self) -> int:
        """Bytes that the import needs at least. A thin disk takes what is in the image, which nfc sends compressed."""
        system = self.image.size if self._choice.thin else self.image.virtual_size
        return system + (self.image.size if self._choice.method == "datastore" else 0)

    def _check_privileges(self) -> None:
        """Raises NotPermitted for what the server says is missing; where it does not tell, the import itself will."""
        try:
            content = self._vsphere.content()
            manager = self._vsphere.object("AuthorizationManager", content.authorizationManager._moId)
            session = self._vsphere.properties(content.sessionManager._moId, ["currentSession"], "SessionManager")
            key = session["currentSession"].key
            missing = []
            for what, entity, privileges in self._needed():
                ask = functools.partial(manager.HasPrivilegeOnEntities, [entity], key, privileges)
                for answer in self._vsphere.call("HasPrivilegeOnEntities", ask) or []:
                    missing += [f"{one.privId} on {what}" for one in answer.privAvailability or [] if not one.isGranted]
        except (library().vmodl.MethodFault, InvalidInput, KeyError):
            return
        if missing:
            raise NotPermitted(
                f"{self._vsphere.endpoint.user!r} cannot import {self.spec.name!r} into {self.title}: missing are "
                f"{', '.join(dict.fromkeys(missing))}. Nothing was made. Add them to the user's role there."
            )

    def _needed(self) -> t.Iterator[tuple[str, t.Any, list[str]]]:
        """(what, the object, privileges on it), as the API reference has them for the calls below."""
        nfc, place = self._choice.method == "nfc", self._place
        vm = ["Inventory.Create", "Inventory.Delete", "Config.AddNewDisk" if nfc else "Config.AddExistingDisk"]
        vm += ["Config.Annotation", "Interact.PowerOn"]
        yield "the VM folder", place.folder, [f"VirtualMachine.{one}" for one in vm]
        pool = ["Resource.AssignVMToPool", *(["VApp.Import"] if nfc else [])]
        yield f"the resource pool of {place.compute}", place.pool, pool
        files = [] if nfc else ["Datastore.FileManagement", "Datastore.Browse"]
        yield f"datastore {place.datastore.name!r}", place.datastore.ref, ["Datastore.AllocateSpace", *files]
        for nic in self.spec.nics:
            yield f"network {nic.network or 'of the card'!r}", network(place, nic.network), ["Network.Assign"]

    # -- making it -----------------------------------------------------------------------------------------------------

    def create(self) -> None:
        moid = self._by_lease() if self._choice.method == "nfc" else self._by_datastore()
        config = library().vim.vm.ConfigSpec(annotation=str(Mark(self.image.sha256, True)))
        self._reconfigure(moid, config)

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
        """A VM without a disk; then the image as a disk beside it, which is copied as ``vmkfstools -i`` does it, and connected."""
        vim, place = library().vim, self._place
        config = self._config(f"\nMethod datastore: {_UPLOADED} and {_SYSTEM} in its folder are of this import.", [])
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
        self._reconfigure(moid, vim.vm.ConfigSpec(deviceChange=[disk]))
        return moid

    def _config(self, note: str, devices: list[t.Any]) -> t.Any:
        """The whole VM: BIOS, since a new VM of ESXi 8 has EFI, and the system disk's IDE controller."""
        device = library().vim.vm.device
        add = device.VirtualDeviceSpec.Operation.add
        controller = device.VirtualDeviceSpec(operation=add, device=device.VirtualIDEController(key=_IDE, busNumber=0))
        cards = [
            device.VirtualDeviceSpec(operation=add, device=self._card(at, nic)) for at, nic in enumerate(self.spec.nics)
        ]
        return library().vim.vm.ConfigSpec(
            name=self.spec.name,
            annotation=str(Mark(self.image.sha256, False)) + note,
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
                fileName=path, diskMode="persistent", thinProvisioned=self._choice.thin
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
        """What connects a card. Raises InvalidInput."""
        if nic.vlan is not None:
            raise InvalidInput(
                f"vlan {nic.vlan} cannot be set on a network card of VMware: make a port group with that VLAN, and name it in "
                "network."
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

    # -- disks in a datastore --------------------------------------------------------------------------------------------

    def _home(self, moid: str) -> str:
        """The VM's folder, as ``[datastore] chr1/``."""
        path = str(self._vsphere.properties(moid, ["config.files.vmPathName"]).get("config.files.vmPathName") or "")
        return path[: path.rindex("/") + 1] if "/" in path else path

    def _copy_disk(self, source: str, dest: str) -> None:
        """As ``vmkfstools -i`` does it; a server that does not convert while it copies is asked for a plain copy."""
        vim, vmodl = library().vim, library().vmodl
        center = self._place.datacenter
        disks = self._vsphere.object("VirtualDiskManager", self._vsphere.content().virtualDiskManager._moId)
        kind = "thin" if self._choice.thin else "preallocated"
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
        """Remove a disk, or what there is of it."""
        vim, vmodl = library().vim, library().vmodl
        content = self._vsphere.content()
        disks = self._vsphere.object("VirtualDiskManager", content.virtualDiskManager._moId)
        files = self._vsphere.object("FileManager", content.fileManager._moId)
        of, deadline = repr(self.spec.name), Deadline(_TASK)
        try:
            self._vsphere.run(
                "DeleteVirtualDisk_Task", lambda: disks.DeleteVirtualDisk_Task(path, center), deadline, of
            )
        except vmodl.MethodFault:  # no whole disk: its files, one by one
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
        """That of an existing VM."""
        vim = library().vim
        parent = self._vsphere.properties(moid, ["parent"]).get("parent")
        while isinstance(parent, vim.Folder):
            parent = self._vsphere.properties(parent._moId, ["parent"], "Folder").get("parent")
        return parent

    # -- an existing one -------------------------------------------------------------------------------------------------

    def start(self, found: Found) -> None:
        self._run(
            "PowerOnVM_Task", lambda: self._vsphere.object("VirtualMachine", found.id).PowerOnVM_Task(None), "switch on"
        )

    def remove(self, found: Found) -> None:
        vim, vmodl = library().vim, library().vmodl
        vm = self._vsphere.object("VirtualMachine", found.id)
        try:
            values = self._vsphere.properties(found.id, ["config.annotation", "runtime.powerState"])
            if str(values.get("runtime.powerState")) != "poweredOff":
                self._run("PowerOffVM_Task", vm.PowerOffVM_Task, "switch off")
            if found.mark and not found.mark.complete and _SYSTEM in str(values.get("config.annotation")):
                home, center = self._home(found.id), self._datacenter(found.id)
                for name in (_UPLOADED, _SYSTEM):
                    self._delete_disk(f"{home}{name}", center)
        except InvalidInput:  # the server took it away itself, as it does after a lease was given up
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
                    self._say(f"{self.spec.name}: waiting for VMware to let go of it ({fault_words(error)})")
                time.sleep(1)
            except vmodl.MethodFault as error:
                raise self._explained(error, "remove") from error

    def _reconfigure(self, moid: str, config: t.Any) -> None:
        vm = self._vsphere.object("VirtualMachine", moid)
        self._run("ReconfigVM_Task", lambda: vm.ReconfigVM_Task(config), "import")

    def _run(self, call: str, start: t.Callable[[], t.Any], tried: str) -> t.Any:
        try:
            return self._vsphere.run(call, start, Deadline(_TASK), repr(self.spec.name))
        except library().vmodl.MethodFault as error:
            raise self._explained(error, tried) from error

    def _explained(self, error: t.Any, tried: str) -> GuestError:
        """A fault as a sentence; *tried* goes before the VM's name."""
        user, name = self._vsphere.endpoint.user, self.spec.name
        if privilege := getattr(error, "privilegeId", None):
            of = f" on {error.object._moId}" if getattr(error, "object", None) else ""
            return NotPermitted(
                f"{user!r} may not {tried} {name!r} on {self.title}: the privilege {privilege} is missing{of}. Add it to the "
                "user's role there."
            )
        kinds = [kind.__name__.rpartition(".")[2] for kind in type(error).__mro__]
        advice = next((_ADVICE[kind] for kind in kinds if kind in _ADVICE), "")
        return NotPossible(f"{self.title} did not {tried} {name!r}: {fault_words(error)}. {advice}".rstrip())


def _is_stream(image: Image) -> bool:
    """Whether it is a streamOptimized vmdk: its sparse header has the flags of compressed grains with markers."""
    if image.format != "vmdk":
        return False
    with image.path.open("rb") as file:
        flags = int.from_bytes(file.read(12)[8:], "little")
    return flags & _STREAM == _STREAM


def _flat(path: str) -> str:
    return f"{path.removesuffix('.vmdk')}-flat.vmdk"


def _descriptor(size: int, extent: str) -> str:
    """The text of a disk whose bytes are in one file *extent*, as ESXi keeps its own (VMware's Virtual Disk Format 5.0)."""
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
