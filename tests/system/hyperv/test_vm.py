# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module hyperv_vm: a router's VM on Hyper-V, whole or not at all.

PowerShell and its cmdlets are the lab's; images, OpenSSH, and Ansible's connection to a host with
the shell powershell are real.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from ansible_collections.outofband.chr.plugins.action.hyperv_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
    TransferFailed,
    VmAmbiguous,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, UNTAGGED, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hyperv.powershell import (
    Call,
    PowerShellFailed,
    WindowsHost,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hyperv.vm import HyperVPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import NameTaken, Nic, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.tests.lab.hyperv import powershell
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

ONE = (Nic("Lab", "synthetic"),)


class Machine:
    """A Windows machine with Hyper-V and a drive C:."""

    def __init__(self, folder):
        self.home = folder / "windows"
        self.drive = self.home / "C"
        self.drive.mkdir(parents=True)
        self.base = self.drive / "ProgramData" / "Microsoft" / "Windows" / "Hyper-V"
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.program = self.programs / "PowerShell"
        self.write(f'LAB_HYPERV={self.home} exec {sys.executable} -S {powershell.__file__} "$@"')

    def write(self, script):
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)

    @property
    def vms(self):
        state = self.home / "state.json"
        return {vm["Name"]: vm for vm in json.loads(state.read_text())} if state.exists() else {}

    @property
    def host(self):
        """Without Ansible."""

        def execute(command, stdin):
            done = subprocess.run(
                [self.programs / "PowerShell", *command.split()[1:]], input=stdin, capture_output=True, check=False
            )
            return done.returncode, done.stdout, done.stderr

        return WindowsHost(
            "hv1", execute, lambda source, dest: shutil.copy(source, powershell.Machine(self.home).path(dest))
        )

    def platform(self, image, nics=ONE, name="chr1", memory=256, asked=None, **options):
        spec = VmSpec(name, 1, memory, nics, inspect(image), asked or Hardware(agent=True, boot=DISK))
        return HyperVPlatform(spec, self.host, settings_of(ActionModule, **options), print)


@pytest.fixture
def machine(short_path):
    return Machine(short_path)


@pytest.fixture
def vhdx(tmp_path):
    path = tmp_path / "chr.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", path, "128M"], check=True)
    return path


