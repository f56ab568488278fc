# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend hyperv: the machine is turned on and off through the OpenSSH server of Windows.

PowerShell and its cmdlets are the lab's; OpenSSH and Ansible are real.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    Unreachable,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.system.hyperv.test_vm import Machine


class Windows:
    """A Windows machine with one VM, behind OpenSSH."""

    def __init__(self, folder):
        self.machine = Machine(folder)
        self.runtime = folder / "cp"
        self.state()
        self.server = Sshd(folder)
        self.server.start(f"SetEnv PATH={self.machine.programs}:{os.environ['PATH']}")

    def state(self, state="Off", names=("chr1",)):
        rest = {"Notes": "", "Path": "C:\\x", "Cpus": 1, "Memory": 1 << 28}
        vms = [{"Name": name, "Id": f"id-{number}", "State": state, **rest} for number, name in enumerate(names)]
        (self.machine.home / "state.json").write_text(json.dumps(vms))

    def power(self, vm="chr1"):
        options = {"ssh_host": self.server.name, "ssh_args": self.server.options, "runtime_directory": self.runtime}
        return open_guest(options_for("hyperv", vm, **options)).power()

    def stop(self):
        for folder in (self.runtime, self.server.folder / "t" / "home" / "cp"):
            for master in folder.glob("chr-??????????"):
                command = ["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"]
                subprocess.run(command, capture_output=True, check=False)
        self.server.stop()


@pytest.fixture
def windows(short_path):
    windows = Windows(short_path)
    yield windows
    windows.stop()


def power(title, state):
    return {"name": title, "outofband.chr.power": {"state": state}}


def test_a_machine_is_turned_on_and_off_and_reset(windows, playbook):
    run = playbook(
        [
            power("start", "started"),
            power("start again", "started"),
            power("reset", "reset"),
            power("stop", "stopped"),
            power("stop again", "stopped"),
            {"name": "script", "outofband.chr.script": {"source": ":put 1"}, "ignore_errors": True},
        ],
        {"chr1": {"chr_backend": "hyperv", "chr_connect_timeout": 30, **windows.server.variables}},
    )
    assert run.rc == 0, run.output
    assert {name for _host, name in run.changed()} == {"start", "reset", "stop"}
    assert windows.machine.vms["chr1"]["Restarts"] == 1
    assert windows.machine.vms["chr1"]["State"] == "Off"
    assert "Hyper-V has no channel to the guest agent" in run.of("script")["result"]["msg"]


def test_what_hyperv_cannot_turn_on_or_off(windows):
    for state in ("Saved", "Paused", "Starting"):
        windows.state(state)
        assert windows.power().is_on()
        with pytest.raises(NotPossible, match=f"is in state {state}, so it was not turned on or off"):
            windows.power().check()
    with pytest.raises(VmNotFound, match="has no VM 'chr9'"):
        windows.power("chr9").is_on()
    windows.state("Off", ("chr1", "CHR1"))
    with pytest.raises(VmAmbiguous, match=r"has 2 VMs named 'chr1' \(id-0, id-1\)"):
        windows.power().check()
    assert not windows.power("ID-1").is_on()


def test_hypervs_own_words_are_passed_on_and_a_lost_machine_is_told(windows):
    (windows.machine.home / "no-memory").touch()
    with pytest.raises(NotPossible, match="was not started: .*Not enough memory"):
        windows.power().start(Deadline(10))
    with pytest.raises(NotPossible, match="was not reset: "):
        windows.power().reset(Deadline(10))
    windows.stop()
    with pytest.raises(Unreachable, match="ssh hypervisor failed"):
        windows.power().is_on()


def test_a_machine_of_windows_must_be_named():
    with pytest.raises(InvalidInput, match="chr_ssh_host is not set for 'chr1'. Set it to the Windows machine"):
        open_guest(options_for("hyperv", "chr1"))
