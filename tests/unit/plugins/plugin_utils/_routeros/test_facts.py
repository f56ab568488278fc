# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of simulated routers, old and new."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import OutputCut
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import facts
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.records import items
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.menus import Item


def gather(router: Router, *wanted: str, **how) -> dict:
    def read(script: str) -> bytes:
        outcome = router.run(script)
        assert outcome.exitcode == 0, outcome
        return outcome.output

    def maybe(script: str) -> bytes | None:
        outcome = router.run(script)
        return outcome.output if outcome.exitcode == 0 else None

    return facts.gather(facts.subsets(list(wanted)), facts.FactSource(read, maybe, **how))


@pytest.mark.parametrize("version", ["6.49.10", "7.4", "7.22"])
def test_all_facts_of_all_versions(version):
    router = Router(version=version, interfaces=("ether1", "ether2"), system_id="6lR1ZP/utuJ")
    router.run("/ip route add dst-address=0.0.0.0/0 gateway=10.0.2.2")
    found = gather(router, "all")
    assert found["hostname"] == "MikroTik"
    assert found["version"].startswith(version)
    assert found["serialnum"] == "6lR1ZP/utuJ"
    assert found["model"] == "CHR"
    assert found["all_ipv4_addresses"] == ["10.0.2.15"]
    assert found["interfaces"]["ether1"]["ipv4"] == [{"address": "10.0.2.15", "subnet": "24"}]
    assert found["interfaces"]["ether2"]["type"] == "ether"
    assert found["route"]["main"][0]["gateway"] == "10.0.2.2"
    assert found["memtotal_mb"] == 1024
    assert found["bgp_peer"] == {}
    assert "/ip route" in found["config_nonverbose"]


def add(router: Router, path: str, *found: dict[str, str]) -> None:
    """Put items into a menu that RouterOS fills by itself."""
    table = router.behaviour(path).table(router)
    table.items += [Item(number, dict(values)) for number, values in enumerate(found, start=1)]


NEIGHBORS = [{"interface": "ether1", "identity": "sw1"}, {"interface": "ether1", "identity": "sw2"}, {"identity": "r3"}]
OSPF = [{"instance": "default", "router-id": f"192.0.2.{number}"} for number in (11, 12, 13)] + [{"router-id": "x"}]


@pytest.mark.parametrize("page", [None, 1, 4])
def test_as_many_items_come_out_as_are_on_the_router(page):
    """Neighbours share an interface, and OSPF neighbours an instance."""
    router = Router()
    add(router, "ip neighbor", *NEIGHBORS)
    add(router, "routing ospf neighbor", *OSPF)
    found = gather(router, "interfaces", "routing", page=page)
    assert [(one.get("interface"), one["identity"]) for one in found["neighbors"]] == [
        ("ether1", "sw1"),
        ("ether1", "sw2"),
        (None, "r3"),
    ]
    neighbors = found["ospf_neighbor"]
    assert [one["router-id"] for one in neighbors["default"]] == ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    assert sum(map(len, neighbors.values())) == len(OSPF)
    assert found["incomplete"] == []


RECORDS = {
    # Two entries of one name, and one without a name; the menus are of other RouterOS versions.
    "/routing bgp connection": [{".id": "*1", "name": "up"}, {".id": "*2", "name": "up"}, {".id": "*3", "as": "65000"}],
    "/routing bgp vpnv4-route": [{".id": "*1", "interface": "a"}, {".id": "*2", "interface": "a"}],
}


def printed(items):
    return b"".join(
        b"@\r\n" + b"".join(f"{key} {len(value)}:{value}\r\n".encode() for key, value in one.items()) for one in items
    )


def test_no_entry_is_lost_because_of_its_name():
    def maybe(script: str) -> bytes | None:
        menu = next((menu for menu in RECORDS if f"[{menu} print" in script), None)
        return printed(RECORDS[menu]) if menu else b""

    found = facts.gather(["routing"], facts.FactSource(lambda script: b"", maybe))
    assert found["bgp_peer"] == {"up": {"name": "up"}, "up *2": {"name": "up"}, "*3": {"as": "65000"}}
    assert found["bgp_vpnv4_route"] == {"a": [{"interface": "a"}] * 2}


@pytest.mark.parametrize("page", [None, 7])
def test_menus_without_a_bound_are_bounded_and_that_is_said(page):
    router = Router()
    for number in range(30):
        router.run(f"/ip route add dst-address=10.9.{number}.0/24 gateway=10.0.2.2")
    found = gather(router, "routing", limit=20, page=page)
    assert sum(map(len, found["route"].values())) == 20
    assert found["incomplete"] == ["/ip route"]
    whole = gather(router, "routing", page=page)
    assert sum(map(len, whole["route"].values())) >= 30
    assert whole["incomplete"] == []


