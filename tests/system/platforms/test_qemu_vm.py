# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module qemu_vm: from a disk image to a licensed router, with a real QEMU that boots a real disk; and what goes wrong there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import typing as t
import zlib
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    GuestError,
    InvalidInput,
    NotPossible,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import (
    NameTaken,
    Nic,
    Outcome,
    VmSpec,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.host import Host
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.qemu import Hardware, QemuPlatform
from ansible_collections.outofband.chr.tests.lab import systemd
from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.qemu.disk import build_disk
from ansible_collections.outofband.chr.tests.lab.qemu.guest import Qmp
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.system.conftest import cache

ACCOUNT, PASSWORD = "ops@example.com", "p4ss-w0rd"
BOOT = 120


@pytest.fixture(scope="module")
def accounts() -> t.Iterator[AccountServer]:
    with AccountServer() as server:
        server.add_account(ACCOUNT, PASSWORD)
        yield server


@pytest.fixture(scope="module")
def disk(image, accounts, tmp_path_factory) -> Path:
    """A disk that boots; its router reaches the account server through QEMU's user network."""
    address = accounts.listen("tcp:127.0.0.1:0").replace("127.0.0.1", "10.0.2.2")
    autorun = "/system identity set name=[/system license get level]\n/ip dns set servers=192.0.2.1\n"
    return build_disk(cache(), image, tmp_path_factory.mktemp("disk") / "chr.img", accounts=address, autorun=autorun)


@pytest.fixture
def empty(tmp_path) -> Path:
    """An image that is quickly there, and boots nothing."""
    path = tmp_path / "empty.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "128M"], check=True)
    return path


@pytest.fixture
def vms(short_path) -> t.Iterator[Path]:
    """The folder of the VMs; what runs there ends with the test."""
    folder = short_path / "vms"
    yield folder
    for file in folder.glob("*/pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.fixture
def tmp_path(short_path):
    """Where ansible-playbook runs: ssh's control socket must fit below it."""
    folder = short_path / "t"
    folder.mkdir()
    return folder


@pytest.fixture
def planned(empty, vms, short_path) -> t.Callable[..., QemuPlatform]:
    """A VM of the empty image on this machine, without Ansible: ``planned(memory=512, disk_bus="ide")``."""

    def plan(
        nics: tuple[Nic, ...] = (Nic(None, "virtio"),),
        name: str = "chr1",
        memory: int = 256,
        image: Path = empty,
        directory: str = str(vms),
        disk_bus: str = "virtio",
        agent_port: str = "org.qemu.guest_agent.0",
        root: str = "/nonexistent",
    ) -> QemuPlatform:
        host = Host(GuestOptions("qemu", name, 5, "auto", short_path), print)
        spec = VmSpec(name, 2, memory, nics, inspect(image))
        return QemuPlatform(spec, host, directory, Hardware(disk_bus, "tcg", agent_port), None, root)

    return plan


def present(platform: QemuPlatform, running: bool = True) -> Outcome:
    return ensure_present(platform, running=running, check_mode=False)


def absent(platform: QemuPlatform) -> Outcome:
    return ensure_absent(platform, check_mode=False)


def vm(name: str, vms: Path, **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "outofband.chr.qemu_vm": {"directory": str(vms), "accelerator": "tcg", **more}}


def test_the_disk_is_laid_out_as_that_of_a_chr(disk):
    """Facts of the real image: size, hybrid MBR and GPT, an EFI system partition that is no FAT, an ext4 with autorun.scr."""
    assert disk.stat().st_size == 134217728
    data = disk.read_bytes()
    assert data[510:512] == b"\x55\xaa"
    assert [data[446 + 16 * row + 4] for row in range(4)] == [0xEF, 0x83, 0xEE, 0]
    assert [struct.unpack_from("<II", data, 446 + 16 * row + 8) for row in range(2)] == [(2048, 65536), (67584, 192512)]
    for header, other in ((512, 262143), (262143 * 512, 1)):
        fields = struct.unpack_from("<8sIIIIQQ", data, header)
        blank = data[header : header + 16] + bytes(4) + data[header + 20 : header + 92]
        assert fields[:4] == (b"EFI PART", 0x10000, 92, zlib.crc32(blank))
        assert fields[6] == other
    for partition, names in ((2048, ("vmlinuz", "initramfs")), (67584, ("rw",))):
        there = subprocess.run(
            ["debugfs", "-R", "ls -p", f"{disk}?offset={partition * 512}"],
            capture_output=True,
            check=True,
            text=True,
            env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        ).stdout
        for name in names:
            assert f"/{name}/" in there


def test_from_an_image_to_a_licensed_router_that_survives_a_power_cycle(disk, accounts, vms, playbook):
    wait = {"outofband.chr.wait_for_agent": {"timeout": BOOT}}
    identity = {"outofband.chr.script": {"source": ":put [/system identity get name]"}, "changed_when": False}
    dns = {"outofband.chr.script": {"source": ":put [/ip dns get servers]"}, "changed_when": False}
    level = {"outofband.chr.license": {"account": ACCOUNT, "password": PASSWORD, "level": "p1", "timeout": 60}}
    info = {"outofband.chr.guest_info": None}
    tasks = [
        vm("import", vms, image=str(disk), nics=[{}, {"model": "vmxnet3", "network": "none"}]),
        {"name": "first contact", **wait},
        {"name": "autorun", **dns},
        {"name": "cards", **info},
        {"name": "id", "outofband.chr.license_info": None},
        {"name": "new id", "outofband.chr.system_id": {"state": "regenerated"}},
        {"name": "licence", **level},
        {"name": "name", "outofband.chr.script": {"source": "/system identity set name=edge1"}},
        vm("again", vms, image=str(disk)),
        {"name": "licence again", **level},
        {"name": "off", "outofband.chr.power": {"state": "shutdown"}},
        vm("on", vms, image=str(disk)),
        {"name": "second contact", **wait},
        {"name": "identity", **identity},
        {"name": "licence kept", **level},
        vm("check", vms, state="absent", image=str(disk)) | {"check_mode": True},
        vm("absent", vms, state="absent"),
        vm("absent again", vms, state="absent"),
    ]
    hosts = {"chr1": {"chr_socket": f"{vms}/chr1/agent.sock", "chr_connect_timeout": BOOT}}
    run = playbook(tasks, hosts, "--diff")
    assert run.rc == 0, run.output
    made = run.of("import")["result"]
    assert made["state"] == "running"
    assert made["image"] == inspect(disk).sha256
    assert made["socket"] == f"{vms}/chr1/agent.sock"
    assert "chr1: absent" in run.output
    assert run.of("autorun")["result"]["stdout"] == "192.0.2.1\n"
    assert [card["name"] for card in run.of("cards")["result"]["interfaces"]] == ["ether1", "ether2", "lo"]
    first = run.of("id")["result"]["license"]["system_id"]
    licence = run.of("licence")["result"]["license"]
    assert first != licence["system_id"]
    assert licence["level"] == "p1"
    assert run.of("identity")["result"]["stdout"] == "edge1\n"
    assert run.of("licence kept")["result"]["license"]["system_id"] == licence["system_id"]
    assert accounts.renewals(licence["system_id"]) == 1
    changed = {task for _host, task in run.changed()}
    assert changed == {"import", "new id", "licence", "name", "off", "on", "check", "absent"}
    assert list(vms.iterdir()) == []


def test_a_router_on_another_machine_through_ssh(disk, vms, tmp_path, playbook):
    """A qcow2 image on an IDE disk, over real OpenSSH, with the agent's socket forwarded."""
    packed = tmp_path / "chr.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, packed], check=True)
    keys = tmp_path.parent / "keys"
    keys.mkdir()
    server = Sshd(keys)
    server.start()
    tasks = [
        vm("import", vms, image=str(packed), disk_bus="ide"),
        {"name": "autorun", "outofband.chr.script": {"source": ":put [/system identity get name]"}},
        vm("absent", vms, state="absent"),
    ]
    host = {
        "chr_ssh_host": "hypervisor",
        "chr_ssh_args": server.options,
        "chr_socket": f"{vms}/chr1/agent.sock",
        "chr_connect_timeout": BOOT,
    }
    try:
        run = playbook(tasks, {"chr1": host})
    finally:
        for master in (tmp_path / "home" / "cp").glob("chr-????????????????"):
            subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
        server.stop()
    assert run.rc == 0, run.output
    assert run.of("autorun")["result"]["stdout"] == "free\n"
    assert list(vms.iterdir()) == []


def test_a_router_that_ignores_the_script_for_its_first_boot_comes_up_all_the_same(image, vms, tmp_path, playbook):
    """Switch autorun: that RouterOS runs it is observed, and not documented. First contact does not rely on it."""
    settings = {"autorun": "no"}
    disk = build_disk(cache(), image, tmp_path / "chr.img", settings=settings, autorun="/system identity set name=ran")
    name = {"name": "name", "outofband.chr.script": {"source": ":put [/system identity get name]"}}
    host = {"chr_socket": f"{vms}/chr1/agent.sock", "chr_connect_timeout": BOOT}
    run = playbook([vm("import", vms, image=str(disk)), name, vm("absent", vms, state="absent")], {"chr1": host})
    assert run.rc == 0, run.output
    assert run.of("name")["result"]["stdout"] == "MikroTik\n"


def test_check_mode_makes_nothing(empty, vms, playbook):
    run = playbook([vm("go", vms, image=str(empty))], {"chr1": {}}, "--check", "--diff")
    assert run.rc == 0, run.output
    result = run.of("go")["result"]
    assert (result["changed"], result["state"], result["id"]) == (True, "running", None)
    assert "+chr1: running" in run.output
    assert not vms.exists()


def test_every_card_and_channel_is_in_the_command_line_that_is_left_for_the_operator(vms, planned):
    nics = (Nic("user", "virtio", "52:54:00:aa:bb:cc"), Nic("none", "e1000"), Nic("user", "virtio"))
    present(planned(nics, disk_bus="sata", agent_port="chr.provision_agent"))
    folder = vms / "chr1"
    assert folder.stat().st_mode & 0o777 == 0o700
    files = ["agent.sock", "console.sock", "disk.qcow2", "notes", "pid", "qmp.sock", "start"]
    assert sorted(path.name for path in folder.iterdir()) == files
    start = (folder / "start").read_text()
    for part in (
        "-smp 2",
        "-m 256M",
        "virtio-net-pci,mac=52:54:00:aa:bb:cc,netdev=net0",
        "ide-hd,bus=sata0.0,drive=disk0,bootindex=1",
        "virtserialport,chardev=agent,name=chr.provision_agent",
    ):
        assert part in start
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(folder / "qmp.sock"))
        qmp = Qmp(channel)
        assert "52:54:00:aa:bb:cc" in {card["main-mac"] for card in qmp.execute("query-rx-filter")}
        devices = qmp.execute("query-pci")[0]["devices"]
    ethernet = [device["id"]["device"] for device in devices if device["class_info"]["class"] == 0x0200]
    assert ethernet == [0x1000, 0x100E, 0x1000]  # virtio, e1000, virtio: ether1 to ether3


def test_a_killed_import_is_taken_up_by_the_next_run(tmp_path, vms, playbook):
    """SIGKILL while the image arrives; the half file is there, and marked."""
    large = tmp_path / "large.img"
    with large.open("wb") as file:
        file.truncate(256 << 20)
        file.seek(510)
        file.write(b"\x55\xaa")
    go = vm("go", vms, image=str(large), running=False)
    process = playbook.start([go], {"chr1": {}})
    part = vms / "chr1" / "disk.raw.part"
    deadline = time.monotonic() + 120
    while not part.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    playbook.kill(process)
    assert (vms / "chr1" / "notes").read_text().endswith(" importing\n")
    run = playbook([go | {"check_mode": True, "name": "check"}, go], {"chr1": {}}, "--diff")
    assert run.rc == 0, run.output
    assert "-chr1: unfinished" in run.output
    assert run.changed() == {("chr1", "check"), ("chr1", "go")}
    assert not part.exists()
    assert (vms / "chr1" / "notes").read_text().endswith(" imported\n")


def test_a_name_that_something_else_has_is_not_touched(vms, playbook):
    (vms / "chr1").mkdir(parents=True)
    (vms / "chr1" / "notes").write_text("mine\n")
    run = playbook([vm("go", vms, state="absent")], {"chr1": {}})
    assert run.of("go")["status"] == "failed"
    assert "already has 'chr1'" in run.of("go")["result"]["msg"]
    assert (vms / "chr1" / "notes").read_text() == "mine\n"


def test_a_number_of_another_process_is_not_taken_for_the_router(vms, planned):
    """A pid file that was left by a machine that lost its power, with a number that something else has now."""
    present(planned(), running=False)
    with subprocess.Popen(["sleep", "600"]) as innocent:
        (vms / "chr1" / "pid").write_text(f"{innocent.pid}\n")
        assert present(planned(), running=False).after == "stopped"
        assert absent(planned()).changed
        assert innocent.poll() is None
        innocent.kill()


def test_an_image_that_arrives_damaged_is_refused_and_taken_away(vms, short_path, planned, monkeypatch):
    programs = short_path / "bin"
    programs.mkdir()
    (programs / "openssl").write_text(f"#!/bin/sh\ncat >/dev/null\necho {'0' * 64}\n")
    (programs / "openssl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(TransferFailed, match="arrived with the sha256 0000"):
        present(planned())
    assert list(vms.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_made(tmp_path, vms, planned):
    huge = tmp_path / "huge.img"
    with huge.open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).free + (1 << 30))
        file.seek(510)
        file.write(b"\x55\xaa")
    with pytest.raises(NotPossible, match=r"MiB free; the image needs \d+"):
        present(planned(image=huge))
    assert not vms.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nics": (Nic("bridge:nosuch0", "virtio"),)}, "has no bridge 'nosuch0'"),
        ({"nics": (Nic("tap:nosuch0", "virtio"),)}, "has no tap 'nosuch0'"),
        ({"nics": (Nic("br0", "virtio"),)}, "none of bridge:NAME, tap:NAME, user, none"),
        ({"nics": (Nic(None, "virtio", vlan=12),)}, "QEMU itself does not tag"),
        ({"directory": "/dev/null/vms"}, "/dev/null is no folder that the user there may write to"),
        ({"directory": "vms"}, "no absolute path"),
        ({"directory": "/srv/../vms"}, "no absolute path"),
        ({"directory": "/" + "v" * 100}, "too long together"),
        ({"name": "chr 1"}, "no name for a VM here"),
        ({"agent_port": "a,b"}, "no name of a virtio-serial port"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(vms, planned, options, said):
    with pytest.raises(GuestError) as refused:
        present(planned(**options))
    assert said in str(refused.value)
    assert not vms.exists()


def test_an_image_of_another_format_is_sent_to_the_module_that_converts(tmp_path, planned):
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "x.vmdk", "128M"], check=True)
    with pytest.raises(InvalidInput, match=r"have outofband\.chr\.image convert it"):
        present(planned(image=tmp_path / "x.vmdk"))


