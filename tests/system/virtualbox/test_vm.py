# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module virtualbox_vm: a router's VM on VirtualBox, here or behind ssh, whole or not at all.

VBoxManage is the lab's, as strict as the real one; images, files, OpenSSH and Ansible are real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.outofband.chr.plugins.action.virtualbox_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import SshOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import ensure_absent, ensure_present
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.virtualbox.vm import VirtualBoxPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import CommandFailed
from ansible_collections.outofband.chr.tests.lab.machine import LabMachine, wait_for
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.virtualbox import vboxmanage as virtualbox
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

MIB = 1 << 20
ONE = (Nic(None, "e1000"),)


class Machine(LabMachine):
    """A machine with VirtualBox."""

    def __init__(self, folder):
        super().__init__(folder)
        self.base = self.home / "VirtualBox VMs"
        self.program("VBoxManage", f'LAB_VIRTUALBOX={self.home} exec {sys.executable} -S {virtualbox.__file__} "$@"')

    @property
    def vms(self):
        """By name."""
        state = self.home / "state.json"
        return {vm["name"]: vm for vm in json.loads(state.read_text()).values()} if state.exists() else {}

    def calls(self, command):
        return [line for line in (self.home / "calls").read_text().splitlines() if line.split()[0] == command]

    def manage(self, *arguments):
        subprocess.run([self.programs / "VBoxManage", *arguments], check=True, capture_output=True)


@pytest.fixture
def machine(short_path, monkeypatch):
    machine = Machine(short_path)
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    return machine


@pytest.fixture
def vdi(tmp_path):
    path = tmp_path / "chr.vdi"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vdi", path, "128M"], check=True)
    return path


def task(task_name, **options):
    return {"name": task_name, "outofband.chr.virtualbox_vm": options}


def present(task_name="go", **options):
    return task(task_name, **{"image": "chr.vdi", **options})


def test_from_an_image_to_a_running_vm_and_back(machine, vdi, playbook):
    """Made, started, seen again, removed; and nothing in check mode."""
    run = playbook(
        [
            {**present("would"), "check_mode": True},
            present(),
            present("again"),
            differing(present()),
            {**task("would go", state="absent"), "check_mode": True},
            task("away", state="absent"),
            task("still away", state="absent"),
        ],
        {"chr1": {}},
        "--diff",
    )
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", name) for name in ("would", "go", "would go", "away")}
    assert [run.of(name)["result"]["state"] for name in ("would", "go", "again", "away")] == [
        *["running"] * 3,
        "absent",
    ]
    assert run.of("again")["result"]["id"] == run.of("go")["result"]["id"]
    assert len(machine.calls("createvm")) == 1
    assert machine.vms == {}
    assert not (machine.base / "chr1").exists()
    assert_told_to_differ(run, "again")


def test_the_vm_is_what_a_chr_needs(machine, vdi, playbook):
    nics = [
        {},
        {"network": "bridged:eth0", "mac": "02:00:5e:10:00:01"},
        {"network": "intnet:lab"},
        {"network": "natnetwork:lab"},
        {"network": "hostonly:vboxnet0"},
    ]
    run = playbook([present(cpus=2, nics=nics, serial="/run/chr1.console", running=False)], {"chr1": {}})
    assert run.rc == 0, run.output
    assert run.of("go")["result"]["state"] == "stopped"
    vm = machine.vms["chr1"]
    expected = {
        **{"--memory": str(256 + 8 * 2 * 4), "--cpus": "2", "--firmware": "bios", "--boot1": "disk"},
        **{f"--nictype{number}": "82540EM" for number in range(1, 6)},
        **{"--nic1": "nat", "--macaddress1": "auto"},
        **{"--nic2": "bridged", "--bridgeadapter2": "eth0", "--macaddress2": "02005E100001"},
        **{"--nic3": "intnet", "--intnet3": "lab", "--nic4": "natnetwork", "--natnetwork4": "lab"},
        **{"--nic5": "hostonly", "--hostonlyadapter5": "vboxnet0"},
        **{"--uart1": "0x3F8 4", "--uartmode1": "server /run/chr1.console"},
    }
    assert expected.items() <= vm["hardware"].items()
    assert vm["controllers"] == {"ide": "ide"}
    assert list(vm["disks"]) == ["ide 0 0"]
    assert vm["extra"] == {"outofband.chr": mark(run.of("go")["result"]["image"], "imported")}
    assert {path.name for path in (machine.base / "chr1").iterdir()} == {"chr1.vbox", "chr1.vdi"}


