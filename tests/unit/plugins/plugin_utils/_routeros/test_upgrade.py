# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions have an order, and what speaks against a step is told."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import records, upgrade
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.npk import Package
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.upgrade import Version
from ansible_collections.outofband.chr.tests.lab.routeros import Router

ORDERED = [
    "6.49.18",
    "7.9",
    "7.9.2",
    "7.10",
    "7.22alpha1",
    "7.22beta3",
    "7.22rc1",
    "7.22rc4",
    "7.22",
    "7.22.1",
    "7.22.10",
]


def version(text):
    return Version.parse(text)


def test_versions_are_in_the_order_of_their_release():
    assert [str(one) for one in sorted(map(version, reversed(ORDERED)))] == ORDERED


@pytest.mark.parametrize("text", ["", "7", "7.22.1.1", "7.22 ", "v7.22", "7.22_ab650", "7.x", "stable"])
def test_what_is_not_a_version_is_refused(text):
    with pytest.raises(ValueError, match="is not a valid version of RouterOS"):
        version(text)


def test_the_installed_version_is_read_without_its_channel():
    assert upgrade.installed(b"7.22.1 (stable)") == version("7.22.1")
    assert upgrade.installed(b"6.49.18 (long-term)").major == 6


def test_the_answer_about_the_newest_version_must_be_a_version_and_a_time():
    assert upgrade.newest(b"7.22.1 1774276515\n") == version("7.22.1")
    for answer in (b"", b"7.22.1", b"7.22.1 soon", b"<html> 12", b"7.22.1 1774276515 more", b"7.22.1 1" + b"0" * 200):
        with pytest.raises(ValueError, match="is not"):
            upgrade.newest(answer)


@pytest.mark.parametrize(
    ("before", "wanted", "allowed", "told"),
    [
        ("7.20", "7.22.1", {}, None),
        ("7.22.1", "7.22rc4", {}, "downgrade: true"),
        ("7.22.1", "7.20", {"downgrade": True}, None),
        ("6.49.18", "7.22", {}, "major: true"),
        ("6.49.18", "7.22", {"major": True}, None),
        ("7.22", "6.49.18", {"downgrade": True}, "major: true"),
    ],
)
def test_a_step_that_needs_an_option_says_which_one(before, wanted, allowed, told):
    why = upgrade.why_not(version(before), version(wanted), **{"downgrade": False, "major": False, **allowed})
    assert (why is None) is (told is None)
    assert told is None or told in why


def test_packages_must_fit_the_router_and_be_all_that_it_has():
    routeros, container = Package("routeros", "7.22.1", "x86_64"), Package("container", "7.22.1", "x86_64")

    def why(packages, architecture="x86_64", needed=("routeros",)):
        return upgrade.why_not_packages(packages, version("7.22.1"), architecture, needed)

    assert why([routeros]) is None
    assert why([routeros], needed={"routeros-x86", "routeros"}) is None
    assert why([routeros, container], needed={"routeros", "container"}) is None
    assert "container, which are not in packages" in why([routeros], needed={"routeros", "container"})
    assert "routeros, which are not in packages" in why([container])
    assert "is for x86_64, and the router is 'arm64'" in why([routeros], "arm64")
    assert "has version 7.22.1, not 7.23" in upgrade.why_not_packages([routeros], version("7.23"), "x86_64", ())


def test_packages_that_are_parts_disabled_or_only_available_are_not_needed():
    def shown(**values):
        return "@\n" + "".join(f"{name} {len(value)}:{value}\n" for name, value in values.items())

    listed = [
        shown(name="routeros", version="7.20"),
        shown(name="dhcp", version="6.49", bundle="routeros-x86"),
        shown(name="lora", version="7.20", disabled="true"),
        shown(name="iot", version="", available="true"),
        shown(name="dude", version="7.20", available="false", disabled="false"),
    ]
    assert upgrade.has_packages("".join(listed).encode()) == {"routeros", "dude"}


def test_menus_of_an_export_are_found_in_both_notations():
    export = b"# comment\n/interface bridge\nadd name=b\n/ip address\r\nadd address=1.2.3.4/24 \\\n    interface=b\n"
    export += b"/system identity set name=x\n/ip/dns\nset servers=9.9.9.9\n"
    assert upgrade.menus(export) == {"interface bridge", "ip address", "system identity", "ip dns"}


def test_a_line_of_blanks_in_an_export_takes_no_time():
    assert upgrade.menus(b"/ip address" + b" " * 1_000_000 + b"x\n") == {"ip address x"}


def test_package_files_of_other_versions_are_counted_by_the_router():
    router = Router()
    for name in ("routeros-7.22.1.npk", "dude-7.22.npk", "container-7.220.1.npk", "x.npk.txt", "y.rsc"):
        router.write_file(name, b"")
    outcome = router.run(f":put {upgrade.lying_about(version('7.22.1'))}")
    assert outcome.output.strip() == b"2"


def test_the_installed_version_is_a_condition_that_a_longer_one_does_not_meet():
    router = Router(version="7.22.1")
    said = [router.run(f":put ({upgrade.has(version(one))})").output.strip() for one in ("7.22.1", "7.22", "2.1")]
    assert said == [b"true", b"false", b"false"]


def test_interfaces_are_listed_by_name():
    output = Router(interfaces=("ether1", "ether2")).run(upgrade.INTERFACES_SCRIPT).output
    assert {one["name"] for one in records.parse(output)} >= {"ether1", "ether2"}