@pytest.fixture
def hyperv1(machine, short_path):
    """Variables of the host in the inventory, as one has them for Windows behind OpenSSH."""
    server = Sshd(short_path)
    server.start(f"SetEnv PATH={machine.programs}:{os.environ['PATH']}", "Subsystem sftp internal-sftp")
    yield {
        "ansible_connection": "ssh",
        "ansible_host": "hypervisor",
        "ansible_shell_type": "powershell",
        "ansible_ssh_args": f"{server.options} -o ControlMaster=auto -o ControlPersist=60s",
        "ansible_control_path_dir": str(short_path / "cp"),
        "ansible_timeout": 60,
    }
    for master in (short_path / "cp").glob("*"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
    server.stop()


def task(task_name, folder, **options):
    """The folder, in which OpenSSH's server can write a file, is on the drive that one is on."""
    path = str(folder).replace("/", "\\")
    return {"name": task_name, "outofband.chr.hyperv_vm": {"folder": path, **options}, "delegate_to": "hyperv1"}


def test_from_an_image_to_a_running_vm_and_back_over_ssh(machine, hyperv1, vhdx, playbook, short_path):
    """Made, started, seen again, removed; and nothing in check mode."""
    vms = short_path / "vms"
    run = playbook(
        [
            {**task("would", vms, image="chr.vhdx"), "check_mode": True},
            task("go", vms, image="chr.vhdx", nics=[{"network": "Lab"}]),
            task("again", vms, image="chr.vhdx", nics=[{"network": "Lab"}]),
            differing(task("differs", vms, image="chr.vhdx")),
            {**task("would go", vms, state="absent"), "check_mode": True},
            task("away", vms, state="absent"),
            task("still away", vms, state="absent"),
        ],
        {"chr1": {}, "hyperv1": hyperv1},
        "--diff",
        "--limit=chr1",
    )
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", name) for name in ("would", "go", "would go", "away")}
    assert [run.of(name)["result"]["state"] for name in ("would", "go", "again", "away")] == [
        *["running"] * 3,
        "absent",
    ]
    assert run.of("again")["result"]["id"] == run.of("go")["result"]["id"]
    assert run.of("go")["result"]["name"] == "chr1"
    assert_told_to_differ(run, "again")
    assert (machine.home / "calls").read_text().split().count("New-VM") == 1
    assert machine.vms == {}
    assert list(vms.iterdir()) == []


@pytest.mark.slow
def test_an_import_that_was_killed_is_finished_by_the_next_run(machine, hyperv1, vhdx, playbook, short_path):
    """SIGKILL of everything once the disk is there and while the VM is made."""
    vms = short_path / "vms"
    whole = machine.program.read_text()
    disk = vms / "chr1" / "chr1.vhdx"
    machine.write(f"if [ -e {disk} ]; then touch {machine.home}/there; sleep 60; fi\n{whole}")
    go = task("go", vms, image="chr.vhdx")
    hosts = {"chr1": {}, "hyperv1": hyperv1}
    process = playbook.start([go], hosts, "--limit=chr1")
    deadline = time.monotonic() + 240
    while not (machine.home / "there").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    playbook.kill(process)
    machine.write(whole)
    run = playbook([{**go, "name": "would", "check_mode": True}, go], hosts, "--diff", "--limit=chr1")
    assert run.rc == 0, run.output
    assert run.of("would")["result"]["diff"]["before"] == "chr1: unfinished\n"
    assert machine.vms["chr1"]["State"] == "Running"
    assert {path.name for path in (vms / "chr1").iterdir()} == {"chr1.vhdx", "Virtual Machines"}


def test_the_task_must_be_delegated(machine, vhdx, playbook):
    one = task("go", "C:/VMs", image="chr.vhdx")
    del one["delegate_to"]
    run = playbook([one], {"chr1": {}})
    assert "delegate the task to it" in run.of("go")["result"]["msg"]


def test_the_vm_is_what_a_chr_needs(machine, vhdx):
    nics = (
        Nic("External", "synthetic", "02:00:5e:10:00:01"),
        Nic("Lab", "synthetic", vlan=20),
        Nic(None, "legacy"),
    )
    outcome = ensure_present(machine.platform(vhdx, nics), running=False, check_mode=False)
    assert (outcome.before, outcome.after) == ("absent", "stopped")
    vm = machine.vms["chr1"]
    folder = "C:\\ProgramData\\Microsoft\\Windows\\Hyper-V\\chr1"
    expected = {
        **{"Generation": 1, "Memory": 256 << 20, "Dynamic": False, "Cpus": 1, "Checkpoints": False, "Boot": "IDE"},
        **{"Path": folder, "Disks": {"IDE 0 0": f"{folder}\\chr1.vhdx"}},
        **{"Notes": mark(outcome.image, "imported")},
    }
    assert expected.items() <= vm.items()
    assert vm["Cards"] == [
        {"Name": "ether1", "Legacy": False, "Switch": "External", "Mac": "02005E100001"},
        {"Name": "ether2", "Legacy": False, "Switch": "Lab", "Mac": None, "Vlan": 20},
        {"Name": "ether3", "Legacy": True, "Switch": None, "Mac": None},
    ]
    assert (machine.base / "chr1" / "chr1.vhdx").read_bytes() == vhdx.read_bytes()
    assert not (machine.base / "chr1" / "outofband.chr").exists()


@pytest.mark.parametrize("command", ["Set-VM", "Add-VMNetworkAdapter"])
def test_an_import_that_fails_half_way_leaves_nothing(machine, vhdx, command):
    (machine.home / "without").write_text(command)
    with pytest.raises(NotPossible, match=f"hv1 has no cmdlet {command}.*Install-WindowsFeature Hyper-V-PowerShell"):
        ensure_present(machine.platform(vhdx), running=True, check_mode=False)
    assert machine.vms == {}
    assert list(machine.base.iterdir()) == []


def test_a_disk_that_arrives_otherwise_is_not_kept(machine, vhdx):
    (machine.home / "flip").touch()
    with pytest.raises(TransferFailed, match=f"arrived with the sha256 {'0' * 64}"):
        ensure_present(machine.platform(vhdx), running=True, check_mode=False)
    assert list(machine.base.iterdir()) == []


def test_a_vm_or_a_folder_of_somebody_else_is_left_alone(machine, vhdx):
    machine.host.run(
        Call("New-Item", {"ItemType": "Directory", "Path": "C:\\theirs", "Force": True}),
    )
    shutil.copy(vhdx, machine.drive / "theirs" / "disk.vhdx")
    new = {
        "MemoryStartupBytes": 2 << 20,
        "VHDPath": "C:\\theirs\\disk.vhdx",
        "Path": "C:\\theirs",
        "Generation": 1,
        "BootDevice": "CD",
    }
    machine.host.run(*(Call("New-VM", {"Name": name, **new}) for name in ("theirs", "twice", "twice")))
    (machine.base / "folder").mkdir(parents=True)
    for name, error in (("theirs", NameTaken), ("THEIRS", NameTaken), ("folder", NameTaken), ("twice", VmAmbiguous)):
        with pytest.raises(error, match="was (not )?touched"):
            ensure_present(machine.platform(vhdx, name=name), running=True, check_mode=False)
        with pytest.raises(error, match="was (not )?touched"):
            ensure_absent(machine.platform(vhdx, name=name), check_mode=False)
    assert set(machine.vms) == {"theirs", "twice"}


def test_what_an_interrupted_import_left_can_be_removed(machine, vhdx):
    folder = machine.base / "chr1"
    folder.mkdir(parents=True)
    (folder / "outofband.chr").write_text(mark("0" * 64, "importing") + "\r\n")
    (folder / "chr1.vhdx").write_bytes(b"half")
    assert ensure_absent(machine.platform(vhdx), check_mode=False).before == "unfinished"
    assert not folder.exists()


def test_a_file_of_somebody_else_in_the_vms_folder_stays(machine, vhdx):
    ensure_present(machine.platform(vhdx), running=True, check_mode=False)
    (machine.base / "chr1" / "notes.txt").touch()
    ensure_absent(machine.platform(vhdx), check_mode=False)
    assert [path.name for path in (machine.base / "chr1").rglob("*") if path.is_file()] == ["notes.txt"]


def test_a_windows_before_automatic_checkpoints_will_do(machine, vhdx):
    (machine.home / "without").write_text("AutomaticCheckpointsEnabled")
    assert ensure_present(machine.platform(vhdx), running=True, check_mode=False).after == "running"


def test_a_vm_that_cannot_be_started_says_why_and_can_be_started_later(machine, vhdx):
    (machine.home / "no-memory").touch()
    with pytest.raises(PowerShellFailed, match="Start-VM on hv1 failed: 'chr1' failed to start. Not enough memory"):
        ensure_present(machine.platform(vhdx), running=True, check_mode=False)
    (machine.home / "no-memory").unlink()
    outcome = ensure_present(machine.platform(vhdx), running=True, check_mode=False)
    assert (outcome.before, outcome.after) == ("stopped", "running")


BAD = {
    "a switch that is not there": (
        {"nics": (Nic("br0", "synthetic"),)},
        "has no switch 'br0'. It has 'External', 'Lab'",
    ),
    "too many legacy cards": ({"nics": (Nic(None, "legacy"),) * 5}, "5 network cards legacy.*at most 4"),
    "memory that Hyper-V does not take": ({"memory": 257}, "multiples of 2"),
    "a relative folder": ({"folder": "C:VMs"}, "not an absolute path of Windows"),
    "a name that Windows does not take": ({"name": "chr1."}, "is not a valid name of a folder on Windows"),
    "a name that is a pattern": ({"name": "*"}, "is not a valid name of a folder on Windows"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused_before_anything_is_made(machine, vhdx, what):
    options, text = BAD[what]
    with pytest.raises(InvalidInput, match=text):
        ensure_present(machine.platform(vhdx, **options), running=True, check_mode=False)
    assert machine.vms == {}
    assert list(machine.drive.iterdir()) == []


def test_an_image_of_another_format_is_refused(machine, tmp_path):
    subprocess.run(["qemu-img", "create", "-q", "-f", "vdi", tmp_path / "chr.vdi", "128M"], check=True)
    with pytest.raises(InvalidInput, match="takes images of the format vhdx.*is vdi"):
        machine.platform(tmp_path / "chr.vdi").check()


def test_too_little_room_is_seen_before_anything_is_made(machine, vhdx):
    (machine.home / "full").touch()
    with pytest.raises(NotPossible, match="Drive C: of hv1 has 0 MiB free"):
        ensure_present(machine.platform(vhdx), running=True, check_mode=False)
    assert list(machine.drive.iterdir()) == []


def test_a_user_without_the_right_learns_which_group_has_it(machine, vhdx):
    (machine.home / "denied").touch()
    with pytest.raises(NotPermitted, match="do not have the required permission.*Hyper-V Administrators"):
        ensure_present(machine.platform(vhdx), running=True, check_mode=False)


def test_a_machine_without_powershell_says_so(machine, vhdx):
    machine.write("echo powershell: not found >&2; exit 127")
    with pytest.raises(NotPossible, match="PowerShell on hv1 did not run.*exit code 127.*not found"):
        machine.platform(vhdx).find()


@pytest.mark.parametrize("value", ["'; Remove-VM *; '", "$(exit 3)", "Ünïcode €\u2019\n2nd", '"`0'])
def test_a_value_is_never_a_part_of_the_script(machine, value):
    machine.host.run(
        Call("New-Item", {"ItemType": "Directory", "Path": "C:\\x", "Force": True}),
        Call("Set-Content", {"LiteralPath": "C:\\x\\y", "Value": value}),
    )
    assert (machine.drive / "x" / "y").read_text() == f"{value}\n"
    rows = machine.host.run(Call("Get-Content", {"LiteralPath": "C:\\x\\y"}, label="it"))["it"]
    assert "\n".join(row["text"] for row in rows) == value


def test_a_cmdlet_that_fails_ends_the_batch_and_says_which(machine):
    with pytest.raises(PowerShellFailed, match="New-VM on hv1 failed: A parameter cannot be found.*'Nope'") as caught:
        machine.host.run(
            Call("New-VM", {"Nope": 1}), Call("New-Item", {"ItemType": "Directory", "Path": "C:\\x", "Force": True})
        )
    assert (caught.value.id, caught.value.kind) == ("NamedParameterNotFound,New-VM", "InvalidArgument")
    assert not (machine.drive / "x").exists()


# -- drift, and VMs of others ----------------------------------------------------------------------


def reconciled(platform, *, adopt=False):
    allowed = Allowed(adopt=adopt, reconcile=True, restart=True)
    return ensure_present(platform, running=True, check_mode=False, allowed=allowed)


def test_a_vm_that_drifted_is_reconciled_once_with_a_restart(machine, vhdx):
    nics = (Nic("Lab", "synthetic", vlan=7), Nic(None, "synthetic"), Nic("Lab", "legacy"))
    ensure_present(machine.platform(vhdx, nics), running=True, check_mode=False)
    nics = (Nic("External", "synthetic", "02:00:5e:10:00:01"), Nic("Lab", "synthetic", vlan=9))
    cards = (Card(None, nics[0].mac, "External", UNTAGGED), Card(None, None, "Lab", 9))
    asked = Hardware(2, 512, cards, True, DISK)
    outcome = reconciled(machine.platform(vhdx, nics, asked=asked))
    assert [(one.what, one.card) for one in outcome.reconciled] == [
        ("cpus", None),
        ("memory", None),
        ("nics", None),
        ("mac", 1),
        ("network", 1),
        ("vlan", 1),
        ("network", 2),
        ("vlan", 2),
    ]
    vm = machine.vms["chr1"]
    assert (vm["Cpus"], vm["Memory"], vm["State"]) == (2, 512 << 20, "Running")
    first, second = vm["Cards"]
    assert (first["Switch"], first["Mac"], first["Vlan"]) == ("External", "02005E100001", 0)
    assert (second["Switch"], second["Vlan"]) == ("Lab", 9)
    assert not reconciled(machine.platform(vhdx, nics, asked=asked)).changed
    more = (*nics, Nic("Lab", "legacy"))
    asked = Hardware(nics=(Card(), Card(), Card(network="Lab")))
    assert [one.what for one in reconciled(machine.platform(vhdx, more, asked=asked)).reconciled] == ["nics"]
    with pytest.raises(InvalidInput, match="memory 513 is not valid"):
        reconciled(machine.platform(vhdx, asked=Hardware(memory=513)))


def test_a_card_that_cannot_be_told_from_another_and_a_switch_that_is_missing_are_told_before(machine, vhdx):
    nics = (Nic("Lab", "synthetic"), Nic("Lab", "synthetic"))
    ensure_present(machine.platform(vhdx, nics), running=True, check_mode=False)
    vms = list(machine.vms.values())
    for card in vms[0]["Cards"]:
        card["Name"] = "Network Adapter"
    nics = (Nic("External", "synthetic"), Nic("Lab", "synthetic"))
    asked = Hardware(nics=(Card(network="External"), Card()))
    missing = (Nic("nosuch", "synthetic"), Nic("Lab", "synthetic"))
    with pytest.raises(InvalidInput, match="has no switch 'nosuch'"):
        reconciled(machine.platform(vhdx, missing, asked=Hardware(nics=(Card(network="nosuch"), Card()))))
    (machine.home / "state.json").write_text(json.dumps(vms))
    with pytest.raises(NotPossible, match="has 2 network cards with the name 'Network Adapter'"):
        reconciled(machine.platform(vhdx, nics, asked=asked))
    assert machine.vms["chr1"]["State"] == "Running"


def test_a_vm_of_somebody_else_is_adopted_and_a_folder_is_not(machine, vhdx):
    made = ensure_present(machine.platform(vhdx), running=True, check_mode=False)
    vms = list(machine.vms.values())
    vms[0]["Notes"] = "The old router."
    (machine.home / "state.json").write_text(json.dumps(vms))
    taken = reconciled(machine.platform(vhdx), adopt=True)
    assert (taken.adopted, taken.id, taken.image) == (True, made.id, None)
    assert machine.vms["chr1"]["Notes"].startswith("The old router.\n\noutofband.chr: image unknown imported for ")
    assert not reconciled(machine.platform(vhdx), adopt=True).changed
    (machine.base / "chr2").mkdir()
    with pytest.raises(NotPossible, match="is a folder without a VM of Hyper-V, so it was not adopted"):
        reconciled(machine.platform(vhdx, name="chr2"), adopt=True)
