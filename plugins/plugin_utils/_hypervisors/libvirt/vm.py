# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A VM on libvirt: a volume in a storage pool, made from an image, and a domain that boots from it.

Volumes of libvirt cannot carry notes. So the domain is defined first, without a disk, and carries
the mark and the name of its volume in its metadata. Then the volume is made, filled and read back.
Then the domain is defined once more, with the disk and as complete. Removal goes in the opposite
order, so that the mark exists as long as anything that it describes. The volume's name contains a
part of the domain's UUID, so no other domain's volume has it, and a clone of the domain, which has
the same metadata, does not own the volume.

A run that was killed may have left a worker that still imports. The next run removes everything
that the worker made, as libvirt deletes a volume even while a stream writes to it. The worker then
finds its domain or its volume gone, and leaves the new ones alone.

Sources: libvirt's API reference (libvirt-libvirt-domain, -storage, -network, -stream), and what
libvirt 9.0 was seen to answer.
"""

from __future__ import annotations

import functools
import threading
import typing as t
import uuid
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from ansible_collections.outofband.chr.plugins.plugin_utils._core.bounded import Overrun, bounded
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import MB, Progress
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Difference, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    UNKNOWN,
    Found,
    Mark,
    Platform,
    Say,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

from .connection import (
    ACCESS_DENIED,
    AUTH_FAILED,
    NO_DOMAIN,
    NO_NETWORK,
    NO_STORAGE_POOL,
    NO_STORAGE_VOL,
    OPERATION_DENIED,
    NotYet,
    alive,
    library,
    open_once,
    persist,
    unreached,
    uris,
    words,
)
from .options import LibvirtOptions
from .power import IN_BETWEEN
from .storage import INACTIVE, code, delete_volume, inactive_xml, or_none, pool_kind, refresh, system_disk
from .stream import digest, upload
from .xml import (
    CHANGEABLE,
    NAMESPACE,
    Attachment,
    HostCapabilities,
    Origin,
    SystemDisk,
    change,
    disk_paths,
    domain_xml,
    hardware_of,
    tags_vlans,
    volume_xml,
)

_CALL = 60.0  # seconds for one call of libvirt
_WORK = 300.0  # seconds for a call that writes or reads much on the host: a volume, a pool with many of them
_STALL = 60.0  # seconds in which a transfer must make progress

_SECURE = 1  # VIR_DOMAIN_XML_SECURE
_METADATA = 2  # VIR_DOMAIN_METADATA_ELEMENT
_LIVE, _CONFIG = 1, 2  # VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_AFFECT_CONFIG
_RUNNING_POOL = 2  # VIR_STORAGE_POOL_RUNNING
_FILE, _BLOCK_DEVICE = 0, 1  # virStorageVolType
_FOLDERS = ("dir", "fs", "netfs")
"""Pools whose volumes are files: they take qcow2, and files with holes."""
# Managed save, snapshots and NVRAM go with the domain; checkpoints since libvirt 5.6.
_UNDEFINE = 1 | 2 | 4
_UNDEFINE_CHECKPOINTS = 16
_HAS_CHECKPOINTS = 5_006_000
_BRIDGES_HAVE_VLANS = 11_000_000

_T = t.TypeVar("_T")


@dataclass(frozen=True)
class LibvirtVmSettings(VmSettings):
    """The options that only ``libvirt_vm`` has."""

    storage: str
    """The name of the storage pool for the disk."""
    disk_bus: str
    """``virtio``, ``sata`` or ``ide``."""
    provision_socket: str | None
    """The path on the host of a second channel, ``chr.provision_agent``. None: no such channel."""
    autostart: bool


class LibvirtPlatform(Platform[LibvirtOptions, LibvirtVmSettings]):
    """A domain of the libvirt at the connection's ``libvirt_uri``."""

    changeable = CHANGEABLE

    def __init__(self, spec: VmSpec, options: LibvirtOptions, settings: LibvirtVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        self._uri, shown = uris(options.libvirt_uri)
        self._shown = shown
        self.title = f"libvirt at {shown}"
        self._timeout = positive_seconds("chr_connect_timeout", options.connect_timeout)
        self._connection: t.Any = None
        for nic in spec.nics:
            Attachment.from_nic(nic)
        if settings.provision_socket and not settings.provision_socket.startswith("/"):
            raise InvalidInput(f"provision_socket {settings.provision_socket!r} is not an absolute path on the host.")

    # -- what there is -----------------------------------------------------------------------------

    def find(self) -> Found | None:
        def look(connection: t.Any) -> Found | None:
            domain = or_none(NO_DOMAIN, connection.lookupByName, self.spec.name)
            if domain is None:
                return None
            origin = Origin.from_xml(inactive_xml(domain))
            return Found(domain.UUIDString(), origin.mark if origin else None, bool(domain.isActive()))

        return self._ask(f"the VM {self.spec.name!r} cannot be looked up", look)

    def hardware(self, found: Found) -> Hardware:
        def look(connection: t.Any) -> Hardware:
            xml = connection.lookupByUUIDString(found.id).XMLDesc(0 if found.running else INACTIVE)
            return hardware_of(ElementTree.fromstring(xml))

        hardware: Hardware = self._ask(f"the settings of the VM {self.spec.name!r} cannot be read", look)
        return hardware

    def asked(self) -> Hardware:
        asked = self.spec.asked
        if asked.nics is None:
            return asked
        cards = [
            replace(card, network=Attachment.from_nic(nic).option) if card.network else card
            for card, nic in zip(asked.nics, self.spec.nics, strict=True)
        ]
        return replace(asked, nics=tuple(cards))

    def check(self) -> None:
        image = self.image
        if image.format not in ("raw", "qcow2"):
            raise InvalidInput(f"The image has the format {image.format}. Convert it to qcow2 or raw for libvirt.")
        self._check_host()
        self._check_storage()
        for nic in self.spec.nics:
            self._check_network(Attachment.from_nic(nic), nic.vlan is not None)

    def _check_host(self) -> None:
        if not self._hypervisor().kvm:
            self.warnings.append(
                f"{self.title} has no KVM, so {self.spec.name!r} runs in software emulation: slow, "
                "and RouterOS is only known to start its guest agent under KVM. Is virtualization "
                "on in the host's firmware, and may libvirt use /dev/kvm?"
            )

    def _check_storage(self) -> None:
        image = self.image

        def look(connection: t.Any) -> tuple[str, bool, int, int] | list[str]:
            pool = or_none(NO_STORAGE_POOL, connection.storagePoolLookupByName, self._settings.storage)
            if pool is None:
                return sorted(one.name() for one in connection.listAllStoragePools(0))
            if pool.info()[0] != _RUNNING_POOL:
                return pool_kind(pool), False, 0, 0
            refresh(pool)  # what others wrote there is not counted otherwise
            _state, capacity, _allocation, available = pool.info()
            return pool_kind(pool), True, capacity, available

        answer = self._ask(f"the storage pool {self._settings.storage!r} cannot be looked at", look, _WORK)
        where = f"The storage pool {self._settings.storage!r} of {self.title}"
        if isinstance(answer, list):
            raise InvalidInput(
                f"{self.title} has no storage pool {self._settings.storage!r}; it has "
                f"{', '.join(answer) or 'none'}. Set storage to one of them, or define it ('virsh "
                "pool-define-as')."
            )
        kind, active, capacity, available = answer
        if not active:
            raise NotPossible(
                f"{where} is not active. Start it ('virsh pool-start {self._settings.storage}'), "
                "and have it started with the host ('virsh pool-autostart "
                f"{self._settings.storage}')."
            )
        if kind not in _FOLDERS and image.format != "raw":
            raise InvalidInput(f"{where} is of the type {kind}, which holds raw disks only: convert the image to raw.")
        needed = image.path.stat().st_blocks * 512 if kind in _FOLDERS else image.virtual_size
        if needed > available:
            raise NotPossible(f"{where} has {available / MB:.0f} MB free; the image needs {needed / MB:.0f} MB.")
        if image.virtual_size > capacity:
            raise NotPossible(
                f"{where} has a size of {capacity / MB:.0f} MB; the disk, with "
                f"{image.virtual_size / MB:.0f} MB, can never be full there."
            )

    def _check_network(self, attachment: Attachment, vlan: bool) -> None:
        def look(connection: t.Any) -> tuple[bool, bool] | list[str]:
            network = or_none(NO_NETWORK, connection.networkLookupByName, attachment.name)
            if network is None:
                return sorted(one.name() for one in connection.listAllNetworks(0))
            return bool(network.isActive()), tags_vlans(ElementTree.fromstring(network.XMLDesc(0)))

        tags = attachment.kind == "ovs"
        if attachment.kind == "network":
            answer = self._ask(f"the network {attachment.name!r} cannot be looked up", look)
            if isinstance(answer, list):
                raise InvalidInput(
                    f"{self.title} has no network {attachment.name!r}; it has "
                    f"{', '.join(answer) or 'none'}. Name one of them, or a bridge of the host as "
                    "bridge:NAME."
                )
            active, tags = answer
            if not active:
                raise NotPossible(
                    f"The network {attachment.name!r} of {self.title} is not active. Start it "
                    f"('virsh net-start {attachment.name}'), and have it started with the host "
                    f"('virsh net-autostart {attachment.name}')."
                )
        if vlan and not tags:
            version = self._ask("its version cannot be asked", lambda connection: int(connection.getLibVersion()))
            if version < _BRIDGES_HAVE_VLANS:
                raise NotPossible(
                    f"{self.title} cannot tag a VLAN on {attachment.kind} {attachment.name!r}: "
                    "before version 11 libvirt has VLANs on Open vSwitch (ovs:NAME) only. Make a "
                    "bridge of the host for the VLAN, and leave out vlan."
                )

    # -- what is made and taken away ---------------------------------------------------------------

    def create(self) -> None:
        image = self.image
        host = self._hypervisor()
        identifier = str(uuid.uuid4())
        volume = f"{self.spec.name}-{identifier[:8]}.img"
        unfinished, complete = (
            Origin(self.mark(complete=done), self._settings.storage, volume) for done in (False, True)
        )
        self._define(host, identifier, unfinished, None)
        disk = self._make_volume(volume, image)
        self._fill_volume(disk.path, image)
        self._define(host, identifier, complete, disk)

    def _define(self, host: HostCapabilities, identifier: str, origin: Origin, disk: SystemDisk | None) -> None:
        xml = domain_xml(self.spec, identifier, origin, host, disk, self._settings.provision_socket)

        def define(connection: t.Any) -> None:
            if disk:  # another run may have taken both away meanwhile
                connection.lookupByUUIDString(identifier)
                connection.storageVolLookupByPath(disk.path)
            connection.defineXML(xml).setAutostart(int(self._settings.autostart and disk is not None))

        self._ask(f"the VM {self.spec.name!r} was not defined", define, changes=True)

    def _make_volume(self, name: str, image: Image) -> SystemDisk:
        def make(connection: t.Any) -> tuple[int, str]:
            pool = connection.storagePoolLookupByName(self._settings.storage)
            volume = pool.createXML(volume_xml(name, image, sparse=pool_kind(pool) in _FOLDERS), 0)
            return volume.info()[0], volume.path()

        where = f"the volume {name!r} in the storage pool {self._settings.storage!r}"
        kind, path = self._ask(f"{where} was not made", make, _WORK, changes=True)
        if kind not in (_FILE, _BLOCK_DEVICE):
            raise NotPossible(
                f"{self.title}: {where} is neither a file nor a block device, and this module makes "
                "VMs of those only. Choose a pool of the type dir, fs, netfs or logical."
            )
        return SystemDisk(path, kind == _BLOCK_DEVICE, image.format, self._settings.disk_bus)

    def _fill_volume(self, path: str, image: Image) -> None:
        """Send the image, read it back and compare it. Raises TransferFailed."""

        def send(connection: t.Any, moved: t.Callable[[int], None]) -> None:
            volume = connection.storageVolLookupByPath(path)
            upload(connection, volume, image, sparse=volume.info()[0] == _FILE, moved=moved)

        def read_back(connection: t.Any, moved: t.Callable[[int], None]) -> str:
            volume = connection.storageVolLookupByPath(path)
            return digest(connection, volume, image.size, sparse=volume.info()[0] == _FILE, moved=moved)

        name = self.spec.name
        self._transfer(f"{name}: uploading {image.path.name} to {path}", image, send)
        arrived = self._transfer(f"{name}: reading {path} back", image, read_back)
        if arrived != image.sha256:
            raise TransferFailed(
                f"{path} at {self.title} was read back with the sha256 {arrived}, not "
                f"{image.sha256}. It was changed on the way or on the host, or {str(image.path)!r} "
                "was changed while it was read."
            )

    def remove(self, found: Found) -> None:
        def stop(connection: t.Any) -> None:
            domain = or_none(NO_DOMAIN, connection.lookupByUUIDString, found.id)
            if domain is not None and domain.isActive():
                domain.destroy()

        def undefine(connection: t.Any) -> None:
            checkpoints = _UNDEFINE_CHECKPOINTS if connection.getLibVersion() >= _HAS_CHECKPOINTS else 0
            if (domain := or_none(NO_DOMAIN, connection.lookupByUUIDString, found.id)) is not None:
                domain.undefineFlags(_UNDEFINE | checkpoints)

        name = self.spec.name
        paths = self._ask(
            f"the disk of {name!r} cannot be looked up, so the VM was left as it is",
            lambda connection: system_disk(connection, found.id),
            _WORK,
        )
        if not paths and found.mark and found.mark.image == UNKNOWN:
            self.warnings.append(
                f"{name!r} was adopted, and its disk is not a volume of a storage pool of {self.title}, so the disk is not removed "
                "with the VM."
            )
        self._ask(f"the VM {name!r} was not stopped", stop, changes=True)
        for path in paths:
            complaint = f"the volume {path} of {name!r} was not deleted"
            self._ask(complaint, functools.partial(delete_volume, path), changes=True)
        self._ask(f"the VM {name!r}, whose disk was deleted, was not removed", undefine, changes=True)

    def start(self, found: Found) -> None:
        self._ask(
            f"the VM {self.spec.name!r} exists and was not started",
            lambda connection: connection.lookupByUUIDString(found.id).create(),
            changes=True,
        )

    def stop(self, found: Found) -> None:
        self._ask(
            f"the VM {self.spec.name!r} was not stopped",
            lambda connection: connection.lookupByUUIDString(found.id).destroy(),
            changes=True,
        )

    # -- one that exists ---------------------------------------------------------------------------

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        def look(connection: t.Any) -> tuple[bool, int, bool, str]:
            domain = connection.lookupByUUIDString(found.id)
            xml = domain.XMLDesc(INACTIVE)
            return bool(domain.isPersistent()), domain.state()[0], bool(domain.hasManagedSaveImage()), xml

        persistent, state, saved, xml = self._ask(f"the VM {self.spec.name!r} cannot be looked at", look)
        what = f"{self.title} has {self.spec.name!r} ({found.id})"
        if not persistent:
            raise NotPossible(f"{what} without a definition (transient), so it was not changed.")
        if saved:
            raise NotPossible(
                f"{what} with a saved state, which only its present hardware can read, so it was not changed. Start it, or "
                f"discard that state ('virsh managedsave-remove {self.spec.name}')."
            )
        if state in IN_BETWEEN:
            raise NotPossible(f"{what}, which is {IN_BETWEEN[state]}, so it was not changed. Wake it, or turn it off.")
        change(ElementTree.fromstring(xml), wanted, self.spec.nics)
        for nic in self.connected(wanted):
            self._check_network(Attachment.from_nic(nic), nic.vlan is not None)

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        def redefine(connection: t.Any) -> None:
            xml = ElementTree.fromstring(connection.lookupByUUIDString(found.id).XMLDesc(INACTIVE | _SECURE))
            change(xml, wanted, self.spec.nics)
            connection.defineXML(ElementTree.tostring(xml, encoding="unicode"))

        self._ask(f"the VM {self.spec.name!r} was not changed", redefine, changes=True)

    def check_adopt(self, found: Found) -> None:
        """Every persistent domain can be adopted; of a transient one nothing would be left."""

        def look(connection: t.Any) -> bool:
            return bool(connection.lookupByUUIDString(found.id).isPersistent())

        if not self._ask(f"the VM {self.spec.name!r} cannot be looked at", look):
            raise NotPossible(
                f"{self.title} has {self.spec.name!r} ({found.id}) without a definition (transient), so it was not adopted."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        def put(connection: t.Any) -> None:
            domain = connection.lookupByUUIDString(found.id)
            path = next(iter(disk_paths(inactive_xml(domain))), None)
            volume = path and or_none(NO_STORAGE_VOL, connection.storageVolLookupByPath, path)
            place = (volume.storagePoolLookupByVolume().name(), volume.name()) if volume else ("", "")
            origin = Origin(mark, *place)
            flags = _CONFIG | (_LIVE if domain.isActive() else 0)
            domain.setMetadata(_METADATA, origin.to_xml(found.id), "chr", NAMESPACE, flags)

        self._ask(f"the VM {self.spec.name!r} was not marked", put, changes=True)

    # -- libvirt -----------------------------------------------------------------------------------

    def _hypervisor(self) -> HostCapabilities:
        found = HostCapabilities.from_xml(
            self._ask("its capabilities cannot be asked", lambda one: str(one.getCapabilities()))
        )
        if found is None:
            raise NotPossible(
                f"{self.title} has no emulator for x86_64: install QEMU there (package qemu-system-x86 or qemu-kvm)."
            )
        return found

    def _connected(self) -> t.Any:
        """The connection, which is opened again if it was lost.

        Raises Unreachable, NotPermitted, InvalidInput, NotPossible.
        """
        if self._connection is None or not alive(self._connection):
            deadline = Deadline(self._timeout)
            try:
                self._connection = persist(
                    deadline, lambda: open_once(self._uri, self._shown, repr(self.spec.name), deadline)
                )
            except NotYet as error:
                raise unreached(self._shown, repr(self.spec.name), deadline, error) from None
        return self._connection

    def _transfer(self, what: str, image: Image, work: t.Callable[[t.Any, t.Callable[[int], None]], _T]) -> _T:
        """Run *work*, a transfer, and return its value.

        It may take any time while it makes progress. It ends when the caller stops waiting.
        """
        progress = Progress(self._say, what, image.size)
        left = threading.Event()

        def moved(count: int) -> None:
            if left.is_set():
                raise _Left
            progress.add(count)

        try:
            return self._ask(
                f"{what} broke off",
                lambda connection: work(connection, moved),
                _STALL,
                changes=True,
                moved=lambda: progress.done,
            )
        except OSError as error:
            raise InvalidInput(f"The image {str(image.path)!r} cannot be read: {error.strerror}.") from None
        finally:
            left.set()

    def _ask(
        self,
        complaint: str,
        work: t.Callable[[t.Any], _T],
        seconds: float = _CALL,
        *,
        changes: bool = False,
        moved: t.Callable[[], int] | None = None,
    ) -> _T:
        """Call *work* with the connection and return its value.

        Raises NotPermitted and NotPossible with *complaint* and libvirt's words. If the connection
        was lost or the call did not return in time (``bounded``), it raises OutcomeUnknown if
        *changes* says that the work changes something, and Unreachable otherwise.
        """
        connection = self._connected()
        try:
            return bounded(lambda: work(connection), seconds, moved)
        except Overrun:
            lost = f"libvirt did not return within {seconds:g} s"
        except library().libvirtError as error:
            said = words(error)
            if code(error) in (OPERATION_DENIED, ACCESS_DENIED, AUTH_FAILED):
                raise NotPermitted(
                    f"{self.title} does not let this user do that: {complaint}: {said}. That needs "
                    "a connection that may write (not a read-only socket) and, with access control "
                    "in libvirtd, the permissions that the page of the module "
                    "outofband.chr.libvirt_vm names."
                ) from None
            if alive(connection):
                raise NotPossible(f"{self.title}: {complaint}: {said}.") from error
            lost = f"the connection was lost ({said})"
        self._connection = None  # left to the thread that still uses it
        if changes:
            raise OutcomeUnknown(f"{self.title}: {complaint}, as far as is known: {lost}.")
        raise Unreachable(f"{self.title}: {complaint}: {lost}.")


class _Left(Exception):
    """The caller no longer waits for the transfer."""
