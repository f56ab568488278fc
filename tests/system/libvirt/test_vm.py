# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module libvirt_vm on a real libvirtd: from an image file to a licensed router and back, and every
way in which it is refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ansible_collections.outofband.chr.plugins.action.libvirt_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, UNTAGGED, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.vm import LibvirtPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import NameTaken, Nic, Outcome, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.qemu.disk import build_disk
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

ACCOUNT = ("me@example.com", "pass-word-1")
MIB = 1 << 20


@pytest.fixture(scope="module")
def pool(libvirtd) -> Path:
    """The folder of the pool ``default``."""
    return libvirtd.pool("default")


@pytest.fixture(scope="module")
def blank(tmp_path_factory) -> Path:
    """A disk that boots nothing: 40 MiB of noise with a hole in it, in 128 MiB."""
    path = tmp_path_factory.mktemp("images") / "blank.img"
    with path.open("wb") as file:
        file.write(bytes(510) + b"\x55\xaa" + os.urandom(30 * MIB))
        file.seek(60 * MIB)
        file.write(os.urandom(10 * MIB))
        file.truncate(128 * MIB)
    return path


def platform(
    uri: str,
    image: Path | None,
    name: str = "direct",
    *,
    nics: tuple[Nic, ...] = (Nic("user", "virtio"),),
    kind: type[LibvirtPlatform] = LibvirtPlatform,
    connect_timeout: float = 120,
    disk_bus: str = "virtio",
    provision_socket: str | None = None,
    asked: Hardware | None = None,
) -> LibvirtPlatform:
    return kind(
        VmSpec(name, 2, 160, nics, inspect(image) if image else None, asked or Hardware(agent=True, boot=DISK)),
        options_for("libvirt", name, connect_timeout, "auto", Path("/nonexistent"), libvirt_uri=uri),
        settings_of(ActionModule, disk_bus=disk_bus, provision_socket=provision_socket, autostart=True),
        lambda line: None,
    )


def made(libvirtd, image: Path, name: str = "direct", **more) -> Outcome:
    """The module's ``state=present``, ``running=false``, without Ansible."""
    return ensure_present(platform(libvirtd.uri, image, name, **more), running=False, check_mode=False)


def removed(libvirtd, name: str = "direct") -> Outcome:
    return ensure_absent(platform(libvirtd.uri, None, name), check_mode=False)


def task(title, image, **options):
    wanted = {"image": str(image), "memory_base": 128, "nics": [{"network": "user"}], **options}
    return {"name": title, "outofband.chr.libvirt_vm": wanted}


def host(libvirtd, **more):
    return {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri, "chr_connect_timeout": 240, **more}


def domains(libvirtd) -> list[str]:
    return libvirtd.virsh("list", "--all", "--name").split()


