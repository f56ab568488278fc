# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module qemu_vm: from a disk image to a licensed router, with a real QEMU that boots a real disk;
and what goes wrong there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import typing as t
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.action.qemu_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPossible,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.folder import QemuFolder
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.vm import QemuPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import NameTaken, Nic, Outcome, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.tests.lab import systemd
from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.chr_image import build_chr_image
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.qemu.disk import build_disk
from ansible_collections.outofband.chr.tests.lab.qemu.guest import Qmp
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

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
def planned(empty, vms, short_path) -> t.Callable[..., QemuPlatform]:
    """A VM of the empty image on this machine, without Ansible: ``planned(memory=512,
    disk_bus="ide")``."""

    def plan(
        nics: tuple[Nic, ...] = (Nic(None, "virtio"),),
        name: str = "chr1",
        memory: int = 256,
        image: Path = empty,
        directory: str = str(vms),
        disk_bus: str = "virtio",
        agent_port: str = "org.qemu.guest_agent.0",
        root: str = "/nonexistent",
        asked: Hardware | None = None,
    ) -> QemuPlatform:
        settings = settings_of(
            ActionModule, directory=directory, disk_bus=disk_bus, accelerator="tcg", agent_port=agent_port
        )
        options = options_for("qemu", name, 5, "auto", short_path)
        spec = VmSpec(name, 2, memory, nics, inspect(image), asked or Hardware(agent=True, boot=DISK))
        platform = QemuPlatform(spec, options, settings, print)
        platform.root = root
        return platform

    return plan


def present(platform: QemuPlatform, running: bool = True) -> Outcome:
    return ensure_present(platform, running=running, check_mode=False)


def absent(platform: QemuPlatform) -> Outcome:
    return ensure_absent(platform, check_mode=False)


def vm(name: str, vms: Path, **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "outofband.chr.qemu_vm": {"directory": str(vms), "accelerator": "tcg", **more}}


def test_the_disk_is_laid_out_as_that_of_a_chr(disk):
    """Facts of the real image: size, hybrid MBR and GPT, an EFI system partition that is no FAT, an
    ext4 with autorun.scr."""
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


def power(title: str, state: str) -> dict[str, t.Any]:
    return {"name": title, "outofband.chr.power": {"state": state, "timeout": BOOT}}


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
        {"name": "license", **level},
        {"name": "name", "outofband.chr.script": {"source": "/system identity set name=edge1"}},
        vm("again", vms, image=str(disk), nics=[{}, {"model": "vmxnet3", "network": "none"}]),
        differing(vm("differs", vms, image=str(disk))),
        {"name": "license again", **level},
        {"name": "off", "outofband.chr.power": {"state": "shutdown"}},
        vm("on", vms, image=str(disk)),
        {"name": "second contact", **wait},
        {"name": "identity", **identity},
        {"name": "license kept", **level},
        power("reset", "reset"),
        power("cut", "stopped"),
        power("cut again", "stopped"),
        power("power", "started"),
        power("power again", "started"),
        {**vm("licensed", vms, state="absent"), "ignore_errors": True},
        vm("check", vms, state="absent", image=str(disk), confirm_licensed=True) | {"check_mode": True},
        vm("absent", vms, state="absent", confirm_licensed=True),
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
    assert_told_to_differ(run, "again")
    assert run.of("autorun")["result"]["stdout"] == "192.0.2.1"
    assert [card["name"] for card in run.of("cards")["result"]["interfaces"]] == ["ether1", "ether2", "lo"]
    first = run.of("id")["result"]["license"]["system_id"]
    license = run.of("license")["result"]["license"]
    assert first != license["system_id"]
    assert license["level"] == "p1"
    assert run.of("identity")["result"]["stdout"] == "edge1"
    assert run.of("license kept")["result"]["license"]["system_id"] == license["system_id"]
    assert accounts.renewals(license["system_id"]) == 1
    assert f"level p1 (system id {license['system_id']})" in run.of("licensed")["result"]["msg"]
    changed = {task for _host, task in run.changed()}
    assert changed == {"import", "new id", "license", "name", "off", "on", "reset", "cut", "power", "check", "absent"}
    assert list(vms.iterdir()) == []


