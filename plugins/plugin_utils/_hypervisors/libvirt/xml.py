# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The XML of libvirt: a domain that runs a CHR, its volume, and the mark in the domain. No I/O.

Source: libvirt's pages "Domain XML format" and "Storage pool and volume XML format".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    DISK,
    UNTAGGED,
    Card,
    Difference,
    Hardware,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark, Nic, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

NAMESPACE = "https://github.com/outofband/chr/libvirt/1"
ElementTree.register_namespace("chr", NAMESPACE)

_DISK_NAMES = {"virtio": "vda", "sata": "sda", "ide": "hda"}
DEFAULT_NETWORK = "default"
AGENT_PORT = "org.qemu.guest_agent.0"
CHANGEABLE = frozenset({"cpus", "memory", "agent", "boot", "nics", "model", "mac", "network", "vlan"})


@dataclass(frozen=True)
class Origin:
    """The mark and the volume's name in the metadata of a domain that this collection made.

    People edit a description, but not the metadata.
    """

    mark: Mark
    pool: str
    volume: str
    """The name of the volume of the system disk. The volume may not exist yet.

    Empty for a clone, whose disk is not the one in its metadata.
    """

    @classmethod
    def from_xml(cls, domain: Element) -> Origin | None:
        """The origin in the metadata of *domain*. None if this collection did not make it."""
        found = domain.find(f"metadata/{{{NAMESPACE}}}import")
        mark = Mark.parse(found.text) if found is not None else None
        if found is None or mark is None:
            return None
        volume, uuid = found.get("volume", ""), domain.findtext("uuid", "")
        own = f"-{uuid[:8]}." in volume or found.get("domain") == uuid
        return cls(mark, found.get("pool", ""), volume if own else "")

    def to_xml(self, uuid: str) -> str:
        """The element for the metadata of the domain *uuid*, which was adopted.

        It names the domain, because the name of its volume need not contain the UUID.
        """
        element = Element("import", pool=self.pool, volume=self.volume, domain=uuid)
        element.text = str(self.mark)
        return _text(element)


@dataclass(frozen=True)
class HostCapabilities:
    """What the QEMU of a host can do."""

    kvm: bool
    machine: str

    @classmethod
    def from_xml(cls, capabilities: str) -> HostCapabilities | None:
        """Parse libvirt's description of the host. None if the host does not run x86_64."""
        for guest in ElementTree.fromstring(capabilities).iter("guest"):
            arch = guest.find("arch[@name='x86_64']")
            if arch is not None and guest.findtext("os_type") == "hvm":
                machines = {machine.text for machine in guest.iter("machine")}
                kvm = any(domain.get("type") == "kvm" for domain in arch.findall("domain"))
                return cls(kvm, "pc" if "pc" in machines else "q35")
        return None


@dataclass(frozen=True)
class SystemDisk:
    """The system disk, as QEMU opens it on the host."""

    path: str
    block: bool
    """Whether it is a block device. If not, it is a file."""
    format: str
    bus: str


@dataclass(frozen=True)
class Attachment:
    """The network of a network card, as the option ``network`` names it for libvirt."""

    kind: str
    """``network``, ``bridge``, ``ovs`` or ``user``."""
    name: str

    @property
    def option(self) -> str:
        """The shortest form in which the option names it."""
        if self.kind == "network":
            return self.name
        return f"{self.kind}:{self.name}" if self.name else self.kind

    @classmethod
    def from_nic(cls, nic: Nic) -> Attachment:
        """The attachment of *nic*. Raises InvalidInput."""
        text = nic.network or DEFAULT_NETWORK
        if text == "user":
            kind, name = "user", ""
        else:
            kind, colon, name = text.partition(":")
            if not colon:
                kind, name = "network", text
            if kind not in ("network", "bridge", "ovs") or not name:
                raise InvalidInput(
                    f"{text!r} is not a valid network: use the name of a libvirt network (or "
                    "network:NAME), bridge:NAME for a Linux bridge, ovs:NAME for a bridge of Open "
                    "vSwitch, or user."
                )
        if nic.vlan is not None and kind == "user":
            raise InvalidInput("QEMU's user-mode network has no VLANs: leave out vlan, or choose a bridge.")
        return cls(kind, name)


