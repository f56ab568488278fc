# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as its users run it: ansible-playbook against lab routers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


def test_fifty_routers_with_forks_20_and_no_change_the_second_time(lab, playbook, tmp_path):
    """Issue 2, done when."""
    fleet = [lab(f"chr{number:02d}") for number in range(50)]
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
    assert first.changed() == {(f"chr{n:02d}", task) for n in range(50) for task in ("address", "copy", "fetch")}
    for router in fleet:
        name = router.router.identity
        assert first.of("name", name)["result"]["stdout"] == f"{name}\n"
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
    ]
    run = playbook(tasks, hosts(chr1), "--check", "--diff")
    assert run.rc == 0, run.output
    assert {task for _host, task in run.changed()} == {"address", "copy", "fetch", "reboot", "plain"}
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


def test_wait_for_connection_and_wait_for_agent_wait_for_a_router_that_boots(lab, playbook):
    chr1 = lab("chr1", boot_seconds=8.0)
    for name, module in (("own", "outofband.chr.wait_for_agent"), ("core", "ansible.builtin.wait_for_connection")):
        chr1.router.on_power("reboot")
        run = playbook([{"name": name, module: {"timeout": 30}}], hosts(chr1))
        assert run.rc == 0, run.output
        assert run.of(name)["result"]["elapsed"] >= 1


