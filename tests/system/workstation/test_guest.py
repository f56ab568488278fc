# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend vmrun: scripts and power of a router on Workstation, as far as ``vmrun`` goes.

vmrun is the lab's; the router, OpenSSH and Ansible are as everywhere.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NoSecretWay,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TooLarge,
    Unreachable,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.routeros.files import File
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.workstation.machine import WorkstationMachine, router_of

PASSWORD = "pa55 'word\""
IN_ARGUMENTS = {"guest_password": PASSWORD, "vmrun_password_in_arguments": True}


@pytest.fixture
def machine(short_path, monkeypatch):
    machine = WorkstationMachine(short_path)
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(machine.home))
    return machine


@pytest.fixture
def routers(machine):
    with machine.routers(limit=2.0, power_limit=1.0) as routers:
        yield routers


@pytest.fixture
def router(machine, routers):
    return router_of(routers, machine.add("chr1"))


def guest(vm="chr1", **options):
    return open_guest(options_for("vmrun", vm, **{"connect_timeout": 1.0, **options}))


def set_password(router, password):
    router.run(f"/user set admin password={quote(password)}")


def script(title, source, **more):
    return {"name": title, "outofband.chr.script": {"source": source}, **more}


def test_a_script_runs_and_tells_success_or_failure(machine, router, playbook):
    """Manual 7.5, vmrun: runScriptInGuest runs a script, and there is no output."""
    run = playbook(
        [
            script("go", "/system identity set name=changed\n:put done"),
            script("fails", ':error "no"', ignore_errors=True),
            {"name": "wait", "outofband.chr.wait_for_agent": {"until": '[/system identity get name] = "changed"'}},
        ],
        {"chr1": {"chr_backend": "vmrun"}},
    )
    assert run.rc == 0, run.output
    assert router.identity == "changed"
    went = run.of("go")["result"]
    assert (went["rc"], went["output_available"], went["stdout"], went["backend"]) == (0, False, "", "vmrun")
    failed = run.of("fails")["result"]
    assert failed["rc"] == -1
    assert "vmrun does not tell why" in failed["msg"]


@pytest.mark.parametrize("status", ["0", "1", "255"])
def test_a_script_that_fails_is_seen_whatever_status_vmrun_ends_with(machine, router, status):
    (machine.home / "exit-status").write_text(status)
    assert guest().run(b":error no", 5).rc == -1
    assert guest().run(b":put yes", 5).rc == 0


def test_any_script_arrives_as_it_is_also_behind_ssh(machine, router, short_path):
    source = ':local a "\\$HOME `id` \\\\ \\"quoted\\" \'x\' ä"\n\n/system note set note=$a\n\n'.encode()
    server = Sshd(short_path)
    server.start(f"SetEnv PATH={machine.programs}:{os.environ['PATH']} HOME={machine.home}")
    runtime = short_path / "cp"
    try:
        far = guest(
            runtime_directory=runtime,
            ssh_host=server.name,
            ssh_args=server.options,
            vm=str(machine.base / "chr1" / "chr1.vmx"),
            **IN_ARGUMENTS,
        )
        set_password(router, PASSWORD)
        assert far.run(source, 20).rc == 0
    finally:
        for master in runtime.glob("chr-??????????"):
            subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
        server.stop()
    assert source.decode() in machine.calls


def test_values_are_read_and_nothing_is_left_on_the_router(machine, router):
    one = guest()
    router.files["vix_job_1 .txt"] = File(b"another one's")
    assert one.condition("1 = 1", 5)
    assert not one.condition("1 = 2", 5)
    assert one.read("[/system identity get name]", 5, [b"chr1"]) == b"chr1"
    assert [name for name in router.files if name.startswith("vix_job")] == ["vix_job_1 .txt"]


# -- secrets ---------------------------------------------------------------------------------------


def test_a_password_is_in_the_arguments_of_vmrun_with_consent_only(machine, router):
    set_password(router, PASSWORD)
    with pytest.raises(NotPossible, match="set chr_vmrun_password_in_arguments: true"):
        guest(guest_password=PASSWORD).run(b":put 1", 5)
    assert not (machine.home / "calls").exists()
    assert guest(**IN_ARGUMENTS).run(b":put 1", 5).rc == 0
    assert f"-gp {PASSWORD} runScriptInGuest" in machine.calls


def test_several_logins_are_tried_in_order(machine, router):
    set_password(router, PASSWORD)
    one = guest(guest_password=("", PASSWORD), vmrun_password_in_arguments=True)
    one.check_login()
    assert one.run(b":put 1", 5).rc == 0
    assert [line.split()[3] == "admin" for line in machine.calls.splitlines()] == [True] * 3


