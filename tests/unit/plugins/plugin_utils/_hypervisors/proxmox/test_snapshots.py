# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of Proxmox VE.

The manual's line: guest filesystems are quiesced automatically when a snapshot is taken.
"""

from __future__ import annotations

import threading

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
    NotQuiesced,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import SnapshotResult
from ansible_collections.outofband.chr.tests.lab.proxmox.server import EVERYTHING

VERSIONS = ["6.2", "7.4", "8.0", "8.4", "9.1"]
# qemu-server before and after each change of its words: refusals are told from 9.0.23 on, and why
# nothing is frozen from 9.1.10 on.
PACKAGES = [("7.4", (7, 4, 7)), ("8.4", (8, 4, 10)), ("9.0", (9, 0, 22)), ("9.0", (9, 0, 23)), ("9.1", (9, 1, 9))]
PACKAGES += [("9.1", (9, 1, 10)), ("9.2", (9, 2, 6))]
each_package = pytest.mark.parametrize(
    ("version", "package"), PACKAGES, ids=[".".join(map(str, package)) for _version, package in PACKAGES]
)


@pytest.fixture
def of(reach):
    """The snapshots of a VM: ``of(pve, "chr1")``."""
    return lambda pve, vm, **more: reach(pve, vm, connect_timeout=1.0, **more).snapshots()


def frozen(vm) -> bool:
    return vm.lab.agent._frozen


@pytest.mark.parametrize("version", VERSIONS)
def test_guest_filesystems_are_quiesced_when_a_snapshot_is_taken_in_each_version(cluster, of, version):
    """Manual, Proxmox: "Guest filesystems are quiesced automatically when a snapshot is taken"."""
    pve = cluster(version)
    vm = pve.add(100, "chr1")
    snapshots = of(pve, "chr1")
    assert snapshots.why_not_quiesced() is None
    assert snapshots.create("first", "Zoë's", True, Deadline(10)) == SnapshotResult()
    assert vm.snapshots["first"]["at_rest"]
    assert not frozen(vm)
    assert snapshots.descriptions() == {"first": "Zoë's"}
    snapshots.remove("first", Deadline(10))
    assert snapshots.descriptions() == {}
    assert pve.invalid == []


@pytest.fixture
def server(cluster, version, package):
    pve = cluster(version)
    pve.qemu_server = package
    return pve


@each_package
def test_a_freeze_that_the_agent_refuses_is_noticed_whether_or_not_the_log_tells(server, of):
    vm = server.add(100, "chr1", commands_off=("guest-fsfreeze-freeze",))
    try:
        why = of(server, "chr1").create("before_freeze", "", True, Deadline(10)).unquiesced
    except NotQuiesced as error:
        why = str(error)
        assert vm.snapshots == {}
    assert "Command not supported" in why
    assert not frozen(vm)
    # and nobody who does not want it quiesced hears of it
    assert not of(server, "chr1").create("second", "", False, Deadline(10)).still_frozen
    assert server.invalid == []


@each_package
def test_a_freeze_without_an_answer_is_noticed_or_was_carried_out(server, of):
    """The agent may freeze and say nothing. What counts is what it says afterwards."""
    vm = server.add(100, "chr1", mute=("guest-fsfreeze-freeze",))
    try:
        taken = of(server, "chr1").create("first", "", True, Deadline(10))
        assert taken.unquiesced is None
        assert vm.snapshots["first"]["at_rest"]
    except NotQuiesced as error:
        assert "got timeout" in str(error)
    assert not frozen(vm)


@pytest.mark.parametrize("prefix", ["", "WARN: "], ids=["as text", "counted"])
def test_a_failed_freeze_is_read_from_the_tasks_log(cluster, of, prefix):
    """Manual, Proxmox: quiesced automatically; the freeze's failure is only a warning of the
    task."""
    pve = cluster()
    pve.warning_prefix = prefix
    vm = pve.add(100, "chr1", commands_off=("guest-fsfreeze-freeze",))
    taken = of(pve, "chr1").create("before_freeze", "", True, Deadline(10))
    assert "unable to freeze guest fs - Command not supported" in taken.unquiesced
    assert not taken.still_frozen
    assert not frozen(vm)


@each_package
@pytest.mark.parametrize("quiesce", [True, False])
def test_a_failed_thaw_is_seen_and_made_good_whether_or_not_the_log_tells(server, of, quiesce):
    vm = server.add(100, "chr1")
    vm.thaws_refused = 1
    taken = of(server, "chr1").create("first", "", quiesce, Deadline(10))
    assert taken.unquiesced is None
    assert "was thawed afterwards" in taken.trouble
    assert (taken.still_frozen, frozen(vm)) == (False, False)
    assert vm.snapshots["first"]["at_rest"]


@each_package
@pytest.mark.parametrize("config", [None, "0", "1,freeze-fs=0", "1"], ids=str)
def test_a_snapshot_without_a_working_agent_is_good_where_quiescing_was_not_asked_for(server, of, config):
    vm = server.add(100, "chr1", mute=("guest-ping",))
    vm.config.pop("agent")
    vm.config |= {"agent": config} if config else {}
    taken = of(server, "chr1").create("first", "", False, Deadline(10))
    assert (taken.still_frozen, taken.trouble) == (False, None)
    if config == "1":
        return  # known before: see below
    with pytest.raises(NotQuiesced, match="No snapshot of .* was taken"):
        of(server, "chr1").create("second", "", True, Deadline(10))
    assert list(vm.snapshots) == ["first"]


def test_what_somebody_else_has_frozen_stays_frozen_and_is_told(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.lab.agent._frozen = True
    taken = of(pve, "chr1").create("first", "", False, Deadline(10))
    assert frozen(vm)
    assert "were frozen before the snapshot, and were left as they are" in taken.trouble
    assert not taken.still_frozen


def test_a_guest_that_this_module_has_frozen_is_thawed_when_the_snapshot_fails(cluster, of):
    pve = cluster("8.4")
    vm = pve.add(100, "chr1")
    snapshots = of(pve, "chr1")
    pve.faults["/snapshot"] = "500 VM is locked (backup)"
    with pytest.raises(NotPossible, match=r"locked \(backup\).*Nothing was started\. .*was thawed afterwards"):
        snapshots.create("first", "", True, Deadline(5))
    assert "guest-fsfreeze-freeze" in vm.lab.agent.log
    assert not frozen(vm)


def test_a_snapshot_that_never_came_to_be_does_not_count_as_one(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.snapshots |= {"good": {"snaptime": 1}, "half": {"snaptime": 2, "snapstate": "prepare"}}
    snapshots = of(pve, "chr1")
    assert snapshots.descriptions() == {"good": ""}
    assert "snapstate: prepare" in snapshots.listed()["half"].unfinished
    assert "qm unlock" in snapshots.listed()["half"].unfinished


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
    obstacle = of(pve, "100").why_not_quiesced()
    assert (says is None and obstacle is None) or says in obstacle
    of(pve, "100").create("first", "", says is None, Deadline(10))
    assert vm.snapshots["first"]["at_rest"] is (says is None)


def test_an_agent_that_does_not_answer_and_a_guest_that_is_frozen_already_are_known_before(cluster, of):
    pve = cluster()
    pve.add(100, "silent", mute=("guest-ping",))
    stuck = pve.add(101, "stuck")
    stuck.lab.agent._frozen = True
    assert "cannot be asked to" in of(pve, "silent").why_not_quiesced()
    assert "frozen already" in of(pve, "stuck").why_not_quiesced()


def test_a_vm_that_is_off_is_at_rest(cluster, of):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.agent_enabled = False
    vm.lab.stop()
    assert of(pve, "chr1").why_not_quiesced() is None
    assert of(pve, "chr1").create("first", "", True, Deadline(10)) == SnapshotResult()
    assert vm.snapshots["first"]["at_rest"]


@pytest.mark.parametrize("name", ["freeze-failed-thaw-error", "fs_freeze_failed", "thaw-problem"])
def test_a_name_that_speaks_of_freezing_is_no_failure(cluster, of, name):
    pve = cluster()
    pve.add(100, "chr1")
    assert of(pve, "chr1").create(name, "", True, Deadline(10)) == SnapshotResult()


@pytest.mark.parametrize("name", ["fr", "ze", "freeze", "guest-fsfreeze-freeze", "guest", "problems"])
def test_no_name_hides_a_failure(cluster, of, name):
    pve = cluster()
    pve.add(100, "chr1", commands_off=("guest-fsfreeze-freeze",))
    assert "unable to freeze" in of(pve, "chr1").create(name, "", True, Deadline(10)).unquiesced


def test_other_warnings_of_a_task_are_passed_on(cluster, of, monkeypatch):
    pve = cluster()
    pve.add(100, "chr1")
    monkeypatch.setattr(pve, "_freeze", lambda log, *rest: log.append("WARN: the storage is almost full"))
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
    assert of(pve, "chr1").create("first", "", True, Deadline(10)) == SnapshotResult()
    pve.task_seconds = 30
    with pytest.raises(OutcomeUnknown, match=r"Task UPID:pve1:.*did not end within 0.3 s \(it still runs\)"):
        of(pve, "chr1").create("second", "", True, Deadline(0.3))
    assert len([one for one in pve.log if one[:2] == ("POST", "/nodes/pve1/qemu/100/snapshot")]) == 2


@pytest.mark.parametrize("fault", ["reset", "cut", "596 Broken pipe"])
def test_an_answer_that_is_lost_leaves_the_outcome_unknown_and_nothing_is_sent_again(cluster, of, fault):
    pve = cluster()
    pve.add(100, "chr1")
    snapshots = of(pve, "chr1")
    snapshots.why_not_quiesced()
    pve.faults["/snapshot"] = fault
    with pytest.raises(OutcomeUnknown, match="not sent again"):
        snapshots.create("first", "", True, Deadline(5))
    pve.faults = {"/status/current": "595 No route to host"}
    with pytest.raises(Unreachable, match="cannot reach the node"):
        snapshots.create("first", "", True, Deadline(5))


def test_a_look_at_a_task_that_fails_is_repeated(cluster, of):
    pve = cluster()
    pve.add(100, "chr1")
    pve.faults["/tasks/"] = "595 No route to host"
    threading.Timer(0.5, pve.faults.clear).start()
    assert of(pve, "chr1").create("first", "", True, Deadline(10)) == SnapshotResult()


def test_a_long_log_is_read_to_its_end(cluster, of, monkeypatch):
    pve = cluster()
    pve.add(100, "chr1", commands_off=("guest-fsfreeze-freeze",))
    warn = pve._warn
    monkeypatch.setattr(
        pve, "_warn", lambda log, *rest: (log.extend(f"{n}% done" for n in range(1200)), warn(log, *rest))
    )
    assert "unable to freeze" in of(pve, "chr1").create("first", "", True, Deadline(10)).unquiesced


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
    snapshots.descriptions()
    vm.node = "pve2"
    assert snapshots.create("first", "", True, Deadline(10)) == SnapshotResult()