@pytest.mark.slow
def test_an_image_becomes_a_licensed_router_and_goes_again(libvirtd, pool, image, tmp_path, playbook):
    with AccountServer() as accounts:
        accounts.add_account(*ACCOUNT)
        port = accounts.listen("tcp:127.0.0.1:0").rpartition(":")[2]
        disk = build_disk(cache(), image, tmp_path / "chr.img", accounts=f"tcp:10.0.2.2:{port}")
        license = {"account": ACCOUNT[0], "password": ACCOUNT[1], "level": "p1"}
        tasks = [
            {**task("would", disk), "check_mode": True},
            task("import", disk),
            {"name": "wait", "outofband.chr.wait_for_agent": None},
            {"name": "id", "outofband.chr.system_id": {"state": "regenerated"}},
            {"name": "license", "outofband.chr.license": license},
            {
                "name": "script",
                "outofband.chr.script": {
                    "source": "/system identity set name=edge-1",
                    "unless": '[/system identity get name] = "edge-1"',
                },
            },
        ]
        first = playbook(tasks, {"edge": host(libvirtd)})
        assert first.rc == 0, first.output
        assert first.changed() == {("edge", name) for name in ("would", "import", "id", "license", "script")}
        gone = {"name": "remove", "outofband.chr.libvirt_vm": {"state": "absent", "confirm_licensed": True}}
        again = [
            task("import", disk, running=False),
            differing(task("differs", disk)),
            *tasks[4:],
            {**gone, "name": "would", "check_mode": True},
            gone,
        ]
        second = playbook([*again, {**gone, "name": "gone"}], {"edge": host(libvirtd)}, "--diff")
    assert (second.rc, second.changed()) == (0, {("edge", "would"), ("edge", "remove")}), second.output
    assert second.of("license")["result"]["license"]["level"] == "p1"
    assert first.of("would")["result"]["state"] == "running"
    new = first.of("import")["result"]
    assert new["image"] == inspect(disk).sha256
    assert "software emulation" in new["warnings"][0]
    same = second.of("import")["result"]
    assert_told_to_differ(second, "import")
    assert (same["id"], same["state"], same["image"]) == (new["id"], "running", new["image"])
    assert second.of("remove")["result"]["diff"] == {"before": "edge: running\n", "after": "edge: absent\n"}
    assert "edge" not in domains(libvirtd)
    assert list(pool.iterdir()) == []


def test_the_domain_is_what_a_chr_requires(libvirtd, pool, blank):
    """Boots with BIOS from the first disk, has the agent's channels, and says whose it is."""
    socket = f"{libvirtd.folder}/home/p.sock"
    nics = (Nic("user", "virtio"), Nic(None, "e1000", "02:00:5e:10:00:01"), Nic("bridge:br7", "vmxnet3"))
    with pytest.raises(InvalidInput, match="no network 'default'"):
        made(libvirtd, blank, "chr1", nics=nics)
    nics = (nics[0], Nic("user", "e1000", "02:00:5e:10:00:01"), nics[2])
    new = made(libvirtd, blank, "chr1", nics=nics, disk_bus="ide", provision_socket=socket)
    domain = ElementTree.fromstring(libvirtd.virsh("dumpxml", "chr1"))
    assert domain.find("os/type").get("machine").startswith("pc-i440fx")
    assert (domain.find("os").get("firmware"), domain.find("os/loader")) == (None, None)
    assert [disk.get("bus") for disk in domain.findall("devices/disk/target")] == ["ide"]
    assert [nic.get("type") for nic in domain.findall("devices/interface/model")] == ["virtio", "e1000", "vmxnet3"]
    assert domain.find("devices/interface[2]/mac").get("address") == "02:00:5e:10:00:01"
    assert domain.find("devices/interface[3]/source").get("bridge") == "br7"
    assert domain.findtext("uuid") == new.id
    channels = {one.find("target").get("name"): one.find("source") for one in domain.findall("devices/channel")}
    assert list(channels) == ["org.qemu.guest_agent.0", "chr.provision_agent"]
    assert channels["chr.provision_agent"].get("path") == socket
    assert (domain.findtext("memory"), domain.findtext("vcpu")) == (str(160 * 1024), "2")
    assert mark(inspect(blank).sha256, "imported") == domain.findtext("description")
    assert "enable" in libvirtd.virsh("dominfo", "chr1").partition("Autostart:")[2]
    (volume,) = pool.iterdir()
    assert volume.name == f"chr1-{domain.findtext('uuid')[:8]}.img"
    assert volume.read_bytes() == blank.read_bytes()
    assert volume.stat().st_blocks * 512 < 45 * MIB
    assert removed(libvirtd, "chr1").changed


