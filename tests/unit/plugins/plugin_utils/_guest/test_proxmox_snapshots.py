# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of Proxmox VE. The manual's line: guest filesystems are quiesced automatically when a snapshot is taken."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.backends import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.snapshots import Taken
from ansible_collections.outofband.chr.tests.lab.proxmox import EVERYTHING, LabProxmox

VERSIONS = ["6.2", "7.4", "8.0", "8.4", "9.1"]


@pytest.fixture
def cluster(tmp_path):
    running = []

    def start(version: str = "9.1", **more):
        folder = tmp_path / f"pve{len(running)}"
        folder.mkdir()
        running.append(LabProxmox(folder, version, **more).__enter__())
        return running[-1]

    yield start
    for one in running:
        one.__exit__()


@pytest.fixture
def of(tmp_path):
    """The snapshots of a VM: ``of(pve, "chr1")``."""

    def one(pve, vm, **more):
        values = {
            "api_host": "localhost",
            "api_port": pve.port,
            "api_token_id": "root@pam!chr",
            "api_token_secret": "t0ken-secret",
            "ca_path": str(pve.certificate),
        } | more
        return open_guest(GuestOptions("proxmox", vm, 1.0, "auto", tmp_path / "run", **values)).snapshots()

    return one


def frozen(vm) -> bool:
    return vm.lab.agent._frozen


@pytest.mark.parametrize("version", VERSIONS)
def test_guest_filesystems_are_quiesced_when_a_snapshot_is_taken_in_each_version(cluster, of, version):
    """Manual, Proxmox: "Guest filesystems are quiesced automatically when a snapshot is taken"."""
    pve = cluster(version)
    vm = pve.add(100, "chr1")
    snapshots = of(pve, "chr1")
    assert snapshots.obstacle() is None
    assert snapshots.create("first", "Zoë's", True, Deadline(10)) == Taken()
    assert vm.snapshots["first"]["at_rest"]
    assert not frozen(vm)
    assert snapshots.listed() == {"first": "Zoë's"}
    snapshots.remove("first", Deadline(10))
    assert snapshots.listed() == {}
    assert pve.invalid == []


@pytest.mark.parametrize("prefix", ["", "WARN: "], ids=["as text", "counted"])
@pytest.mark.parametrize(
    "fault",
    [{"commands_off": ("guest-fsfreeze-freeze",)}, {"mute": ("guest-fsfreeze-freeze",)}],
    ids=["refused", "no answer"],
)
def test_a_failed_freeze_is_noticed_in_the_tasks_log(cluster, of, prefix, fault):
    """Manual, Proxmox: quiesced automatically; the freeze's failure is only a warning of the task."""
    pve = cluster()
    pve.warning_prefix = prefix
    vm = pve.add(100, "chr1", **fault)
    taken = of(pve, "chr1").create("before_freeze", "", True, Deadline(10))
    assert "guest-fsfreeze-freeze problems" in taken.unquiesced
    assert not taken.still_frozen
    assert not frozen(vm)