def domain_xml(
    spec: VmSpec,
    uuid: str,
    origin: Origin,
    host: HostCapabilities,
    disk: SystemDisk | None,
    provision_socket: str | None,
) -> str:
    """The XML of the domain. *disk* is None while the image is being imported.

    *provision_socket*: the path on the host of a second channel, ``chr.provision_agent``. None: no
    such channel. Raises InvalidInput.
    """
    domain = Element("domain", type="kvm" if host.kvm else "qemu")
    _add(domain, "name", spec.name)
    _add(domain, "uuid", uuid)
    _add(domain, "description", str(origin.mark))
    metadata = _add(domain, "metadata")
    _add(metadata, f"{{{NAMESPACE}}}import", str(origin.mark), pool=origin.pool, volume=origin.volume)
    _add(domain, "memory", str(spec.memory), unit="MiB")
    _add(domain, "vcpu", str(spec.cpus))
    # No firmware is named: this is SeaBIOS, and the CHR image for x86_64 boots with BIOS only.
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch="x86_64", machine=host.machine)
    _add(system, "boot", dev="hd")
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    _add(domain, "cpu", mode="host-model" if host.kvm else "maximum")
    _add(domain, "clock", offset="utc")
    _add(domain, "on_reboot", "restart")
    devices = _add(domain, "devices")
    if disk:
        _add_disk(devices, disk)
    for nic in spec.nics:
        _add_nic(devices, nic)
    _add_channel(devices, AGENT_PORT, None)
    if provision_socket:
        _add_channel(devices, "chr.provision_agent", provision_socket)
    _add(devices, "serial", type="pty")
    _add(devices, "console", type="pty")
    _add(devices, "controller", type="usb", model="none")
    return _text(domain)


def volume_xml(name: str, image: Image, *, sparse: bool) -> str:
    """The XML of a volume for *image*. Unless it is *sparse*, libvirt reserves all its blocks."""
    volume = Element("volume")
    _add(volume, "name", name)
    _add(volume, "capacity", str(image.virtual_size), unit="bytes")
    if sparse:
        _add(volume, "allocation", "0", unit="bytes")
    _add(_add(volume, "target"), "format", type=image.format)
    return _text(volume)


def disk_paths(domain: Element) -> list[str]:
    """The paths of the files and block devices that are the disks of *domain*."""
    sources = domain.findall("devices/disk/source")
    return [path for source in sources if (path := source.get("file") or source.get("dev"))]


def tags_vlans(network: Element) -> bool:
    """Whether every libvirt that knows VLANs can tag on this network.

    It can with Open vSwitch, and with functions of a network card.
    """
    port = network.find("virtualport")
    forward = network.find("forward")
    return (port is not None and port.get("type") == "openvswitch") or (
        forward is not None and forward.get("mode") == "hostdev"
    )


def _add_disk(devices: Element, disk: SystemDisk) -> None:
    element = _add(devices, "disk", type="block" if disk.block else "file", device="disk")
    _add(element, "driver", name="qemu", type=disk.format, discard="unmap")
    # By its path, not by pool and volume: AppArmor's helper of libvirt does not look those up, and
    # QEMU may not open the disk.
    _add(element, "source", **{"dev" if disk.block else "file": disk.path})
    _add(element, "target", dev=_DISK_NAMES[disk.bus], bus=disk.bus)


def _add_nic(devices: Element, nic: Nic) -> None:
    interface = _add(devices, "interface")
    if nic.mac:
        _add(interface, "mac", address=nic.mac)
    _attach(interface, Attachment.from_nic(nic))
    if nic.vlan is not None:
        _add(_add(interface, "vlan"), "tag", id=str(nic.vlan))
    _add(interface, "model", type=nic.model)


def _attach(interface: Element, attachment: Attachment) -> None:
    kind = "bridge" if attachment.kind == "ovs" else attachment.kind
    interface.set("type", kind)
    if attachment.name:
        _add(interface, "source", **{kind: attachment.name})
    if attachment.kind == "ovs":
        _add(interface, "virtualport", type="openvswitch")


def _add_channel(devices: Element, port: str, socket: str | None) -> None:
    channel = _add(devices, "channel", type="unix")
    if socket:
        _add(channel, "source", mode="bind", path=socket)
    _add(channel, "target", type="virtio", name=port)


def _add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _text(element: Element) -> str:
    ElementTree.indent(element)
    return ElementTree.tostring(element, encoding="unicode")


def hardware_of(domain: Element) -> Hardware:
    """Return what the XML of a domain says. libvirt itself writes the memory in KiB."""
    memory, cpus = domain.find("memory"), domain.find("vcpu")
    unit = {"KiB": 1, "MiB": 1024, "GiB": 1024**2}.get("KiB" if memory is None else memory.get("unit", "KiB"))
    return Hardware(
        int(cpus.get("current") or cpus.text or 1) if cpus is not None else None,
        int(memory.text or 0) * unit // 1024 if memory is not None and unit else None,
        tuple(_card(one) for one in domain.findall("devices/interface")),
        any(
            (one.get("type"), one.get("name")) == ("virtio", AGENT_PORT)
            for one in domain.findall("devices/channel/target")
        ),
        _first_boot(domain),
    )