def test_two_vms_of_one_image_over_ssh(machine, vdi, playbook, short_path):
    """Two disks with one UUID are an error for VirtualBox.

    The upload is compared with what was sent, byte for byte.
    """
    with vdi.open("r+b") as image:
        image.seek(2 * MIB)
        image.write(os.urandom(MIB))
    server = Sshd(short_path)
    server.start(f"SetEnv PATH={machine.programs}:{os.environ['PATH']}")
    through = {**server.variables, "chr_connect_timeout": 30}
    try:
        run = playbook([present(disk_bus="sata")], {"chr1": through, "chr2": through})
        sent = vdi.read_bytes()
        for name in ("chr1", "chr2"):
            arrived = (machine.base / name / f"{name}.vdi").read_bytes()
            assert arrived[MIB:] == sent[MIB:]
    finally:
        for master in (short_path / "t" / "home" / "cp").glob("chr-??????????"):
            subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
        server.stop()
    assert run.rc == 0, run.output
    disks = [vm["disks"]["sata 0 0"]["uuid"] for vm in machine.vms.values()]
    assert len(set(disks)) == 2


def test_a_vm_or_a_folder_of_somebody_else_is_left_alone(machine, vdi, playbook):
    machine.manage("createvm", "--name", "theirs", "--register")
    (machine.base / "folder").mkdir()
    (machine.base / "folder" / "folder.vdi").write_bytes(b"precious")
    tasks = [{**one, "ignore_errors": True} for one in (present("make"), task("drop", state="absent"))]
    run = playbook(tasks, {"theirs": {}, "folder": {}})
    for host in ("theirs", "folder"):
        for name in ("make", "drop"):
            assert "was not touched" in run.of(name, host)["result"]["msg"]
    assert list(machine.vms) == ["theirs"]
    assert (machine.base / "folder" / "folder.vdi").read_bytes() == b"precious"


@pytest.mark.slow
def test_imports_that_were_killed_are_finished_by_the_next_run(machine, vdi, playbook):
    """SIGKILL of everything while VBoxManage works: before the VM is registered, half way, and just
    before the end."""
    program = machine.programs / "VBoxManage"
    whole = program.read_text()
    points = {"chr1": "createvm", "chr2": "modifyvm", "chr3": "setextradata"}
    cases = " ".join(
        f'"{command} "*{host}*) touch {machine.home}/{host}; sleep 60;;' for host, command in points.items()
    )
    program.write_text(whole.replace("LAB_V", f"case $* in {cases} esac\nLAB_V"))
    process = playbook.start([present()], dict.fromkeys(points, {}))
    for host in points:
        wait_for(machine.home / host)
    playbook.kill(process)
    program.write_text(whole)
    run = playbook([{**present("would"), "check_mode": True}, present()], dict.fromkeys(points, {}), "--diff")
    assert run.rc == 0, run.output
    for host in points:
        assert run.of("would", host)["result"]["diff"]["before"] == f"{host}: unfinished\n"
        assert machine.vms[host]["state"] == "running"
        assert {path.name for path in (machine.base / host).iterdir()} == {f"{host}.vbox", f"{host}.vdi"}


def test_what_an_interrupted_import_left_can_be_removed(machine, vdi):
    folder = machine.base / "chr1"
    folder.mkdir(parents=True)
    (folder / "outofband.chr").write_text(mark("0" * 64, "importing") + "\n")
    (folder / "chr1.vdi.part").write_bytes(b"half")
    assert ensure_absent(platform(vdi), check_mode=False).before == "unfinished"
    assert not folder.exists()


def test_an_import_that_fails_leaves_nothing(machine, vdi):
    machine.program("openssl", 'cat >/dev/null; echo "$(printf %064d 0)  -"')
    with pytest.raises(TransferFailed, match=f"arrived with the sha256 {'0' * 64}"):
        ensure_present(platform(vdi), running=True, check_mode=False)
    assert machine.vms == {}
    assert not (machine.base / "chr1").exists()


def test_a_vm_that_cannot_be_started_says_why_and_can_be_started_later(machine, vdi):
    (machine.home / "no-driver").touch()
    with pytest.raises(CommandFailed, match="VERR_VM_DRIVER_NOT_INSTALLED"):
        ensure_present(platform(vdi), running=True, check_mode=False)
    assert not ensure_present(platform(vdi), running=False, check_mode=False).changed
    (machine.home / "no-driver").unlink()
    outcome = ensure_present(platform(vdi), running=True, check_mode=False)
    assert (outcome.before, outcome.after) == ("stopped", "running")


BAD = {
    "a network that is not there": (Nic("bridged:eth9", "e1000"), "has no network 'bridged:eth9'.*'eth0', 'wlan0'"),
    "a kind of network that is not there": (Nic("br0", "e1000"), "is not valid: use nat, bridged:NAME"),
    "a card that VirtualBox does not emulate": (Nic(None, "rtl8139"), "does not emulate it.*Use e1000"),
    "a VLAN": (Nic(None, "e1000", vlan=5), "VirtualBox cannot tag VLANs"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_card_that_cannot_be_is_refused_before_anything_is_made(machine, vdi, what):
    nic, text = BAD[what]
    with pytest.raises(InvalidInput, match=text):
        ensure_present(platform(vdi, (nic,)), running=True, check_mode=False)
    assert not machine.base.exists()


def test_what_cannot_be_is_refused_before_anything_is_made(machine, vdi, tmp_path):
    other = tmp_path / "chr.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", other, "128M"], check=True)
    with pytest.raises(InvalidInput, match="takes images of the format vdi.*is qcow2"):
        platform(other).check()
    with pytest.raises(InvalidInput, match="at most 8"):
        platform(vdi, ONE * 9).check()
    with pytest.raises(InvalidInput, match="would change it for the VM's folder"):
        platform(vdi, name="chr:1")
    with pytest.raises(NotPossible, match="cannot run /opt/none"):
        platform(vdi, vboxmanage="/opt/none").find()