def test_a_vm_that_cannot_be_switched_on_is_told_in_qemus_words_and_tried_again(vms, planned):
    with pytest.raises(GuestError, match="was not switched on .*memory.* The VM is there, off"):
        present(planned(memory=1 << 30))
    start = vms / "chr1" / "start"
    start.write_text(start.read_text().replace(f"-m {1 << 30}M", "-m 256M"))
    assert present(planned()).after == "running"


def test_a_router_that_hangs_is_removed_all_the_same(vms, planned):
    present(planned())
    os.kill(int((vms / "chr1" / "pid").read_text()), signal.SIGSTOP)
    absent(planned())
    assert list(vms.iterdir()) == []


def test_with_systemd_a_unit_starts_it_and_goes_with_it(vms, short_path, planned, monkeypatch):
    """The lab's systemctl, which has no other verbs; the process is a real QEMU."""
    programs, units = short_path / "bin", short_path / "etc/systemd/system"
    for folder in (programs, units, short_path / "run/systemd/system"):
        folder.mkdir(parents=True)
    (programs / "systemctl").write_text(f'#!/bin/sh\nexec {sys.executable} {systemd.__file__} systemctl "$@"\n')
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("LAB_UNITS", str(short_path))
    root = str(short_path)
    made = present(planned(root=root))
    assert (made.before, made.after) == ("absent", "running")
    assert (short_path / "outofband-chr-chr1.service.enabled").read_text() == "multi-user.target"
    assert not present(planned(root=root)).changed
    with pytest.raises(NameTaken, match="of another VM with this name, in another folder"):
        present(planned(root=root, directory=f"{root}/elsewhere"))
    assert absent(planned(root=root)).changed
    assert list(units.iterdir()) == []
    assert list(vms.iterdir()) == []
    assert not (short_path / "outofband-chr-chr1.service.enabled").exists()