def test_the_password_is_in_no_message(machine, router):
    set_password(router, "another")
    with pytest.raises(NotPermitted, match="refused the login of 'admin'") as refused:
        guest(**IN_ARGUMENTS).run(b":put 1", 5)
    assert "pa55" not in str(refused.value)
    machine.program("vmrun", "kill -9 $$")
    with pytest.raises(OutcomeUnknown) as unknown:
        guest(**IN_ARGUMENTS).run(b":put 1", 5)
    assert "pa55" not in str(unknown.value)


def test_a_script_with_a_secret_is_refused_before_anything_is_sent(machine, router, playbook):
    run = playbook(
        [script("secret", "/user set admin password=s3cret", no_log=True)], {"chr1": {"chr_backend": "vmrun"}}, "-vvv"
    )
    assert run.rc != 0
    assert "vmrun takes a script only as an argument" in " ".join(run.output.split())
    assert "s3cret" not in run.output
    assert not (machine.home / "calls").exists()
    with pytest.raises(NoSecretWay):
        guest().run_secret(b":put 1", 5)


def test_an_encrypted_vm_is_refused_with_the_reason(machine):
    machine.add("chr1", 'encryption.keySafe = "vmware:key/list/x"\n')
    for work in (lambda one: one.run(b":put 1", 5), lambda one: one.power().check()):
        with pytest.raises(NotPossible, match="is encrypted. vmrun takes its password only as an argument"):
            work(guest())


# -- what is refused, and what is not known --------------------------------------------------------


def test_what_is_not_there_is_told_apart(machine, router):
    with pytest.raises(VmNotFound, match=r"has no file vmware/chr9/chr9.vmx or vmware/chr9.vmwarevm/chr9.vmx"):
        guest("chr9").ping()
    (machine.home / "no-tools").touch()
    with pytest.raises(Unreachable, match="tools of RouterOS do not run"):
        guest().ping()
    with pytest.raises(Unreachable, match="tools of RouterOS do not run"):
        guest().run(b":put 1", 5)
    machine.add("off", running=False)
    with pytest.raises(Unreachable, match="is not running. Turn it on."):
        guest("off").run(b":put 1", 5)
    with pytest.raises(NotPossible, match="has no /no/vmrun. Set chr_vmrun_program"):
        guest(vmrun_program="/no/vmrun").ping()
    with pytest.raises(TooLarge):
        guest().run(b"#" * 60_001, 5)


def test_a_message_of_vmrun_that_tells_nothing_about_the_script_is_an_unknown_end(machine, router):
    (machine.home / "interpreters").write_text("inline")
    with pytest.raises(OutcomeUnknown, match="A file was not found. Whether it ran is unknown"):
        guest().run(b":put 1", 5)
    assert guest(exec_mode="inline").run(b":put 1", 5).rc == 0


def test_a_script_that_does_not_end_in_time_is_not_waited_for(machine, router):
    assert guest().run(b":delay 30s", 0.5).rc is None


# -- power -----------------------------------------------------------------------------------------


def test_the_machine_is_turned_on_and_off_and_reset(machine, router, playbook):
    def power(title, state, **more):
        return {"name": title, "outofband.chr.power": {"state": state, "timeout": 200, **more}}

    run = playbook(
        [
            power("stop", "stopped"),
            power("stop again", "stopped"),
            power("start", "started", wait="ready"),
            power("start again", "started"),
            power("reset", "reset"),
            power("reboot", "rebooted"),
            power("shut down", "shutdown"),
        ],
        {"chr1": {"chr_backend": "vmrun"}},
    )
    assert run.rc == 0, run.output
    assert {name for _host, name in run.changed()} == {"stop", "start", "reset", "reboot", "shut down"}
    assert machine.running == []


def test_a_power_script_that_fails_keeps_the_router_up_and_a_repetition_ignores_it(machine, router):
    """Manual 7.2, poweroff, failure and repeat: also on Workstation."""
    router.run('/system script add name=poweroff source=":error no"')
    with pytest.raises(NotPossible, match="did not shut down.*poweroff-script.log"):
        guest().shutdown("powerdown")
    assert "poweroff-script.log" in router.files
    assert guest().power().is_on()
    guest().shutdown("powerdown")
    assert not guest().power().is_on()


def test_a_suspended_vm_is_not_turned_on_or_off(machine):
    machine.add("chr1", 'checkpoint.vmState = "chr1.vmss"\n', running=False)
    switch = guest().power()
    assert switch.is_on()
    with pytest.raises(NotPossible, match="is suspended, so it was not turned on or off"):
        switch.check()


def test_vmruns_own_words_are_passed_on(machine, router):
    switch = guest().power()
    switch.stop(Deadline(10))
    with pytest.raises(NotPossible, match="was not stopped: Error: The virtual machine is not powered on"):
        switch.stop(Deadline(10))