@pytest.mark.parametrize("bounded", [True, False])
def test_output_that_is_too_long_is_read_in_parts_or_as_far_as_it_is_needed(bounded):
    """*bounded*: the script prints only the items that it is asked for."""
    all_items = [{"dst-address": f"10.0.{number}.0/24"} for number in range(200)]

    def run(script: str) -> bytes:
        start, end = map(int, re.search(r" (\d+) (\d+)\]", script).groups()) if bounded else (0, 200)
        output = printed(all_items[start:end])
        if len(output) > 2000:
            raise OutputCut("too long", output[:2000])
        return output

    for limit in (10, 150) if bounded else (10,):
        assert items("/ip route", run, limit=limit) == all_items[: limit + 1]
    with pytest.raises(OutputCut):
        items("/ip route", lambda script: run("[:pick [/ip route] 0 200]"))


ODD = {
    "several lines": "one\ntwo",
    "an empty line": "one\n\ntwo\n",
    "like a property": "one\nname 4:fake",
    "like a record": "one\n@\nname 4:fake",
    "another encoding": "caf\xe9",
    "UTF-8": "\xc3\xa9",
    "control characters": "\x1b[2J\x07",
}


@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("version", ["6.49.10", "7.22"])
def test_an_odd_value_fails_no_subset(version, crlf):
    router = Router(version=version, interfaces=tuple(f"ether{number}" for number in range(1, len(ODD) + 1)))
    router.values_with_crlf = crlf
    for number, value in enumerate(ODD.values(), start=1):
        router.items("interface")[number - 1].values["comment"] = value
    found = gather(router, "interfaces", encoding="cp1252")
    interfaces = found["interfaces"]
    assert [f"ether{number}" in interfaces for number in range(1, len(ODD) + 1)] == [True] * len(ODD)
    assert not {"fake", "one"} & set(interfaces)
    assert found["all_ipv4_addresses"] == ["10.0.2.15"]
    comments = {name: interfaces[f"ether{number}"]["comment"] for number, name in enumerate(ODD, start=1)}
    assert comments["several lines"] == "one\ntwo"
    assert comments["another encoding"] == "café" and comments["UTF-8"] == "é"
    assert "\x1b" not in comments["control characters"]
    assert gather(router, "interfaces")["interfaces"]["ether5"]["comment"] == "caf\\xe9"


@given(st.binary(max_size=200), st.integers(0, 3))
def test_no_output_fails_the_parser_of_facts(output, records):
    record = printed([{"name": "ether1"}] * records)
    found = items("/interface", lambda script: record + output)
    assert found[: max(records - 1, 0)] == [{"name": "ether1"}] * max(records - 1, 0)


def test_a_value_that_is_missing_is_none():
    def read(script: str) -> bytes:
        return printed([{"address": "10.0.0.1"}, {}]) if "[/ip address print" in script else b""

    found = facts.gather(["default", "hardware", "interfaces"], facts.FactSource(read, lambda script: None))
    assert found["uptime"] is found["memfree_mb"] is found["hostname"] is None
    assert found["all_ipv4_addresses"] == ["10.0.0.1"]


@pytest.mark.parametrize("shown", ["1w2d03:04:05", "1w2d3h4m5s"])
def test_the_uptime_has_one_format(shown):
    found = facts.gather(
        ["default"], facts.FactSource(lambda script: printed([{"uptime": shown}]), lambda script: None)
    )
    assert found["uptime"] == "1w2d3h4m5s"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (('#error exporting "/interface/wifi" (timeout)',), "it lacks /interface/wifi (timeout)"),
        (("#error exporting /ip socks", "#interrupted"), "it lacks /ip socks and it was interrupted"),
        (("#interrupted",), "it was interrupted"),
    ],
)
def test_an_export_that_says_that_it_is_not_whole_is_refused_with_the_menus(lines, said):
    router = Router()
    router.export_errors = lines
    with pytest.raises(ValueError, match=re.escape(said)):
        gather(router, "config")
    router.export_errors = ()
    router.run('/interface set ether1 comment="#interrupted"')
    assert "#interrupted" in gather(router, "config")["config"]


def test_the_short_configuration_is_the_same_as_long_as_nothing_changes():
    router = Router()
    before = gather(router, "config")["config_nonverbose"]
    router.clock.shift(3600)
    assert gather(router, "config")["config_nonverbose"] == before
    router.run("/system identity set name=other")
    assert gather(router, "config")["config_nonverbose"] != before


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["all"], ["default", "hardware", "interfaces", "routing", "config"]),
        (["!config"], ["default", "hardware", "interfaces", "routing"]),
        (["!all"], ["default"]),
        (["hardware"], ["default", "hardware"]),
        (["all", "!routing", "!config"], ["default", "hardware", "interfaces"]),
    ],
)
def test_subsets(wanted, expected):
    assert facts.subsets(wanted) == expected


def test_an_unknown_subset_is_named():
    with pytest.raises(ValueError, match="'!everything' is not a valid subset"):
        facts.subsets(["!everything"])
