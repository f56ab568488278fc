# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine is turned on and off by its hypervisor, once for each order, and only when that can
be done. The router need not answer for it."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from ansible.playbook.task import Task

from ansible_collections.outofband.chr.plugins.action.power import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TimedOut,
    Unreachable,
    VmBusy,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark, VmSpec
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import EVERYTHING, LabProxmox
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

TOKEN = "root@pam!chr"


@pytest.fixture
def pve():
    with temporary_folder() as folder, LabProxmox(folder) as cluster:
        yield cluster


def guest(pve, vm="chr1", **options):
    login = {"api_token_id": TOKEN, "api_token_secret": "t0ken-secret", "ca_path": str(pve.certificate)}
    return open_guest(
        options_for(
            "proxmox", vm, 1.0, "auto", pve.folder / "run", api_host="localhost", api_port=pve.port, **login, **options
        )
    )


def power(guest, state, *, check_mode=False, diff=False, **arguments):
    task = Task()
    task.check_mode, task.diff = check_mode, diff
    action = ActionModule(task, None, None, None, None, None)
    return action.perform(guest, {"state": state, "method": "auto", "wait": "agent", "timeout": 5.0} | arguments)


def orders(pve):
    return [path.rpartition("/")[2] for method, path, _values in pve.log if method == "POST" and "/status/" in path]


def test_a_vm_is_stopped_and_started_once_and_waited_for(pve):
    vm = pve.add(100, "chr1", accepts_null_path=True)
    one = guest(pve)
    assert power(one, "stopped")["changed"]
    assert not vm.running
    assert not power(one, "stopped")["changed"]
    started = power(one, "started", wait="ready")
    assert (started["changed"], started["state"], started["method"]) == (True, "started", "hypervisor")
    assert vm.running
    assert not power(one, "started")["changed"]
    assert orders(pve) == ["stop", "start"]


def test_a_reset_is_over_when_the_router_has_a_new_uptime(pve):
    vm = pve.add(100, "chr1", accepts_null_path=True, boot_seconds=0.5)
    vm.router.booted_at = vm.router.clock.now().replace(year=2020)
    end = power(guest(pve), "reset", timeout=20.0)
    assert end["changed"]
    assert end["elapsed"] >= 0.5
    assert vm.router.uptime < 10
    assert orders(pve) == ["reset"]


def test_a_router_that_was_not_reset_although_the_hypervisor_says_so_is_told(pve):
    vm = pve.add(100, "chr1", accepts_null_path=True)
    vm.router.booted_at = vm.router.clock.now().replace(year=2020)
    vm.lab.reset = lambda: None
    with pytest.raises(TimedOut, match="was reset, but is not back after 2 s: it answers, but has been up for"):
        power(guest(pve), "reset", timeout=2.0)


def test_an_agent_that_runs_no_scripts_has_answered_after_a_reset_and_its_uptime_is_not_known(pve):
    pve.add(100, "chr1", accepts_null_path=False)
    end = power(guest(pve), "reset")
    assert end["changed"]
    (warning,) = end["warnings"]
    assert "answers after the reset. Its uptime was not read: No way to hand a script" in warning


def test_a_router_that_hangs_is_stopped_and_reset_all_the_same(pve):
    vm = pve.add(100, "chr1")
    vm.lab._away_until = time.monotonic() + 3600
    vm.agent_enabled = False
    assert power(guest(pve), "reset", wait="none")["changed"]
    assert power(guest(pve), "stopped")["changed"]
    assert not vm.running


def test_a_machine_that_runs_without_a_router_that_answers_is_told_after_the_order(pve):
    vm = pve.add(100, "chr1", running=False)
    vm.lab.switches.delimiter = False
    with pytest.raises(Unreachable, match="The guest agent did not answer within 1 s"):
        power(guest(pve), "started", timeout=1.0)
    assert vm.running


def test_a_reboot_can_be_left_alone_or_waited_for_until_the_router_has_its_cards(pve):
    vm = pve.add(100, "chr1", accepts_null_path=True, boot_seconds=0.5)
    vm.router.booted_at = vm.router.clock.now().replace(year=2020)
    alone = power(guest(pve), "rebooted", wait="none")
    assert (alone["changed"], alone["method"]) == (True, "script")
    vm.router.booted_at = vm.router.clock.now().replace(year=2020)
    assert power(guest(pve), "rebooted", wait="ready", timeout=20.0)["elapsed"] >= 0.5
    assert orders(pve) == []


