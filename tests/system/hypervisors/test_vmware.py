# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend vmware through ansible-playbook: pyvmomi against govmomi's simulator with the lab's routers behind it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
import typing as t
from datetime import UTC, datetime

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._guest import vmware
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Job, failure
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError, NotPossible, OutcomeUnknown
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vsphere import library
from ansible_collections.outofband.chr.tests.lab.routeros.files import File
from ansible_collections.outofband.chr.tests.lab.vcenter import PASSWORD, USER, Vcenter


def hosts(vcenter: Vcenter, *names: str, **more: t.Any) -> dict[str, dict[str, t.Any]]:
    return {name: vcenter.variables(**more) for name in names}


def script(source: str, **more: t.Any) -> dict[str, t.Any]:
    return {"name": "go", "outofband.chr.script": {"source": source, **more}}


def note(vcenter: Vcenter, name: str) -> str:
    return vcenter.router(name).run(":put [/system note get note]").output.decode().strip()


# -- scripts ---------------------------------------------------------------------------------------------------------


def test_a_script_runs_and_says_that_its_output_cannot_be_had(vcenter, playbook):
    """Manual 7.5, inline, exitCode: the text is the script, the job ends with 0, and that no output can be had is said."""
    vc = vcenter("chr1")
    run = playbook([script('/system note set note="caf\u00e9 <&> done"')], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    result = run.of("go")["result"]
    assert (result["rc"], result["stdout"], result["stdout_lines"]) == (0, "", [])
    assert (result["output_available"], result["exec_mode"], result["backend"]) == (False, "inline", "vmware")
    assert note(vc, "chr1") == "caf\u00e9 <&> done"


def test_a_failing_script_names_the_file_that_routeros_writes(vcenter, playbook):
    """Manual 7.5, exitCode, failure file: -1, and the error names the file on the router that has the output."""
    vc = vcenter("chr1")
    run = playbook([script(':error "broken"')], hosts(vc, "chr1"))
    assert run.rc == 2
    result = run.of("go")["result"]
    assert result["rc"] == -1
    assert f"'vix_job_{result['job']} .txt'" in result["msg"]
    assert b"broken" in vc.router("chr1").files[f"vix_job_{result['job']} .txt"].data


def test_a_file_of_the_router_is_run_by_import(vcenter, playbook):
    """Manual 7.5, import, arguments: guest_file is run as a file on the router."""
    vc = vcenter("chr1")
    vc.router("chr1").files["provision.rsc"] = File(b'/system note set note="imported"\n')
    task = {"name": "go", "outofband.chr.script": {"guest_file": "provision.rsc"}}
    run = playbook([task], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    assert run.of("go")["result"]["exec_mode"] == "import"
    assert note(vc, "chr1") == "imported"


def test_raw_works(vcenter, playbook):
    vc = vcenter("chr1")
    run = playbook([{"name": "go", "ansible.builtin.raw": "/system note set note=raw"}], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    assert note(vc, "chr1") == "raw"


@pytest.mark.parametrize("refuse", ["InvalidArgument", "FileNotFound"])
def test_console_is_tried_when_inline_is_refused_and_remembered(vcenter, playbook, refuse):
    """Manual 7.5, console: the sample's name for inline; the other is tried when one is refused."""
    vc = vcenter("chr1", accept="console", refuse=refuse)
    tasks = [
        {**script("/system note set note=a"), "name": "first"},
        {**script("/system note set note=b"), "name": "second"},
    ]
    run = playbook(tasks, hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    assert run.of("second")["result"]["exec_mode"] == "console"
    assert vc.counts()["StartProgramInGuest"] == 3
    assert [program for _vm, program, _text in vc.log] == ["console", "console"]


def test_a_forced_way_is_the_only_one(vcenter, playbook):
    vc = vcenter("chr1", accept="console")
    run = playbook([script(":put 1")], hosts(vc, "chr1", chr_exec_mode="inline"))
    assert run.rc == 2
    assert "refused the program 'inline'" in run.of("go")["result"]["msg"]
    assert vc.log == []
    assert playbook([script(":put 1")], hosts(vc, "chr1", chr_exec_mode="console")).rc == 0


def test_the_routers_own_limit_is_a_time_out(vcenter, vmware_guest, monkeypatch):
    """Manual 7.5, 120 seconds: RouterOS's own limit is told as a time-out, of which no output is saved."""
    monkeypatch.setattr(vmware, "_LIMIT", 2.0)
    vc = vcenter("chr1", limit=2.0)
    one = vmware_guest(vc, "chr1")
    result = one.run(b":delay 5", 10)
    assert (result.rc, result.timed_out) == (1, True)
    assert "120 s" in failure(one, result, 10)
    assert "vix" not in "".join(vc.router("chr1").files)
    assert result.end.timestamp() - result.start.timestamp() < 4


def test_a_script_that_takes_longer_than_its_timeout_goes_on(vcenter, playbook):
    """Manual 7.5, endTime: without one the script is still running, and nobody says that it ended."""
    vc = vcenter("chr1")
    run = playbook([script(":delay 3", timeout=0.5)], hosts(vc, "chr1"))
    result = run.of("go")["result"]
    assert (result["timed_out"], result.get("rc")) == (True, None)
    assert "goes on as job" in result["msg"]


def test_a_lost_job_is_an_unknown_outcome_and_not_repeated(vcenter, vmware_guest):
    """Manual 7.5, one read: a job that was listed once after its end is gone; that is an unknown outcome."""
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    job = one.start(b":put 1")
    one.wait(job, 5)
    with pytest.raises(OutcomeUnknown, match="not repeated"):
        one.wait(job, 5)
    job = one.start(b":delay 1")
    vc.ask("forget")
    with pytest.raises(OutcomeUnknown, match=f"no longer knows job {job.id}"):
        one.wait(job, 5)
    assert len(vc.log) == 2


def test_a_job_is_known_for_its_time_and_then_lost(vcenter, vmware_guest):
    """Manual 7.5, one minute: a job is forgotten after its time, here one second; that is an unknown outcome."""
    vc = vcenter("chr1", retention=1)
    one = vmware_guest(vc, "chr1")
    job = one.start(b":put 1")
    time.sleep(2)
    with pytest.raises(OutcomeUnknown):
        one.wait(job, 5)


def test_a_script_is_sent_with_nothing_beside_its_text(vcenter, playbook, vmware_guest):
    """Manual 7.5, workingDirectory and envVariables: the router ignores them, so none are sent, whatever the task has."""
    vc = vcenter("chr1")
    task = {**script("/system note set note=x"), "environment": {"SECRET": "x"}}
    assert playbook([task], hosts(vc, "chr1")).rc == 0
    assert vc.routers.ignored == []
    one = vmware_guest(vc, "chr1")
    spec = library().vim.vm.guest.ProcessManager.ProgramSpec(
        programPath="inline", arguments=":put 1", workingDirectory="/no/where", envVariables=["A=b"]
    )
    machine = one._vsphere.object("VirtualMachine", one._moid)
    pid = one._vsphere.guest_processes().StartProgramInGuest(machine, one._auth(), spec)
    assert one.wait(Job(str(pid), datetime.now(UTC), "inline"), 5).rc == 0
    assert vc.routers.ignored == ["/no/where", ["A=b"]]


def test_jobs_of_one_name_are_told_apart_by_their_ids(vcenter, vmware_guest):
    """Manual 7.5, JobID, pid and name: all scripts are called inline; each gets the result of its own id."""
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    jobs = [one.start(source) for source in (b":delay 200ms", b':error "x"', b":put 1")]
    assert len({job.id for job in jobs}) == 3
    assert [one.wait(job, 5).rc for job in reversed(jobs)] == [0, -1, 0]


def test_a_listing_of_all_jobs_by_somebody_else_takes_no_result_away(vcenter, vmware_guest):
    """Manual 7.5, empty array: it shows all jobs of the API and is no read of any id; the collection itself asks by id only."""
    vc = vcenter("chr1")
    one, other = vmware_guest(vc, "chr1"), vmware_guest(vc, "chr1")
    job = one.start(b":put 1")
    time.sleep(0.5)
    listed = other._list([])
    assert {number: (process.name, process.exitCode) for number, process in listed.items()} == {
        int(job.id): ("inline", 0)
    }
    assert one.wait(job, 5).rc == 0


def test_two_hosts_that_name_one_vm_get_their_own_results(vcenter, playbook):
    vc = vcenter("chr1")
    every = {f"host{number}": vc.variables(chr_vm="chr1") for number in range(10)}
    source = ':if ("{{ inventory_hostname }}" = "host3") do={ :error "only here" }'
    run = playbook([script(source)], every, "--forks=10")
    assert {host: run.of("go", host)["result"]["rc"] for host in every} == {
        host: -1 if host == "host3" else 0 for host in every
    }
    assert len(vc.log) == 10


def test_no_program_of_vmware_is_needed(vcenter, playbook, monkeypatch, tmp_path):
    """Manual 7.5, vmrun and Invoke-VMScript: neither is used; with no program at all on PATH a script runs."""
    vc = vcenter("chr1")
    monkeypatch.setenv("PATH", str(tmp_path))
    run = playbook([script(":put 1")], hosts(vc, "chr1"))
    assert run.rc == 0, run.output


@pytest.mark.parametrize("case", ["control", "large"])
def test_what_the_api_cannot_carry_is_refused_before_anything_is_sent(vcenter, vmware_guest, case):
    vc = vcenter("chr1")
    with pytest.raises(GuestError, match="0x01" if case == "control" else "bytes"):
        vmware_guest(vc, "chr1").run(b":put \x01" if case == "control" else b"#" * 300_000, 5)
    assert vc.log == []


# -- state without output --------------------------------------------------------------------------------------------


def test_conditions_work_without_output(vcenter, playbook):
    vc = vcenter("chr1")
    tasks = [
        {**script("/system note set note=x", unless='[/system note get note] = "x"'), "name": "needed"},
        {**script("/system note set note=x", unless='[/system note get note] = "x"'), "name": "not needed"},
        {**script("/system note set note=y", only_if="1 = 2"), "name": "not wanted"},
        {**script(":put 1", unless='"text"'), "name": "no condition", "ignore_errors": True},
        {**script(":put 1", unless="[/no such menu"), "name": "broken", "ignore_errors": True},
    ]
    run = playbook(tasks, hosts(vc, "chr1"))
    assert [run.of(name)["result"]["changed"] for name in ("needed", "not needed", "not wanted")] == [
        True,
        False,
        False,
    ]
    assert "true or false" in run.of("no condition")["result"]["msg"]
    assert "cannot be evaluated" in run.of("broken")["result"]["msg"]


VALUES = {
    "": 15,
    "7.22": 40,
    "edge-router-1": 120,
    "c/ic8J7aefc": 100,
    "7.22 (stable)": 120,
    'a"b$c\\d [x]': 110,
    "caf\u00e9": 60,
    "\x01\xff\n": 60,
    "x" * 127: 800,
}


@pytest.mark.parametrize("value", VALUES)
def test_any_text_is_read_exactly_at_a_known_cost(vcenter, vmware_guest, value):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    data = value.encode("latin-1")
    expression = '"' + "".join(f"\\{byte:02X}" for byte in data) + '"'
    assert one.read(expression, 10) == data
    assert vc.counts()["StartProgramInGuest"] <= VALUES[value]


def test_a_likely_value_is_cheap_and_a_long_one_refused(vcenter, vmware_guest):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    assert one.read('"CHR"', 5, [b"CHR"]) == b"CHR"
    assert vc.counts()["StartProgramInGuest"] <= 15
    with pytest.raises(NotPossible, match="127 bytes"):
        one.read('"' + "x" * 128 + '"', 5)


@pytest.mark.parametrize("seconds", [0, 1, 2, 3, 7, 8, 9, 59, 3600, 93784, 100_000_000])
def test_spans_of_time_are_read_exactly(vcenter, vmware_guest, seconds):
    vc = vcenter("chr1")
    assert vmware_guest(vc, "chr1").read_seconds(f"{seconds}s", 5) == seconds


def test_a_value_that_changes_while_it_is_read_is_never_guessed(vcenter, vmware_guest):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    vc.router("chr1").run(":global count 1000")
    with pytest.raises(GuestError, match="never verified"):
        one.read("[:tostr [:rndnum from=10000000 to=99999999]]", 5)


def test_facts_and_guest_info_come_without_output(vcenter, playbook):
    vc = vcenter("chr1")
    vc.change("chr1", guest__hostName="chr1", guest__ipAddress="192.0.2.7")
    tasks = [{"name": "facts", "outofband.chr.facts": None}, {"name": "info", "outofband.chr.guest_info": None}]
    run = playbook(tasks, hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    facts = run.of("facts")["result"]["ansible_facts"]
    router = vc.router("chr1")
    assert facts["ansible_net_hostname"] == "chr1"
    assert facts["ansible_net_version"] == "7.22 (stable)"
    assert facts["ansible_net_model"] == router.run(":put [/system resource get board-name]").output.decode().strip()
    assert facts["ansible_net_arch"] == "x86_64"
    assert facts["ansible_net_serialnum"] == router.licence.system_id
    assert facts["ansible_net_uptime"].endswith("s")
    info = run.of("info")["result"]
    assert (info["host_name"], info["tools_status"], info["power_state"]) == ("chr1", "guestToolsRunning", "poweredOn")
    assert vc.counts()["StartProgramInGuest"] < 260
    run = playbook([{"name": "go", "outofband.chr.facts": {"gather_subset": ["interfaces"]}}], hosts(vc, "chr1"))
    assert "interfaces cannot be had" in run.of("go")["result"]["msg"]


@pytest.mark.parametrize("module", ["copy", "fetch"])
def test_files_are_refused_at_once_with_what_to_do_instead(vcenter, playbook, module):
    """Manual 7.5, files: host/guest transfer does not exist, and copy and fetch say what to use instead."""
    vc = vcenter("chr1")
    arguments = {"copy": {"content": "x", "dest": "x.rsc"}, "fetch": {"src": "x.rsc", "dest": "got/"}}[module]
    run = playbook([{"name": "go", f"outofband.chr.{module}": arguments}], hosts(vc, "chr1"))
    assert run.rc == 2
    assert "outofband.chr.script" in run.of("go")["result"]["msg"]
    assert vc.counts() == {}


# -- power -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "agent"])
def test_power_reboots_and_waits_until_the_router_is_back(vcenter, playbook, method):
    vc = vcenter("chr1", boot=1)
    router = vc.router("chr1")
    router.booted_at = router.clock.now().replace(year=2020)
    task = {"name": "go", "outofband.chr.power": {"state": "rebooted", "method": method, "timeout": 60}}
    run = playbook([task], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    assert router.uptime < 60


@pytest.mark.parametrize("method", ["auto", "script"])
def test_power_shuts_down_and_waits_until_the_vm_is_off(vcenter, playbook, method):
    vc = vcenter("chr1")
    task = {"name": "go", "outofband.chr.power": {"state": "shutdown", "method": method, "timeout": 60}}
    run = playbook([task], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    run = playbook([script(":put 1")], hosts(vc, "chr1"))
    assert run.of("go")["status"] == "unreachable"
    assert "poweredOff" in run.of("go")["result"]["msg"]


def test_a_router_that_still_boots_is_waited_for(vcenter, playbook):
    vc = vcenter("chr1")
    vc.change("chr1", guest__toolsRunningStatus="guestToolsNotRunning")
    threading.Timer(4, lambda: vc.change("chr1", guest__toolsRunningStatus="guestToolsRunning")).start()
    run = playbook([script("/system note set note=late")], hosts(vc, "chr1", chr_connect_timeout=20))
    assert run.rc == 0, run.output
    assert note(vc, "chr1") == "late"
    vc.change("chr1", guest__toolsRunningStatus="guestToolsNotRunning")
    run = playbook([script(":put 1")], hosts(vc, "chr1", chr_connect_timeout=1))
    assert run.of("go")["status"] == "unreachable"
    assert "guestToolsNotRunning" in run.of("go")["result"]["msg"]


# -- one session for all ---------------------------------------------------------------------------------------------


def test_fifty_hosts_and_two_tasks_log_in_once(vcenter, playbook, tmp_path):
    names = [f"chr{number}" for number in range(50)]
    vc = vcenter(*names)
    tasks = [
        script("/system note set note={{ inventory_hostname }}"),
        {"name": "again", "ansible.builtin.raw": ":put 1"},
    ]
    run = playbook(tasks, hosts(vc, *names), "--forks=20", "-vvvvv")
    assert run.rc == 0, run.output
    assert [note(vc, name) for name in names] == names
    assert vc.counts()["Login"] == 1
    (kept,) = (tmp_path / "home" / "cp").glob("vsphere-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    session = json.loads(kept.read_text())["logins"][0]["session"]["id"]
    for secret in (session, PASSWORD):
        assert secret not in run.output
    assert PASSWORD not in kept.read_text()


def test_a_session_that_was_ended_is_replaced_and_nothing_runs_twice(vcenter, playbook):
    vc = vcenter("chr1")
    assert playbook([script(":put 1")], hosts(vc, "chr1")).rc == 0
    vc.fault("StartProgramInGuest", "NotAuthenticated")
    run = playbook([script(":put 2")], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    assert vc.counts()["Login"] == 2
    assert [text for _vm, _program, text in vc.log] == [":put 1", ":put 2"]


def test_reset_connection_forgets_the_session(vcenter, playbook):
    vc = vcenter("chr1")
    tasks = [
        script(":put 1"),
        {"name": "forget", "ansible.builtin.meta": "reset_connection"},
        {**script(":put 2"), "name": "b"},
    ]
    run = playbook(tasks, hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    assert vc.counts()["Login"] == 2


def test_a_wrong_password_is_sent_once_for_all_hosts(vcenter, playbook):
    """vCenter locks an account after a few failures."""
    names = [f"chr{number}" for number in range(8)]
    vc = vcenter(*names)
    run = playbook([script(":put 1")], hosts(vc, *names, chr_api_password="s3cr3t-wr0ng"), "--forks=4", "-vvvvv")
    assert run.rc == 2
    assert vc.counts()["Login"] == 1
    for name in names:
        assert "wrong user or password" in run.of("go", name)["result"]["msg"]
    assert "s3cr3t-wr0ng" not in run.output
    assert "a moment ago" in run.output
    assert playbook([script(":put 1")], hosts(vc, *names)).rc == 0


# -- which VM --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["name", "moid", "uuid", "instance_uuid", "path"])
def test_a_vm_is_found_by(vcenter, playbook, kind):
    vc = vcenter("chr1", "chr2")
    run = playbook([script("/system note set note=here")], {"any": vc.variables(chr_vm=vc.vm("chr2")[kind])})
    assert run.rc == 0, run.output
    assert (note(vc, "chr1"), note(vc, "chr2")) == ("", "here")


def test_one_of_two_hundred_is_found_quickly(vcenter, vmware_guest):
    vc = vcenter("chr1", vms=200)
    vmware_guest(vc, "chr1").ping()
    for kind in ("name", "moid", "uuid", "path"):
        before = vc.counts()
        began = time.monotonic()
        assert vmware_guest(vc, vc.vm("chr1")[kind])._moid == vc.vm("chr1")["moid"]
        took = time.monotonic() - began
        calls = sum(vc.counts().values()) - sum(before.values())
        print(f"{kind}: {took * 1000:.0f} ms, {calls} calls")
        assert took < 1.0
        assert calls == (3 if kind == "uuid" else 1)


def test_two_vms_of_one_name_are_both_named_and_neither_is_touched(vcenter, playbook):
    vc = vcenter("twin", "twin", "other")
    run = playbook([script(":put 1")], hosts(vc, "twin", "other"))
    message = run.of("go", "twin")["result"]["msg"]
    assert all(vm["moid"] in message for vm in vc.vms if vm["name"] == "twin")
    assert run.of("go", "other")["status"] == "ok"
    assert len(vc.log) == 1


@pytest.mark.parametrize("kind", ["moid", "uuid", "instance_uuid"])
def test_a_vm_named_like_the_id_of_another_is_ambiguous(vcenter, vmware_guest, kind):
    vc = vcenter("chr1", "chr2")
    known = vc.vm("chr2")[kind]
    vc.ask("vm", moid=vc.vm("chr1")["moid"], name=known)
    with pytest.raises(GuestError, match="2 VMs"):
        vmware_guest(vc, known).run(b":put 1", 5)
    assert vc.log == []


def test_equal_addresses_reach_each_its_own_vm(vcenter, playbook):
    """Twenty at once, four times over, all with one ansible_host: no script reaches another VM than the one named."""
    names = [f"chr{number}" for number in range(20)]
    vc = vcenter(*names)
    tasks = [{**script(":put {{ inventory_hostname }}-" + str(turn)), "name": f"go{turn}"} for turn in range(4)]
    every = hosts(vc, *names, ansible_host="192.0.2.1")
    run = playbook(tasks, every, "--forks=20", strategy="free")
    assert run.rc == 0, run.output
    ids = {vm["moid"]: vm["name"] for vm in vc.vms}
    assert sorted((ids[vm], text) for vm, _program, text in vc.log) == sorted(
        (name, f":put {name}-{turn}") for name in names for turn in range(4)
    )


# -- faults ----------------------------------------------------------------------------------------------------------

FAULTS = {
    "unknown VM": ({"chr_vm": "nosuch"}, None, "no VM with the name, uuid or id 'nosuch'"),
    "unknown path": ({"chr_vm": "[LocalDS_0] no/no.vmx"}, None, "no VM with the path"),
    "no host": ({"chr_api_host": ""}, None, "chr_api_host is not set"),
    "no host name": ({"chr_api_host": "vc..example.net"}, None, "no host name or address"),
    "wrong guest password": ({"chr_guest_password": "wr0ng-guest"}, None, "refused the login of 'admin'"),
    "untrusted": ({"chr_ca_path": None}, None, "is not trusted"),
    "no such ca": ({"chr_ca_path": "/nowhere/ca.pem"}, None, "chr_ca_path '/nowhere/ca.pem'"),
    "closed port": ({"chr_api_port": 1}, None, "Connection refused"),
    "no privilege": ({}, ("StartProgramInGuest", "NoPermission"), "VirtualMachine.GuestOperations.Execute"),
    "state": ({}, ("StartProgramInGuest", "InvalidState"), "in a state that allows no guest operation"),
    "other fault": ({}, ("StartProgramInGuest", "strange"), "SystemError"),
    "silence at login": ({"chr_connect_timeout": 1}, ("Login", "5"), "did not answer within 1 s"),
    "silence at start": (
        {"chr_connect_timeout": 1},
        ("StartProgramInGuest", "5"),
        "timed out). Whether it was carried out is unknown",
    ),
    "bad mode": ({"chr_exec_mode": "path"}, None, "'path' is not one of the ways of backend vmware"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_has_its_own_sentence_and_no_secret(vcenter, playbook, case):
    vc = vcenter("chr1", "good")
    variables, fault, says = FAULTS[case]
    if fault:
        vc.fault(*fault)
    every = {"chr1": vc.variables(**variables)} if fault else {"chr1": vc.variables(**variables), **hosts(vc, "good")}
    began = time.monotonic()
    run = playbook([script("/system note set note=x")], every, "-vvvvv")
    assert time.monotonic() - began < 15
    assert run.rc in (2, 4)
    assert says in run.of("go", "chr1")["result"]["msg"]
    assert fault or run.of("go", "good")["status"] == "ok"
    assert len(vc.log) <= 1
    for secret in (PASSWORD, "wr0ng-guest", "Traceback"):
        assert secret not in run.output


def test_a_host_that_hangs_in_the_handshake_is_left_in_time(playbook, vcenter):
    vc = vcenter("chr1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        run = playbook([script(":put 1")], hosts(vc, "chr1", chr_api_port=port, chr_connect_timeout=1))
        assert time.monotonic() - began < 10
    assert run.of("go")["status"] == "unreachable"


def test_certificates_can_be_left_unchecked(vcenter, playbook):
    vc = vcenter("chr1")
    run = playbook([script(":put 1")], hosts(vc, "chr1", chr_ca_path=None, chr_validate_certs=False))
    assert run.rc == 0, run.output


def test_the_environment_can_name_the_vcenter(vcenter, playbook, monkeypatch):
    vc = vcenter("chr1")
    monkeypatch.setenv("VMWARE_HOST", vc.about["host"])
    monkeypatch.setenv("VMWARE_PORT", vc.about["port"])
    monkeypatch.setenv("VMWARE_USER", USER)
    monkeypatch.setenv("VMWARE_PASSWORD", PASSWORD)
    monkeypatch.setenv("VMWARE_VALIDATE_CERTS", "no")
    run = playbook([script(":put 1")], {"chr1": {"chr_backend": "vmware"}})
    assert run.rc == 0, run.output


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyVmomi", None)
    with pytest.raises(NotPossible, match="pip install 'pyvmomi>=9'"):
        library()


def test_pyvmomi_gets_a_context_that_checks(vcenter, vmware_guest):
    """Without a context of its own, pyvmomi checks no certificate of this machine."""
    vc = vcenter("chr1")
    context = vmware_guest(vc, "chr1")._vsphere._new_stub("").schemeArgs["context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