def test_too_little_room_is_seen_before_anything_is_made(machine, vdi):
    """df says what is free where the nearest folder is that there is already."""
    machine.program("df", f'[ "$2" = {machine.home} ] && echo "head\n/dev/x 9 9 0 9% /"')
    with pytest.raises(NotPossible, match=f"{machine.base} on this machine has 0 MiB free"):
        ensure_present(platform(vdi), running=True, check_mode=False)
    assert not machine.base.exists()


def platform(image, nics=ONE, name="chr1", **options):
    """Without Ansible."""
    login = SshOptions(connect_timeout=5, runtime_directory=image.parent)
    spec = VmSpec(name=name, cpus=1, memory=256, nics=nics, image=inspect(image))
    return VirtualBoxPlatform(spec, login, settings_of(ActionModule, **options), print)


# -- drift, and VMs of others ----------------------------------------------------------------------


def test_a_vm_that_drifted_is_reconciled_once_with_a_restart(machine, vdi, playbook):
    made = present(nics=[{}, {"network": "bridged:eth0"}, {}])
    nics = [{"network": "intnet:lab", "mac": "02:00:5e:10:00:01"}, {"network": "hostonly:vboxnet0", "model": "e1000"}]
    wanted = present("fix", cpus=2, memory=512, nics=nics, reconcile=True, restart=True)
    more = present("more", nics=[*nics, {"network": "nat"}], reconcile=True, restart=True)
    run = playbook([made, {**wanted, "name": "would", "check_mode": True}, wanted, {**wanted, "name": "again"}, more],
                   {"chr1": {}}, "--diff")  # fmt: skip
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", name) for name in ("go", "would", "fix", "more")}
    different = [(one["what"], one["interface"], one["reconciled"]) for one in run.of("fix")["result"]["differences"]]
    assert different == [
        ("cpus", None, True),
        ("memory", None, True),
        ("nics", None, True),
        ("mac", "ether1", True),
        ("network", "ether1", True),
        ("network", "ether2", True),
    ]
    assert run.of("would")["result"]["diff"] == run.of("fix")["result"]["diff"]
    vm = machine.vms["chr1"]
    assert vm["state"] == "running"
    expected = {
        **{"--memory": "512", "--cpus": "2", "--nic1": "intnet", "--intnet1": "lab", "--macaddress1": "02005E100001"},
        **{"--nic2": "hostonly", "--hostonlyadapter2": "vboxnet0", "--nic3": "nat"},
    }
    assert expected.items() <= vm["hardware"].items()


def test_a_vm_of_somebody_else_is_adopted_and_boots_from_its_disk(machine, vdi, playbook):
    machine.manage("createvm", "--name", "chr1", "--register")
    machine.manage("modifyvm", "chr1", "--memory", "512", "--boot1", "net", "--boot2", "disk", "--nictype1", "virtio")
    take = present("take", adopt=True, reconcile=True, running=False)
    run = playbook([{**take, "name": "would", "check_mode": True}, take, {**take, "name": "again"}], {"chr1": {}})
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", "would"), ("chr1", "take")}
    result = run.of("take")["result"]
    assert (result["adopted"], result["found"]["memory"], result["found"]["boot"]) == (True, 512, "network")
    vm = machine.vms["chr1"]
    assert (vm["hardware"]["--boot1"], vm["hardware"]["--boot2"]) == ("disk", "none")
    assert vm["hardware"]["--nictype1"] == "virtio"  # the task says nothing about it
    assert "image unknown imported" in vm["extra"]["outofband.chr"]


def test_a_network_that_is_missing_is_told_before_the_vm_is_turned_off(machine, vdi, playbook):
    wanted = present("fix", nics=[{"network": "bridged:eth9"}], reconcile=True, restart=True)
    run = playbook([present(), wanted], {"chr1": {}})
    assert "has no network 'bridged:eth9'" in run.of("fix")["result"]["msg"]
    assert machine.vms["chr1"]["state"] == "running"


def test_a_removal_says_that_no_license_can_be_read_there(machine, vdi, playbook):
    run = playbook([present(), task("away", state="absent")], {"chr1": {}})
    assert run.rc == 0, run.output
    assert "could not be read. This module has no way to a router on" in run.output