@pytest.mark.parametrize(("state", "changed"), [("started", False), ("stopped", True), ("reset", True)])
def test_check_mode_says_what_would_be_and_sends_nothing(pve, state, changed):
    pve.add(100, "chr1")
    would = power(guest(pve), state, check_mode=True, diff=True)
    assert would["changed"] is changed
    assert would["diff"]["before"] == "started\n"
    assert would["diff"]["after"] == (f"{state}\n" if changed else "started\n")
    assert orders(pve) == []


def test_a_machine_that_is_off_is_not_reset(pve):
    pve.add(100, "chr1", running=False)
    for check_mode in (True, False):
        with pytest.raises(NotPossible, match="'chr1' was not reset, because its machine is off. Use state: started"):
            power(guest(pve), "reset", check_mode=check_mode)
    assert orders(pve) == []


@pytest.mark.parametrize("state", ["started", "stopped", "reset"])
@pytest.mark.parametrize(
    ("lock", "qmpstatus", "said"),
    [
        (
            "backup",
            None,
            r"was not turned on or off, because it is locked \(backup\).*qm unlock.*waited for, for 0.3 s",
        ),
        ("suspended", None, "is locked .suspended.*qm resume"),
        (None, "paused", "is paused, so it was not turned on or off. Resume it"),
        (None, "inmigrate", "is inmigrate.*migration is over"),
    ],
)
def test_a_vm_that_is_locked_paused_or_moving_is_not_touched(pve, state, lock, qmpstatus, said):
    vm = pve.add(100, "chr1")
    vm.qmpstatus = qmpstatus
    if lock:
        vm.config["lock"] = lock
    with pytest.raises(NotPossible, match=said):
        power(guest(pve), state, timeout=0.3)
    assert orders(pve) == []


def backup_of(pve, vm, seconds):
    """A backup of *vm*, which holds its lock for some seconds."""
    vm.config["lock"] = "backup"
    return pve._begin(vm.node, vm.vmid, "bob@pve", "vzdump", lambda log: time.sleep(seconds) or vm.config.pop("lock"))


def test_a_lock_of_another_task_is_waited_for(pve):
    vm = pve.add(100, "chr1")
    backup_of(pve, vm, 1.0)
    assert power(guest(pve), "stopped", timeout=30.0)["elapsed"] >= 1
    assert not vm.running
    assert orders(pve) == ["stop"]


def test_who_holds_a_lock_for_too_long_is_told_and_nothing_is_sent(pve):
    vm = pve.add(100, "chr1")
    upid = backup_of(pve, vm, 3.0)
    with pytest.raises(VmBusy, match=f"It is held by vzdump of bob@pve .{upid}..*It was waited for, for 0.5 s"):
        power(guest(pve), "stopped", timeout=0.5)
    assert (vm.running, orders(pve)) == (True, [])


def test_a_lock_that_comes_between_the_look_and_the_order_is_waited_for(pve):
    vm = pve.add(100, "chr1")
    pve.task_seconds = 0.3
    free = pve._check

    def lock(method, path, values):
        if path.endswith("/status/stop") and not orders(pve)[1:]:
            backup_of(pve, vm, 1.0)
        free(method, path, values)

    pve._check = lock
    assert power(guest(pve), "stopped", timeout=30.0)["changed"]
    assert len(orders(pve)) >= 2
    assert not vm.running


def test_a_template_is_not_started(pve):
    pve.add(100, "chr1", running=False).template = True
    for one in (guest(pve), guest(pve, "100", node="pve1")):
        with pytest.raises(VmNotFound, match="is a template.*which never runs"):
            power(one, "started")
    assert orders(pve) == []


def test_a_name_that_two_vms_have_stops_neither(pve):
    both = [pve.add(100, "chr1"), pve.add(101, "chr1")]
    with pytest.raises(Exception, match="more than one VM that 'chr1' can mean"):
        power(guest(pve), "stopped")
    assert [vm.running for vm in both] == [True, True]


def test_the_privilege_that_is_missing_is_named(pve):
    pve.add(100, "chr1")
    pve.privileges[TOKEN] = EVERYTHING - {"VM.PowerMgmt"}
    with pytest.raises(NotPermitted, match=r"It needs the privilege VM\.PowerMgmt on /vms/100"):
        power(guest(pve), "stopped")


def test_a_machine_that_does_not_start_is_told_in_the_words_of_its_hypervisor(pve):
    pve.add(100, "chr1", running=False)
    pve.task_faults["qmstart"] = "start failed: QEMU exited with code 1"
    with pytest.raises(NotPossible, match="did not start: start failed: QEMU exited with code 1"):
        power(guest(pve), "started")


@pytest.mark.parametrize(("state", "order", "on"), [("started", "start", False), ("stopped", "stop", True)])
def test_an_order_whose_answer_is_lost_is_not_repeated_and_what_the_machine_does_counts(pve, state, order, on):
    vm = pve.add(100, "chr1", running=on)
    pve.lost = [("POST", f"/status/{order}")]
    assert power(guest(pve), state)["changed"]
    assert vm.running is not on
    assert orders(pve) == [order]


