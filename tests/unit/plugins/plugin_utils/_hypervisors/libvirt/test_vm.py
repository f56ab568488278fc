# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a private libvirtd cannot be made to be: one with KVM, full, not of the type dir, new, or
that refuses."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ansible_collections.outofband.chr.plugins.action.libvirt_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPermitted, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import connection as libvirt_connection
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.stream import _parts
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.vm import LibvirtPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.xml import (
    HostCapabilities,
    Origin,
    SystemDisk,
    domain_xml,
    volume_xml,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark, Nic, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.vm_settings import settings_of

MIB = 1 << 20
UUID = "3f2a91bc-6f0c-4d1e-9d0f-6f0c4d1e9d0f"
MARK = Mark("ab" * 32, complete=True, owner="cd" * 8)
CAPABILITIES = (
    "<capabilities><guest><os_type>hvm</os_type><arch name='i686'><machine>pc</machine></arch></guest><guest>"
    "<os_type>hvm</os_type><arch name='x86_64'><machine>{machine}</machine><domain type='qemu'/>{more}</arch></guest>"
    "</capabilities>"
)


class LibvirtError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.get_error_code = lambda: code


def raising(code: int, text: str):
    def function(*_arguments):
        raise LibvirtError(code, text)

    return function


@pytest.fixture
def fake(monkeypatch):
    """A connection of libvirt with KVM, one pool and one network."""
    pool = types.SimpleNamespace(
        info=lambda: [2, 4000 * MIB, 0, 100 * MIB], XMLDesc=lambda flags: "<pool type='dir'/>", refresh=lambda flags: 0
    )
    network = types.SimpleNamespace(
        isActive=lambda: 1, XMLDesc=lambda flags: "<network><virtualport type='openvswitch'/></network>"
    )
    connection = types.SimpleNamespace(
        isAlive=lambda: 1,
        getCapabilities=lambda: CAPABILITIES.format(machine="pc", more="<domain type='kvm'/>"),
        getLibVersion=lambda: 9_000_000,
        storagePoolLookupByName=lambda name: pool,
        networkLookupByName=lambda name: network,
        pool=pool,
        network=network,
    )
    library = types.SimpleNamespace(
        open=lambda uri: connection, libvirtError=LibvirtError, registerErrorHandler=lambda function, context: None
    )
    monkeypatch.setitem(sys.modules, "libvirt", library)
    monkeypatch.setitem(sys.modules, "libvirt_qemu", types.SimpleNamespace())
    monkeypatch.setattr(libvirt_connection, "_loaded", None)
    return connection


def spec(image: Image | None = None, *nics: Nic) -> VmSpec:
    return VmSpec("chr1", 2, 264, nics or (Nic(None, "virtio"),), image)


def platform(image: Image, *nics: Nic, socket: str | None = None) -> LibvirtPlatform:
    options = options_for("libvirt", "chr1", 5.0, "auto", Path("/nonexistent"))
    return LibvirtPlatform(
        spec(image, *nics),
        options,
        settings_of(ActionModule, provision_socket=socket),
        lambda line: None,
    )


@pytest.fixture
def image(tmp_path) -> Image:
    path = tmp_path / "chr.img"
    path.write_bytes(b"x" * MIB)
    return Image(path, "raw", 128 * MIB)


def test_a_host_with_kvm_and_room_is_taken_without_a_word(fake, image):
    checked = platform(image, Nic("lan", "virtio", vlan=7), Nic("bridge:br0", "virtio"))
    checked.check()
    assert checked.warnings == []


def test_a_pool_without_room_is_refused(fake, image):
    fake.pool.info = lambda: [2, 4000 * MIB, 0, MIB // 2]
    with pytest.raises(NotPossible, match="'default' .*has 1 MB free; the image needs 1 MB"):
        platform(image).check()


def test_block_devices_need_room_for_the_whole_disk_and_raw_images(fake, image):
    fake.pool.XMLDesc = lambda flags: "<pool type='logical'/>"
    with pytest.raises(NotPossible, match="has 105 MB free; the image needs 134 MB"):
        platform(image).check()
    with pytest.raises(InvalidInput, match="of the type logical, which holds raw disks only"):
        platform(Image(image.path, "qcow2", 64 * MIB)).check()
    assert ElementTree.fromstring(volume_xml("x", image, sparse=False)).find("allocation") is None


def test_a_pool_in_which_a_volume_is_being_made_is_waited_for(fake, image):
    answers = [LibvirtError(1, "pool 'default' has asynchronous jobs running.")] * 2

    def refresh(_flags):
        if answers:
            raise answers.pop()

    fake.pool.refresh = refresh
    platform(image).check()
    assert answers == []


@pytest.mark.parametrize("code", [29, 88])
def test_rights_that_are_missing_are_told_in_words(fake, image, code):
    fake.defineXML = raising(code, "operation virDomainDefineXML forbidden for read only access")
    with pytest.raises(NotPermitted, match="'chr1' was not defined: .*read only.*not a read-only socket.*libvirt_vm"):
        platform(image).create()


def test_vlans_are_refused_where_libvirt_cannot_tag(fake, image):
    fake.network.XMLDesc = lambda flags: "<network><forward mode='nat'/></network>"
    tagged = Nic("lan", "virtio", vlan=7)
    with pytest.raises(NotPossible, match="cannot tag a VLAN on network 'lan'"):
        platform(image, tagged).check()
    platform(image, Nic("ovs:br0", "virtio", vlan=7)).check()
    fake.getLibVersion = lambda: 11_000_000
    platform(image, tagged).check()
    for nic in (Nic("user", "virtio", vlan=7), Nic("network:", "virtio")):
        with pytest.raises(InvalidInput):
            platform(image, nic)


def test_a_second_channel_needs_an_absolute_path(image):
    with pytest.raises(InvalidInput, match="not an absolute path"):
        platform(image, socket="p.sock")


def test_the_hosts_abilities_are_read_for_x86_64_only():
    assert HostCapabilities.from_xml(CAPABILITIES.format(machine="q35", more="")) == HostCapabilities(False, "q35")
    assert (
        HostCapabilities.from_xml(
            "<capabilities><guest><os_type>hvm</os_type><arch name='aarch64'/></guest></capabilities>"
        )
        is None
    )


def test_names_cannot_break_out_of_the_xml():
    text = "a'<b>&\"c"
    origin = Origin(MARK, text, f"{text}-{UUID[:8]}.img")
    wanted = VmSpec(text, 1, 256, (Nic(f"ovs:{text}", "virtio", "02:00:5e:10:00:01", 7),), None)
    xml = domain_xml(
        wanted, UUID, origin, HostCapabilities(True, "pc"), SystemDisk("/dev/x", True, "raw", "sata"), None
    )
    domain = ElementTree.fromstring(xml)
    assert (domain.get("type"), domain.findtext("name")) == ("kvm", text)
    assert domain.find("devices/interface/source").get("bridge") == text
    assert domain.find("devices/interface/virtualport").get("type") == "openvswitch"
    assert domain.find("devices/disk/source").get("dev") == "/dev/x"
    assert Origin.from_xml(domain) == origin


def test_a_domain_without_the_mark_is_not_ours_and_a_clone_names_no_volume():
    assert Origin.from_xml(ElementTree.fromstring(f"<domain><description>{MARK}</description></domain>")) is None
    xml = domain_xml(spec(), UUID, Origin(MARK, "p", f"chr1-{UUID[:8]}.img"), HostCapabilities(True, "pc"), None, None)
    clone = ElementTree.fromstring(xml.replace(f"<uuid>{UUID}", "<uuid>00000000-6f0c-4d1e-9d0f-6f0c4d1e9d0f"))
    assert Origin.from_xml(clone) == Origin(MARK, "p", "")


def test_the_holes_of_a_file_are_found_wherever_they_are(tmp_path):
    path = tmp_path / "sparse"
    for data in ([], [0], [MIB], [0, 2 * MIB], [3 * MIB - 1]):
        with path.open("w+b") as file:
            file.truncate(3 * MIB)
            for offset in data:
                file.seek(offset)
                file.write(b"x")
            file.flush()
            parts = list(_parts(file.fileno(), 3 * MIB))
            assert [end for _start, end, _hole in parts] == [start for start, _end, _hole in parts][1:] + [3 * MIB]
            content = path.read_bytes()
            assert not any(content[start:end].strip(b"\0") for start, end, hole in parts if hole)


def test_the_last_words_of_libvirt_are_kept_when_the_time_is_over():
    attempts = [libvirt_connection.NotYet("nc: not found"), libvirt_connection._TooSlow("not in time")]
    deadline = Deadline(0.15)

    def attempt():
        raise attempts.pop(0) if len(attempts) > 1 else attempts[0]

    with pytest.raises(libvirt_connection.NotYet, match="nc: not found"):
        libvirt_connection.persist(deadline, attempt)


def test_what_moves_is_not_given_up():
    import time

    count = iter(range(100))

    def slow():
        time.sleep(0.5)
        return 1

    assert libvirt_connection.bounded(slow, 0.1, lambda: next(count)) == 1
    with pytest.raises(libvirt_connection.Overrun):
        libvirt_connection.bounded(slow, 0.1, lambda: 7)
