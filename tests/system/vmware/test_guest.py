# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend vmware through ansible-playbook: pyvmomi against govmomi's simulator with the lab's
routers behind it."""

from __future__ import annotations

import io
import json
import socket
import ssl
import threading
import time
import typing as t
from datetime import UTC, datetime

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import vmware_tools
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.vsphere import library
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import recent_list
from ansible_collections.outofband.chr.tests.lab.routeros.files import File
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import PASSWORD, USER, Vcenter
from ansible_collections.outofband.chr.tests.system.conftest import KEEP_SESSIONS


def hosts(vcenter: Vcenter, *names: str, **more: t.Any) -> dict[str, dict[str, t.Any]]:
    return {name: vcenter.variables(**more) for name in names}


def script(source: str, **more: t.Any) -> dict[str, t.Any]:
    return {"name": "go", "outofband.chr.script": {"source": source, **more}}


def note(vcenter: Vcenter, name: str) -> str:
    return vcenter.router(name).run(":put [/system note get note]").output.decode().strip()


# -- scripts ---------------------------------------------------------------------------------------


def test_each_kind_of_script_has_its_result(vcenter, playbook):
    """Manual 7.5, inline, exitCode, failure file, import, arguments, endTime: each has a host here.

    The text is the script; the job ends with 0, or with -1 and a file on the router that has the
    output; guest_file is run as a file on the router; without an endTime the script is still
    running, and nobody says that it ended. That no output can be had is said.
    """
    vc = vcenter("text", "fails", "file", "raw", "long")
    vc.router("file").files["provision.rsc"] = File(b'/system note set note="imported"\n')
    tasks = {
        "text": script('/system note set note="caf\u00e9 <&> done"'),
        "fails": script(':error "broken"'),
        "file": {"outofband.chr.script": {"guest_file": "provision.rsc"}},
        "raw": {"ansible.builtin.raw": "/system note set note=raw"},
        "long": script(":delay 30", timeout=0.5),
    }
    run = playbook(
        [{**task, "name": name, "when": f"inventory_hostname == '{name}'"} for name, task in tasks.items()],
        hosts(vc, *tasks),
    )
    results = {name: run.of(name, name)["result"] for name in tasks}
    assert {name: run.of(name, name)["status"] for name in tasks} == {
        **dict.fromkeys(("text", "file", "raw"), "ok"),
        **dict.fromkeys(("fails", "long"), "failed"),
    }, run.output

    text = results["text"]
    assert (text["rc"], text["stdout"], text["stdout_lines"]) == (0, "", [])
    assert (text["output_available"], text["exec_mode"], text["backend"]) == (False, "inline", "vmware")
    assert note(vc, "text") == "caf\u00e9 <&> done"

    fails = results["fails"]
    assert fails["rc"] == -1
    assert f"'vix_job_{fails['job']} .txt'" in fails["msg"]
    assert b"broken" in vc.router("fails").files[f"vix_job_{fails['job']} .txt"].data

    assert results["file"]["exec_mode"] == "import"
    assert (note(vc, "file"), note(vc, "raw")) == ("imported", "raw")

    assert (results["long"]["timed_out"], results["long"].get("rc")) == (True, None)
    assert "continues as job" in results["long"]["msg"]


def test_console_is_tried_when_inline_is_refused_and_remembered(vcenter, playbook):
    """Manual 7.5, console: the sample's name for inline; the other is tried when one is refused."""
    vcs = {refuse: vcenter("chr1", accept="console", refuse=refuse) for refuse in ("InvalidArgument", "FileNotFound")}
    tasks = [
        {**script("/system note set note=a"), "name": "first"},
        {**script("/system note set note=b"), "name": "second"},
    ]
    run = playbook(tasks, {refuse: vc.variables(chr_vm="chr1") for refuse, vc in vcs.items()})
    assert run.rc == 0, run.output
    for refuse, vc in vcs.items():
        assert run.of("second", refuse)["result"]["exec_mode"] == "console"
        assert vc.counts()["StartProgramInGuest"] == 3
        assert [program for _vm, program, _text in vc.log] == ["console", "console"]