def test_wait_for_agent_gives_up_with_what_was_seen_last(lab, playbook):
    chr1 = lab("chr1")
    chr1.stop()
    began = time.monotonic()
    run = playbook([{"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 2}}], hosts(chr1))
    assert run.of("wait")["status"] == "unreachable"
    assert "within 2 s" in run.of("wait")["result"]["msg"]
    assert "refused" in run.of("wait")["result"]["msg"]
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "task",
    [
        {"ansible.builtin.command": "id"},
        {"ansible.builtin.shell": "id"},
        {"ansible.builtin.setup": None},
        {"ansible.builtin.copy": {"content": "x", "dest": "/x"}},
        {"ansible.builtin.file": {"path": "/x", "state": "touch"}},
        {"ansible.builtin.fetch": {"src": "x", "dest": "/tmp/"}},
        {"ansible.builtin.template": {"src": "play.yml", "dest": "~/x"}},
        {"ansible.builtin.script": "play.yml"},
    ],
    ids=lambda task: next(iter(task)),
)
def test_modules_that_need_python_or_a_shell_fail_with_one_sentence_and_run_nothing(lab, playbook, task):
    chr1 = lab("chr1")
    run = playbook([{"name": "go", **task}], hosts(chr1))
    assert run.rc == 2
    assert "a RouterOS has neither: use outofband.chr.script" in run.output
    assert "guest-exec" not in chr1.agent.log


SECRET = "s3cr3t-Pa55"


@pytest.mark.parametrize("task", ["script", "copy", "raw"])
def test_a_secret_under_no_log_is_nowhere_at_any_verbosity(lab, playbook, tmp_path, task):
    chr1 = lab("chr1")
    body = {
        "script": {"outofband.chr.script": {"source": f':put "{SECRET}"\n:error "{SECRET}"'}},
        "copy": {"outofband.chr.copy": {"content": SECRET, "dest": "a/b"}},
        "raw": {"ansible.builtin.raw": f':error "{SECRET}"'},
    }[task]
    run = playbook([{"name": "go", "no_log": True, "diff": True, **body}], hosts(chr1), "-vvvvv")
    assert run.rc == 2
    assert SECRET not in run.output
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
    "unknown backend": ({"chr_backend": "hyperv"}, {"source": ":put 1"}, "hyperv"),
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
    "1 MB": ({}, {"src": "large.rsc"}, "1048576 bytes"),
    "no such source": ({}, {"src": "nosuch.rsc"}, "src 'nosuch.rsc' was not found on the controller"),
    "no such guest file": ({}, {"guest_file": "nosuch.rsc"}, "nosuch.rsc"),
    "nothing": ({}, {}, "guest_file"),
    "too much": ({}, {"source": ":put 1", "src": "large.rsc"}, "mutually exclusive"),
    "unknown option": ({}, {"source": ":put 1", "soruce": "x"}, "soruce"),
    "number": ({}, {"source": ":put 1", "timeout": "soon"}, "timeout"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_clear_sentence_and_changes_nothing(lab, playbook, tmp_path, case):
    """Issue 2, bad input."""
    chr1 = lab("chr1")
    (tmp_path / "nul.rsc").write_bytes(b":put \0")
    (tmp_path / "latin1.rsc").write_bytes(b':put "\xe9"')
    (tmp_path / "large.rsc").write_bytes(b"#" * 1_048_576)
    variables, arguments, says = BAD[case]
    began = time.monotonic()
    of = {"chr1": {"chr_socket": str(chr1.address), "chr_connect_timeout": 2, **variables}}
    run = playbook([{"name": "go", "outofband.chr.script": arguments}], of)
    assert time.monotonic() - began < 12
    assert run.rc in (2, 4)
    assert says in run.of("go")["result"]["msg"]
    assert "Traceback" not in run.output
    before = json.dumps(chr1.router.run("/export").output.decode().splitlines()[1:])
    assert "192.0.2.1" not in before


@pytest.mark.parametrize(
    ("module", "arguments", "says"),
    [
        ("copy", {"content": "x", "dest": "dir/x.rsc"}, "'dir/x.rsc' has a folder"),
        ("copy", {"content": "x"}, "dest is missing"),
        ("copy", {"src": "nosuch.bin"}, "nosuch.bin"),
        ("copy", {"src": "."}, "folder"),
        ("fetch", {"src": "dir/x.rsc", "dest": "got/"}, "'dir/x.rsc' has a folder"),
        ("fetch", {"src": "nosuch.txt", "dest": "got/"}, "nosuch.txt"),
        ("fetch", {"src": "there.txt", "dest": "/proc/nowhere/"}, "/proc/nowhere"),
        ("facts", {"gather_subset": ["everything"]}, "'everything' is no subset"),
        ("power", {"state": "on"}, "rebooted, shutdown"),
    ],
)
def test_bad_input_to_the_other_modules_ends_in_one_clear_sentence(lab, playbook, module, arguments, says):
    chr1 = lab("chr1")
    chr1.router.files["there.txt"] = File(b"x")
    run = playbook([{"name": "go", f"outofband.chr.{module}": arguments}], hosts(chr1))
    assert run.rc == 2
    assert says in run.of("go")["result"]["msg"]
    assert list(chr1.router.files) == ["there.txt"]


def test_modules_on_another_connection_say_which_one_they_need(playbook):
    run = playbook([{"name": "go", "outofband.chr.guest_info": None}], {"x": {"ansible_connection": "local"}})
    assert run.rc == 2
    assert "outofband.chr.guest_agent" in run.of("go")["result"]["msg"]


@pytest.mark.parametrize("method", ["auto", "agent"])
def test_power_reboots_and_waits_until_the_router_is_back(lab, playbook, method):
    chr1 = lab("chr1", boot_seconds=1.0)
    chr1.router.booted_at = chr1.router.clock.now().replace(year=2020)
    task = {"name": "go", "outofband.chr.power": {"state": "rebooted", "method": method, "timeout": 60}}
    run = playbook([task], hosts(chr1))
    assert run.rc == 0, run.output
    assert chr1.router.uptime < 60
    assert run.of("go")["result"]["elapsed"] >= 1


@pytest.mark.parametrize("method", ["auto", "script"])
def test_power_shuts_down_and_waits_until_the_agent_is_gone(lab, playbook, method):
    chr1 = lab("chr1")
    task = {"name": "go", "outofband.chr.power": {"state": "shutdown", "method": method, "timeout": 60}}
    run = playbook([task], hosts(chr1))
    assert run.rc == 0, run.output
    assert not Path(chr1.address).is_socket() or chr1._listener is None


@pytest.mark.parametrize(("state", "says"), [("rebooted", "did not reboot"), ("shutdown", "that is not so")])
def test_power_tells_when_the_router_did_not_do_it_and_does_not_call_it_unreachable(lab, playbook, state, says):
    chr1 = lab("chr1")
    chr1.router.booted_at = chr1.router.clock.now().replace(year=2020)
    chr1.router.on_power = lambda what: None
    run = playbook([{"name": "go", "outofband.chr.power": {"state": state, "timeout": 3}}], hosts(chr1))
    assert run.of("go")["status"] == "failed"
    assert says in run.of("go")["result"]["msg"]


def test_a_shutdown_is_not_believed_because_somebody_else_holds_the_channel(lab, playbook):
    chr1 = lab("chr1")

    def ignore_and_hold(what):
        holder = socket.socket(socket.AF_UNIX)
        holder.connect(chr1.address)
        chr1.holder = holder

    chr1.router.on_power = ignore_and_hold
    run = playbook([{"name": "go", "outofband.chr.power": {"state": "shutdown", "timeout": 8}}], hosts(chr1))
    assert run.of("go")["status"] == "failed"


def test_the_action_group_sets_defaults(lab, playbook):
    chr1 = lab("chr1")
    tasks = [{"name": "go", "outofband.chr.script": {"source": ":delay 3"}}]
    run = playbook(tasks, hosts(chr1), module_defaults={"group/outofband.chr.chr": {"timeout": 0.3}})
    assert run.rc == 2
    assert run.of("go")["result"]["timed_out"] is True
    assert "within 0.3 s" in run.of("go")["result"]["msg"]


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
    assert (tmp_path / "kept").read_bytes() == b"caf\xe9\n"


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
    assert said == {"raw": ["chr1\n", "chr2\n", "chr3\n"], "script": ["chr1\n", "chr2\n", "chr3\n"]}


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


@pytest.mark.parametrize("host", ["../up", "a/b"])
def test_a_hosts_name_cannot_lead_fetch_out_of_its_folder(lab, playbook, tmp_path, host):
    chr1 = lab("chr1")
    chr1.router.files["x.txt"] = File(b"x")
    task = {"name": "go", "outofband.chr.fetch": {"src": "x.txt", "dest": f"{tmp_path}/deep/er/"}}
    run = playbook([task], {host: {"chr_socket": chr1.address}})
    assert run.rc == 2
    assert not (tmp_path / "deep").exists()


def test_facts_fail_rather_than_come_out_empty_when_the_agent_stops_scripts(lab, playbook):
    chr1 = lab("chr1")
    chr1.router.run = lambda source, stop=None: Outcome(1, b"")
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


@pytest.mark.parametrize("seconds", [0, -1, ".nan", ".inf"])
def test_times_without_end_or_sense_are_refused(lab, playbook, seconds):
    chr1 = lab("chr1")
    value = float(str(seconds).strip("."))
    for name, variables, arguments in (
        ("chr_connect_timeout", {"chr_connect_timeout": value}, {"source": ":put 1"}),
        ("chr_script_timeout", {"chr_script_timeout": value}, {"source": ":put 1"}),
        ("timeout", {}, {"source": ":put 1", "timeout": value}),
    ):
        run = playbook(
            [{"name": "go", "outofband.chr.script": arguments}], {"a": {"chr_socket": chr1.address, **variables}}
        )
        assert run.rc == 2
        assert f"{name} is" in run.of("go")["result"]["msg"]
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