def test_an_order_that_was_lost_on_its_way_is_told_when_nothing_happens(pve):
    vm = pve.add(100, "chr1")
    pve.faults["/status/stop"] = "reset"
    with pytest.raises(OutcomeUnknown, match="it was not sent again"):
        power(guest(pve), "stopped", timeout=1.0)
    assert vm.running


def test_a_reset_whose_answer_is_lost_is_not_repeated_and_not_taken_for_done(pve):
    pve.add(100, "chr1")
    pve.lost = [("POST", "/status/reset")]
    with pytest.raises(OutcomeUnknown, match="Whether 'chr1' carried it out is unknown; it was not sent again"):
        power(guest(pve), "reset")
    assert orders(pve) == ["reset"]


def test_a_task_that_goes_on_after_the_timeout_is_told(pve):
    pve.add(100, "chr1")
    pve.task_seconds = 3.0
    with pytest.raises(OutcomeUnknown, match="did not end within 1 s.*It was not started again"):
        power(guest(pve), "stopped", timeout=1.0)


@pytest.mark.parametrize("method", ["script", "agent"])
def test_the_router_has_no_part_in_what_the_hypervisor_does(pve, method):
    pve.add(100, "chr1")
    with pytest.raises(InvalidInput, match="leave method out"):
        power(guest(pve), "stopped", method=method)
    assert pve.log == []


def test_where_a_script_comes_with_a_boot_only_nobody_can_wait_until_the_router_is_ready():
    login = {"api_user": "root", "api_password": "x", "validate_certs": False}
    one = open_guest(options_for("xenapi", "chr1", api_host="nobody.invalid", **login))
    for state in ("started", "reset", "rebooted"):
        with pytest.raises(NotPossible, match="runs a script in 'chr1' only when it boots.*Use wait: agent"):
            power(one, state, wait="ready")


@pytest.mark.parametrize("where", ["/run/vm/chr1.sock", "tcp://127.0.0.1:9"])
def test_a_qemu_that_something_else_started_is_left_to_it(where):
    one = open_guest(options_for("qemu", "chr1", 0.3, socket=where))
    with pytest.raises(
        NotPossible, match="is not the agent.sock in the folder of a VM that outofband.chr.qemu_vm made"
    ):
        power(one, "started")


@pytest.mark.parametrize(("name", "complete"), [(None, True), ("other", True), ("chr1", False)])
def test_a_folder_without_the_mark_of_its_vm_is_left_alone(tmp_path, name, complete):
    folder = tmp_path / "chr1"
    folder.mkdir()
    if name:
        mark = Mark.of(VmSpec(name, 1, 256, (), None), "0" * 64, complete=complete)
        (folder / "notes").write_text(f"{mark}\n")
    (folder / "start").write_text(f"touch {tmp_path}/started\n")
    one = open_guest(options_for("qemu", "chr1", 0.3, socket=f"{folder}/agent.sock"))
    for state in ("started", "stopped"):
        with pytest.raises(NotPossible, match="Use what starts that QEMU"):
            power(one, state)
    assert not (tmp_path / "started").exists()


def test_a_reset_that_the_monitor_does_not_answer_is_unknown_and_was_sent_once():
    """The monitor takes the order and closes its socket, as that of a QEMU that is killed."""
    heard = []

    def monitor(listener):
        with listener.accept()[0] as client, client.makefile("rwb", 0) as stream:
            stream.write(b'{"QMP": {"version": {}, "capabilities": []}}\n')
            heard.append(json.loads(stream.readline())["execute"])
            stream.write(b'{"event": "NIC_RX_FILTER_CHANGED"}\n{"return": {}}\n')
            heard.append(json.loads(stream.readline())["execute"])

    with temporary_folder() as root, socket.socket(socket.AF_UNIX) as listener:
        folder = root / "chr1"
        folder.mkdir()
        mark = Mark.of(VmSpec("chr1", 1, 256, (), None), "0" * 64, complete=True)
        (folder / "notes").write_text(f"{mark}\n")
        listener.bind(str(folder / "qmp.sock"))
        listener.listen()
        thread = threading.Thread(target=monitor, args=(listener,))
        thread.start()
        switch = open_guest(options_for("qemu", "chr1", 1.0, socket=f"{folder}/agent.sock")).power()
        with pytest.raises(OutcomeUnknown, match="did not answer system_reset: QEMU closed it.*it was not sent again"):
            switch.reset(Deadline(5))
        thread.join()
    assert heard == ["qmp_capabilities", "system_reset"]
