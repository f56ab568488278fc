# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of simulated routers, old and new."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.module_utils._routeros import facts
from ansible_collections.outofband.chr.tests.lab.routeros import Router


def gather(router: Router, *wanted: str) -> dict:
    def read(script: str) -> bytes:
        outcome = router.run(script)
        assert outcome.exitcode == 0, outcome
        return outcome.output

    def maybe(script: str) -> bytes | None:
        outcome = router.run(script)
        return outcome.output if outcome.exitcode == 0 else None

    return facts.gather(facts.subsets(list(wanted)), read, maybe)


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
    with pytest.raises(ValueError, match="'!everything' is no subset"):
        facts.subsets(["!everything"])
