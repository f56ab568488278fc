# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as its users run it: ansible-playbook against lab routers."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.modules import script as script_module
from ansible_collections.outofband.chr.tests.lab.qga.agent import Refused
from ansible_collections.outofband.chr.tests.lab.routeros import File, Outcome

ADDRESS = {
    "name": "address",
    "outofband.chr.script": {
        "source": "/ip address add address=192.0.2.1/24 interface=ether1",
        "unless": '[:len [/ip address find address="192.0.2.1/24"]] > 0',
    },
}


def hosts(*routers):
    return {router.router.identity: {"chr_socket": str(router.address)} for router in routers}


@pytest.mark.parametrize("number", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_many_routers_with_forks_20_and_no_change_the_second_time(lab, playbook, tmp_path, number):
    fleet = [lab(f"chr{one:02d}") for one in range(number)]
    tasks = [
        ADDRESS,
        {
            "name": "copy",
            "outofband.chr.copy": {"content": "# {{ inventory_hostname }}\n:put hello\n", "dest": "hello.rsc"},
        },
        {"name": "fetch", "outofband.chr.fetch": {"src": "hello.rsc", "dest": f"{tmp_path}/got/"}},
        {"name": "info", "outofband.chr.guest_info": None},
        {"name": "facts", "outofband.chr.facts": {"gather_subset": ["all"]}},
        {"name": "name", "outofband.chr.script": {"source": ":put [/system identity get name]"}, "changed_when": False},
    ]
    first = playbook(tasks, hosts(*fleet), "--forks=20")
    assert first.rc == 0, first.output
    assert first.changed() == {(f"chr{n:02d}", task) for n in range(number) for task in ("address", "copy", "fetch")}
    for router in fleet:
        name = router.router.identity
        assert first.of("name", name)["result"]["stdout"] == name
        assert first.of("info", name)["result"]["host_name"] == name
        facts = first.of("facts", name)["result"]["ansible_facts"]
        assert facts["ansible_net_hostname"] == name
        assert facts["ansible_net_all_ipv4_addresses"] == ["10.0.2.15", "192.0.2.1"]
        assert facts["ansible_net_interfaces"]["ether1"]["ipv4"][1] == {"address": "192.0.2.1", "subnet": "24"}
        assert "add address=192.0.2.1/24" in facts["ansible_net_config"]
        assert (tmp_path / "got" / name / "hello.rsc").read_text() == f"# {name}\n:put hello\n"
    again = playbook(tasks, hosts(*fleet), "--forks=20")
    assert again.rc == 0, again.output
    assert again.changed() == set()


def test_check_mode_predicts_and_changes_nothing_and_diff_shows(lab, playbook, tmp_path):
    chr1 = lab("chr1")
    chr1.router.files["x.txt"] = File(b"old\n")
    tasks = [
        ADDRESS,
        {"name": "copy", "outofband.chr.copy": {"content": "new\n", "dest": "x.txt"}},
        {"name": "fetch", "outofband.chr.fetch": {"src": "x.txt", "dest": f"{tmp_path}/got/"}},
        {"name": "reboot", "outofband.chr.power": {"state": "rebooted"}},
        {"name": "wait", "outofband.chr.wait_for_agent": None},
        {"name": "plain", "outofband.chr.script": {"source": "/system note set note=x"}},
        {"name": "secret", "outofband.chr.script": {"source": ":put hidden1"}, "no_log": True},
        {"name": "vault", "outofband.chr.script": {"src": "vaulted.rsc"}},
        {"name": "file", "outofband.chr.script": {"guest_file": "x.rsc"}},
    ]
    (playbook.folder / "key").write_text("key")
    (playbook.folder / "vaulted.rsc").write_text(":put hidden2")
    vault = [Path(sys.executable).parent / "ansible-vault", "encrypt", "--vault-password-file=key", "vaulted.rsc"]
    subprocess.run(vault, cwd=playbook.folder, check=True, capture_output=True)
    run = playbook(tasks, hosts(chr1), "--check", "--diff", "--vault-password-file=key")
    assert run.rc == 0, run.output
    assert "+/system note set note=x" in run.output and '+/import file-name="x.rsc"' in run.output
    assert "hidden" not in run.output
    assert {task for _host, task in run.changed()} == {
        *("address", "copy", "fetch", "reboot", "plain", "secret", "vault", "file")
    }
    assert "-old\n+new\n" in run.output
    assert chr1.router.files == {"x.txt": chr1.router.files["x.txt"]}
    assert chr1.router.files["x.txt"].data == b"old\n"
    assert not (tmp_path / "got").exists()
    assert b"192.0.2.1" not in chr1.router.run("/ip address print").output


def test_a_failing_script_shows_routeros_own_text_and_only_its_host_fails(lab, playbook):
    good, bad = lab("good"), lab("bad")
    source = (
        '/ip address add address=192.0.2.1/24 interface={{ "ether1" if inventory_hostname == "good" else "ether9" }}'
    )
    run = playbook([{"name": "go", "outofband.chr.script": {"source": source}}], hosts(good, bad))
    assert run.rc == 2
    assert run.of("go", "good")["status"] == "ok"
    failed = run.of("go", "bad")
    assert failed["status"] == "failed"
    assert failed["result"]["rc"] == -1
    assert "input does not match any value of interface" in failed["result"]["msg"]


def test_a_script_that_routeros_does_not_parse_has_changed_nothing(lab, playbook):
    """A parse error anywhere prevents the whole script; an error of a script that runs does not."""
    chr1 = lab("chr1")
    chr1.router.files["x.rsc"] = File(b"/system note set note=x\n/nonsense\n")
    sources = {
        "parsing": "/system note set note=y\n/nonsense",
        "running": '/system note set note=y\n:error "late"',
        "parsed later": '/system note set note=y\n[:parse "/nonsense"]',
    }
    tasks = [
        *({"name": name, "outofband.chr.script": {"source": source}} for name, source in sources.items()),
        {"name": "file", "outofband.chr.script": {"guest_file": "x.rsc"}},
    ]
    run = playbook([{**task, "ignore_errors": True} for task in tasks], hosts(chr1))
    assert {line["status"] for line in run.lines} == {"failed"}
    assert {task for _host, task in run.changed()} == {"running", "parsed later", "file"}


def test_an_import_is_a_success_when_routeros_says_so(lab, playbook):
    """Where it is known to say so; elsewhere, it is told that it did not."""
    known, old, good = lab("known"), lab("old"), lab("good")
    old.router.version = "6.49.10"
    for one in (known, old, good):
        one.router.files["x.rsc"] = File(b":put 1\n/ip address add address=192.0.2.1/24 interface=ether9\n")
        one.router.quiet_import = True
    good.router.files["x.rsc"] = File(b":put 1\n")
    run = playbook([{"name": "file", "outofband.chr.script": {"guest_file": "x.rsc"}}], hosts(known, old, good))
    said = {name: run.of("file", name)["result"] for name in ("known", "old", "good")}
    assert [(one["rc"], one["import_confirmed"]) for one in said.values()] == [(0, False), (0, False), (0, True)]
    assert [run.of("file", name)["status"] for name in said] == ["failed", "ok", "ok"]
    assert "did not say 'Script file loaded" in said["known"]["msg"] and "(line 2)" in said["known"]["msg"]
    assert "is not known" in said["old"]["warnings"][0]
    assert said["good"]["stdout_lines"] == ["1", "Script file loaded and executed successfully"]


def test_an_export_that_is_not_whole_is_refused_or_warned_of(lab, playbook):
    chr1 = lab("chr1")
    chr1.router.export_errors = ('#error exporting "/interface/wifi" (timeout)', "#interrupted")
    documented = yaml.safe_load(script_module.EXAMPLES)
    (example,) = [task for task in documented if task.get("register") == "export"]
    tasks = [
        {"name": "facts", "outofband.chr.facts": {"gather_subset": ["config"]}},
        {"name": "script", "outofband.chr.script": {"source": "/export"}},
        {**example, "name": "documented"},
    ]
    run = playbook([{**task, "ignore_errors": True} for task in tasks], hosts(chr1))
    assert [line["status"] for line in run.lines] == ["failed", "ok", "failed"]
    assert "lacks /interface/wifi (timeout)" in run.of("facts")["result"]["msg"]
    assert "lacks /interface/wifi (timeout)" in run.of("script")["result"]["warnings"][0]
    chr1.router.export_errors = ()
    assert playbook(tasks, hosts(chr1)).rc == 0


def test_what_is_not_utf8_has_the_encoding_that_is_set(lab, playbook):
    chr1 = lab("chr1")
    router = hosts(chr1)["chr1"]
    chr1.router.run('/system identity set name="\\CC\\CE\\D1\\CA"')
    tasks = [
        {"name": "script", "outofband.chr.script": {"source": ":put [/system identity get name]"}},
        {"name": "facts", "outofband.chr.facts": {"gather_subset": ["default"]}},
        {"name": "raw", "ansible.builtin.raw": ":put [/system identity get name]"},
    ]
    run = playbook(tasks, {"chr1": {**router, "chr_encoding": "cp1251"}})
    assert run.of("script")["result"]["stdout"] == "МОСК"
    assert run.of("facts")["result"]["ansible_facts"]["ansible_net_hostname"] == "МОСК"
    assert run.of("raw")["result"]["stdout"] == "МОСК\n"
    wrong = playbook(tasks[:1], {"chr1": {**router, "chr_encoding": "utf-16"}})
    assert "chr_encoding 'utf-16' is not an encoding" in wrong.output


def test_a_router_that_cannot_be_reached_is_unreachable_and_nothing_else_is(lab, playbook, short_path):
    there, gone = lab("there"), lab("gone")
    gone.stop()
    tasks = [{"name": "go", "outofband.chr.script": {"source": ":put 1"}}]
    run = playbook(tasks, {name: {**one, "chr_connect_timeout": 1} for name, one in hosts(there, gone).items()})
    assert run.rc == 4
    assert run.of("go", "there")["status"] == "ok"
    message = run.of("go", "gone")["result"]["msg"]
    assert run.of("go", "gone")["status"] == "unreachable"
    for part in ("'gone'", str(short_path / "gone.sock"), "within 1 s", "refused"):
        assert part in message


def test_raw_ping_wait_for_connection_and_reset_connection_work(lab, playbook):
    chr1 = lab("chr1")
    tasks = [
        {"name": "wait", "ansible.builtin.wait_for_connection": {"timeout": 10}},
        {"name": "ping", "ansible.builtin.ping": None},
        {"name": "raw", "ansible.builtin.raw": ":put [/system identity get name]"},
        {"name": "reset", "ansible.builtin.meta": "reset_connection"},
        {"name": "bad raw", "ansible.builtin.raw": ':error "no luck"', "ignore_errors": True},
    ]
    run = playbook(tasks, hosts(chr1), become=True)
    assert run.rc == 0, run.output
    assert run.of("ping")["result"]["ping"] == "pong"
    assert run.of("raw")["result"]["stdout"] == "chr1\n"
    assert run.of("bad raw")["result"]["rc"] == -1
    assert "no luck" in run.of("bad raw")["result"]["stdout"]


@pytest.mark.parametrize("modules", [None, "outofband.chr.facts"])
def test_gather_facts_works_without_a_warning(lab, playbook, modules):
    """As for ping, the connection answers setup, or the facts of this collection."""
    chr1, chr2 = lab("chr1"), lab("chr2")
    variables = {"ansible_facts_modules": [modules]} if modules else {}
    tasks = [
        {
            "name": "show",
            "ansible.builtin.debug": {"msg": ["{{ ansible_facts.hostname | default(ansible_facts.net_hostname) }}"]},
        },
        {"name": "there", "ansible.builtin.ping": None, "delegate_to": "chr2"},
        {"name": "again", "outofband.chr.facts": {"gather_subset": ["!all"]}},
    ]
    play = {"gather_facts": True, "vars": variables}
    run = playbook(tasks, hosts(chr1, chr2), module_defaults={"outofband.chr.facts": {"max_items": 5}}, **play)
    assert run.rc == 0, run.output
    assert "WARNING" not in run.output
    for name in ("chr1", "chr2"):
        assert run.of("show", name)["result"]["msg"] == [name]
        facts = run.of("Gathering Facts", name)["result"]["ansible_facts"]
        if modules:
            assert facts["chr_router"]["host"] == name
            assert facts["ansible_net_all_ipv4_addresses"] == ["10.0.2.15"]
        else:
            assert (facts["ansible_distribution"], facts["ansible_distribution_version"]) == ("RouterOS", "7.22")
            assert facts["ansible_all_ipv4_addresses"] == ["10.0.2.15"]


def test_gathering_facts_of_a_router_that_is_off_says_so(lab, playbook):
    gone = lab("gone")
    gone.stop()
    run = playbook([], {"gone": {**hosts(gone)["gone"], "chr_connect_timeout": 1}}, gather_facts=True)
    assert run.rc == 4, run.output
    assert "Python" not in run.output


def test_wait_for_connection_and_wait_for_agent_wait_for_a_router_that_boots(lab, playbook):
    chr1 = lab("chr1", boot_seconds=8.0)
    reboot = {"name": "reboot", "ansible.builtin.raw": "/system reboot", "ignore_errors": True}
    tasks = [
        reboot,
        {"name": "own", "outofband.chr.wait_for_agent": {"timeout": 60}},
        reboot,
        {"name": "core", "ansible.builtin.wait_for_connection": {"timeout": 60}},
    ]
    run = playbook(tasks, hosts(chr1))
    assert run.rc == 0, run.output
    for name in ("own", "core"):
        assert run.of(name)["result"]["elapsed"] >= 1


def test_wait_for_agent_gives_up_with_what_was_seen_last(lab, playbook):
    chr1 = lab("chr1")
    chr1.stop()
    began = time.monotonic()
    run = playbook([{"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 2}}], hosts(chr1))
    assert run.of("wait")["status"] == "unreachable"
    assert "within 2 s" in run.of("wait")["result"]["msg"]
    assert "refused" in run.of("wait")["result"]["msg"]
    assert time.monotonic() - began < 90


NEED_PYTHON_OR_A_SHELL = {
    "command": "id",
    "shell": "id",
    "copy": {"content": "x", "dest": "/x"},
    "file": {"path": "/x", "state": "touch"},
    "fetch": {"src": "x", "dest": "/tmp/"},
    "template": {"src": "play.yml", "dest": "~/x"},
    "script": "play.yml",
}


def test_modules_that_need_python_or_a_shell_fail_with_one_sentence_and_run_nothing(lab, playbook):
    chr1 = lab("chr1")
    tasks = [
        {"name": module, f"ansible.builtin.{module}": arguments, "ignore_errors": True}
        for module, arguments in NEED_PYTHON_OR_A_SHELL.items()
    ]
    run = playbook(tasks, hosts(chr1))
    for module in NEED_PYTHON_OR_A_SHELL:
        assert run.of(module)["status"] == "failed"
        assert "RouterOS has neither. Use outofband.chr.script" in str(run.of(module)["result"]), module
    assert "guest-exec" not in chr1.agent.log


SECRET = "s3cr3t-Pa55"


def repeat(**arguments):
    """An agent that refuses a script and repeats it in its error."""
    raise Refused(f"bad {arguments} {base64.b64decode(arguments['input_data'])!r}")


def test_a_secret_under_no_log_is_nowhere_at_any_verbosity(lab, playbook, tmp_path):
    chr1, echo = lab("chr1"), lab("echo")
    echo.agent._guest_exec = repeat
    tasks = {
        "script": {"outofband.chr.script": {"source": ':put "{{ secret }}"\n:error "{{ secret }}"'}},
        "copy": {"outofband.chr.copy": {"content": "{{ secret }}", "dest": "a/b"}},
        "raw": {"ansible.builtin.raw": f':error "{SECRET}"'},
    }
    run = playbook(
        [{"name": name, "no_log": True, "diff": True, "ignore_errors": True, **task} for name, task in tasks.items()],
        {name: {"chr_socket": one.address, "secret": SECRET} for name, one in (("chr1", chr1), ("echo", echo))},
        "-vvvvv",
    )
    assert [run.of(name, "chr1")["status"] for name in tasks] == ["failed"] * 3, run.output
    assert [run.of(name, "echo")["status"] for name in tasks] == ["failed"] * 3, run.output
    assert SECRET not in run.output
    assert base64.b64encode(SECRET.encode()).decode()[:-2] not in run.output
    leaks = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert leaks == []


def test_a_vaulted_script_runs_and_is_never_decrypted_to_a_file(lab, playbook, tmp_path):
    chr1 = lab("chr1")
    (tmp_path / "password").write_text("vault\n")
    script = tmp_path / "files" / "secret.rsc"
    script.parent.mkdir()
    script.write_text(f'/system note set note="{SECRET}"\n')
    vault = Path(sys.executable).parent / "ansible-vault"
    subprocess.run([vault, "encrypt", "--vault-password-file", tmp_path / "password", script], check=True)
    watched = tmp_path / "tmp"
    watched.mkdir()
    tasks = [
        {"name": "run", "outofband.chr.script": {"src": "secret.rsc"}},
        {"name": "copy", "outofband.chr.copy": {"src": "secret.rsc"}},
    ]
    os.environ["TMPDIR"] = str(watched)
    try:
        run = playbook(tasks, hosts(chr1), "--vault-password-file=password")
    finally:
        del os.environ["TMPDIR"]
    assert run.rc == 0, run.output
    assert chr1.router.run(":put [/system note get note]").output == SECRET.encode() + b"\r\n"
    assert SECRET.encode() in chr1.router.files["secret.rsc"].data
    assert SECRET not in run.output


def test_conditions_decide_whether_a_script_runs(lab, playbook):
    chr1 = lab("chr1")
    note = {"source": "/system note set note=x"}
    tasks = [
        {"name": "needed", "outofband.chr.script": {**note, "only_if": "1 = 1"}},
        {"name": "not needed", "outofband.chr.script": {**note, "only_if": "1 = 2"}},
        {"name": "no condition", "outofband.chr.script": {**note, "unless": '"text"'}, "ignore_errors": True},
        {"name": "broken", "outofband.chr.script": {**note, "unless": "[/no such menu"}, "ignore_errors": True},
    ]
    run = playbook(tasks, hosts(chr1))
    assert run.of("needed")["result"]["changed"] is True
    assert run.of("not needed")["result"]["changed"] is False
    assert "true or false" in run.of("no condition")["result"]["msg"]
    assert "cannot be evaluated" in run.of("broken")["result"]["msg"]


BAD = {
    "unknown backend": ({"chr_backend": "bhyve"}, {"source": ":put 1"}, "bhyve"),
    "no VM": ({"chr_vm": " ", "ansible_host": "chr2"}, {"source": ":put 1"}, "chr_vm is empty"),
    "empty VM": ({"chr_vm": "", "ansible_host": "chr2"}, {"source": ":put 1"}, "chr_vm is empty"),
    "no backend": ({"chr_backend": ""}, {"source": ":put 1"}, "chr_backend is not set for 'chr1'"),
    "no socket": ({"chr_socket": ""}, {"source": ":put 1"}, "chr_socket"),
    "missing socket": ({"chr_socket": "/nowhere/x.sock"}, {"source": ":put 1"}, "/nowhere/x.sock"),
    "no agent": ({"chr_socket": "/dev/null"}, {"source": ":put 1"}, "/dev/null is not a socket"),
    "closed port": ({"chr_socket": "tcp://127.0.0.1:1"}, {"source": ":put 1"}, "tcp://127.0.0.1:1"),
    "empty": ({}, {"source": ""}, "empty"),
    "nul": ({}, {"src": "nul.rsc"}, "NUL byte at offset 5"),
    "not utf-8": ({}, {"src": "latin1.rsc"}, "0xE9 at offset 6"),
    "a dictionary": ({}, {"source": {":put": 1}}, "source must be text or a list of lines"),
    "a list of other things": ({}, {"source": [":put 1", 2]}, "source is a list whose item 2 is not text"),
    "utf-16": ({}, {"src": "utf16.rsc"}, "src 'utf16.rsc' is encoded in UTF-16. Save it as UTF-8"),
    "a condition with NUL": ({}, {"source": ":put 1", "unless": "1 = \0"}, "unless has a NUL byte at offset 4"),
    "1 MB": ({}, {"src": "large.rsc"}, "1048576 bytes"),
    "no such source": ({}, {"src": "nosuch.rsc"}, "src 'nosuch.rsc' was not found on the controller"),
    "no such guest file": ({}, {"guest_file": "nosuch.rsc"}, "nosuch.rsc"),
    "nothing": ({}, {}, "guest_file"),
    "too much": ({}, {"source": ":put 1", "src": "large.rsc"}, "mutually exclusive"),
    "unknown option": ({}, {"source": ":put 1", "soruce": "x"}, "soruce"),
    "number": ({}, {"source": ":put 1", "timeout": "soon"}, "timeout"),
}


def test_bad_input_ends_in_one_clear_sentence_and_changes_nothing(lab, playbook, tmp_path):
    """Each case is a host; all are connected to one router."""
    chr1 = lab("chr1")
    before = chr1.router.run("/export").output.splitlines()[1:]
    (tmp_path / "nul.rsc").write_bytes(b":put \0")
    (tmp_path / "latin1.rsc").write_bytes(b':put "\xe9"')
    (tmp_path / "utf16.rsc").write_bytes(":put 1".encode("utf-16"))
    (tmp_path / "large.rsc").write_bytes(b"#" * 1_048_576)
    common = {"chr_socket": str(chr1.address), "chr_vm": "chr1", "chr_connect_timeout": 2}
    cases = {
        case: {**common, **variables, "arguments": arguments} for case, (variables, arguments, _says) in BAD.items()
    }
    began = time.monotonic()
    run = playbook([{"name": "go", "outofband.chr.script": "{{ arguments }}"}], cases, f"--forks={len(cases)}")
    assert time.monotonic() - began < 60
    assert "Traceback" not in run.output
    for case, (_variables, _arguments, says) in BAD.items():
        assert run.of("go", case)["status"] in ("failed", "unreachable"), case
        assert says in run.of("go", case)["result"]["msg"], case
    for case in ("missing socket", "closed port"):
        assert "within 2 s" in run.of("go", case)["result"]["msg"]
    assert chr1.router.run("/export").output.splitlines()[1:] == before


BAD_OF_OTHERS = [
    ("copy", {"content": "x", "dest": "dir/x.rsc"}, "'dir/x.rsc' names a folder"),
    ("copy", {"content": "x"}, "dest is missing"),
    ("copy", {"src": "nosuch.bin"}, "nosuch.bin"),
    ("copy", {"src": "."}, "folder"),
    (
        "copy",
        {"src": "large.bin"},
        "'large.bin' would have 67108864 bytes, and 'chr1' has 62914560 free. Nothing was written",
    ),
    ("copy", {"src": "large.bin", "max_size": "1M"}, "max_size"),
    ("fetch", {"src": "there.txt", "dest": "got/", "max_size": "0"}, "max_size"),
    ("fetch", {"src": "dir/x.rsc", "dest": "got/"}, "'dir/x.rsc' names a folder"),
    ("fetch", {"src": "nosuch.txt", "dest": "got/"}, "nosuch.txt"),
    ("fetch", {"src": "there.txt", "dest": "/proc/nowhere/"}, "/proc/nowhere"),
    ("facts", {"gather_subset": ["everything"]}, "'everything' is not a valid subset"),
    ("power", {"state": "on"}, "rebooted, shutdown"),
]


def test_bad_input_to_the_other_modules_ends_in_one_clear_sentence(lab, playbook, tmp_path):
    chr1 = lab("chr1")
    with (tmp_path / "large.bin").open("wb") as large:
        large.truncate(64 << 20)  # the router has 60 MiB free
    chr1.router.files["there.txt"] = File(b"x")
    tasks = [
        {"name": str(number), f"outofband.chr.{module}": arguments, "ignore_errors": True}
        for number, (module, arguments, _says) in enumerate(BAD_OF_OTHERS)
    ]
    run = playbook(tasks, hosts(chr1))
    for number, (_module, _arguments, says) in enumerate(BAD_OF_OTHERS):
        assert run.of(str(number))["status"] == "failed", says
        assert says in run.of(str(number))["result"]["msg"]
    assert list(chr1.router.files) == ["there.txt"]


def test_modules_on_another_connection_say_which_one_they_need(playbook):
    run = playbook([{"name": "go", "outofband.chr.guest_info": None}], {"x": {"ansible_connection": "local"}})
    assert run.rc == 2
    assert "outofband.chr.guest_agent" in run.of("go")["result"]["msg"]


POWER = {
    "name": "go",
    "outofband.chr.power": {
        "state": "{{ state }}",
        "method": "{{ method | default(omit) }}",
        "timeout": "{{ seconds | default(60) }}",
    },
}


def test_power_waits_until_the_router_is_back_or_its_agent_gone(lab, playbook):
    ways = {"rebooted": ("auto", "agent"), "shutdown": ("auto", "script")}
    routers = {}
    cases = {}
    for state, methods in ways.items():
        for method in methods:
            name = f"{state}-{method}"
            routers[name] = lab(name, boot_seconds=1.0)
            routers[name].router.booted_at = routers[name].router.clock.now().replace(year=2020)
            cases[name] = {"chr_socket": routers[name].address, "state": state, "method": method}
    run = playbook([POWER], cases)
    assert run.rc == 0, run.output
    for name, one in routers.items():
        if name.startswith("rebooted"):
            assert one.router.uptime < 300
            assert run.of("go", name)["result"]["elapsed"] >= 1
        else:
            assert not Path(one.address).is_socket() or one._listener is None


def test_power_tells_when_the_router_did_not_do_it_and_does_not_call_it_unreachable(lab, playbook):
    """Nor is a shutdown believed because somebody else holds the channel."""
    said = {"rebooted": "did not reboot", "shutdown": "has not done so", "held": "has not done so"}
    routers = {name: lab(name) for name in said}
    for one in routers.values():
        one.router.booted_at = one.router.clock.now().replace(year=2020)
        one.router.on_power = lambda what: None

    def ignore_and_hold(what):
        routers["held"].holder = socket.socket(socket.AF_UNIX)
        routers["held"].holder.connect(routers["held"].address)

    routers["held"].router.on_power = ignore_and_hold
    cases = {
        name: {"chr_socket": one.address, "state": name if name != "held" else "shutdown", "seconds": 8}
        for name, one in routers.items()
    }
    run = playbook([POWER], cases)
    for name, words in said.items():
        assert run.of("go", name)["status"] == "failed"
        assert words in run.of("go", name)["result"]["msg"]


def test_the_action_group_sets_defaults(lab, playbook):
    chr1 = lab("chr1")
    tasks = [{"name": "go", "outofband.chr.script": {"source": ":delay 3"}}]
    run = playbook(tasks, hosts(chr1), module_defaults={"group/outofband.chr.chr": {"timeout": 0.3}})
    assert run.rc == 2
    assert run.of("go")["result"]["timed_out"] is True
    assert "within 0.3 s" in run.of("go")["result"]["msg"]


def test_the_action_group_of_vms_sets_what_they_share(playbook, tmp_path):
    options = {"outofband.chr.qemu_vm": {"name": "x"}, "outofband.chr.proxmox_vm": {"name": "x", "storage": "local"}}
    tasks = [{"name": task, task: given, "ignore_errors": True} for task, given in options.items()]
    image = str(tmp_path / "none.img")
    run = playbook(tasks, {"x": {}}, module_defaults={"group/outofband.chr.chr_vm": {"image": image}})
    for task in options:
        assert f"The image {image!r} cannot be read" in run.of(task)["result"]["msg"]


def test_router_output_cannot_control_the_terminal_and_is_not_templated(lab, playbook):
    chr1 = lab("chr1")
    tasks = [
        {
            "name": "go",
            "outofband.chr.script": {"source": ':put "{% raw %}{{ 1 + 1 }}{% endraw %}"\n:error "\\1B[31mred"'},
            "register": "out",
            "ignore_errors": True,
        },
        {"name": "show", "ansible.builtin.debug": {"msg": "{{ out.stdout_lines[0] }}"}},
    ]
    run = playbook(tasks, hosts(chr1))
    assert "\x1b[31m" not in run.output
    assert run.of("show")["result"]["msg"] == "{{ 1 + 1 }}"


def test_output_that_is_not_utf8_reaches_a_file_byte_for_byte(lab, playbook, tmp_path):
    chr1 = lab("chr1")
    tasks = [
        {"name": "go", "outofband.chr.script": {"source": ':put "caf\\E9"'}, "register": "out"},
        {
            "name": "keep",
            "ansible.builtin.copy": {"content": "{{ out.stdout }}", "dest": f"{tmp_path}/kept"},
            "delegate_to": "localhost",
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        },
    ]
    run = playbook(tasks, hosts(chr1))
    assert run.rc == 0, run.output
    assert (tmp_path / "kept").read_bytes() == b"caf\xe9"


def test_each_item_of_a_loop_reaches_the_router_that_it_names(lab, playbook):
    routers = [lab(f"chr{number}") for number in (1, 2, 3)]
    sockets = {"chr_socket": "{{ item }}"}
    loop = [router.address for router in routers]
    source = ":put [/system identity get name]"
    tasks = [
        {"name": "raw", "ansible.builtin.raw": source, "vars": sockets, "loop": loop},
        {"name": "script", "outofband.chr.script": {"source": source}, "vars": sockets, "loop": loop},
    ]
    run = playbook(tasks, {"any": {"chr_socket": "/nowhere"}})
    assert run.rc == 0, run.output
    said = {line["task"]: [one["stdout"] for one in line["result"]["results"]] for line in run.lines}
    assert said == {"raw": ["chr1\n", "chr2\n", "chr3\n"], "script": ["chr1", "chr2", "chr3"]}


def test_one_routers_odd_bytes_do_not_break_a_run_with_a_fact_cache(lab, playbook, tmp_path, monkeypatch):
    odd, even = lab("odd"), lab("even")
    odd.router.run('/system identity set name="caf\\E9\\1B[31m"')
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN", "jsonfile")
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path / "facts"))
    tasks = [
        {"name": "facts", "outofband.chr.facts": {"gather_subset": ["all"]}},
        {"name": "info", "outofband.chr.guest_info": None},
        {"name": "after", "ansible.builtin.debug": {"msg": "{{ ansible_facts.net_hostname }}"}},
    ]
    run = playbook(tasks, {"odd": {"chr_socket": odd.address}, "even": {"chr_socket": even.address}})
    assert run.rc == 0, run.output
    assert run.of("after", "odd")["result"]["msg"] == "caf\\xe9?[31m"
    assert run.of("after", "even")["result"]["msg"] == "even"


def test_a_hosts_name_cannot_lead_fetch_out_of_its_folder(lab, playbook, tmp_path):
    chr1 = lab("chr1")
    chr1.router.files["x.txt"] = File(b"x")
    task = {"name": "go", "outofband.chr.fetch": {"src": "x.txt", "dest": f"{tmp_path}/deep/er/"}}
    names = ("../up", "a/b")
    run = playbook([task], {name: {"chr_socket": chr1.address} for name in names})
    assert [run.of("go", name)["status"] for name in names] == ["failed"] * 2
    assert not (tmp_path / "deep").exists()


def test_facts_fail_rather_than_come_out_empty_when_the_agent_stops_scripts(lab, playbook):
    chr1 = lab("chr1")
    chr1.router.run = lambda source, **more: Outcome(1, b"")
    run = playbook([{"name": "go", "outofband.chr.facts": None}], hosts(chr1))
    assert run.rc == 2
    assert "time limit" in run.of("go")["result"]["msg"]


def test_one_silent_question_costs_guest_info_only_its_answer(lab, playbook):
    chr1 = lab("chr1", mute=("guest-get-timezone",))
    run = playbook([{"name": "go", "outofband.chr.guest_info": None}], hosts(chr1))
    assert run.rc == 0, run.output
    assert run.of("go")["result"]["timezone_offset"] is None
    assert run.of("go")["result"]["host_name"] == "chr1"


def test_an_outcome_that_is_unknown_is_told_under_no_log_without_a_secret(lab, playbook):
    chr1 = lab("chr1", hang_up_on=("guest-exec-status",))
    task = {"name": "go", "no_log": True, "outofband.chr.script": {"source": f':put "{SECRET}"'}}
    run = playbook([task], {"chr1": {"chr_socket": chr1.address, "chr_script_timeout": 2}}, "-vvvvv")
    assert run.rc == 2
    assert SECRET not in run.output
    task = {"name": "go", "no_log": True, "outofband.chr.power": {"state": SECRET}}
    assert SECRET not in playbook([task], hosts(chr1), "-vvvvv").output


def test_data_is_copied_as_json(lab, playbook):
    chr1 = lab("chr1")
    task = {
        "name": "go",
        "outofband.chr.copy": {"content": "{{ data }}", "dest": "x.json"},
        "vars": {"data": {"a": [1, None]}},
    }
    run = playbook([task], hosts(chr1))
    assert run.rc == 0, run.output
    assert json.loads(chr1.router.files["x.json"].data) == {"a": [1, None]}


def test_times_without_end_or_sense_are_refused(lab, playbook):
    chr1 = lab("chr1")
    cases = {}
    for value in (0.0, -1.0, float("nan"), float("inf")):
        for name in ("chr_connect_timeout", "chr_script_timeout", "timeout"):
            variable = "patience" if name == "timeout" else name
            cases[f"{name} {value}"] = {"chr_socket": chr1.address, variable: value}
    arguments = {"source": ":put 1", "timeout": "{{ patience | default(omit) }}"}
    run = playbook([{"name": "go", "outofband.chr.script": arguments}], cases)
    for case in cases:
        assert run.of("go", case)["status"] == "failed", case
        assert f"{case.split()[0]} is" in run.of("go", case)["result"]["msg"]
    assert chr1.agent.log == []


MOVE = """
import sys
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, init_plugin_loader
init_plugin_loader()
connection = connection_loader.get("outofband.chr.guest_agent", PlayContext())
connection.set_options(var_options={"chr_backend": "qemu", "chr_socket": sys.argv[1], "inventory_hostname": "chr1"})
connection.put_file(sys.argv[2], "x.bin")
connection.fetch_file("x.bin", sys.argv[3])
print(connection.exec_command(':put "hi"'))
"""


def test_other_plugins_can_use_the_connection_for_commands_and_files(lab, tmp_path):
    chr1 = lab("chr1")
    content = os.urandom(100_000)
    (tmp_path / "there").write_bytes(content)
    command = [sys.executable, "-c", MOVE, chr1.address, tmp_path / "there", tmp_path / "back"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert chr1.router.files["x.bin"].data == content
    assert (tmp_path / "back").read_bytes() == content
    assert done.stdout == "(0, b'hi\\n', b'')\n"


EMPTY_VARIABLES = """
import json, os
from ansible import constants as C
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, init_plugin_loader
init_plugin_loader()
connection = connection_loader.get("outofband.chr.guest_agent", PlayContext())
described = C.config.get_configuration_definitions("connection", connection._load_name)
variables = [one["name"] for option in described.values() for one in option.get("env", [])]
os.environ |= dict.fromkeys(variables, "")
connection.set_options(var_options={"inventory_hostname": "chr1"})
defaults = {name: option.get("default") for name, option in described.items()}
print(json.dumps([variables, defaults, connection.get_options()]))
"""


def test_an_option_has_its_default_where_its_environment_variable_is_empty():
    done = subprocess.run([sys.executable, "-c", EMPTY_VARIABLES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    variables, defaults, given = json.loads(done.stdout)
    assert {"OUTOFBAND_CONNECT_TIMEOUT", "OUTOFBAND_EXEC_MODE", "OUTOFBAND_GUEST_USER"} < set(variables)
    assert given == defaults | {"vm": "chr1"}