def test_a_forced_way_is_the_only_one(vcenter, playbook):
    vc = vcenter("chr1", accept="console")
    ways = {way: vc.variables(chr_vm="chr1", chr_exec_mode=way) for way in ("inline", "console")}
    run = playbook([script(":put {{ inventory_hostname }}")], ways)
    assert run.of("go", "inline")["status"] == "failed"
    assert "refused the program 'inline'" in run.of("go", "inline")["result"]["msg"]
    assert run.of("go", "console")["status"] == "ok"
    assert [text for _vm, _program, text in vc.log] == [":put console"]


def test_the_routers_own_limit_is_a_time_out(vcenter, vmware_guest, monkeypatch):
    """Manual 7.5, 120 seconds: RouterOS's own limit is told as a time-out, of which no output is
    saved."""
    monkeypatch.setattr(vmware_tools, "LIMIT", 2.0)
    vc = vcenter("chr1", limit=2.0)
    one = vmware_guest(vc, "chr1")
    result = one.run(b":delay 50", 90)
    assert (result.rc, result.timed_out) == (1, True)
    assert "120 s" in one.failure(result, 90)
    assert "vix" not in "".join(vc.router("chr1").files)
    assert result.end.timestamp() - result.start.timestamp() < 45


def test_a_lost_job_is_an_unknown_outcome_and_not_repeated(vcenter, vmware_guest):
    """Manual 7.5, one read: a job that was listed once after its end is gone; that is an unknown
    outcome."""
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
    """Manual 7.5, one minute: a job is forgotten after its time, here one second; that is an
    unknown outcome."""
    vc = vcenter("chr1", retention=1)
    one = vmware_guest(vc, "chr1")
    job = one.start(b":put 1")
    time.sleep(2)
    with pytest.raises(OutcomeUnknown):
        one.wait(job, 5)


def test_a_script_is_sent_with_nothing_beside_its_text(vcenter, playbook, vmware_guest):
    """Manual 7.5, workingDirectory and envVariables: the router ignores them, so none are sent,
    whatever the task has."""
    vc = vcenter("chr1")
    task = {**script("/system note set note=x"), "environment": {"SECRET": "x"}}
    assert playbook([task], hosts(vc, "chr1")).rc == 0
    assert vc.routers.ignored == []
    one = vmware_guest(vc, "chr1")
    spec = library().vim.vm.guest.ProcessManager.ProgramSpec(
        programPath="inline", arguments=":put 1", workingDirectory="/no/where", envVariables=["A=b"]
    )
    machine = one._vsphere.object("VirtualMachine", one._moid)
    pid = one._vsphere.guest_processes().StartProgramInGuest(machine, one._auth(*one.logins[0]), spec)
    assert one.wait(Job(str(pid), datetime.now(UTC), "inline"), 5).rc == 0
    assert vc.routers.ignored == ["/no/where", ["A=b"]]


def test_jobs_of_one_name_are_told_apart_by_their_ids(vcenter, vmware_guest):
    """Manual 7.5, JobID, pid and name: all scripts are called inline; each gets the result of its
    own id."""
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    jobs = [one.start(source) for source in (b":delay 200ms", b':error "x"', b":put 1")]
    assert len({job.id for job in jobs}) == 3
    assert [one.wait(job, 5).rc for job in reversed(jobs)] == [0, -1, 0]


def test_a_listing_of_all_jobs_by_somebody_else_takes_no_result_away(vcenter, vmware_guest):
    """Manual 7.5, empty array: it shows all jobs of the API and is no read of any id; the
    collection itself asks by id only."""
    vc = vcenter("chr1")
    one, other = vmware_guest(vc, "chr1"), vmware_guest(vc, "chr1")
    job = one.start(b":put 1")
    time.sleep(0.5)
    listed = other._list([], Deadline(5))
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
    """Manual 7.5, vmrun and Invoke-VMScript: neither is used; with no program at all on PATH a
    script runs."""
    vc = vcenter("chr1")
    monkeypatch.setenv("PATH", str(tmp_path))
    run = playbook([script(":put 1")], hosts(vc, "chr1"))
    assert run.rc == 0, run.output


