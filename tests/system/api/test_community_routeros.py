# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""community.routeros, unmodified, as the judge: its modules that speak the API."""

from __future__ import annotations

import os
import sys
import typing as t

import pytest

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.peers import collections
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.system.api.conftest import IDENTITY, Endpoint
from ansible_collections.outofband.chr.tests.system.conftest import Playbook, Run

HOSTS = {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
MODULES = "community.routeros."
Tasks = list[dict[str, t.Any]]
Play = t.Callable[..., Run]


@pytest.fixture
def play(playbook: Playbook, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Run tasks with their modules of community.routeros, which talk to the endpoint."""
    found = [str(collections(cache(), name)) for name in ("community.routeros", "ansible.netcommon", "ansible.utils")]
    own = filter(None, [os.environ.get("ANSIBLE_COLLECTIONS_PATH")])
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", os.pathsep.join(dict.fromkeys([*found, *own])))
    reach = {name: getattr(endpoint, name) for name in ("hostname", "port", "username", "password")}
    defaults = {"group/community.routeros.api": {**reach, "tls": False, "encoding": "utf-8"}}

    def run(tasks: Tasks, *arguments: str) -> Run:
        return playbook(tasks, HOSTS, *arguments, module_defaults=defaults)

    return run


def modify(name: str, path: str, data: list[dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
    return {"name": name, f"{MODULES}api_modify": {"path": path, "data": data, **options}}


def checked(task: dict[str, t.Any]) -> dict[str, t.Any]:
    """The same, which only tells what it would do."""
    return {**task, "name": f"check {task['name']}", "check_mode": True, "diff": True}


def again(task: dict[str, t.Any]) -> dict[str, t.Any]:
    return {**task, "name": f"{task['name']} again"}


def rules(router: Router, path: str, *names: str) -> list[tuple[t.Any, ...]]:
    """Some properties of each item, from the router itself."""
    return [tuple(item.value(name) for name in names) for item in router.items(path)]


ADDRESSES = modify(
    "addresses",
    "ip firewall address-list",
    [
        {"list": "mgmt", "address": "10.1.1.2", "comment": "Größe ✓"},
        {"list": "mgmt", "address": "10.1.1.7", "disabled": True},
        {"list": "mgmt", "address": "2001:db8::/32"},
    ],
    handle_absent_entries="remove",
    handle_entries_content="remove",
)
WANTED_RULES = [
    {"chain": "input", "action": "accept", "connection-state": "established,related,untracked"},
    {"chain": "input", "action": "drop", "connection-state": "invalid", "comment": 'no "way" $out [now]'},
    {"chain": "input", "action": "accept", "protocol": "tcp", "dst-port": "22,8291", "src-address-list": "mgmt"},
    {"chain": "input", "action": "drop", "in-interface": "ether1", "log": True, "log-prefix": "in"},
    {"chain": "forward", "action": "fasttrack-connection", "connection-state": "established", "disabled": True},
    {"chain": "forward", "action": "drop", "connection-nat-state": "!dstnat", "limit": "10,5:packet"},
]
FILTER = modify(
    "filter",
    "ip firewall filter",
    WANTED_RULES,
    ensure_order=True,
    handle_absent_entries="remove",
    handle_entries_content="remove",
)
DNS = modify("dns", "ip dns", [{"servers": "9.9.9.9,149.112.112.112", "cache-max-ttl": "1d", "verify-doh-cert": True}])
USERS = modify(
    "users",
    "user",
    [
        {"name": "ops", "group": "write", "password": "s3cret $x", "comment": "on call"},
        {"name": "admin", "group": "full", "comment": None, "disabled": False},
    ],
)
NTP = modify("ntp", "system ntp client", [{"enabled": True, "servers": "192.0.2.1,ntp.test"}])
BEFORE = """
/ip firewall filter
add chain=input action=drop in-interface=ether1 protocol=udp comment=gone
add chain=forward action=drop connection-nat-state="!dstnat" limit=10,5:packet
add chain=input action=accept connection-state=established,related,untracked disabled=yes
add chain=output action=reject
"""
RULE = ("chain", "action", "comment", "protocol", "connection-state")


def test_api_modify_brings_a_router_to_its_configuration_and_leaves_it_there(endpoint: Endpoint, play: Play) -> None:
    router = endpoint.router
    assert router.run(BEFORE).exitcode == 0
    every = [ADDRESSES, FILTER, DNS, USERS, NTP]

    checks = play([checked(task) for task in every])
    assert checks.rc == 0, checks.output
    assert {task for _unused, task in checks.changed()} == {f"check {task['name']}" for task in every}
    diff = checks.of("check filter")["result"]["diff"]
    assert [rule["chain"] for rule in diff["before"]["data"]] == ["input", "forward", "input", "output"]
    assert [rule["chain"] for rule in diff["after"]["data"]] == ["input"] * 4 + ["forward"] * 2
    assert rules(router, "ip firewall filter", "chain", "comment")[3] == ("output", None)
    assert rules(router, "ip firewall address-list", "address")[0] == ("10.1.1.1",)

    run = play([*every, *map(again, every)])
    assert run.rc == 0, run.output
    assert {task for _unused, task in run.changed()} == {task["name"] for task in every}
    assert rules(router, "ip firewall address-list", "list", "address", "disabled") == [
        ("mgmt", "10.1.1.2", False),
        ("mgmt", "10.1.1.7", True),
        ("mgmt", "2001:db8::/32", False),
    ]
    assert str(router.items("ip firewall address-list")[0].value("comment")).encode("latin-1").decode() == "Größe ✓"
    assert rules(router, "ip firewall filter", *RULE) == [
        tuple(rule.get(name) for name in RULE) for rule in WANTED_RULES
    ]
    told = run.of("filter again")["result"]["new_data"]
    assert [{name: rule[name] for name in wanted} for rule, wanted in zip(told, WANTED_RULES, strict=True)] == (
        WANTED_RULES
    )
    outcome = router.run(":put [/ip dns get servers]; :put [/ip dns get cache-max-ttl]; :put [/user get ops group]")
    assert outcome.output.split(b"\r\n")[:3] == [b"9.9.9.9;149.112.112.112", b"1d00:00:00", b"write"]
    assert router.check_login("ops", "s3cret $x")
    assert "comment" not in {name for name, value in router.items("user")[0].values.items() if value}


def api(name: str, path: str, **arguments: t.Any) -> dict[str, t.Any]:
    return {"name": name, f"{MODULES}api": {"path": path, **arguments}}


def test_api_reads_and_changes_one_item(endpoint: Endpoint, play: Play) -> None:
    where = [
        {"attribute": "list", "is": "==", "value": "mgmt"},
        {"or": [{"attribute": "address", "is": "==", "value": "10.1.1.1"}, {"attribute": ".id", "is": "==", "value": "*3"}]},
    ]  # fmt: skip
    run = play(
        [
            api("print", "ip firewall address-list"),
            api("query", "ip firewall address-list", query=".id address WHERE address == 10.1.1.2"),
            api(
                "extended",
                "ip firewall address-list",
                extended_query={"attributes": [".id", "address", "list"], "where": where},
            ),
            api("add", "ip firewall address-list", add='list=new address=10.7.7.7 comment="two words"'),
            api("update", "ip firewall address-list", update='.id=*1 comment="new words"'),
            api("remove", "ip firewall address-list", remove="*3"),
            api("command", "ip firewall address-list", cmd="disable .id=*1"),
            {**api("no item", "ip firewall address-list", remove="*99"), "ignore_errors": True},
            {**api("no menu", "system routerboard"), "ignore_errors": True},
            {**api("wrong password", "system identity", password="wrong"), "ignore_errors": True},
        ]
    )
    assert run.rc == 0, run.output
    assert [row[".id"] for row in run.of("print")["result"]["msg"]] == ["*1", "*2", "*3"]
    assert run.of("query")["result"]["msg"] == [{".id": "*2", "address": "10.1.1.2"}]
    assert run.of("extended")["result"]["msg"] == [{".id": "*1", "address": "10.1.1.1", "list": "mgmt"}]
    assert "*4" in str(run.of("add")["result"]["msg"])
    assert rules(endpoint.router, "ip firewall address-list", "address", "comment", "disabled") == [
        ("10.1.1.1", "new words", True),
        ("10.1.1.2", None, True),
        ("10.7.7.7", "two words", False),
    ]
    assert "no such item" in str(run.of("no item")["result"])
    assert "no such command prefix" in str(run.of("no menu")["result"])
    assert "invalid user name or password" in str(run.of("wrong password")["result"])


def test_info_facts_and_find_and_modify(endpoint: Endpoint, play: Play) -> None:
    def info(name: str, path: str, **options: t.Any) -> dict[str, t.Any]:
        return {"name": name, f"{MODULES}api_info": {"path": path, **options}}

    found = {
        "path": "ip firewall address-list",
        "find": {"list": "mgmt"},
        "values": {"disabled": True, "comment": "off"},
        "require_matches_min": 2,
        "require_matches_max": 2,
    }
    find = {"name": "find", f"{MODULES}api_find_and_modify": found}
    run = play(
        [
            info("addresses", "ip address", include_dynamic=True, include_builtin=True),
            info("static", "ip address", hide_defaults=False),
            info("restricted", "ip firewall address-list", restrict=[{"field": "list", "values": ["other"]}]),
            info("identity", "system identity"),
            info("services", "ip service"),
            {"name": "facts", f"{MODULES}api_facts": {"gather_subset": ["all"]}},
            checked(find),
            find,
            again(find),
        ]
    )
    assert run.rc == 0, run.output
    result = {line["task"]: line["result"] for line in run.lines}
    assert [row["address"] for row in result["addresses"]["result"]] == ["10.0.2.15/24", "192.168.88.1/24"]
    assert [row["interface"] for row in result["static"]["result"]] == ["ether2"]
    assert [row["address"] for row in result["restricted"]["result"]] == ["10.1.1.3"]
    assert result["identity"]["result"] == [{"name": IDENTITY}]
    assert {row["name"]: row["port"] for row in result["services"]["result"]}["api"] == 8728
    facts = {
        name.removeprefix("ansible_net_"): value for name, value in result["facts"].get("ansible_facts", {}).items()
    }
    assert (facts["hostname"], facts["version"], facts["arch"]) == (IDENTITY, "7.22 (stable)", "x86_64")
    assert "model" not in facts
    assert facts["all_ipv4_addresses"] == ["10.0.2.15", "192.168.88.1"]
    assert facts["interfaces"]["ether2"]["ipv4"] == [{"address": "192.168.88.1", "subnet": 24}]
    assert facts["interfaces"]["ether1"]["running"] is True
    assert "Error while querying path system routerboard: no such command prefix" in result["facts"]["warnings"]
    assert result["find"]["match_count"] == result["find"]["modify_count"] == 2
    assert {task for _unused, task in run.changed()} == {"check find", "find"}
    assert rules(endpoint.router, "ip firewall address-list", "comment", "disabled") == [
        ("off", True),
        ("off", True),
        (None, False),
    ]