def test_a_failed_thaw_is_told_and_made_good(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.thaws_refused = 1
    taken = of(pve, "chr1").create("first", "", True, Deadline(10))
    assert taken.unquiesced is None
    assert "could not thaw" in taken.trouble
    assert "was thawed afterwards" in taken.trouble
    assert (taken.still_frozen, frozen(vm)) == (False, False)


def test_a_guest_that_cannot_be_thawed_is_told_loudly(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1", commands_off=("guest-fsfreeze-thaw",))
    taken = of(pve, "chr1").create("first", "", True, Deadline(10))
    assert taken.still_frozen
    assert frozen(vm)
    assert "IS STILL FROZEN" in taken.trouble
    assert "fsfreeze-thaw" in taken.trouble


@pytest.mark.parametrize(
    ("version", "agent", "says"),
    [
        ("9.1", "0", "not enabled"),
        ("9.1", "enabled=0,type=virtio", "not enabled"),
        ("9.1", "1,freeze-fs=0", "freeze-fs=0"),
        ("9.1", "1,guest-fsfreeze=0", "guest-fsfreeze=0"),
        ("9.1", "enabled=1,freeze-fs-on-backup=0", "freeze-fs-on-backup=0"),
        ("8.4", "1,freeze-fs-on-backup=0", None),
        ("9.1", "enabled=1,freeze-fs=1,type=virtio", None),
    ],
)
def test_options_of_the_vm_that_prevent_freezing_are_known_before(cluster, of, version, agent, says):
    pve = cluster(version)
    vm = pve.add(100, "chr1")
    vm.config["agent"] = agent
    obstacle = of(pve, "100").obstacle()
    assert (says is None and obstacle is None) or says in obstacle
    assert of(pve, "100").create("first", "", True, Deadline(10)).unquiesced is None  # the log says nothing of it
    assert vm.snapshots["first"]["at_rest"] is (says is None)


def test_an_agent_that_does_not_answer_and_a_guest_that_is_frozen_already_are_known_before(cluster, of):
    pve = cluster()
    pve.add(100, "silent", mute=("guest-ping",))
    stuck = pve.add(101, "stuck")
    stuck.lab.agent._frozen = True
    assert "cannot be asked to" in of(pve, "silent").obstacle()
    assert "frozen already" in of(pve, "stuck").obstacle()


def test_a_vm_that_is_off_is_at_rest(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.agent_enabled = False
    vm.lab.stop()
    assert of(pve, "chr1").obstacle() is None
    assert of(pve, "chr1").create("first", "", True, Deadline(10)) == Taken()
    assert vm.snapshots["first"]["at_rest"]


@pytest.mark.parametrize("name", ["freeze-failed-thaw-error", "fs_freeze_failed", "thaw-problem"])
def test_a_name_that_speaks_of_freezing_is_no_failure(cluster, of, name):
    pve = cluster()
    pve.add(100, "chr1")
    assert of(pve, "chr1").create(name, "", True, Deadline(10)) == Taken()


@pytest.mark.parametrize("name", ["fr", "ze", "freeze", "guest-fsfreeze-freeze", "guest", "problems"])
def test_no_name_hides_a_failure(cluster, of, name):
    pve = cluster()
    pve.add(100, "chr1", commands_off=("guest-fsfreeze-freeze",))
    assert "problems" in of(pve, "chr1").create(name, "", True, Deadline(10)).unquiesced


def test_other_warnings_of_a_task_are_passed_on(cluster, of, monkeypatch):
    pve = cluster()
    pve.add(100, "chr1")
    monkeypatch.setattr(pve, "_warn", lambda log, vm, command, reply: log.append("WARN: the storage is almost full"))
    taken = of(pve, "chr1").create("first", "", True, Deadline(10))
    assert taken.unquiesced is None
    assert "almost full" in taken.trouble


def test_a_task_that_fails_is_told_in_its_words(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1")
    pve.task_faults = {"qmsnapshot": "snapshot feature is not available", "qmdelsnapshot": "VM is locked (backup)"}
    with pytest.raises(NotPossible, match="'first' of .*failed: snapshot feature is not available"):
        of(pve, "chr1").create("first", "", True, Deadline(10))
    with pytest.raises(NotPossible, match=r"not removed: VM is locked \(backup\)"):
        of(pve, "chr1").remove("first", Deadline(10))
    assert vm.snapshots == {}


def test_a_task_is_waited_for_and_after_the_deadline_its_outcome_is_unknown(cluster, of):
    pve = cluster()
    pve.add(100, "chr1")
    pve.task_seconds = 0.6
    assert of(pve, "chr1").create("first", "", True, Deadline(10)) == Taken()
    pve.task_seconds = 30
    with pytest.raises(OutcomeUnknown, match=r"Task UPID:pve1:.*did not end within 0.3 s \(it still runs\)"):
        of(pve, "chr1").create("second", "", True, Deadline(0.3))
    assert len([one for one in pve.log if one[:2] == ("POST", "/nodes/pve1/qemu/100/snapshot")]) == 2


@pytest.mark.parametrize("fault", ["reset", "cut", "596 Broken pipe"])
def test_an_answer_that_is_lost_leaves_the_outcome_unknown_and_nothing_is_sent_again(cluster, of, fault):
    pve = cluster()
    pve.add(100, "chr1")
    snapshots = of(pve, "chr1")
    snapshots.obstacle()
    pve.faults["/snapshot"] = fault
    with pytest.raises(OutcomeUnknown, match="not sent again"):
        snapshots.create("first", "", True, Deadline(5))
    pve.faults = {"/status/current": "595 No route to host"}
    with pytest.raises(AgentNotThere, match="cannot be reached"):
        snapshots.create("first", "", True, Deadline(5))


def test_a_look_at_a_task_that_fails_is_repeated(cluster, of):
    pve = cluster()
    pve.add(100, "chr1")
    pve.faults["/tasks/"] = "595 No route to host"
    threading.Timer(0.5, pve.faults.clear).start()
    assert of(pve, "chr1").create("first", "", True, Deadline(10)) == Taken()


def test_a_long_log_is_read_to_its_end(cluster, of, monkeypatch):
    pve = cluster()
    pve.add(100, "chr1", commands_off=("guest-fsfreeze-freeze",))
    warn = pve._warn
    monkeypatch.setattr(
        pve, "_warn", lambda log, *rest: (log.extend(f"{n}% done" for n in range(1200)), warn(log, *rest))
    )
    assert "freeze problems" in of(pve, "chr1").create("first", "", True, Deadline(10)).unquiesced


@pytest.mark.parametrize("name", ["current", "pending", "1st", "a", "with blank", "x" * 41, "a/b", "ä1"])
def test_names_that_proxmox_refuses_are_refused_before(cluster, of, name):
    pve = cluster()
    pve.add(100, "chr1")
    with pytest.raises(InvalidInput, match="2 to 40 letters"):
        of(pve, "chr1").check_name(name)


def test_a_missing_privilege_is_named(cluster, of):
    pve = cluster()
    pve.add(100, "chr1")
    pve.privileges["root@pam!chr"] = EVERYTHING - {"VM.Snapshot"}
    with pytest.raises(NotPermitted, match="privilege VM.Snapshot on /vms/100"):
        of(pve, "chr1").create("first", "", True, Deadline(5))


def test_a_vm_that_moved_is_found_again(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1")
    snapshots = of(pve, "chr1")
    snapshots.listed()
    vm.node = "pve2"
    assert snapshots.create("first", "", True, Deadline(10)) == Taken()
