# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge as playbooks use it: on every backend, within a run, and at its end."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.peers import collections

ROOT = Path(__file__).parents[2]
LOCALLY = {
    "delegate_to": "localhost",
    "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
}
LOGIN = {key: f"{{{{ bridge.{key} }}}}" for key in ("hostname", "port", "username", "password", "tls")}
OPEN = {"name": "open", "outofband.chr.api_bridge": None, "register": "bridge"}
KEEP_LOGIN = {
    "name": "keep the login",
    "ansible.builtin.copy": {
        "content": "{{ bridge | to_json }}",
        "dest": "{{ playbook_dir }}/{{ inventory_hostname }}.json",
        "mode": "0600",
    },
    "no_log": True,
    **LOCALLY,
}
GO_ON = {
    "name": "go on until the run is ended",
    "ansible.builtin.shell": {
        "cmd": "touch {{ inventory_hostname }}.goes-on && exec sleep 60",
        "chdir": "{{ playbook_dir }}",
    },
    **LOCALLY,
}
FIREWALL = [
    {
        "path": "ip firewall filter",
        "ensure_order": True,
        "handle_absent_entries": "remove",
        "handle_entries_content": "remove_as_much_as_possible",
        "data": [
            {"chain": "input", "action": "accept", "connection-state": "established,related", "comment": "é"},
            {"chain": "input", "action": "accept", "protocol": "icmp"},
            {"chain": "input", "action": "drop", "in-interface": "ether1"},
        ],
    }
]
READ_RULES = """
:foreach i in=[/ip firewall filter find] do={
:put ([/ip firewall filter get $i action] . " " . [/ip firewall filter get $i comment])
}
"""
RULES = ["accept é", "accept ", "drop "]


@pytest.fixture(autouse=True)
def community_routeros(monkeypatch):
    """The collection is there, as a user has it."""
    others = collections(cache(), "community.routeros")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{others}")


@pytest.fixture
def hosts(lab):
    """Three routers of the lab."""
    return {f"chr{number}": {"chr_socket": lab(f"chr{number}").address} for number in range(3)}


