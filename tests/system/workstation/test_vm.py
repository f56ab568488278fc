# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module workstation_vm: a router's VM on VMware Workstation or Fusion, whole or not at all.

vmrun is the lab's, which reads a .vmx as strictly as VMware; images, files, OpenSSH and Ansible are
real.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from ansible_collections.outofband.chr.plugins.action.workstation_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPossible,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import SshOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import NameTaken, Nic, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.workstation.vm import WorkstationPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.tests.lab.machine import wait_for
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.lab.workstation.machine import WorkstationMachine
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

ONE = (Nic(None, "vmxnet3"),)


@pytest.fixture
def machine(short_path, monkeypatch):
    machine = WorkstationMachine(short_path)
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(machine.home))
    return machine


@pytest.fixture
def vmdk(tmp_path):
    """Its name in itself is that of the file that it was made as."""
    made = tmp_path / "other.vmdk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", made, "128M"], check=True)
    return made.rename(tmp_path / "chr.vmdk")


def task(task_name, **options):
    return {"name": task_name, "outofband.chr.workstation_vm": options}


def present(task_name="go", **options):
    return task(task_name, **{"image": "chr.vmdk", **options})


def platform(image, nics=ONE, name="chr1", memory=256, asked=None, **options):
    """Without Ansible."""
    login = SshOptions(connect_timeout=5, runtime_directory=image.parent)
    spec = VmSpec(name, 1, memory, nics, inspect(image), asked or Hardware(agent=True, boot=DISK))
    return WorkstationPlatform(spec, login, settings_of(ActionModule, **options), print)