def test_the_role_says_which_channel_reaches_the_router(vms, tmp_path, playbook):
    """At its end, and in the message of a later run that misses it."""
    image = tmp_path / "chr.img"
    build_chr_image(image)
    role = {"name": "role", "ansible.builtin.include_role": {"name": "outofband.chr.image_import"}}
    wait = {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 1}}
    variables = {
        **{"image_import_platform": "qemu", "image_import_src": str(image), "image_import_checksum": "waived"},
        **{"image_import_cache": str(tmp_path / "cache"), "image_import_qemu_directory": str(vms)},
        **{"image_import_running": False, "image_import_qemu_service": False},
    }
    run = playbook([role, wait], {"chr1": variables})
    told = [line for line in run.lines if line["task"].endswith("which channel reaches the router")]
    assert len(told) == 1, run.output
    assert f"chr_socket: {vms}/chr1/agent.sock" in told[0]["result"]["msg"]
    assert "agent.sock in the folder of the VM" in run.of("wait")["result"]["msg"]
    known = playbook([role], {"chr1": {**variables, "chr_socket": f"{vms}/chr1/agent.sock"}})
    assert known.rc == 0, known.output
    assert "The inventory needs this variable" not in known.output


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
        **server.variables,
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
    assert run.of("autorun")["result"]["stdout"] == "free"
    assert list(vms.iterdir()) == []


def test_a_router_that_ignores_the_script_for_its_first_boot_comes_up_all_the_same(image, vms, tmp_path, playbook):
    """Switch autorun: that RouterOS runs it is observed, and not documented.

    First contact does not rely on it.
    """
    settings = {"autorun": "no"}
    disk = build_disk(cache(), image, tmp_path / "chr.img", settings=settings, autorun="/system identity set name=ran")
    name = {"name": "name", "outofband.chr.script": {"source": ":put [/system identity get name]"}}
    host = {"chr_socket": f"{vms}/chr1/agent.sock", "chr_connect_timeout": BOOT}
    run = playbook([vm("import", vms, image=str(disk)), name, vm("absent", vms, state="absent")], {"chr1": host})
    assert run.rc == 0, run.output
    assert run.of("name")["result"]["stdout"] == "MikroTik"


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


def large_image(folder: Path) -> Path:
    """An image that takes some time to arrive."""
    large = folder / "large.img"
    with large.open("wb") as file:
        file.truncate(256 << 20)
        file.seek(510)
        file.write(b"\x55\xaa")
    return large


def test_a_killed_import_is_taken_up_by_the_next_run(tmp_path, vms, playbook):
    """SIGKILL while the image arrives; the half file is there, and marked."""
    large = large_image(tmp_path)
    go = vm("go", vms, image=str(large), running=False)
    process = playbook.start([go], {"chr1": {}})
    part = vms / "chr1" / "disk.raw.part"
    deadline = time.monotonic() + 120
    while not part.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    playbook.kill(process)
    assert (vms / "chr1" / "notes").read_text().startswith(mark(inspect(large).sha256, "importing") + " in run ")
    run = playbook([go | {"check_mode": True, "name": "check"}, go], {"chr1": {}}, "--diff")
    assert run.rc == 0, run.output
    assert "-chr1: unfinished" in run.output
    assert run.changed() == {("chr1", "check"), ("chr1", "go")}
    assert not part.exists()
    assert (vms / "chr1" / "notes").read_text() == mark(inspect(large).sha256, "imported") + "\n"


def test_two_runs_that_import_one_vm_leave_one_whole_vm(tmp_path, vms, planned):
    """The second takes the first one's import for a broken one, and the first leaves it its own."""
    large = large_image(tmp_path)
    first, second = planned(image=large), planned(image=large)
    with ThreadPoolExecutor() as runs:
        importing = runs.submit(present, first, running=False)
        while not (vms / "chr1" / "disk.raw.part").exists():
            assert not importing.done()
        assert present(second, running=False).after == "stopped"
        with pytest.raises(
            TransferFailed, match=r"disk\.raw\.part on this machine was removed or replaced by somebody else"
        ):
            importing.result()
    assert (vms / "chr1" / "notes").read_text() == mark(inspect(large).sha256, "imported") + "\n"
    assert (vms / "chr1" / "disk.raw").read_bytes() == large.read_bytes()
    assert not present(planned(image=large), running=False).changed