def test_a_killed_import_is_recognised_and_finished_by_the_next_run(libvirtd, pool, blank, playbook):
    process = playbook.start([task("import", blank)], {"chr1": host(libvirtd)})
    try:
        while not any(one.stat().st_blocks for one in pool.iterdir()):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.001)
        os.kill(libvirtd.pid, signal.SIGSTOP)  # so that the upload cannot be over
        playbook.kill(process)
    finally:
        os.kill(libvirtd.pid, signal.SIGCONT)
    (left,) = pool.iterdir()
    assert "importing" in libvirtd.virsh("desc", "chr1")
    assert made(libvirtd, blank, "chr1").before == "unfinished"
    (whole,) = pool.iterdir()
    assert whole != left
    assert whole.read_bytes() == blank.read_bytes()
    assert removed(libvirtd, "chr1").before == "stopped"


def test_what_cannot_be_right_is_refused_before_anything_is_made(libvirtd, pool, blank, tmp_path, playbook):
    libvirtd.define("taken")
    libvirtd.pool("asleep", start=False)
    libvirtd.virsh("net-define", "/dev/stdin", stdin="<network><name>off</name><bridge name='virbr77'/></network>")
    huge = tmp_path / "huge.img"
    with huge.open("wb") as file:
        file.write(bytes(510) + b"\x55\xaa")
        file.truncate(8 << 40)
    subprocess.run(["qemu-img", "create", "-q", "-f", "vdi", tmp_path / "chr.vdi", "128M"], check=True)
    cases = {
        "taken": ({}, "already has 'taken'.*did not import it. It was not touched"),
        "pool": ({"storage": "nosuch"}, "no storage pool 'nosuch'; it has asleep, default"),
        "asleep": ({"storage": "asleep"}, "'asleep' .* is not active.*virsh pool-start asleep"),
        "huge": ({"image": str(huge)}, r"has a size of \d+ MB; the disk, with \d+ MB, can never be full"),
        "vdi": ({"image": f"{tmp_path}/chr.vdi"}, "format vdi. Convert it to qcow2 or raw for libvirt"),
        "network": ({"nics": [{"network": "nosuch"}]}, "no network 'nosuch'; it has off.*bridge:NAME"),
        "off": ({"nics": [{"network": "network:off"}]}, "'off' .*is not active.*virsh net-start off"),
        "syntax": ({"nics": [{"network": "brigde:br0"}]}, "'brigde:br0' is not a valid network"),
        "vlan": ({"nics": [{"network": "bridge:br0", "vlan": 7}]}, "cannot tag a VLAN on bridge 'br0'.*ovs:NAME"),
        "model": ({"nics": [{"network": "user", "model": "rtl8139"}]}, "rtl8139.*virtio, vmxnet3, e1000"),
        "alias": ({}, "does not lead to QEMU"),
        "lost": ({}, "was not reached for 'lost' within 0.5 s"),
    }
    hosts = {name: host(libvirtd, wanted=wanted) for name, (wanted, _text) in cases.items()}
    hosts["alias"]["chr_libvirt_uri"] = "xen:///system"
    hosts["lost"] |= {"chr_libvirt_uri": "qemu:///session?socket=/nonexistent", "chr_connect_timeout": 0.5}
    before = domains(libvirtd)
    wanted = {"image": str(blank), "memory_base": 128, "nics": [{"network": "user"}]}
    run = playbook(
        [{"name": "make", "outofband.chr.libvirt_vm": "{{ common | combine(wanted) }}"}], hosts, vars={"common": wanted}
    )
    for name, (_wanted, text) in cases.items():
        record = run.of("make", name)
        assert record["status"] == ("unreachable" if name == "lost" else "failed"), (name, record)
        assert re.search(text, record["result"]["msg"]), (name, record["result"]["msg"])
    assert domains(libvirtd) == before
    assert list(pool.iterdir()) == []
    with pytest.raises(ChrError, match="It was not touched"):
        removed(libvirtd, "taken")
    libvirtd.virsh("undefine", "taken")


