# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import fleet
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import LEVELS, License, upgrade_cost

NOON = datetime(2026, 11, 23, 12)


def license(level="p1", days=20.0, system_id="jZBX6bKzYKJ", now=NOON, **more):
    """What license_info returns of a router whose deadline is *days* after noon."""
    deadline = None if level == "free" or days is None else NOON + timedelta(days=days)
    own = License(system_id, level, None, deadline and deadline - timedelta(days=30), deadline)
    return {
        "system_id": system_id,
        "level": level,
        "limited_upgrades": None,
        "next_renewal_at": own.next_renewal_at and own.next_renewal_at.isoformat(),
        "deadline_at": deadline and deadline.isoformat(),
        "router_time": now.isoformat(),
        "expired": own.expired(now),
        "renewal_due": own.renewal_due(now),
        "clock_ahead": 0.4,
        "clock_wrong": False,
        **more,
    }


FLEETS = st.lists(
    st.one_of(
        st.builds(
            lambda level, days, number: license(level, days, f"{number:011d}"),
            st.sampled_from(LEVELS),
            st.one_of(st.none(), st.integers(-40, 400)),
            st.integers(0, 30),
        ),
        st.none(),
    ),
    max_size=40,
).map(
    lambda found: [
        fleet.read(f"chr{number}", one) if one else fleet.not_read(f"chr{number}", "no answer", True)
        for number, one in enumerate(found)
    ]
)


@given(FLEETS)
def test_every_router_is_counted_in_one_band_and_one_level(routers):
    whole = fleet.fleet(routers)
    assert sum(whole.bands.values()) == len(routers)
    assert sum(whole.levels.values()) + len(whole.not_read) == len(routers)


@given(FLEETS, st.randoms())
def test_a_fleet_does_not_depend_on_the_order_of_its_routers(routers, random):
    shuffled = random.sample(routers, len(routers))
    assert fleet.as_data(fleet.fleet(shuffled)) == fleet.as_data(fleet.fleet(routers))


@given(FLEETS)
def test_costs_of_levels_are_the_sums_of_the_routers_costs(routers):
    whole = fleet.fleet(routers)
    for level in LEVELS[1:]:
        of_levels = sum(one.cost for one in whole.upgrades if one.wanted == level)
        assert of_levels == sum(router.upgrades.get(level, 0) for router in routers)
        assert of_levels == sum(upgrade_cost(one.level, level) for one in routers if one.level)


@given(FLEETS)
def test_duplicates_are_the_ids_of_more_than_one_router_and_all_of_those(routers):
    ids = [one.system_id for one in routers if one.system_id]
    found = {one.system_id: len(one.routers) for one in fleet.fleet(routers).duplicates}
    assert found == {one: ids.count(one) for one in ids if ids.count(one) > 1}


@pytest.mark.parametrize(
    ("days", "band", "within"),
    [
        (-31, "expired", []),
        (-0.01, "expired", []),
        (0.01, "within_7", ["7", "30", "60"]),
        (7, "within_7", ["7", "30", "60"]),
        (8, "within_30", ["30", "60"]),
        (30, "within_30", ["30", "60"]),
        (31, "within_60", ["60"]),
        (60, "within_60", ["60"]),
        (61, "later", []),
        (None, "no_deadline", []),
    ],
)
def test_horizons_end_with_their_last_day(days, band, within):
    data = fleet.as_data(fleet.fleet([fleet.read("chr1", license(days=days))]))
    assert data["routers"][0]["band"] == band
    assert [horizon for horizon, names in data["expiring"].items() if names] == within
    assert data["expired"] == (["chr1"] if band == "expired" else [])


def test_two_readings_of_one_day_give_the_same_data():
    morning, evening = NOON.replace(hour=0, minute=1), NOON.replace(hour=23, minute=59)
    first, second = (
        fleet.as_data(fleet.fleet([fleet.read("a", license(days=5.6, now=now, clock_ahead=now.hour / 9))]))
        for now in (morning, evening)
    )
    assert first == second
    assert first["as_of"] == "2026-11-23"


def test_the_date_is_the_one_that_most_right_clocks_show():
    right = [fleet.read(name, license()) for name in ("a", "b")]
    wrong = [
        fleet.read(name, license(now=NOON + timedelta(days=400), clock_wrong=True, clock_ahead=400 * 86400.0))
        for name in ("c", "d", "e")
    ]
    whole = fleet.fleet(right + wrong)
    assert whole.as_of == NOON.date()
    assert [one.name for one in whole.wrong_clocks] == ["c", "d", "e"]
    assert whole.wrong_clocks[0].clock_ahead == 400 * 86400


def test_names_come_in_the_order_in_which_people_count():
    names = [one.name for one in fleet.fleet(fleet.not_read(f"chr{n}", "off") for n in (10, 2, 1)).routers]
    assert names == ["chr1", "chr2", "chr10"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"level": "p2"}, "the level 'p2' is not one of"),
        ({"level": None}, "the level 'None' is not one of"),
        ({"system_id": ""}, "the system_id is ''"),
        ({"router_time": None}, "no router_time"),
        ({"deadline_at": "tomorrow"}, "tomorrow"),
        ({"deadline_at": "2026-11-23T12:00:00+00:00"}, "not a time without a zone"),
        ({"deadline_at": 7}, "not a time without a zone"),
        ({"expired": "no"}, "expired is 'no', not true or false"),
    ],
)
def test_what_is_no_license_is_a_router_that_was_not_read(change, why):
    router = fleet.read("chr1", license() | change)
    assert router.band == "not_read"
    assert why in (router.reason or "")
    assert router.system_id is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(license())), JSON), JSON, JSON)