def test_a_name_that_something_else_has_is_not_touched(vms, playbook):
    (vms / "chr1").mkdir(parents=True)
    (vms / "chr1" / "notes").write_text("mine\n")
    run = playbook([vm("go", vms, state="absent")], {"chr1": {}})
    assert run.of("go")["status"] == "failed"
    assert "already has 'chr1'" in run.of("go")["result"]["msg"]
    assert (vms / "chr1" / "notes").read_text() == "mine\n"


def test_a_number_of_another_process_is_not_taken_for_the_router(vms, planned):
    """A pid file that was left by a machine that lost its power, with a number that something else
    has now."""
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
        ({"nics": (Nic("br0", "virtio"),)}, "not one of bridge:NAME, tap:NAME, user, none"),
        ({"nics": (Nic(None, "virtio", vlan=12),)}, "QEMU itself cannot tag"),
        ({"directory": "/dev/null/vms"}, "the user there may not write to /dev/null, or it is not a folder"),
        ({"directory": "vms"}, "not an absolute path"),
        ({"directory": "/srv/../vms"}, "not an absolute path"),
        ({"directory": "/" + "v" * 100}, "too long together"),
        ({"name": "chr 1"}, "not a valid name for a VM here"),
        ({"agent_port": "a,b"}, "not a valid name of a virtio-serial port"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(vms, planned, options, said):
    with pytest.raises(ChrError) as refused:
        present(planned(**options))
    assert said in str(refused.value)
    assert not vms.exists()


def test_an_image_of_another_format_is_sent_to_the_module_that_converts(tmp_path, planned):
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "x.vmdk", "128M"], check=True)
    with pytest.raises(InvalidInput, match=r"Convert it to qcow2 with outofband\.chr\.image"):
        present(planned(image=tmp_path / "x.vmdk"))


def test_a_vm_that_cannot_be_switched_on_is_told_in_qemus_words_and_tried_again(vms, planned):
    with pytest.raises(ChrError, match="was not switched on .*memory.* The VM exists and is off"):
        present(planned(memory=1 << 30))
    start = vms / "chr1" / "start"
    start.write_text(start.read_text().replace(f"-m {1 << 30}M", "-m 256M"))
    assert present(planned()).after == "running"


def test_a_router_that_hangs_is_removed_all_the_same(vms, planned):
    present(planned())
    os.kill(int((vms / "chr1" / "pid").read_text()), signal.SIGSTOP)
    absent(planned())
    assert list(vms.iterdir()) == []


def test_a_qemu_that_is_paused_or_whose_monitor_is_taken_is_not_turned_on_or_off(vms, planned):
    present(planned())
    switch = open_guest(options_for("qemu", "chr1", 2.0, socket=f"{vms}/chr1/agent.sock")).power()
    switch.check()
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(f"{vms}/chr1/qmp.sock")
        monitor = Qmp(other)
        with pytest.raises(Unreachable, match="does not answer: .*It serves one client at a time"):
            switch.check()
        monitor.execute("stop")
    with pytest.raises(NotPossible, match="'chr1' is 'paused', so it was not turned on or off"):
        switch.check()
    switch.stop(Deadline(10))
    assert not switch.is_on()


def reconciled(platform: QemuPlatform, *, adopt: bool = False) -> Outcome:
    allowed = Allowed(adopt=adopt, reconcile=True, restart=True)
    return ensure_present(platform, running=True, check_mode=False, allowed=allowed)