def test_a_volume_that_is_not_what_was_sent_is_noticed_and_removed(libvirtd, pool, blank):
    done = threading.Event()

    def spoil() -> None:
        while not done.wait(0.001):
            for volume in pool.iterdir():
                with volume.open("r+b") as file:
                    file.write(b"spoilt")

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    try:
        with pytest.raises(TransferFailed, match=r"direct-.*\.img at libvirt .* was read back with the sha256"):
            made(libvirtd, blank)
    finally:
        done.set()
        spoiler.join()
    assert "direct" not in domains(libvirtd)
    assert list(pool.iterdir()) == []


def test_a_libvirt_that_dies_in_an_upload_leaves_what_the_next_run_removes(libvirtd, pool, blank):

    def kill() -> None:
        while not any(one.stat().st_blocks for one in pool.iterdir()):
            time.sleep(0.001)
        os.kill(libvirtd.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        OutcomeUnknown,
        match=r"the connection was lost.*could not be removed.*marked as unfinished, and the next run removes it",
    ):
        made(libvirtd, blank, connect_timeout=8)
    killer.join()
    libvirtd.stop()
    libvirtd.start()
    assert len(list(pool.iterdir())) == 1
    assert removed(libvirtd).before == "unfinished"
    assert "direct" not in domains(libvirtd)
    assert list(pool.iterdir()) == []


def test_a_worker_whose_run_was_killed_gives_way_to_the_next_run(libvirtd, pool, blank):
    """The next run begins in the middle of the first one's upload, and has just defined its domain
    when the first one fails."""
    errors: list[BaseException] = []
    defined = threading.Event()

    class FirstRun(LibvirtPlatform):
        def _fill_volume(self, path, image):
            try:
                super()._fill_volume(path, image)
            finally:
                defined.wait(120)

    class NextRun(LibvirtPlatform):
        def _make_volume(self, name, image):
            defined.set()
            thread.join(120)
            return super()._make_volume(name, image)

    def worker() -> None:
        try:
            made(libvirtd, blank, kind=FirstRun)
        except ChrError as error:
            errors.append(error)

    thread = threading.Thread(target=worker)
    thread.start()
    while not any(one.stat().st_blocks for one in pool.iterdir()):
        time.sleep(0.001)
    again = made(libvirtd, blank, kind=NextRun)
    assert not thread.is_alive()
    assert (again.before, again.after) == ("unfinished", "stopped")
    assert "Another run imports 'direct' at the same time" in str(errors[0])
    (whole,) = pool.iterdir()
    assert whole.read_bytes() == blank.read_bytes()
    assert removed(libvirtd).changed


