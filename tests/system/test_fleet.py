# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One task for all routers of a play does what the modules for one router do on each."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.modules import fleet as fleet_module
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox

FLEET = "outofband.chr.fleet"
ROOT = Path(__file__).parents[2]

# Both return the options of connections as they arrive: of the task's own host, as Ansible sets
# them, and of all hosts, as the fleet resolves them.
PLAIN = """
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        if not hasattr(self._connection, "option_values"):
            return {"options": None}
        return {"options": {name: repr(value) for name, value in self._connection.option_values().items()}}
"""
ALL = """
from ansible.plugins.action import ActionBase
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.play_routers import PlayRouters
class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    def run(self, tmp=None, task_vars=None):
        routers = PlayRouters(self, task_vars, once=())
        found = {host: routers.resolve(host) for host in routers.hosts}
        return {"options": {
            host: one and {name: repr(value) for name, value in one[0].items()} for host, one in found.items()
        }}
"""


def test_options_arrive_from_everywhere_as_in_a_task_of_one_router(playbook, tmp_path, monkeypatch):
    files = {
        "action_plugins/plain.py": PLAIN,
        "action_plugins/all.py": ALL,
        "group_vars/all.yml": 'chr_api_user: "{{ inventory_hostname }}-of-{{ site }}"\nsite: group file\n',
        "host_vars/r2.yml": "site: host file\nchr_validate_certs: 'no'\n",
        "more.yml": 'chr_libvirt_uri: "qemu://{{ inventory_hostname }}/x"\n',
        "included.yml": "chr_api_port: '8443'\n",
        "roles/r/defaults/main.yml": "chr_ssh_host: of-the-defaults\n",
        "roles/r/vars/main.yml": 'chr_ssh_args: "-p {{ inventory_hostname[1:] }}"\n',
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setenv("OUTOFBAND_ENCODING", "cp1251")
    monkeypatch.setenv("PASSWORD_OF_R3", "s3cret-of-r3")
    hosts = {
        "r1": {"chr_socket": "/run/{{ inventory_hostname }}.sock"},
        "r2": {"chr_vm": "104", "ansible_connection": "{{ 'outofband.chr.' ~ 'guest_agent' }}"},
        "r3": {"chr_api_password": "{{ lookup('env', 'PASSWORD_OF_' ~ inventory_hostname | upper) }}"},
        "r4": {"ansible_connection": "local"},
        "r5": {},
        "r6": {"chr_node": "{{ ansible_play_batch | length }} of {{ ansible_play_hosts_all | length }}"},
    }
    block = [
        {"name": "plain", "plain": None, "loop": ["a", "b"], "vars": {"chr_api_token_id": "task-{{ item }}"}},
        {"name": "all", "all": None, "loop": ["a", "b"], "vars": {"chr_api_token_id": "task-{{ item }}"}},
    ]
    tasks = [
        {"ansible.builtin.set_fact": {"chr_vm": "fact-{{ inventory_hostname }}"}, "when": "inventory_hostname == 'r5'"},
        {"ansible.builtin.include_vars": "included.yml", "when": "inventory_hostname == 'r1'"},
        {"block": block, "vars": {"chr_exec_mode": "{{ 'file' if inventory_hostname == 'r2' else 'inline' }}"}},
    ]
    run = playbook(
        tasks,
        hosts,
        *("-e", "chr_script_timeout=77", "--limit", "!r7"),
        vars={"chr_ca_path": "{{ playbook_dir }}/{{ inventory_hostname }}.pem"},
        vars_files=["more.yml"],
        roles=["r"],
        serial=4,
    )
    assert run.rc == 0, run.output
    for number, item in enumerate(("a", "b")):
        plain = {
            line["host"]: line["result"]["results"][number]["options"] for line in run.lines if line["task"] == "plain"
        }
        together = {}
        for line in run.lines:
            if line["task"] == "all":
                together |= line["result"]["results"][number]["options"]
        assert together == plain
        assert plain.keys() == hosts.keys()
        assert plain["r4"] is None
        arrived = {
            "r1": {
                "socket": "'/run/r1.sock'",
                "api_user": "'r1-of-group file'",
                "libvirt_uri": "'qemu://r1/x'",
                "api_port": "8443",
                "script_timeout": "77.0",
                "encoding": "'cp1251'",
                "exec_mode": "'inline'",
                "ssh_host": "'of-the-defaults'",
                "ssh_args": "'-p 1'",
                "ca_path": f"'{tmp_path}/r1.pem'",
                "api_token_id": f"'task-{item}'",
                "connect_timeout": "5.0",
                "vm": "'r1'",
            },
            "r2": {"api_user": "'r2-of-host file'", "validate_certs": "False", "vm": "'104'", "exec_mode": "'file'"},
            "r3": {"api_password": "'s3cret-of-r3'"},
            "r5": {"vm": "'fact-r5'", "node": "None"},
            "r6": {"node": "'2 of 6'"},
        }
        for host, options in arrived.items():
            assert {name: plain[host][name] for name in options} == options


# What differs from reading to reading.
TIMES = {"router_time", "clock_ahead", "days_left"}
NAME = {"source": ':put "{{ inventory_hostname }} of {{ site }}"'}
SLOW = {
    "source": ":delay {{ 60 if inventory_hostname == 's2' else 0 }}",
    "timeout": "{{ 0.5 if inventory_hostname == 's2' else 60 }}",
}
STOP = {FLEET: {"source": ":put 1", "concurrency": 1, "max_fail_percentage": 19}}


def without_times(result):
    """A result of license_info without what Ansible adds or takes away when it shows a task."""
    kept = {key: value for key, value in result.items() if key not in ("failed", "unreachable", "exception")}
    for license in (kept.get("license", {}), kept.get("ansible_facts", {}).get("chr_license", {})):
        for name in TIMES & license.keys():
            del license[name]
    return {key: value for key, value in kept.items() if value or key == "changed"}


@pytest.fixture
def routers(lab, tmp_path):
    """Routers of three backends, and a host for each thing that can be wrong."""
    with contextlib.ExitStack() as running:
        sockets = {name: {"chr_socket": lab(name).address} for name in ("s1", "s2")}
        pve = running.enter_context(hypervisor("proxmox", ["p1", "p2"], cache()))
        xen = running.enter_context(hypervisor("xenstore", ["x1"], cache()))
        silent = running.enter_context(socket.socket(socket.AF_UNIX))
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        yield {
            **sockets,
            "off": {"chr_socket": f"{tmp_path}/off.sock", "chr_connect_timeout": 1},
            **pve,
            "cert": {**pve["p1"], "chr_vm": "p1", "chr_ca_path": ""},
            "pve": {"ansible_connection": "local"},
            "silent": {"chr_socket": f"{tmp_path}/silent.sock", "chr_connect_timeout": 1},
            "alias": dict(sockets["s1"]),
            "1st": {"chr_socket": "{{ nowhere }}"},
            **xen,
        }


def test_each_router_has_the_result_of_the_module_for_one(playbook, routers, tmp_path):
    (tmp_path / "note.rsc").write_text(':put "note of [/system identity get name]"')
    good = {"s1", "s2", "p1", "p2", "alias", "x1"}
    fleet = {"register": "fleet", "failed_when": False, "delegate_to": "localhost"}
    ignored = {"ignore_errors": True, "delegate_to": "localhost"}
    tasks = [
        {
            "name": "plain",
            "outofband.chr.license_info": None,
            "ignore_errors": True,
            "ignore_unreachable": True,
            "when": "inventory_hostname != 'pve'",
        },
        {"name": "license", FLEET: {"read": "license"}, **fleet},
        {"name": "script", FLEET: {**NAME, "unless": "{{ (inventory_hostname == 's2') | string | lower }}"}, **fleet},
        {
            "name": "registered",
            "ansible.builtin.debug": {"msg": "{{ fleet.results[inventory_hostname].stdout | default('') }}"},
            "when": "inventory_hostname not in ['pve', '1st']",
        },
        {"name": "file", FLEET: {"src": "note.rsc"}, **fleet},
        {"name": "slow", FLEET: SLOW, **fleet},
        {"name": "facts", FLEET: {"read": "facts", "gather_subset": ["!all"]}, **fleet},
        {
            "name": "check",
            FLEET: {"source": ':put "{{ inventory_hostname }}"'},
            "check_mode": True,
            "diff": True,
            **fleet,
        },
        {"name": "hidden", FLEET: {"source": ':error "s3cret"'}, "no_log": True, **ignored},
        {"name": "stop", **STOP, **ignored},
        {"name": "fail", FLEET: {"read": "license"}, "delegate_to": "localhost"},
        {"name": "never", "ansible.builtin.debug": None},
    ]
    began = time.monotonic()
    run = playbook(tasks, {name: {"site": f"site-{name}", **host} for name, host in routers.items()}, "--forks=8")
    assert time.monotonic() - began < 200
    assert run.rc == 2, run.output
    assert "never" not in {line["task"] for line in run.lines}  # as in a play whose task has failed on all hosts

    license = run.of("license")["result"]
    assert license["unreachable_hosts"] == ["off", "silent"]
    assert license["failed_hosts"] == ["1st", "cert"]
    assert license["other_hosts"] == ["pve"]
    assert license["not_begun_hosts"] == []
    assert license["msg"] == "6 of 10 routers done, 2 failed (1st, cert), 2 unreachable (off, silent)."
    assert license["changed"] is False
    assert "ansible_facts" not in license
    assert license["results"].keys() == routers.keys() - {"pve"}
    for name, result in license["results"].items():
        plain = run.of("plain", name)["result"]
        if name == "1st":
            assert "nowhere" in result["msg"]
            assert "nowhere" in plain["msg"]
        else:
            plain.pop("ansible_facts", None)  # the license once more
            assert without_times(result) == without_times(plain), name
    assert license["results"]["alias"]["license"]["system_id"] == license["results"]["s1"]["license"]["system_id"]
    assert "chr_ca_path" in license["results"]["cert"]["msg"]

    script = run.of("script")["result"]
    said = {name: script["results"][name]["stdout"] for name in good}
    assert said == {name: f"{name} of site-{name}" for name in good - {"s2"}} | {"s2": ""}
    assert script["results"]["s2"]["skipped_reason"]
    assert script["changed"]
    assert {name: run.of("registered", name)["result"]["msg"] for name in good} == said
    assert {run.of("file")["result"]["results"][name]["stdout"] for name in good} == {
        "note of [/system identity get name]"
    }

    slow = run.of("slow")["result"]
    assert {name for name, one in slow["results"].items() if one.get("timed_out")} == {"s2"}
    assert slow["failed_hosts"] == ["1st", "cert", "s2"]
    assert "within 0.5 s" in slow["results"]["s2"]["msg"]

    facts = run.of("facts")["result"]
    assert "ansible_facts" not in facts
    assert facts["results"]["p2"]["ansible_facts"]["ansible_net_hostname"] == "p2"
    assert facts["results"]["p2"]["ansible_facts"]["chr_router"]["host"] == "p2"

    check = run.of("check")["result"]
    assert {check["results"][name]["msg"] for name in good} == {"The script would have been run."}
    assert {one["after"] for one in check["diff"]} >= {':put "s2"\n', ':put "x1"\n'}
    assert "s3cret" not in run.output

    stop = run.of("stop")
    assert stop["status"] == "failed"
    assert stop["result"]["failed_hosts"] == ["1st", "cert"]  # two of ten are more than 19 %
    assert list(stop["result"]["results"]) == ["1st", "alias", "cert"]
    assert stop["result"]["not_begun_hosts"] == ["off", "p1", "p2", "s1", "s2", "silent", "x1"]
    assert "7 not begun because of these (off, p1, " in stop["result"]["msg"]
    assert run.of("fail")["status"] == "failed"
    assert run.of("fail")["result"]["msg"] == license["msg"]


def test_options_that_cannot_be_are_refused_before_anything_is_sent(playbook, lab):
    router = lab("s1")
    refused = {
        "nothing": ({}, "one of the following is required: read, source, src, guest_file"),
        "two": ({"source": ":put 1", "src": "x.rsc"}, "mutually exclusive"),
        "both": ({"source": ":put 1", "read": "license"}, "source cannot be used with read: license"),
        "foreign": ({"read": "facts", "unless": "true"}, "unless cannot be used with read: facts"),
        "subset": ({"source": ":put 1", "max_items": 3}, "max_items cannot be used with a script"),
        "unknown": ({"read": "license", "host": "s1"}, "host. Supported parameters include"),
        "none at once": ({"read": "license", "concurrency": 0}, "concurrency 0 must be at least 1"),
        "percentage": (
            {"read": "license", "max_fail_percentage": 101},
            "max_fail_percentage 101 must be from 0 to 100",
        ),
        "timeout": ({"source": ":put 1", "timeout": -1}, "timeout is -1"),
        "all as a template": ({"args": "{{ {'read': 'license'} }}"}, "args must not be a template as a whole"),
    }
    tasks = []
    for name, (options, _message) in refused.items():
        keywords = {key: value for key, value in options.items() if key == "args"}
        task = {"name": name, FLEET: {key: value for key, value in options.items() if key != "args"} or None}
        tasks.append({**task, **keywords, "ignore_errors": True})
    tasks.append({"name": "delegated", FLEET: {"read": "license"}, "delegate_to": "s2", "ignore_errors": True})
    defaults = {FLEET: {"unless": "{{ inventory_hostname }}"}}
    refused["default"] = ({}, "unless comes from module_defaults")
    tasks.append({"name": "default", FLEET: {"source": ":"}, "module_defaults": defaults, "ignore_errors": True})
    hosts = {"s1": {"chr_socket": router.address}, "s2": {"ansible_connection": "local"}}
    others = [{"name": "none", FLEET: {"read": "license"}, "when": True, "vars": {"ansible_connection": "local"}}]
    run = playbook([*tasks, *others], hosts)
    assert run.rc == 0, run.output
    for name, (_options, message) in refused.items():
        result = run.of(name)["result"]
        assert message in result["msg"], name
        assert "results" not in result, name
    assert "cannot be delegated" in run.of("delegated")["result"]["msg"]
    none = run.of("none")["result"]
    assert none["other_hosts"] == ["s1", "s2"]
    nothing = "No host of the play has the connection outofband.chr.guest_agent, so nothing was done."
    assert none["msg"] == nothing
    assert nothing in str(none["warnings"])
    assert router.agent.log == []


def test_one_login_serves_all_routers_of_a_server_and_a_wrong_password_is_sent_once(playbook, tmp_path):
    pve = LabProxmox(tmp_path)
    names = [f"r{number}" for number in range(12)]
    for vmid, name in enumerate(names, 100):
        pve.add(vmid, name, "pve1", accepts_null_path=True)
    tasks = [
        {"name": "right", FLEET: {"source": ":put 1"}},
        {"name": "wrong", FLEET: {"source": ":put 1"}, "vars": {"chr_api_password": "wr0ng"}, "ignore_errors": True},
    ]
    with pve:
        run = playbook(tasks, {name: pve.variables(root=True) for name in names})
    assert run.rc == 0, run.output
    assert [one["stdout"] for one in run.of("right")["result"]["results"].values()] == ["1"] * 12
    assert run.of("wrong")["result"]["failed_hosts"] == sorted(names)
    assert (pve.logins, pve.refused_logins) == (1, 1)
    assert "wr0ng" not in run.output


def test_an_interrupted_run_ends_at_once(playbook, tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        silent.settimeout(60)
        hosts = {f"r{number}": {"chr_socket": str(tmp_path / "silent.sock")} for number in range(3)}
        process = playbook.start([{FLEET: {"read": "license"}}], hosts, "-e", "chr_connect_timeout=300")
        try:
            asked, _unused = silent.accept()
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)
            asked.settimeout(60)
            while asked.recv(4096):  # until the process at the other end is gone
                pass
            assert time.monotonic() - began < 30
        finally:
            playbook.kill(process)


def test_a_report_has_every_batch_and_says_which_routers_were_not_begun(playbook, lab, tmp_path):
    hosts = {name: {"chr_socket": lab(name).address} for name in ("r2", "r3", "r4")}
    hosts |= {
        "r1": {"chr_socket": f"{tmp_path}/off.sock", "chr_connect_timeout": 1},
        "r5": {"ansible_connection": "local"},
    }
    reading = {"read": "license", "concurrency": 1, "max_fail_percentage": 0}
    tasks = [
        {"name": "read", FLEET: reading, "register": "fleet", "failed_when": False},
        {
            "name": "report",
            "outofband.chr.license_report": {"dest": str(tmp_path), "formats": ["json"], "registered": "fleet"},
            "delegate_to": "localhost",
            "vars": {"ansible_connection": "local"},
            "run_once": True,
        },
    ]
    run = playbook(tasks, hosts, serial=2)
    assert run.rc == 0, run.output
    assert run.of("read", "r1")["result"]["not_begun_hosts"] == ["r2"]
    assert run.of("read", "r3")["result"]["not_begun_hosts"] == []
    summary = run.of("report", "r5")["result"]["summary"]
    reasons = {one["name"]: (one["unreachable"], one["reason"]) for one in summary["not_read"]}
    assert reasons.keys() == {"r1", "r2"}
    assert reasons["r1"][0]
    why = "Its license was not read, because too many other routers had failed or were not reached."
    assert reasons["r2"] == (False, why)
    assert summary["total"] == 4


@pytest.fixture
def three_and_a_silent_one(lab, tmp_path):
    """Variables of three routers, and of one whose agent says nothing, which is the second."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        hosts = {name: {"chr_socket": lab(name).address} for name in ("r1", "r3", "r4")}
        hosts["r2"] = {"chr_socket": f"{tmp_path}/silent.sock", "chr_connect_timeout": 1}
        yield {name: {**hosts[name], "router_address": f"10.0.0.{name[1:]}/24"} for name in sorted(hosts)}


def test_a_router_that_fails_ends_the_play_for_all_and_a_rescue_runs_on_the_first_only(
    playbook, three_and_a_silent_one
):
    """As the module's page says it."""
    fleet = {"name": "read", FLEET: {"read": "license"}}
    after = {"name": "after", "ansible.builtin.debug": None}
    run = playbook([fleet, after], three_and_a_silent_one, ignore_unreachable=True)
    assert run.rc == 2, run.output
    assert {line["task"] for line in run.lines} == {"read"}

    rescue = {"name": "rescue", "ansible.builtin.debug": None}
    run = playbook([{"block": [fleet, after], "rescue": [rescue]}], three_and_a_silent_one)
    assert [(line["task"], line["host"]) for line in run.lines] == [("read", "r1"), ("rescue", "r1")]


def test_with_the_example_only_the_routers_that_failed_leave_the_play(playbook, three_and_a_silent_one):
    """It is the same one in the module's page and in the guide."""
    examples = fleet_module.EXAMPLES.strip().split("\n\n")
    (second,) = [number for number, example in enumerate(examples) if "ansible.builtin.fail" in example]
    shown = "\n\n".join(examples[second - 1 : second + 1])
    assert textwrap.indent(shown, "  ") in (ROOT / "docs/docsite/rst/connection_guide.rst").read_text()
    first, leave = yaml.safe_load(shown)
    after = {"name": "after", "ansible.builtin.debug": None}
    run = playbook([first, leave, after], three_and_a_silent_one)
    assert run.rc == 2, run.output
    assert {line["host"] for line in run.lines if line["task"] == "after"} == {"r1", "r3", "r4"}
    failed = run.of(leave["name"], "r2")
    assert failed["status"] == "failed"
    assert failed["result"]["msg"] == run.of(first["name"])["result"]["results"]["r2"]["msg"]

    run = playbook([{**first, FLEET: {**first[FLEET], "concurrency": 1}}, leave, after], three_and_a_silent_one)
    assert {line["host"] for line in run.lines if line["task"] == "after"} == {"r1"}
    assert run.of(leave["name"], "r3")["result"]["msg"] == "It was not begun."

    mistake = {**first, FLEET: {**first[FLEET], "concurrency": 0}}
    run = playbook([mistake, leave, after], three_and_a_silent_one)
    assert run.rc == 2
    assert {line["task"] for line in run.lines} == {first["name"]}
    assert "concurrency 0 must be at least 1" in run.output


def test_a_fleet_that_takes_long_shows_its_progress_on_the_terminal(playbook, lab):
    """With how many failed, and without the hosts that are not routers."""
    hosts = {f"r{number}": {"chr_socket": lab(f"r{number}").address} for number in range(1, 4)}
    hosts["web"] = {"ansible_connection": "local"}
    slow = (
        ":delay {{ 4 if inventory_hostname == 'r3' else 0 }}; {{ ':error no' if inventory_hostname == 'r2' else '' }}"
    )
    run = playbook([{"name": "slow", FLEET: {"source": slow}, "failed_when": False}], hosts)
    assert run.rc == 0, run.output
    shown = [line for line in run.output.splitlines() if line.startswith("fleet: ")]
    assert re.fullmatch(r"fleet: 3 of 3 routers, 1 failed, 0 unreachable, [0-9] a second", shown[-1])