def test_a_router_that_runs_is_reconciled_with_a_restart_and_the_rest_stays(vms, planned):
    """QEMU itself says what it runs with; a second run changes nothing."""
    nics = (Nic("user", "virtio", "52:54:00:aa:bb:01"), Nic("none", "e1000"), Nic("user", "virtio"))
    present(planned(nics))
    start = vms / "chr1" / "start"
    start.write_text(start.read_text().replace("-cpu max", "-cpu qemu64 -boot menu=off"))
    nics = (Nic("none", "e1000", "52:54:00:aa:bb:01"), Nic("user", "vmxnet3", "52:54:00:aa:bb:02"))
    asked = Hardware(1, 320, tuple(Card(nic.model, nic.mac, nic.network) for nic in nics), True, DISK)
    again = planned(nics, asked=asked)
    assert [(one.what, one.card) for one in reconciled(again).reconciled] == [
        ("cpus", None),
        ("memory", None),
        ("nics", None),
        ("model", 1),
        ("network", 1),
        ("model", 2),
        ("mac", 2),
        ("network", 2),
    ]
    text = start.read_text()
    assert "-cpu qemu64" in text and "-boot menu=off" in text
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(vms / "chr1" / "qmp.sock"))
        qmp = Qmp(channel)
        assert len(qmp.execute("query-cpus-fast")) == 1
        assert qmp.execute("query-memory-size-summary")["base-memory"] == 320 << 20
        devices = qmp.execute("query-pci")[0]["devices"]
        assert [one["id"]["device"] for one in devices if one["class_info"]["class"] == 0x0200] == [0x100E, 0x07B0]
    assert not reconciled(planned(nics, asked=asked)).changed
    more = (*nics, Nic("user", "virtio"))
    asked = Hardware(nics=tuple(Card(nic.model) for nic in more))
    assert [str(one) for one in reconciled(planned(more, asked=asked)).reconciled] == [
        "number of network cards 2 instead of 3"
    ]
    absent(planned())


def test_the_agents_channel_and_the_boot_order_are_put_right(vms, planned):
    present(planned(), running=False)
    start = vms / "chr1" / "start"
    text = start.read_text()
    wrong = text.replace("name=org.qemu.guest_agent.0", "name=com.example.0").replace(
        "drive=disk0,bootindex=1", "drive=disk0,bootindex=2"
    )
    wrong = re.sub(r"(virtio-net-pci\S*)", r"\1,bootindex=1", wrong)
    start.write_text(wrong)
    assert [str(one) for one in reconciled(planned()).reconciled] == [
        "channel of the guest agent missing instead of present",
        "boot network instead of disk",
    ]
    assert sorted(start.read_text().replace(" \\\n", "\n").split()) == sorted(text.replace(" \\\n", "\n").split())
    assert not reconciled(planned()).changed
    absent(planned())


def test_what_runs_counts_and_not_what_the_next_start_will_use(vms, planned):
    present(planned())
    start = vms / "chr1" / "start"
    start.write_text(start.read_text().replace("-smp 2", "-smp 1"))
    (different,) = ensure_present(planned(asked=Hardware(1)), running=True, check_mode=False).differences
    assert (different.what, different.found) == ("cpus", 2)
    assert reconciled(planned(asked=Hardware(1))).changed
    assert not reconciled(planned(asked=Hardware(1))).changed
    absent(planned())


def test_a_start_that_is_more_than_a_command_line_is_not_changed(vms, planned):
    present(planned())
    start = vms / "chr1" / "start"
    start.write_text(start.read_text().replace("-smp 2", '-smp "$(nproc)"'))
    with pytest.raises(NotPossible, match="chr1/start on .* is not a script as .*It was not changed"):
        reconciled(planned(asked=Hardware(1)))
    assert (vms / "chr1" / "pid").exists()
    absent(planned())


def test_a_router_whose_notes_were_lost_is_adopted_and_another_folder_is_not(vms, planned):
    made = present(planned())
    (vms / "chr1" / "notes").unlink()
    taken = reconciled(planned(), adopt=True)
    assert (taken.adopted, taken.id, taken.image, taken.before) == (True, made.id, None, "running")
    assert not reconciled(planned(), adopt=True).changed
    absent(planned())
    (vms / "chr2").mkdir(parents=True)
    (vms / "chr2" / "start").write_text("#!/bin/sh\nexec qemu-system-x86_64\n")
    with pytest.raises(NotPossible, match="chr2 on .* was not adopted: it has no script 'start' that runs QEMU"):
        reconciled(planned(name="chr2"), adopt=True)


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
    folder = QemuFolder(Machine(options_for("qemu", "chr1")), f"{vms}/chr1", root)
    folder.stop()
    assert present(planned(root=root)).before == "stopped"
    with pytest.raises(NameTaken, match="of another VM with this name, in another folder"):
        present(planned(root=root, directory=f"{root}/elsewhere"))
    assert absent(planned(root=root)).changed
    assert list(units.iterdir()) == []
    assert list(vms.iterdir()) == []
    assert not (short_path / "outofband-chr-chr1.service.enabled").exists()
