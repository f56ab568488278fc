# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What changed since the last report: reports are written as JSON and read again."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import fleet

MONDAY = datetime(2026, 11, 16, 12)
NEXT_MONDAY = MONDAY + timedelta(days=7)


def router(name: str, now: datetime, days: float | None = 40, system_id: str = "", level: str = "p1") -> fleet.Router:
    """A router that was read at *now*, with a deadline *days* after the first Monday."""
    ends = None if days is None or level == "free" else MONDAY + timedelta(days=days)
    planned = ends and ends - timedelta(days=30)
    return fleet.read(
        name,
        {
            "system_id": system_id or f"{name:A<11}",
            "level": level,
            "router_time": now.isoformat(),
            "deadline_at": ends and ends.isoformat(),
            "next_renewal_at": planned and planned.isoformat(),
            "expired": bool(ends and ends < now),
            "renewal_due": bool(planned and planned <= now),
        },
    )


def unread(name: str, _now: datetime) -> fleet.Router:
    return fleet.not_read(name, "no answer", True)


def report(routers: t.Iterable[fleet.Router], last: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    whole = fleet.fleet(routers)
    if last is not None:
        whole = fleet.compared(whole, last)
    return t.cast("dict[str, t.Any]", json.loads(json.dumps(fleet.as_data(whole))))


def test_each_kind_of_change_is_told():
    first = report(
        [
            router("same", MONDAY, 50),
            router("renewed", MONDAY, 20),
            router("raised", MONDAY, 50),
            router("licensed", MONDAY, level="free"),
            router("due", MONDAY, 33),
            router("clone", MONDAY, level="free"),
            router("gone", MONDAY),
            unread("silent", MONDAY),
        ]
    )
    assert first["changes"] is None
    second = report(
        [
            router("same", NEXT_MONDAY, 50),
            router("renewed", NEXT_MONDAY, 60),
            router("raised", NEXT_MONDAY, 50, level="p10"),
            router("licensed", NEXT_MONDAY, 67),
            router("due", NEXT_MONDAY, 33),
            router("clone", NEXT_MONDAY, level="free", system_id="another-one"),
            router("new", NEXT_MONDAY, 10),
            router("silent", NEXT_MONDAY, 10),
        ],
        first,
    )
    assert second["changes"] == {
        "since": "2026-11-16",
        "new": ["new"],
        "gone": ["gone"],
        "renewed": [
            {"name": "licensed", "from": None, "to": "2027-01-22T12:00:00"},
            {"name": "raised", "from": "2027-01-05T12:00:00", "to": "2027-01-05T12:00:00"},
            {"name": "renewed", "from": "2026-12-06T12:00:00", "to": "2027-01-15T12:00:00"},
        ],
        "newly_due": ["due"],
        "id_changed": [{"name": "clone", "from": "cloneAAAAAA", "to": "another-one"}],
    }


def test_all_reports_of_one_day_tell_the_same_changes_and_are_equal():
    first = report([router("chr1", MONDAY, 20)])
    second = report([router("chr1", NEXT_MONDAY, 60)], first)
    third = report([router("chr1", NEXT_MONDAY, 60)], second)
    assert second["changes"]["renewed"]
    assert third == second


def test_a_change_on_the_day_of_the_last_report_is_added_to_that_days_changes():
    first = report([router("chr1", MONDAY, 20), router("chr2", MONDAY, 20)])
    second = report([router("chr1", NEXT_MONDAY, 60), router("chr2", NEXT_MONDAY, 20)], first)
    third = report([router("chr1", NEXT_MONDAY, 60), router("chr2", NEXT_MONDAY, 60)], second)
    assert [one["name"] for one in third["changes"]["renewed"]] == ["chr1", "chr2"]


def test_a_router_that_was_not_read_for_a_while_is_compared_with_what_was_known_before():
    first = report([router("chr1", MONDAY, 20), router("chr2", MONDAY)])
    second = report([unread("chr1", NEXT_MONDAY), router("chr2", NEXT_MONDAY)], first)
    assert second["changes"] == {
        "since": "2026-11-16",
        **dict.fromkeys(("new", "gone", "renewed", "newly_due", "id_changed"), []),
    }
    later = NEXT_MONDAY + timedelta(days=7)
    third = report([router("chr1", later, 60), router("chr2", later)], second)
    assert third["changes"]["since"] == "2026-11-23"
    assert [one["name"] for one in third["changes"]["renewed"]] == ["chr1"]


def test_a_day_on_which_nothing_was_read_changes_nothing_and_loses_nothing():
    first = report([router("chr1", MONDAY, 20)])
    second = report([unread("chr1", NEXT_MONDAY)], first)
    assert second["changes"]["renewed"] == second["changes"]["gone"] == []
    assert report([unread("chr1", NEXT_MONDAY)], second) == second
    third = report([router("chr1", NEXT_MONDAY, 60)], second)
    assert third["changes"]["since"] == "2026-11-16"
    assert [one["name"] for one in third["changes"]["renewed"]] == ["chr1"]


@pytest.mark.parametrize("data", [None, [], {}, {"schema": "another"}, {"schema": fleet.SCHEMA, "version": 2}])
def test_what_is_no_report_of_this_version_is_refused(data):
    with pytest.raises(ValueError, match="schema"):
        fleet.compared(fleet.fleet([]), data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["name", "system_id", "level", "deadline_at", "renewal_due"]),
        JSON | st.sampled_from(["chr1", "2026-11-20T12:00:00", "2026-11-20T12:00:00+01:00", "p10"]),
    )
    | JSON,
    max_size=4,
)


@given(ROWS | JSON, JSON | st.just("2026-11-16"), JSON | st.fixed_dictionaries({"as_of": JSON, "routers": JSON}))
def test_a_last_report_with_anything_in_it_does_not_stop_the_new_one(rows, as_of, compared_with):
    last = {"schema": fleet.SCHEMA, "version": 1, "as_of": as_of, "routers": rows, "compared_with": compared_with}
    report([router("chr1", NEXT_MONDAY)], last)