def test_nothing_that_comes_in_stops_the_report(change, name, reason):
    routers = [fleet.read(name, license() | change), fleet.read(name, reason), fleet.not_read(name, reason)]
    data = fleet.as_data(fleet.fleet(routers))
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    text.encode()
    assert all(one["reason"] or one["level"] for one in data["routers"])


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"])))
def test_what_is_shown_is_one_line_of_characters_that_only_stand_there(text):
    shown = fleet.shown(text)
    assert len(shown) <= 300
    assert shown.isprintable()


def test_an_ended_trial_counts_as_expired_and_findings_are_listed():
    ended = license("free", expired=True, limited_upgrades=True, deadline_at="2026-11-20T12:00:00")
    odd = license("p1", None, findings=["The level p1 may not\x1b[2J be in force."])
    whole = fleet.fleet([fleet.read("ended", ended), fleet.read("odd", odd)])
    data = fleet.as_data(whole)
    assert data["expired"] == ["ended"]
    assert data["routers"][0]["days_left"] == -3
    (found,) = data["findings"]
    assert found["name"] == "odd" and "may not" in found["findings"][0] and "\x1b" not in found["findings"][0]


# -- what there is to do ---------------------------------------------------------------------------

TO_DO = {
    "nothing while a paid license renews itself": (license(days=31), None),
    "its own attempts have just begun": (license(days=29.2), "renew"),
    "its own attempts do not help": (license(days=20), "renew, or buy before 2026-12-13"),
    "the last day": (license(days=0.4), "renew, or buy before 2026-11-23"),
    "limited upgrades": (license(days=40, limited_upgrades=True, renewal_due=True), "renew"),
    "expired": (license(days=-3), "prepaid key"),
    "a trial that ended": (
        license("free", expired=True, limited_upgrades=True, deadline_at="2026-11-20T12:00:00"),
        "prepaid key",
    ),
    "no date for the next renewal": (license("p1", None, findings=["It may not be in force."]), "reboot"),
    "free": (license("free"), None),
    "a clock that is a year ahead": (license(days=-3, clock_wrong=True, clock_ahead=3.2e7), "set clock"),
    "a clock that is an hour ahead": (license(days=-3, clock_wrong=True, clock_ahead=3600.0), "prepaid key"),
}


@pytest.mark.parametrize(("found", "said"), TO_DO.values(), ids=TO_DO)
def test_what_there_is_to_do_follows_from_the_license(found, said):
    (row,) = fleet.as_data(fleet.fleet([fleet.read("chr1", found)]))["routers"]
    assert row["to_do"] == said


@pytest.mark.parametrize(("days", "said"), [(5, "buy before 2026-11-28"), (50, None)])
def test_a_license_that_was_renewed_in_vain_is_a_trial_unless_its_renewal_is_to_come(days, said):
    (row,) = fleet.as_data(fleet.fleet([fleet.read("chr1", license(days=days), renewed_in_vain=True)]))["routers"]
    assert row["to_do"] == said


def test_clones_get_new_ids_while_they_are_free():
    routers = [fleet.read(name, license("free", system_id="A" * 11)) for name in ("a", "b")]
    routers.append(fleet.read("c", license("p1", 40, system_id="A" * 11)))
    data = fleet.as_data(fleet.fleet(routers))
    assert [one["to_do"] for one in data["routers"]] == ["new id", "new id", None]
    assert data["to_do"]["new_id"] == ["a", "b"]


@given(FLEETS)
def test_each_router_has_at_most_one_thing_to_do_and_what_was_not_read_none(routers):
    whole = fleet.fleet(routers)
    counted = [one.name for found in whole.to_do.values() for one in found]
    assert len(counted) == len(set(counted)) == sum(one.to_do is not None for one in whole.routers)
    assert not set(counted) & {one.name for one in whole.not_read}
    assert {one.name for one in whole.renewal_due} <= set(counted)


def test_what_the_license_tells_of_the_place_counts_more_than_the_inventory():
    identity = {"host": "chr1", "backend": "proxmox", "endpoint": "pve1:8006", "vm": "104"}
    inventory = fleet.RouterPlace("vmware", "vc", "vm-1", ("edge", "fra\x1b[2J"))
    known = fleet.located(fleet.read("chr1", license(router=identity, routeros="7.22 (stable)")), inventory, "6.49")
    silent = fleet.located(fleet.not_read("chr2", "no answer"), inventory, "6.49")
    rows = fleet.as_data(fleet.fleet([known, silent]))["routers"]
    columns = ("backend", "hypervisor", "endpoint", "vm", "routeros")
    assert [rows[0][key] for key in columns] == ["proxmox", "pve1:8006", "pve1:8006", "104", "7.22 (stable)"]
    assert [rows[1][key] for key in columns] == ["vmware", "vc", "vc", "vm-1", "6.49"]
    assert rows[0]["groups"][0] == "edge" and "\x1b" not in rows[0]["groups"][1]


@pytest.mark.parametrize("ahead", [float("inf"), float("nan"), 10**400, "x", None])
def test_a_clock_that_makes_no_sense_does_not_cost_the_report(ahead):
    whole = fleet.fleet([fleet.read("a", license(clock_wrong=True, clock_ahead=ahead))])
    assert whole.routers[0].clock_ahead is None
