# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs on this machine and behind OpenSSH: how they ended, and whether they were started at
all."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NotPossible,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import CommandFailed, Machine
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd


@pytest.fixture(params=["here", "behind ssh"])
def machine(request, short_path):
    options = {"runtime_directory": short_path / "run", "connect_timeout": 30, "exec_mode": "auto"}
    if request.param == "here":
        yield Machine(options_for(backend="qemu", vm="chr1", **options))
        return
    sshd = Sshd(short_path)
    sshd.start()
    yield Machine(options_for("qemu", "chr1", ssh_host="hypervisor", ssh_args=sshd.options, **options))
    for master in (short_path / "run").glob("chr-??????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
    sshd.stop()


def ended(machine, script, **more):
    return machine.try_run(["sh", "-c", script], **more)


@pytest.mark.parametrize("status", [0, 1, 99, 255])
def test_the_exit_status_is_that_of_the_program(machine, status):
    """255 is also ssh's own status for a connection that failed."""
    done = ended(machine, f"printf out; printf err >&2; exit {status}")
    assert (done.rc, done.stdout, done.stderr) == (status, "out", "err")


@pytest.mark.parametrize("output", [b"", b"\n", b"no end of line", b"\noutofband-status=0", bytes(range(256))])
def test_output_and_input_are_not_changed(machine, output):
    assert machine.execute(["cat"], output).output == output


def test_arguments_are_not_read_by_a_shell(machine):
    arguments = ["$HOME", "a  b", "it's", '"', "\\n", "", "*", "new\nline"]
    assert machine.run(["printf", "%s|", *arguments]) == "".join(f"{one}|" for one in arguments)


def test_a_file_is_sent_whole_and_from_a_place_on(machine, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 20_000)
    done = machine.feed(["cat"], file, "file", skip=100)
    assert (done.rc, done.output) == (0, file.read_bytes()[100:])
    assert machine.feed(["true"], file, "file").rc == 0  # it takes nothing of it


def test_a_program_that_fails_says_why(machine):
    with pytest.raises(CommandFailed, match="failed with exit code 3: no luck") as failed:
        machine.run(["sh", "-c", "echo no luck >&2; exit 3"])
    assert failed.value.done.rc == 3


def test_a_program_that_does_not_exist_was_not_run(machine):
    with pytest.raises(NotPossible, match=f"{machine.name} cannot run /nowhere/program: "):
        machine.run(["/nowhere/program"])


def test_a_program_that_does_not_end_may_have_done_its_work(machine):
    ended(machine, "true")  # the connection stands
    with pytest.raises(OutcomeUnknown, match="The end of .* was not seen: no answer within 4 s.*was not run again"):
        ended(machine, "sleep 60", seconds=4)
    with pytest.raises(Unreachable, match="The end of .* was not seen"):
        ended(machine, "sleep 60", seconds=4, changes=False)


def test_a_connection_that_breaks_is_told_from_a_program_that_fails(machine):
    if machine.name == "this machine":
        assert ended(machine, "kill -9 $$").rc == -9
        return
    with pytest.raises(OutcomeUnknown, match="The end of .* was not seen"):
        ended(machine, "kill -9 $PPID")


def test_a_machine_that_ssh_cannot_reach_runs_nothing(tmp_path):
    options = options_for("qemu", "chr1", 2, "auto", tmp_path, ssh_host="nobody.invalid")
    with pytest.raises(Unreachable, match="ssh nobody.invalid failed"):
        Machine(options).run(["true"])