def test_from_an_image_to_a_running_vm_and_back(machine, vmdk, playbook):
    """Made, started, heard of, seen again, removed; and nothing in check mode."""
    run = playbook(
        [
            {**present("would"), "check_mode": True},
            present(wait_for_tools=60),
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
    assert run.of("go")["result"]["id"] == str(machine.base / "chr1" / "chr1.vmx")
    calls = (machine.home / "calls").read_text()
    assert calls.count("checkToolsState") == 3
    assert_told_to_differ(run, "again")
    assert machine.running == []
    assert not (machine.base / "chr1").exists()


def test_the_vm_is_what_a_chr_needs_also_over_ssh(machine, vmdk, playbook, short_path):
    with vmdk.open("r+b") as image:
        image.seek(0, os.SEEK_END)
        image.write(os.urandom(1 << 20))
    server = Sshd(short_path)
    server.start(f"SetEnv PATH={machine.programs}:{os.environ['PATH']}")
    through = {**server.variables, "chr_connect_timeout": 30}
    nics = [
        {},
        {"network": "bridged", "mac": "02-00-5e-10-00-01", "model": "e1000"},
        {"network": "vmnet2"},
        {"network": "hostonly"},
    ]
    try:
        run = playbook([present(nics=nics, cpus=2, folder=str(machine.base))], {"chr1": through})
    finally:
        for master in (short_path / "t" / "home" / "cp").glob("chr-??????????"):
            subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
        server.stop()
    assert run.rc == 0, run.output
    assert machine.running == [str(machine.base / "chr1" / "chr1.vmx")]
    expected = {
        **{"firmware": "bios", "numvcpus": "2", "memsize": str(256 + 8 * 2 * 3), "ide0:0.fileName": "chr1.vmdk"},
        **{"annotation": mark(run.of("go")["result"]["image"], "imported")},
        **{"ethernet0.connectionType": "nat", "ethernet0.virtualDev": "vmxnet3", "ethernet0.addressType": "generated"},
        **{"ethernet1.connectionType": "bridged", "ethernet1.virtualDev": "e1000"},
        **{"ethernet1.addressType": "static", "ethernet1.address": "02:00:5e:10:00:01"},
        **{"ethernet2.connectionType": "custom", "ethernet2.vnet": "/dev/vmnet2"},
        **{"ethernet3.connectionType": "hostonly"},
    }
    assert expected.items() <= machine.settings("chr1").items()
    arrived, sent = (machine.base / "chr1" / "chr1.vmdk").read_bytes(), vmdk.read_bytes()
    assert arrived[:512] + arrived[21 * 512 :] == sent[:512] + sent[21 * 512 :]


@pytest.mark.slow
def test_imports_that_were_killed_are_finished_by_the_next_run(machine, vmdk, playbook):
    """SIGKILL of everything, while one disk arrives and another one's descriptor is written."""
    points = {"chr1": "openssl", "chr2": "dd"}
    for host, program in points.items():
        hang = f'case "$*" in *{host}*) touch {machine.home}/{host}; sleep 60;; esac'
        machine.program(program, f'{hang}\nexec {shutil.which(program)} "$@"')
    process = playbook.start([present()], dict.fromkeys(points, {}))
    for host in points:
        wait_for(machine.home / host)
    playbook.kill(process)
    for program in points.values():
        (machine.programs / program).unlink()
    run = playbook([{**present("would"), "check_mode": True}, present()], dict.fromkeys(points, {}), "--diff")
    assert run.rc == 0, run.output
    for host in points:
        assert run.of("would", host)["result"]["diff"]["before"] == f"{host}: unfinished\n"
    assert len(machine.running) == 2
    assert not list(machine.base.glob("*/*.part"))


def test_what_an_interrupted_import_left_can_be_removed(machine, vmdk):
    folder = machine.base / "chr1"
    folder.mkdir(parents=True)
    (folder / "chr1.vmx").write_text('annotation = "' + mark("0" * 64, "importing") + '"\n')
    (folder / "chr1.vmdk.part").write_bytes(b"half")
    assert ensure_absent(platform(vmdk), check_mode=False).before == "unfinished"
    assert not folder.exists()


def test_a_vm_or_a_folder_of_somebody_else_is_left_alone(machine, vmdk):
    theirs = machine.base / "theirs" / "theirs.vmx"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('displayName = "theirs"\n')
    (machine.base / "folder").mkdir()
    (machine.base / "folder" / "notes").write_text(mark("0" * 64, "imported"))
    for name in ("theirs", "folder"):
        with pytest.raises(NameTaken, match="was not touched"):
            ensure_present(platform(vmdk, name=name), running=True, check_mode=False)
        with pytest.raises(NameTaken, match="was not touched"):
            ensure_absent(platform(vmdk, name=name), check_mode=False)
    assert theirs.exists()
    assert (machine.base / "folder" / "notes").exists()


def test_an_import_that_fails_leaves_nothing(machine, vmdk):
    machine.program("openssl", 'cat >/dev/null; echo "$(printf %064d 0)  -"')
    with pytest.raises(TransferFailed, match=f"arrived with the sha256 {'0' * 64}"):
        ensure_present(platform(vmdk), running=True, check_mode=False)
    assert list(machine.base.iterdir()) == []


def test_a_vm_that_is_open_in_the_window_is_not_lost(machine, vmdk):
    ensure_present(platform(vmdk), running=True, check_mode=False)
    (machine.home / "open").touch()
    with pytest.raises(ChrError, match="deleteVM.*failed: Error: Insufficient permissions"):
        ensure_absent(platform(vmdk), check_mode=False)
    (machine.home / "open").unlink()
    assert ensure_absent(platform(vmdk), check_mode=False).before == "stopped"
    assert not (machine.base / "chr1").exists()


def test_a_router_whose_tools_do_not_call_is_an_error_and_runs(machine, vmdk, playbook):
    (machine.home / "no-tools").touch()
    run = playbook([present(wait_for_tools=0.5)], {"chr1": {}})
    assert run.rc == 2
    result = run.of("go")["result"]
    assert "its guest tools did not report within 0.5 s: checkToolsState says 'unknown'" in result["msg"]
    assert (result["changed"], result["state"]) == (True, "running")
    assert len(machine.running) == 1


def test_a_folder_behind_a_link_is_the_one_that_vmrun_lists(machine, vmdk):
    (machine.home / "disk").mkdir()
    (machine.home / "link").symlink_to(machine.home / "disk")
    for expected in (True, False):
        outcome = ensure_present(
            platform(vmdk, folder=f"{machine.home}/link/vms/", product="fusion", vmrun="vmrun"),
            running=True,
            check_mode=False,
        )
        assert outcome.changed is expected
    assert machine.running == [str(machine.home / "disk" / "vms" / "chr1" / "chr1.vmx")]


BAD = {
    "a network that is not there": (
        {"nics": (Nic("vmnet9", "e1000"),)},
        "no network vmnet9.*has vmnet0, vmnet1, vmnet2, vmnet8",
    ),
    "a kind of network that is not there": (
        {"nics": (Nic("br0", "e1000"),)},
        "is not valid: use nat, bridged, hostonly",
    ),
    "a VLAN": ({"nics": (Nic(None, "e1000", vlan=5),)}, "Workstation on this machine cannot tag VLANs"),
    "too many cards": ({"nics": ONE * 11}, "at most 10"),
    "memory that VMware does not take": ({"memory": 257}, "multiples of 4"),
    "a relative folder": ({"folder": "vms"}, "not an absolute path"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused_before_anything_is_made(machine, vmdk, what):
    options, text = BAD[what]
    with pytest.raises(InvalidInput, match=text):
        ensure_present(platform(vmdk, **options), running=True, check_mode=False)
    assert not machine.base.exists()


def test_a_disk_that_vmware_would_not_run_is_refused(machine, tmp_path):
    for name, kind in (("a.vmdk", "streamOptimized"), ("b.qcow2", "qcow2")):
        options = [] if kind == "qcow2" else ["-o", f"subformat={kind}"]
        subprocess.run(["qemu-img", "create", "-q", "-f", name[2:], *options, tmp_path / name, "128M"], check=True)
        with pytest.raises(InvalidInput, match=f"kind monolithicSparse.*is {kind}"):
            platform(tmp_path / name).check()


def test_too_little_room_is_seen_before_anything_is_made(machine, vmdk):
    machine.program("df", f'[ "$2" = {machine.home} ] && echo "head\n/dev/x 9 9 0 9% /"')
    with pytest.raises(NotPossible, match=f"{machine.base} on this machine has 0 MiB free"):
        ensure_present(platform(vmdk), running=True, check_mode=False)
    assert not machine.base.exists()


def test_an_old_vmrun_that_lists_no_networks_will_do(machine, vmdk):
    (machine.home / "old").touch()
    ensure_present(platform(vmdk, (Nic("vmnet9", "e1000"),)), running=False, check_mode=False)
    assert machine.settings("chr1")["ethernet0.vnet"] == "/dev/vmnet9"


def test_a_machine_without_vmrun_says_so(machine, vmdk):
    with pytest.raises(NotPossible, match="this machine has no /Applications/VMware Fusion.app/.*vmrun. Set vmrun"):
        ensure_present(platform(vmdk, product="fusion"), running=True, check_mode=False)
    with pytest.raises(NotPossible, match="this machine has no /opt/vmrun. Set vmrun"):
        ensure_present(platform(vmdk, vmrun="/opt/vmrun"), running=True, check_mode=False)


# -- drift, and VMs of others ----------------------------------------------------------------------


def reconciled(one, *, adopt=False):
    allowed = Allowed(adopt=adopt, reconcile=True, restart=True)
    return ensure_present(one, running=True, check_mode=False, allowed=allowed)


def test_a_vm_that_drifted_is_reconciled_once_and_the_rest_of_its_vmx_stays(machine, vmdk):
    nics = (Nic(None, "vmxnet3"), Nic(None, "e1000"), Nic(None, "e1000"))
    ensure_present(platform(vmdk, nics), running=True, check_mode=False)
    vmx = machine.base / "chr1" / "chr1.vmx"
    text = vmx.read_text().replace('bios.bootOrder = "hdd"', 'bios.bootorder = "ethernet0,hdd"')
    vmx.write_text(
        f'{text}cpuid.coresPerSocket = "2"\nethernet1.generatedAddress = "00:0c:29:00:00:01"\nsound.present = "FALSE"\n'
    )
    nics = (Nic("bridged", "e1000"), Nic("vmnet1", "e1000", "02:00:5e:10:00:01"))
    asked = Hardware(3, 512, tuple(Card(nic.model, nic.mac, nic.network) for nic in nics), True, DISK)
    outcome = reconciled(platform(vmdk, nics, asked=asked))
    assert [(one.what, one.card) for one in outcome.reconciled] == [
        ("cpus", None),
        ("memory", None),
        ("boot", None),
        ("nics", None),
        ("model", 1),
        ("network", 1),
        ("mac", 2),
        ("network", 2),
    ]
    assert machine.running == [str(vmx)]
    settings = {name.lower(): value for name, value in machine.settings("chr1").items()}
    expected = {
        **{"numvcpus": "3", "memsize": "512", "bios.bootorder": "hdd", "sound.present": "FALSE"},
        **{"ethernet0.virtualdev": "e1000", "ethernet0.connectiontype": "bridged", "ethernet2.present": "FALSE"},
        **{"ethernet1.connectiontype": "custom", "ethernet1.vnet": "/dev/vmnet1", "ethernet1.addresstype": "static"},
        **{"ethernet1.address": "02:00:5e:10:00:01", "ide0:0.present": "TRUE"},
    }
    assert expected.items() <= settings.items()
    assert not settings.keys() & {"cpuid.corespersocket", "ethernet1.generatedaddress"}
    assert not reconciled(platform(vmdk, nics, asked=asked)).changed
    more = (*nics, Nic(None, "vmxnet3"))
    assert [one.what for one in reconciled(platform(vmdk, more, asked=Hardware(nics=(Card(),) * 3))).reconciled] == [
        "nics"
    ]


def test_a_vm_that_is_off_is_adopted_and_one_that_runs_or_is_suspended_is_left_alone(machine, vmdk):
    ensure_present(platform(vmdk), running=True, check_mode=False)
    vmx = machine.base / "chr1" / "chr1.vmx"
    vmx.write_text(re.sub('annotation = ".*"', 'annotation = "The |22old|22 router"', vmx.read_text()))
    with pytest.raises(NotPossible, match="'chr1' on VMware Workstation .* runs, .* Shut it down first"):
        reconciled(platform(vmdk), adopt=True)
    machine.stop(vmx)
    assert reconciled(platform(vmdk), adopt=True).adopted
    assert 'annotation = "The |22old|22 router|0A|0Aoutofband.chr: image unknown imported' in vmx.read_text()
    assert not reconciled(platform(vmdk), adopt=True).changed
    machine.stop(vmx)
    vmx.write_text(f'{vmx.read_text()}checkpoint.vmState = "chr1.vmss"\n')
    with pytest.raises(NotPossible, match="is suspended, .* so it was not changed"):
        reconciled(platform(vmdk, asked=Hardware(2)))
