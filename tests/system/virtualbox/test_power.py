# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend virtualbox: the machine is turned on and off, and all else is refused at once.

VBoxManage is the lab's; OpenSSH and Ansible are real.
"""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, VmNotFound
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.system.virtualbox.test_vm import Machine

HOST = {"chr1": {"chr_backend": "virtualbox"}}


@pytest.fixture
def machine(short_path, monkeypatch):
    machine = Machine(short_path)
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    machine.manage("createvm", "--name", "chr1", "--ostype", "Linux26_64", "--register")
    return machine


def power(title, state, **more):
    return {"name": title, "outofband.chr.power": {"state": state, **more}}


def test_a_machine_without_an_agent_is_turned_on_and_off_and_not_waited_for(machine, playbook):
    run = playbook(
        [
            power("start", "started"),
            power("start again", "started"),
            {**power("would reset", "reset"), "check_mode": True},
            power("reset", "reset"),
            {**power("wait", "reset", wait="agent"), "ignore_errors": True},
            power("stop", "stopped"),
            power("stop again", "stopped"),
            power("start at once", "started"),
        ],
        HOST,
    )
    assert run.rc == 0, run.output
    assert {name for _host, name in run.changed()} == {"start", "would reset", "reset", "stop", "start at once"}
    assert (
        "backend virtualbox has no channel to its guest agent, so wait: agent would never end"
        in (run.of("wait")["result"]["msg"])
    )
    assert machine.vms["chr1"]["resets"] == 1
    assert machine.vms["chr1"]["state"] == "running"


def test_all_else_is_refused_before_anything_is_sent(machine, playbook):
    tasks = {
        "script": {"outofband.chr.script": {"source": ":put 1"}},
        "secret": {"outofband.chr.script": {"source": ":put secret"}, "no_log": True},
        "wait": {"outofband.chr.wait_for_agent": {}},
        "copy": {"outofband.chr.copy": {"content": "x", "dest": "x"}},
        "reboot": {"outofband.chr.power": {"state": "rebooted"}},
        "shutdown": {"outofband.chr.power": {"state": "shutdown"}},
        "facts": {"outofband.chr.facts": {}},
        "raw": {"ansible.builtin.raw": ":put 1"},
    }
    before = (machine.home / "calls").read_text()
    run = playbook([{"name": name, **task, "ignore_errors": True} for name, task in tasks.items()], HOST)
    said = " ".join(run.output.split())
    assert said.count("only turns the machine on and off: outofband.chr.power") >= len(tasks)
    for name in tasks.keys() - {"secret", "raw"}:
        assert "only turns the machine on and off" in run.of(name)["result"]["msg"], name
    assert (machine.home / "calls").read_text() == before


def test_what_virtualbox_cannot_turn_on_or_off(machine):
    switch = open_guest(options_for("virtualbox", "chr1")).power()
    state = machine.home / "state.json"
    vms = json.loads(state.read_text())
    for name in ("paused", "saved"):
        next(iter(vms.values()))["state"] = name
        state.write_text(json.dumps(vms))
        assert switch.is_on()
        with pytest.raises(NotPossible, match=f"is {name}, so it was not turned on or off"):
            switch.check()
    switch = open_guest(options_for("virtualbox", "chr9")).power()
    with pytest.raises(VmNotFound, match="has no VM 'chr9'"):
        switch.is_on()
    with pytest.raises(NotPossible, match="cannot run /no/such: "):
        open_guest(options_for("virtualbox", "chr1", vboxmanage="/no/such")).power().is_on()


def test_virtualboxs_own_words_are_passed_on(machine):
    switch = open_guest(options_for("virtualbox", "chr1")).power()
    with pytest.raises(NotPossible, match="was not reset: .* is not currently running"):
        switch.reset(Deadline(10))
    (machine.home / "no-driver").touch()
    with pytest.raises(NotPossible, match="was not started: .*VERR_VM_DRIVER_NOT_INSTALLED"):
        switch.start(Deadline(10))