def test_many_are_imported_at_once(libvirtd, pool, blank, tmp_path):
    packed = tmp_path / "blank.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", blank, packed], check=True)
    names = [f"chr{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as workers:
        assert all(one.changed for one in workers.map(lambda name: made(libvirtd, packed, name), names))
        assert libvirtd.virsh("vol-info", next(pool.iterdir()).name, "default").count("128.00 MiB") == 1
        assert all(one.changed for one in workers.map(lambda name: removed(libvirtd, name), names))
    assert list(pool.iterdir()) == []


def test_overlays_of_snapshots_go_with_the_disk_and_disks_of_others_stay(libvirtd, pool, blank):
    assert made(libvirtd, blank).changed
    other = pool / "data.img"
    libvirtd.virsh("vol-create-as", "default", "data.img", "1M")
    libvirtd.virsh("attach-disk", "direct", str(other), "vdb", "--config")
    for name in ("one", "two"):
        libvirtd.virsh("snapshot-create-as", "direct", name, "--disk-only", "--diskspec", "vdb,snapshot=no")
    libvirtd.virsh("managedsave-remove", "direct")
    assert len(list(pool.iterdir())) == 4
    assert removed(libvirtd).changed
    assert list(pool.iterdir()) == [other]
    libvirtd.virsh("vol-delete", "data.img", "default")


def test_a_clone_has_no_claim_to_the_disk_of_its_original(libvirtd, pool, blank):
    assert made(libvirtd, blank).changed
    xml = ElementTree.fromstring(libvirtd.virsh("dumpxml", "direct"))
    xml.find("name").text = "clone"
    xml.remove(xml.find("uuid"))
    libvirtd.virsh("define", "/dev/stdin", stdin=ElementTree.tostring(xml, encoding="unicode"))
    with pytest.raises(NameTaken, match="with the mark of another VM in its notes"):
        removed(libvirtd, "clone")
    libvirtd.virsh("undefine", "clone")
    (origin,) = xml.find("metadata")
    origin.text = mark(inspect(blank).sha256, "imported", "clone")
    libvirtd.virsh("define", "/dev/stdin", stdin=ElementTree.tostring(xml, encoding="unicode"))
    assert removed(libvirtd, "clone").changed
    assert len(list(pool.iterdir())) == 1
    assert removed(libvirtd).changed
    assert list(pool.iterdir()) == []


def test_a_vm_that_cannot_be_started_is_there_and_says_why(libvirtd, pool, blank):
    broken = platform(libvirtd.uri, blank, provision_socket="/nonexistent/p.sock")
    with pytest.raises(NotPossible, match=r"'direct' exists and was not started: .*p\.sock"):
        ensure_present(broken, running=True, check_mode=False)
    assert removed(libvirtd).before == "stopped"


def test_an_import_through_ssh(libvirtd, pool, blank, short_path):
    server = Sshd(short_path)
    server.start()
    client = short_path / "client"
    client.write_text(f'#!/bin/sh\nexec ssh {server.options} "$@"\n')
    netcat = short_path / "nc"  # libvirt asks it for its options first, then for the socket
    netcat.write_text('#!/bin/sh\ncase "$*" in *-U*) shift $(($# - 1)); exec socat - UNIX-CONNECT:"$1";; esac\n')
    for program in (client, netcat):
        program.chmod(0o755)
    uri = f"qemu+ssh://hypervisor/session?socket={libvirtd.socket}&command={client}&netcat={netcat}"
    try:
        assert ensure_present(platform(uri, blank), running=False, check_mode=False).changed
        assert ensure_absent(platform(uri, None), check_mode=False).before == "stopped"
        assert server.logins == 2
    finally:
        server.stop()
    with pytest.raises(Unreachable, match="was not reached"):
        ensure_absent(platform(uri, None, connect_timeout=0.5), check_mode=False)
    assert list(pool.iterdir()) == []


# -- drift, and domains of others ------------------------------------------------------------------


def reconciled(
    libvirtd, image: Path, name: str, nics: tuple[Nic, ...] = (), *, adopt: bool = False, **asked
) -> Outcome:
    """The module's ``reconcile`` and ``restart`` for a VM of which the task asks that."""
    cards = tuple(Card(nic.model, nic.mac, nic.network, nic.vlan or UNTAGGED) for nic in nics) or None
    hardware = Hardware(**{"nics": cards, "agent": True, "boot": DISK} | asked)
    allowed = Allowed(adopt=adopt, reconcile=True, restart=True)
    return ensure_present(
        platform(libvirtd.uri, image, name, nics=nics, asked=hardware), running=False, check_mode=False, allowed=allowed
    )


def test_a_domain_that_drifted_is_reconciled_and_the_rest_of_it_stays(libvirtd, pool, blank):
    made(libvirtd, blank, "chr1", nics=(Nic("user", "virtio"), Nic("bridge:br7", "e1000"), Nic("user", "e1000")))
    virsh = libvirtd.virsh
    before = virsh("dumpxml", "--inactive", "chr1")
    drifted = (
        before.replace("<vcpu placement='static'>2", "<vcpu placement='static' current='1'>4")
        .replace("<boot dev='hd'/>", "<boot dev='network'/><boot dev='hd'/>")
        .replace("org.qemu.guest_agent.0", "com.example.other.0")
        .replace("<devices>", "<devices><graphics type='vnc' port='-1' passwd='s3cret'/>")
    )
    assert drifted.count("other.0") == 1
    virsh("define", "/dev/stdin", stdin=drifted)
    nics = (Nic("network:lan", "vmxnet3", "02:00:5e:10:00:01"), Nic("ovs:br7", "e1000", vlan=7))
    virsh("net-define", "/dev/stdin", stdin="<network><name>lan</name><bridge name='virbr78'/></network>")
    with pytest.raises(NotPossible, match="'lan' .*is not active"):
        reconciled(libvirtd, blank, "chr1", nics, cpus=2)
    nics = (Nic("bridge:br8", "vmxnet3", "02:00:5e:10:00:01"), nics[1])
    outcome = reconciled(libvirtd, blank, "chr1", nics, cpus=3, memory=192)
    assert [(one.what, one.card) for one in outcome.reconciled] == [
        ("cpus", None),
        ("memory", None),
        ("agent", None),
        ("boot", None),
        ("nics", None),
        ("model", 1),
        ("mac", 1),
        ("network", 1),
        ("network", 2),
        ("vlan", 2),
    ]
    domain = ElementTree.fromstring(virsh("dumpxml", "--inactive", "--security-info", "chr1"))
    assert (domain.findtext("vcpu"), domain.findtext("memory")) == ("3", str(192 * 1024))
    assert domain.find("os/boot").get("dev") == "hd"
    assert [one.get("name") for one in domain.findall("devices/channel/target")] == [
        "com.example.other.0",
        "org.qemu.guest_agent.0",
    ]
    first, second = domain.findall("devices/interface")
    assert (first.find("source").get("bridge"), first.find("model").get("type")) == ("br8", "vmxnet3")
    assert first.find("mac").get("address") == "02:00:5e:10:00:01"
    assert (second.find("virtualport").get("type"), second.find("vlan/tag").get("id")) == ("openvswitch", "7")
    assert domain.find("devices/graphics").get("passwd") == "s3cret"
    assert not reconciled(libvirtd, blank, "chr1", nics, cpus=3, memory=192).changed
    more = (*nics, Nic("user", "virtio"))
    assert [str(one) for one in reconciled(libvirtd, blank, "chr1", more).reconciled] == [
        "number of network cards 2 instead of 3"
    ]
    virsh("net-undefine", "lan")
    assert removed(libvirtd, "chr1").changed
    assert list(pool.iterdir()) == []


def test_a_boot_order_of_the_devices_themselves_is_reconciled(libvirtd, pool, blank):
    made(libvirtd, blank, "chr1")
    xml = ElementTree.fromstring(libvirtd.virsh("dumpxml", "--inactive", "chr1"))
    xml.find("os").remove(xml.find("os/boot"))
    for path, order in (("devices/interface", "1"), ("devices/disk", "2")):
        ElementTree.SubElement(xml.find(path), "boot", order=order)
    libvirtd.virsh("define", "/dev/stdin", stdin=ElementTree.tostring(xml, "unicode"))
    assert [str(one) for one in reconciled(libvirtd, blank, "chr1").reconciled] == ["boot network instead of disk"]
    assert not reconciled(libvirtd, blank, "chr1").changed
    assert removed(libvirtd, "chr1").changed


def test_a_domain_of_somebody_else_is_adopted_and_its_agent_channel_made(libvirtd, pool, blank, playbook):
    """A domain that runs, with its disk in a pool, from the refusal to its removal."""
    uuid = libvirtd.define("hand", port=None)
    libvirtd.virsh("vol-create-as", "default", "hand.img", "1M", "--format", "raw")
    libvirtd.virsh("attach-disk", "hand", str(pool / "hand.img"), "vda", "--targetbus", "virtio", "--config")
    libvirtd.virsh("desc", "hand", "--config", "The old router")
    libvirtd.virsh("start", "hand")
    take = task("adopt", blank, adopt=True, reconcile=True, restart=True)
    options = take["outofband.chr.libvirt_vm"]
    del options["nics"]
    run = playbook(
        [
            {**take, "name": "would", "check_mode": True},
            take,
            {**take, "name": "again"},
        ],
        {"hand": host(libvirtd)},
        "--diff",
    )
    assert run.rc == 0, run.output
    assert run.changed() == {("hand", "would"), ("hand", "adopt")}
    for name in ("would", "adopt"):
        result = run.of(name)["result"]
        assert (result["adopted"], result["id"], result["state"]) == (True, uuid, "running")
        assert (result["found"]["cpus"], result["found"]["agent"]) == (1, False)
        assert [(one["what"], one["is"], one["reconciled"]) for one in result["differences"]] == [
            ("agent", False, True)
        ]
    domain = ElementTree.fromstring(libvirtd.virsh("dumpxml", "hand"))
    assert [one.get("name") for one in domain.findall("devices/channel/target")] == ["org.qemu.guest_agent.0"]
    assert domain.findtext("description") == "The old router"
    original = libvirtd.virsh("dumpxml", "--inactive", "hand")
    copy = original.replace(f"<uuid>{uuid}", f"<uuid>{uuid[:-4]}0000")
    libvirtd.virsh("destroy", "hand")
    assert removed(libvirtd, "hand").changed
    assert list(pool.iterdir()) == []
    # Whoever copies the domain does not own the disk of its original.
    libvirtd.virsh("vol-create-as", "default", "hand.img", "1M", "--format", "raw")
    libvirtd.virsh("define", "/dev/stdin", stdin=copy)
    assert removed(libvirtd, "hand").changed
    assert [one.name for one in pool.iterdir()] == ["hand.img"]
    libvirtd.virsh("vol-delete", "hand.img", "default")


def test_a_domain_that_runs_has_its_mark_at_once(libvirtd, pool, blank):
    """The inventory looks at what runs."""
    libvirtd.define("live")
    libvirtd.virsh("start", "live")
    assert reconciled(libvirtd, blank, "live", adopt=True, agent=None).adopted
    for inactive in ((), ("--inactive",)):
        assert "image unknown imported" in libvirtd.virsh("dumpxml", "live", *inactive)
    assert not reconciled(libvirtd, blank, "live", agent=None).changed
    assert removed(libvirtd, "live").changed


def test_a_saved_or_transient_domain_is_not_changed(libvirtd, pool, blank):
    uuid = libvirtd.define("saved", port=None)
    libvirtd.virsh("start", "saved")
    libvirtd.virsh("managedsave", "saved")
    with pytest.raises(NotPossible, match="with a saved state.*virsh managedsave-remove saved"):
        reconciled(libvirtd, blank, "saved", adopt=True)
    libvirtd.virsh("managedsave-remove", "saved")
    xml = libvirtd.virsh("dumpxml", "saved")
    libvirtd.virsh("undefine", "saved")
    libvirtd.virsh("create", "/dev/stdin", stdin=re.sub("<metadata>.*</metadata>", "", xml, flags=re.DOTALL))
    with pytest.raises(
        NotPossible, match=rf"'saved' \({uuid}\) without a definition \(transient\), so it was not adopted"
    ):
        reconciled(libvirtd, blank, "saved", adopt=True)
    libvirtd.virsh("destroy", "saved")


def test_the_disk_of_an_adopted_domain_that_no_pool_has_stays_with_a_warning(libvirtd, pool, blank):
    libvirtd.define("loose", disk=True)
    assert reconciled(libvirtd, blank, "loose", adopt=True).adopted
    gone = platform(libvirtd.uri, None, "loose")
    assert ensure_absent(gone, check_mode=False).changed
    assert "its disk is not a volume of a storage pool" in gone.warnings[0]
    assert (libvirtd.folder / "home" / "loose.img").exists()