@pytest.mark.parametrize("case", ["control", "large"])
def test_what_the_api_cannot_carry_is_refused_before_anything_is_sent(vcenter, vmware_guest, case):
    vc = vcenter("chr1")
    with pytest.raises(ChrError, match="0x01" if case == "control" else "bytes"):
        vmware_guest(vc, "chr1").run(b":put \x01" if case == "control" else b"#" * 300_000, 5)
    assert vc.log == []


# -- state without output --------------------------------------------------------------------------


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


def test_any_text_is_read_exactly_at_a_known_cost(vcenter, vmware_guest):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    for value, most in VALUES.items():
        before = vc.counts().get("StartProgramInGuest", 0)
        data = value.encode("latin-1")
        expression = '"' + "".join(f"\\{byte:02X}" for byte in data) + '"'
        assert one.read(expression, 30) == data
        assert vc.counts()["StartProgramInGuest"] - before <= most, value


def test_a_likely_value_is_cheap_and_a_long_one_refused(vcenter, vmware_guest):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    assert one.read('"CHR"', 5, [b"CHR"]) == b"CHR"
    assert vc.counts()["StartProgramInGuest"] <= 16  # with the one that clears up
    with pytest.raises(NotPossible, match="127 bytes"):
        one.read('"' + "x" * 128 + '"', 5)


def test_spans_of_time_are_read_exactly(vcenter, vmware_guest):
    one = vmware_guest(vcenter("chr1"), "chr1")
    for seconds in (0, 1, 2, 3, 7, 8, 9, 59, 3600, 93784, 100_000_000):
        assert one.read_seconds(f"{seconds}s", 30) == seconds


def test_a_value_that_changes_while_it_is_read_is_never_guessed(vcenter, vmware_guest):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    vc.router("chr1").run(":global count 1000")
    with pytest.raises(ChrError, match="could not be verified"):
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
    assert facts["ansible_net_serialnum"] == router.license.system_id
    assert facts["ansible_net_uptime"].endswith("s")
    info = run.of("info")["result"]
    assert (info["host_name"], info["tools_status"], info["power_state"]) == ("chr1", "guestToolsRunning", "poweredOn")
    assert vc.counts()["StartProgramInGuest"] < 260
    run = playbook([{"name": "go", "outofband.chr.facts": {"gather_subset": ["interfaces"]}}], hosts(vc, "chr1"))
    assert "interfaces is not possible" in run.of("go")["result"]["msg"]


def test_files_are_refused_at_once_with_what_to_do_instead(vcenter, playbook):
    """Manual 7.5, files: host/guest transfer does not exist. Scripts write small text files, and
    what they cannot do is refused with what to do instead."""
    vc = vcenter("chr1")
    tasks = {
        "large": {"outofband.chr.copy": {"content": "x" * 61441, "dest": "x.rsc"}},
        "binary": {"outofband.chr.copy": {"content": "\x00", "dest": "x.rsc"}},
        "fetch": {"outofband.chr.fetch": {"src": "x.rsc", "dest": "got/"}},
    }
    run = playbook([{"name": name, "ignore_errors": True, **task} for name, task in tasks.items()], hosts(vc, "chr1"))
    for name, says in {"large": "more than 61440 bytes", "binary": "not text", "fetch": "reads no files"}.items():
        assert run.of(name)["status"] == "failed"
        assert says in run.of(name)["result"]["msg"]
        assert "/tool fetch" in run.of(name)["result"]["msg"]
    assert vc.counts() == {}