def _card(interface: Element) -> Card:
    kind = interface.get("type", "")
    name = _attribute(interface, "source", kind)
    ovs = _attribute(interface, "virtualport", "type") == "openvswitch"
    network = {"network": name, "bridge": f"{'ovs' if ovs else 'bridge'}:{name}", "user": "user"}.get(kind)
    vlan = _attribute(interface, "vlan/tag", "id")
    model, mac = _attribute(interface, "model", "type"), _attribute(interface, "mac", "address")
    return Card(model, mac, network, int(vlan) if vlan else UNTAGGED)


def _attribute(element: Element, path: str, name: str) -> str | None:
    found = element.find(path)
    return None if found is None else found.get(name)


def _first_boot(domain: Element) -> str:
    """What the domain boots from first: the devices have an order of their own, or there is one
    of the kinds of devices."""
    ordered = [
        (int(boot.get("order", "0")), device)
        for device in domain.findall("devices/*")
        if (boot := device.find("boot")) is not None
    ]
    if ordered:
        first = min(ordered, key=lambda one: one[0])[1]
        if first.tag == "interface":
            return "network"
        return DISK if first.get("device", "disk") == "disk" else str(first.get("device"))
    return {"hd": DISK}.get(kind := _attribute(domain, "os/boot", "dev") or "hd", kind)


def change(domain: Element, wanted: Sequence[Difference], nics: Sequence[Nic]) -> None:
    """Change *domain*, the XML of one that is off, in what is *wanted*.

    *nics*: the cards that the task describes. Raises NotPossible.
    """
    devices = domain.find("devices")
    if devices is None:
        raise NotPossible("The domain has no devices.")
    if domain.find("cpu/numa") is not None and {"cpus", "memory"} & {one.what for one in wanted}:
        raise NotPossible(
            "The domain has NUMA cells, which divide its CPUs and memory. Nothing was changed. Change them yourself."
        )
    cards = devices.findall("interface")
    for one in wanted:
        if one.what == "cpus":
            _set_cpus(domain, int(one.asked))
        elif one.what == "memory":
            for name in ("memory", "currentMemory"):
                element = _child(domain, name)
                element.text = str(one.asked)
                element.set("unit", "MiB")
        elif one.what == "agent":
            _add_channel(devices, AGENT_PORT, None)
        elif one.what == "boot":
            _boot_from_disk(domain)
        elif one.what == "nics":
            for surplus in cards[len(nics) :]:
                devices.remove(surplus)
            for nic in nics[len(cards) :]:
                _add_nic(devices, nic)
        elif one.card:
            _change_card(cards[one.card - 1], one)


def _set_cpus(domain: Element, count: int) -> None:
    """Set the number of CPUs, and remove what describes each of them or their topology."""
    cpus = _child(domain, "vcpu")
    cpus.text = str(count)
    cpus.attrib.pop("current", None)
    cpu = domain.find("cpu")
    for parent, name in ((domain, "vcpus"), (cpu, "topology")):
        if parent is not None and (found := parent.find(name)) is not None:
            parent.remove(found)


def _boot_from_disk(domain: Element) -> None:
    for device in domain.findall("devices/*"):
        if (boot := device.find("boot")) is not None:
            device.remove(boot)
    system = _child(domain, "os")
    others = [one for one in system.findall("boot") if one.get("dev") != "hd"]
    for one in system.findall("boot"):
        system.remove(one)
    _add(system, "boot", dev="hd")
    system.extend(others)


def _change_card(interface: Element, wanted: Difference) -> None:
    value = str(wanted.asked)
    if wanted.what == "model":
        _child(interface, "model").set("type", value)
    elif wanted.what == "mac":
        _child(interface, "mac").set("address", value)
    elif wanted.what == "vlan":
        _remove(interface, "vlan")
        if wanted.asked != UNTAGGED:
            _add(_add(interface, "vlan"), "tag", id=value)
    else:
        for name in ("source", "virtualport"):
            _remove(interface, name)
        _attach(interface, Attachment.from_nic(Nic(value, "")))


def _child(parent: Element, name: str) -> Element:
    found = parent.find(name)
    return _add(parent, name) if found is None else found


def _remove(parent: Element, name: str) -> None:
    for found in parent.findall(name):
        parent.remove(found)