def processes(playbook) -> list[int]:
    """The processes of bridges that runs in this folder have started; other tests have theirs."""
    home = f"ANSIBLE_HOME={playbook.folder / 'home'}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"_bridge/process.py" in (folder / "cmdline").read_bytes() and home in (
                folder / "environ"
            ).read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def gone(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return False
    return True


def test_ten_routers_without_an_address_on_four_backends_come_to_one_firewall(playbook, libvirtd):
    """Done when: twice, the second time without change."""
    configuration = json.dumps({"configure_paths": FIREWALL})
    reach = {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri, "chr_connect_timeout": 90}
    hosts = {"libvirt1": reach, "libvirt2": reach}
    for name in hosts:
        libvirtd.define(name, settings={"address": "none"})
        libvirtd.virsh("start", name)
    with contextlib.ExitStack() as running:
        for backend, count in (("sockets", 3), ("proxmox", 3), ("xenstore", 2)):
            routers = {}
            names = [f"{backend}{number}" for number in range(count)]
            hosts |= running.enter_context(hypervisor(backend, names, cache(), routers))
            for router in routers.values():
                router.tables["ip address"].items.clear()
        read = {"name": "rules", "outofband.chr.script": {"source": READ_RULES}}
        before = playbook(
            [
                {"outofband.chr.wait_for_agent": {"timeout": 120}},
                {"name": "addresses", "outofband.chr.script": {"source": ":put [:len [/ip address find]]"}},
                {"outofband.chr.script": {"source": "/ip firewall filter add chain=input comment=old"}},
            ],
            hosts,
            "--forks=10",
        )
        predicted, first, second = (
            playbook("outofband.chr.configure", hosts, "--forks=10", "-e", configuration, *more)
            for more in (["--check"], [], [])
        )
        after = playbook([read], hosts, "--forks=10")
    assert before.rc == predicted.rc == first.rc == second.rc == 0, before.output + predicted.output + first.output
    everywhere = {(host, "Bring each path to its configuration") for host in hosts}
    assert predicted.changed() == first.changed() == everywhere
    assert second.changed() == set()
    assert len(hosts) == 10
    for host in hosts:
        assert before.of("addresses", host)["result"]["stdout"] == "0"
        assert after.of("rules", host)["result"]["stdout_lines"] == RULES


def test_examples_run_as_they_stand(playbook, hosts):
    guide = (ROOT / "docs" / "docsite" / "rst" / "inband_guide.rst").read_text()
    found = re.findall(r"^\.\. code-block:: yaml\n\n((?:  .*\n|\n)+)", guide, re.MULTILINE)
    (of_guide,) = [play for one in found for play in yaml.safe_load(one) if "api_bridge" in one and "tasks" in play]
    tree = ast.parse((ROOT / "plugins" / "modules" / "api_bridge.py").read_text())
    (of_module,) = [
        yaml.safe_load(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "EXAMPLES"
    ]
    for tasks, changed in ((of_guide["tasks"], set(hosts)), (of_module, set())):
        run = playbook(tasks, hosts)
        assert run.rc == 0, run.output
        assert {host for host, _task in run.changed()} == changed  # the second one has the same rules


def test_one_process_serves_all_routers_of_a_run_and_ends_with_it(playbook, hosts):
    run = playbook(
        [
            OPEN,
            {"name": "same", "outofband.chr.api_bridge": {"idle_timeout": 60}, "register": "again"},
            {"ansible.builtin.assert": {"that": ["again.password == bridge.password", "again.port == bridge.port"]}},
            KEEP_LOGIN,
            {
                "name": "add",
                "community.routeros.api": {**LOGIN, "path": "ip dns static", "add": "name={{ inventory_hostname }}"},
                **LOCALLY,
            },
            {"name": "close", "outofband.chr.api_bridge": {"state": "stopped"}},
            {"name": "close again", "outofband.chr.api_bridge": {"state": "stopped"}},
        ],
        hosts,
        "-vvvv",
    )
    assert run.rc == 0, run.output
    logins = [json.loads((playbook.folder / f"{host}.json").read_text()) for host in hosts]
    assert {len({one[key] for one in logins}) for key in ("port", "password")} == {3}
    assert {(one["hostname"], one["tls"]) for one in logins} == {("127.0.0.1", False)}
    assert not run.of("open", "chr0")["result"].get("changed")
    for host in hosts:
        assert run.of("add", host)["result"]["changed"]
        assert run.of("close", host)["result"]["stopped"] is True
        assert run.of("close again", host)["result"]["stopped"] is False
    # Nothing tells the password, at any verbosity, and nothing is left.
    assert not [one for one in logins if one["password"] in run.output]
    left = [path for path in (playbook.folder / "home").rglob("*") if path.is_file()]
    assert not [path for path in left if any(one["password"] in path.read_text(errors="replace") for one in logins)]
    assert not [path for path in (playbook.folder / "home" / "cp").iterdir() if path.name != "bridge.lock"]
    assert all(gone(one["port"]) for one in logins)


def test_no_callback_shows_the_password_of_a_loop(playbook, hosts, monkeypatch):
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "ansible.builtin.minimal")  # it shows whole results
    looped = {**OPEN, "outofband.chr.api_bridge": {"timeout": "{{ item }}"}, "loop": [30, 40]}
    run = playbook([looped, KEEP_LOGIN], {"chr0": hosts["chr0"]}, "-vvvv")
    assert run.rc == 0, run.output
    opened = json.loads((playbook.folder / "chr0.json").read_text())["results"]
    assert not [one for one in opened if one["password"] in run.output]


def wait_until_it_goes_on(playbook, hosts):
    """Wait until the last task runs on all hosts: Ansible can lose a signal while it starts one."""
    deadline = time.monotonic() + 60
    while not all((playbook.folder / f"{host}.goes-on").exists() for host in hosts):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("how", ["end", "SIGINT", "SIGKILL"])
def test_the_process_ends_with_the_run_however_that_ends(playbook, hosts, how):
    process = playbook.start([OPEN, KEEP_LOGIN] + [GO_ON] * (how != "end"), hosts)
    login = playbook.folder / "chr0.json"
    try:
        if how != "end":
            wait_until_it_goes_on(playbook, hosts)
            (mine,) = processes(playbook)  # one for all routers
            environment = Path(f"/proc/{mine}/environ").read_bytes() + Path(f"/proc/{mine}/cmdline").read_bytes()
            assert json.loads(login.read_text())["password"].encode() not in environment
            (control,) = (playbook.folder / "home" / "cp").glob("bridge-*")
            assert control.stat().st_mode & 0o777 == 0o600
            process.send_signal(getattr(signal, how))
        process.wait(60)  # workers of ansible-core 2.18 outlive it and hold its output open
        deadline = time.monotonic() + 5
        while processes(playbook) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not processes(playbook)
        assert gone(json.loads(login.read_text())["port"])
        assert not list((playbook.folder / "home" / "cp").glob("bridge-*"))
    finally:
        process.kill()


def test_the_process_ends_with_the_last_command_of_a_run_that_was_killed(playbook, hosts):
    slow = {"outofband.chr.script": {"source": '/system script add name=slow source=":delay 3s"'}}
    process = playbook.start([slow, OPEN, KEEP_LOGIN, GO_ON], {"chr0": hosts["chr0"]})
    try:
        wait_until_it_goes_on(playbook, ["chr0"])
        access = json.loads((playbook.folder / "chr0.json").read_text())
        words = ["/login", f"=name={access['username']}", f"=password={access['password']}", ""]
        words += ["/system/script/run", "=.id=slow", ""]
        with socket.create_connection(("127.0.0.1", access["port"]), timeout=5) as api:
            api.sendall(b"".join(bytes([len(word)]) + word.encode() for word in words))
            assert b"!done" in api.recv(100)
            time.sleep(0.5)
            playbook.kill(process)
            assert api.recv(100) == b""  # the client is told at once
        assert processes(playbook)
        deadline = time.monotonic() + 10
        while processes(playbook) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not processes(playbook)
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("backend", "reason"), [("vmware", "returns no output of a script"), ("xenapi", "would restart the router")]
)
def test_a_backend_that_cannot_carry_it_is_refused_at_once_with_the_reason(playbook, backend, reason):
    with hypervisor(backend, ["chr1"], cache()) as hosts:
        run = playbook([OPEN], hosts)
    assert run.rc == 2
    assert reason in run.of("open")["result"]["msg"]
    assert not (playbook.folder / "home" / "cp" / "bridge.lock").exists()