def test_a_small_file_is_copied_once_and_run_and_no_job_leaves_a_file(vcenter, playbook):
    vc = vcenter("chr1")
    text = 'Größe 10 € $x \\ "{}" [/system reboot]\r\n' * 40
    copy = {"content": f"#{text}".replace("\n", "\n#") + "\n/system note set note=ran", "dest": "x.rsc"}
    tasks = [
        {"name": "check", "outofband.chr.copy": copy, "check_mode": True, "diff": True},
        {"name": "first", "outofband.chr.copy": {"content": "", "dest": "x.rsc"}},
        {"name": "second", "outofband.chr.copy": copy, "diff": True},
        {"name": "third", "outofband.chr.copy": copy},
        {"name": "secret", "outofband.chr.copy": {**copy, "dest": "y.rsc"}, "no_log": True},
        {"name": "run", "outofband.chr.script": {"guest_file": "x.rsc"}},
    ]
    run = playbook(tasks, hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    changed = {task["name"]: run.of(task["name"])["result"]["changed"] for task in tasks[:4]}
    assert changed == {"check": True, "first": True, "second": True, "third": False}
    assert run.of("check")["result"]["diff"]["before"] == ""
    assert "reads no files" in run.of("second")["result"]["diff"]["before"]
    assert run.of("second")["result"]["diff"]["after"] == copy["content"]
    files = vc.router("chr1").files
    assert {name: file.data.decode() for name, file in files.items()} == dict.fromkeys(
        ("x.rsc", "y.rsc"), copy["content"]
    )
    assert note(vc, "chr1") == "ran"


def test_a_file_as_large_as_it_can_be_is_written(vcenter, vmware_guest):
    vc = vcenter("chr1")
    data = (b"{}\n" * 30000)[: 60 * 1024]
    assert vmware_guest(vc, "chr1").put(io.BytesIO(data), "x.txt") == len(data)
    assert {name: file.data for name, file in vc.router("chr1").files.items()} == {"x.txt": data}


def test_a_large_file_does_not_count_as_an_empty_one(vcenter, vmware_guest):
    """A script sees no contents of a file of more than 60 KiB."""
    vc = vcenter("chr1")
    vc.router("chr1").files["x.txt"] = File(b"x" * 70_000)
    assert vmware_guest(vc, "chr1").compare("x.txt", io.BytesIO(b"")) is False


def test_a_file_that_the_router_refuses_is_told_and_nothing_is_left(vcenter, vmware_guest):
    vc = vcenter("chr1")
    router = vc.router("chr1")
    run = router.run
    router.run = lambda source, **more: run(b":error full" if b"/file add" in source else source, **more)
    one = vmware_guest(vc, "chr1")
    with pytest.raises(
        TransferFailed, match="did not write the file 'x.txt': .*on 'chr1': full. It needs.*7.9 or later"
    ):
        one.put(io.BytesIO(b"x"), "x.txt")
    with pytest.raises(
        TransferFailed,
        match="'x.txt': The script failed on 'chr1'. VMware does not tell why, and its output was removed",
    ):
        one.put_secret(io.BytesIO(b"x"), "x.txt")
    assert router.files == {}


def test_whether_a_file_is_there_is_not_guessed_when_every_job_fails(vcenter, vmware_guest):
    vc = vcenter("chr1")
    router = vc.router("chr1")
    run = router.run
    router.run = lambda source, **more: run(b":error lost" if b"/file find" in source else source, **more)
    with pytest.raises(ScriptFailed, match="cannot be found out"):
        vmware_guest(vc, "chr1").compare("x.txt", io.BytesIO(b"x"))


# -- the words of a script that failed -------------------------------------------------------------


@pytest.mark.parametrize("name", ["vix_job_{} .txt", "vix_job_{}.txt"], ids=["blank", "no blank"])
def test_the_last_words_of_a_script_that_failed_are_read_if_they_are_asked_for(vcenter, playbook, name):
    """Manual 7.5, failure file: it has the output, which is left for the user as it would be
    without the option. The jobs that read it leave none. That of a script with a secret is removed
    and not read."""
    vc = vcenter("chr1", "secret")
    vc.routers.job_file = name
    source = ':put "before"\n:error "the bridge \\"lan\\" is wrong"'
    tasks = [
        script(source, read_error=True) | {"ignore_errors": True, "when": "inventory_hostname == 'chr1'"},
        script(source, read_error=True) | {"name": "secret", "no_log": True},
    ]
    run = playbook(tasks, hosts(vc, "chr1", "secret"))
    result = run.of("go", "chr1")["result"]
    assert result["msg"].startswith("The script failed on 'chr1': the bridge \"lan\" is wrong")
    assert name.format(result["job"]) in vc.router("chr1").files
    assert len(vc.router("chr1").files) == 1
    assert vc.router("secret").files == {}
    assert len([1 for vm, *_rest in vc.log if vc.routers.routers[vm] is vc.router("secret")]) == 2


def test_without_the_file_the_words_of_a_script_that_failed_are_not_guessed(vcenter, vmware_guest):
    vc = vcenter("chr1")
    vc.routers.job_file = "elsewhere {}"
    one = vmware_guest(vc, "chr1")
    result = one.run(b":error x", 20)
    assert one.with_error_text(result) == result
    assert "does not tell why" in one.failure(result, 20)


# -- what reading leaves ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vix_job_{} .txt", "vix_job_{}.txt"], ids=["blank", "no blank"])
def test_a_batch_of_reads_removes_the_files_of_its_own_jobs_only_also_after_a_failure(vcenter, vmware_guest, name):
    vc = vcenter("chr1")
    vc.routers.job_file = name
    router = vc.router("chr1")
    one = vmware_guest(vc, "chr1")
    assert one.run(b":error mine", 20).rc == -1
    mine = set(router.files)
    assert len(mine) == 1
    assert one.read("[/system identity get name]", 20) == b"chr1"
    assert set(router.files) == mine
    assert one.condition("1 = 2", 20) is False
    with pytest.raises(ScriptFailed):
        one.condition("[/no such menu]", 20)
    with pytest.raises(ScriptFailed):
        one.read("[/no such menu]", 20)
    assert set(router.files) == mine


def test_files_that_could_not_be_removed_are_removed_by_the_next_batch(vcenter, vmware_guest):
    vc = vcenter("chr1")
    router = vc.router("chr1")
    one = vmware_guest(vc, "chr1")
    started = []

    def start(_vm):
        started.append(1)
        if len(started) == 2:  # a false condition has two jobs, and the next one clears up
            vc.fault("StartProgramInGuest", "NoPermission")

    vc.routers.on_start = start
    assert one.condition("1 = 2", 20) is False
    assert len(router.files) == 1
    assert one.condition("1 = 1", 20) is True
    assert router.files == {}


# -- power -----------------------------------------------------------------------------------------


def test_power_reboots_and_shuts_down_and_waits_until_it_is_so(vcenter, playbook):
    ways = {"rebooted": ("auto", "agent"), "shutdown": ("auto", "script")}
    cases = {f"{state}-{method}": (state, method) for state, methods in ways.items() for method in methods}
    vc = vcenter(*cases, boot=1)
    every = {name: vc.variables(state=state, method=method) for name, (state, method) in cases.items()}
    for name in cases:
        vc.router(name).booted_at = vc.router(name).clock.now().replace(year=2020)
    power = {"state": "{{ state }}", "method": "{{ method }}", "timeout": 60}
    run = playbook([{"name": "power", "outofband.chr.power": power}, script(":put 1")], every)
    for name, (state, _method) in cases.items():
        assert run.of("power", name)["status"] == "ok", run.output
        if state == "rebooted":
            assert run.of("go", name)["status"] == "ok"
            assert vc.router(name).uptime < 300
        else:
            assert run.of("go", name)["status"] == "unreachable"
            assert "poweredOff" in run.of("go", name)["result"]["msg"]


def test_a_vm_whose_tools_have_stopped_is_not_off_while_vmware_says_that_it_runs(vcenter, vmware_guest):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    seen = []
    for change in ({"guest__toolsRunningStatus": "guestToolsNotRunning"}, {"runtime__powerState": "poweredOff"}):
        vc.change("chr1", **change)
        seen.append(one.power().is_on())
    assert seen == [True, False]


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


# -- one session for all ---------------------------------------------------------------------------


@pytest.mark.slow
def test_fifty_hosts_and_two_tasks_log_in_once(vcenter, playbook, tmp_path):
    names = [f"chr{number}" for number in range(50)]
    vc = vcenter(*names)
    tasks = [
        script("/system note set note={{ inventory_hostname }}"),
        {"name": "again", "ansible.builtin.raw": ":put 1"},
        KEEP_SESSIONS,
    ]
    run = playbook(tasks, hosts(vc, *names), "--forks=20", "-vvvvv")
    assert run.rc == 0, run.output
    assert [note(vc, name) for name in names] == names
    assert vc.counts()["Login"] == 1
    (kept,) = (tmp_path / "kept").glob("vsphere-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    session = json.loads(kept.read_text())["logins"][0]["session"]["id"]
    for secret in (session, PASSWORD):
        assert secret not in run.output
    assert PASSWORD not in kept.read_text()
    assert vc.counts()["Logout"] == 1
    assert session not in (tmp_path / "home" / "cp" / kept.name).read_text()


def test_a_session_that_was_ended_is_replaced_and_nothing_runs_twice(vcenter, playbook):
    vc = vcenter("chr1")
    vc.fault("StartProgramInGuest", "NotAuthenticated")
    run = playbook([script(":put 1"), {**script(":put 2"), "name": "again"}], hosts(vc, "chr1"))
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


# -- which VM --------------------------------------------------------------------------------------


def test_a_vm_is_found_by_its_name_ids_and_path(vcenter, playbook):
    kinds = ("name", "moid", "uuid", "instance_uuid", "path")
    vc = vcenter(*(f"by-{kind}" for kind in kinds), "other")
    every = {kind: vc.variables(chr_vm=vc.vm(f"by-{kind}")[kind]) for kind in kinds}
    run = playbook([script("/system note set note={{ inventory_hostname }}")], every)
    assert run.rc == 0, run.output
    assert {kind: note(vc, f"by-{kind}") for kind in kinds} == {kind: kind for kind in kinds}
    assert note(vc, "other") == ""


def test_one_of_two_hundred_is_found_with_few_calls(vcenter, vmware_guest):
    vc = vcenter("chr1", copies=200)
    vmware_guest(vc, "chr1").ping()
    for kind in ("name", "moid", "uuid", "path"):
        before = vc.counts()
        assert vmware_guest(vc, vc.vm("chr1")[kind])._moid == vc.vm("chr1")["moid"]
        calls = sum(vc.counts().values()) - sum(before.values())
        # One call to check the list of a moment ago or for that of paths; a uuid is in the index.
        assert calls == (2 if kind == "uuid" else 1)


def test_names_that_were_swapped_a_moment_ago_reach_the_right_vms(vcenter, vmware_guest):
    """The next task uses the list of the last one, and asks whether its VM is still so called."""
    vc = vcenter("chr1", "chr2")
    first, second = vc.vm("chr1")["moid"], vc.vm("chr2")["moid"]
    assert vmware_guest(vc, "chr1")._moid == first
    for moid, name in ((first, "chr2"), (second, "chr1")):
        vc.ask("vm", moid=moid, name=name)
    assert [vmware_guest(vc, name)._moid for name in ("chr1", "chr2")] == [second, first]


def test_tasks_share_a_list_of_all_vms(vcenter, vmware_guest, tmp_path, monkeypatch):
    monkeypatch.setattr(recent_list, "_AGE", 600.0)
    names = [f"chr{number}" for number in range(1, 7)]
    vc = vcenter(*names, copies=200)
    assert len({vmware_guest(vc, name)._moid for name in names[:3]}) == 3
    (listed,) = (tmp_path / "run").glob("chr-list-*.json")
    before = listed.read_text()
    assert len({vmware_guest(vc, name)._moid for name in names}) == 6
    assert listed.read_text() == before


def test_a_task_for_the_whole_fleet_reaches_each_vm_among_two_hundred_others(vcenter, playbook):
    names = [f"chr{number}" for number in range(1, 7)]
    vc = vcenter(*names, copies=200)
    fleet = {"name": "go", "outofband.chr.fleet": {"source": "/system note set note={{ inventory_hostname }}"}}
    run = playbook([fleet], hosts(vc, *names))
    assert run.rc == 0, run.output
    assert {name: note(vc, name) for name in names} == {name: name for name in names}


def test_two_vms_of_one_name_are_both_named_and_neither_is_touched(vcenter, playbook):
    vc = vcenter("twin", "twin", "other")
    run = playbook([script(":put 1")], hosts(vc, "twin", "other"))
    message = run.of("go", "twin")["result"]["msg"]
    assert all(vm["moid"] in message for vm in vc.vms if vm["name"] == "twin")
    assert run.of("go", "other")["status"] == "ok"
    assert len(vc.log) == 1


def test_a_vm_named_like_the_id_of_another_is_ambiguous(vcenter, vmware_guest):
    vc = vcenter("chr1", "like-moid", "like-uuid", "like-instance_uuid")
    ids = [vc.vm("chr1")[kind] for kind in ("moid", "uuid", "instance_uuid")]
    for other, known in zip([one for one in vc.vms if one["name"] != "chr1"], ids, strict=True):
        vc.ask("vm", moid=other["moid"], name=known)
    for known in ids:
        with pytest.raises(ChrError, match="2 VMs"):
            vmware_guest(vc, known).run(b":put 1", 5)
    assert vc.log == []


def test_equal_addresses_reach_each_its_own_vm(vcenter, playbook):
    """Twenty at once, four times over, all with one ansible_host: no script reaches another VM than
    the one named."""
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


# -- faults ----------------------------------------------------------------------------------------

FAULTS = {
    "unknown VM": ({"chr_vm": "nosuch"}, None, "no VM with the name, uuid or id 'nosuch'"),
    "unknown path": ({"chr_vm": "[LocalDS_0] no/no.vmx"}, None, "no VM with the path"),
    "no host": ({"chr_api_host": ""}, None, "chr_api_host is not set"),
    "no host name": ({"chr_api_host": "vc..example.net"}, None, "not a valid host name or address"),
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
    "bad mode": (
        {"chr_exec_mode": "path"},
        None,
        "'path' is not known to backend vmware; set it to one of auto, inline, console, import",
    ),
}


def test_each_fault_has_its_own_sentence_and_no_secret(vcenter, playbook):
    """Each case is a host with a VM of its own, but the silence at the login, which would be that
    of all."""
    vc, silent = vcenter(*FAULTS, "good"), vcenter("silence at login")
    every = hosts(vc, "good")
    every["unchecked"] = vc.variables(chr_vm="good", chr_ca_path=None, chr_validate_certs=False)
    for case, (variables, fault, _says) in FAULTS.items():
        at = silent if fault and fault[0] == "Login" else vc
        every |= {case: at.variables(**variables)}
        if fault:
            at.fault(*fault, **({} if at is silent else {"name": case}))
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as handshake:
        port = handshake.getsockname()[1]
        every["handshake"] = vc.variables(chr_vm="good", chr_api_port=port, chr_connect_timeout=1)
        run = playbook([script("/system note set note=x")], every, f"--forks={len(every)}", "-vvvvv")
    assert time.monotonic() - began < 90
    assert [run.of("go", name)["status"] for name in ("good", "unchecked", "handshake")] == ["ok", "ok", "unreachable"]
    assert "within 1 s" in run.of("go", "handshake")["result"]["msg"]
    for case, (_variables, _fault, says) in FAULTS.items():
        assert run.of("go", case)["status"] in ("failed", "unreachable"), case
        assert says in run.of("go", case)["result"]["msg"], case
    names = {vm["moid"]: vm["name"] for vm in vc.vms}
    ran = [names[vm] for vm, _program, _text in vc.log]
    assert sorted(ran) in (["good", "good"], ["good", "good", "silence at start"])
    assert silent.log == []
    for secret in (PASSWORD, "wr0ng-guest", "Traceback"):
        assert secret not in run.output


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
