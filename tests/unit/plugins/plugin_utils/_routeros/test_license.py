# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The license of old and new routers, and what follows from it by the router's clock."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ScriptFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import read_by_exit_code
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import license
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import License, RouterClock, Unreadable
from ansible_collections.outofband.chr.tests.lab.routeros import Router

VERSIONS = ["6.49", "7.8", "7.9", "7.10", "7.22"]
NOW = datetime(2026, 6, 1, 12)
A_DAY = timedelta(days=1)

system_ids = st.text("ABCXYZabcxyz0189+/", min_size=11, max_size=11)
moments = st.none() | st.datetimes(datetime(2016, 1, 1), datetime(2059, 1, 1)).map(
    lambda one: one.replace(microsecond=0)
)
# In every source, a next renewal comes with a deadline.
licenses = st.builds(
    License, system_ids, st.sampled_from(license.LEVELS[1:]), st.sampled_from([None, True, False]), moments, moments
).filter(lambda one: one.deadline_at or not one.next_renewal_at) | st.builds(License, system_ids, st.just("free"))
# A licensed router shows dates or limits in every source; without either, its first line alone
# would be a free one's.
documented = licenses.filter(lambda one: one.free or one.limited_upgrades or one.next_renewal_at or one.deadline_at)


def router_with(wanted: License, version: str, **options: object) -> Router:
    """A router of which no server hears, so that it shows what it is told to."""
    router = Router(version=version, system_id=wanted.system_id, level=wanted.level, **options)
    router.license.catch_up = lambda router: None
    router.license.limited_upgrades = wanted.limited_upgrades
    for name in ("next_renewal_at", "deadline_at"):
        moment = getattr(wanted, name)
        setattr(router.license, name, moment and moment.replace(tzinfo=UTC))
    return router


def as_shown(wanted: License, version: str) -> License:
    """RouterOS 6 has no line for upgrades that are not limited."""
    if version.startswith("6") and wanted.limited_upgrades is False:
        return License(wanted.system_id, wanted.level, None, wanted.next_renewal_at, wanted.deadline_at)
    return wanted


@given(licenses, st.sampled_from(VERSIONS), st.sampled_from(["\n", "\r\n"]))
def test_every_license_is_read_back_from_every_version(wanted, version, newline):
    router = router_with(wanted, version, output_newline=newline)
    expected = as_shown(wanted, version)
    assert license.from_print(router.run("/system license print").output) == expected
    reading = license.from_output(router.run(license.READ_SCRIPT).output)
    assert reading.license == expected
    assert abs((reading.clock.local.replace(tzinfo=UTC) - router.clock.now()).total_seconds()) < 5
    assert reading.clock.offset == timedelta(0)
    assert reading.routeros == router.run(":put [/system resource get version]").output.decode().strip()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "wanted",
    [
        License("6lR1ZP/utuJ", "free"),
        License("HDlXorQ3+7L", "p-unlimited", False, NOW, NOW + license.GRACE),
        License("HDlXorQ3+7L", "p10", True),
    ],
)
def test_every_license_is_read_value_by_value(wanted, version):
    router = router_with(wanted, version)
    jobs = []

    def succeed(scripts):
        jobs.extend(scripts)
        return [router.run(script).exitcode == 0 for script in scripts]

    def text(expression, likely):
        try:
            return readable(read_by_exit_code.read_text(expression, succeed, likely))
        except ScriptFailed:
            return None

    reading = license.from_values(
        text, lambda expression: read_by_exit_code.read_seconds(expression, succeed), datetime.now(UTC)
    )
    assert reading.license == as_shown(wanted, version)
    assert abs((reading.clock.local.replace(tzinfo=UTC) - router.clock.now()).total_seconds()) < 5
    # A date costs about 150 jobs, the rest is mostly among the likely values.
    assert len(jobs) < (500 if wanted.deadline_at else 340)


def test_midnight_may_pass_while_values_are_read():
    def reading(time, dates):
        values = {"system-id": "6lR1ZP/utuJ", "level": "free"}
        days = iter(dates)
        return license.from_values(
            lambda expression, likely: (
                next(days) if "date]" in expression else values.get(expression.split()[-1].strip("]"), "")
            ),
            lambda expression: time,
            datetime.now(UTC),
        ).clock.local

    assert reading(86399, ["2026-01-31", "2026-02-01"]) == datetime(2026, 1, 31, 23, 59, 59)
    assert reading(1, ["2026-01-31", "2026-02-01"]) == datetime(2026, 2, 1, 0, 0, 1)


@pytest.mark.parametrize("missing", ["level", "system-id", "next-renewal-at", "deadline-at", "date"])
def test_a_value_that_could_not_be_read_is_not_an_empty_one(missing):
    values = {"system-id": "6lR1ZP/utuJ", "level": "free", "date": "2026-01-31"}

    def text(expression, likely):
        name = expression.split()[-1].strip("]")
        return None if name == missing else values.get(name, "")

    with pytest.raises(Unreadable, match=missing):
        license.from_values(text, lambda expression: 5, datetime.now(UTC))


PUBLISHED = {
    "manual, free": (
        b"  system-id: 6lR1ZP/utuJ\n      level: free\n",
        License("6lR1ZP/utuJ", "free"),
    ),
    "manual, p1": (
        b"        system-id: 6lR1ZP/utuJ\n            level: p1\n"
        b"  next-renewal-at: jan/10/2016 21:59:59\n      deadline-at: feb/09/2016 21:59:59\n",
        License("6lR1ZP/utuJ", "p1", None, datetime(2016, 1, 10, 21, 59, 59), datetime(2016, 2, 9, 21, 59, 59)),
    ),
    "help page, p1": (
        b"        system-id: HDlXorQ3f7L\n            level: p1\n  limited-upgrades: no\n"
        b"  next-renewal-at: 2024-08-25 13:18:06\n      deadline-at: 2024-09-24 13:18:06\n",
        License("HDlXorQ3f7L", "p1", False, datetime(2024, 8, 25, 13, 18, 6), datetime(2024, 9, 24, 13, 18, 6)),
    ),
    "7.22.1, free": (
        b"  system-id: 7WwsTkLUKQG\r\n      level: free       ",
        License("7WwsTkLUKQG", "free"),
    ),
    "free without a level": (b"  system-id: 7WwsTkLUKQG\r\n", License("7WwsTkLUKQG", "free")),
}


@pytest.mark.parametrize(("output", "expected"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_samples(output, expected):
    assert license.from_print(output) == expected


@given(documented, st.sampled_from(VERSIONS), st.data())
def test_output_that_was_cut_short_is_refused_or_gives_the_same_license(wanted, version, data):
    router = router_with(wanted, version)
    for command, read in (
        ("/system license print", license.from_print),
        (license.READ_SCRIPT, lambda output: license.from_output(output).license),
    ):
        whole = router.run(command).output
        cut = whole[: data.draw(st.integers(0, len(whole)))]
        with contextlib.suppress(Unreadable):
            assert read(cut) == as_shown(wanted, version)


@given(st.binary(max_size=120) | st.text(max_size=120).map(lambda one: one.encode("utf-8", "surrogatepass")))
def test_garbage_raises_nothing_but_its_own_error(output):
    for read in (license.from_print, license.from_output):
        with contextlib.suppress(Unreadable):
            assert read(output)


@given(
    st.dictionaries(
        st.sampled_from(["system-id", "level", "limited-upgrades", "next-renewal-at", "deadline-at", "x"]),
        st.text(max_size=30)
        | st.sampled_from(["6lR1ZP/utuJ", "p1", "yes", "feb/30/2026 00:00:00", "2026-01-31 24:00:00"]),
    )
)
def test_garbage_in_values_raises_nothing_but_its_own_error(values):
    with contextlib.suppress(Unreadable):
        assert license.from_properties(values).level in license.LEVELS


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"level": "p1"}, "system-id is ''"),
        ({"system-id": "6lR1ZP/utuJ", "level": "p5"}, "'p5', which is not one of free, p1, p10, p-unlimited"),
        ({"system-id": "6lR1ZP/utuJ", "level": "p1", "limited-upgrades": "maybe"}, "neither yes nor no"),
        ({"system-id": "6lR1ZP/utuJ", "level": "p1", "deadline-at": "feb/30/2026 00:00:00"}, "deadline-at as 'feb/30"),
        ({"system-id": "6lR1ZP/utuJ", "deadline-at": "2026-01-31 00:00:00"}, "no level"),
        ({"uptime": "1d", "version": "7.22", "cpu": "x"}, "not the license of a CHR"),
    ],
)
def test_what_is_wrong_is_said(values, said):
    with pytest.raises(Unreadable, match=said):
        license.from_properties(values)


def test_a_missing_level_is_free_only_with_a_system_id():
    router = Router(system_id="6lR1ZP/utuJ")
    router.license_switches.free_has_level = False
    assert license.from_print(router.run("/system license print").output).free
    assert license.from_output(router.run(license.READ_SCRIPT).output).license.free
    with pytest.raises(Unreadable):
        license.from_properties({})


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("+02:00", 2),
        ("-05:30", -5.5),
        ("7200", 2),
        ("-3600", -1),
        ("4294963696", -1),
        ("02:00:00", 2),
        ("", None),
        ("east", None),
    ],
)
def test_time_zones_of_all_forms(text, hours):
    output = (
        b"@\nsystem-id 11:6lR1ZP/utuJ\nlevel 4:free\n@\ndate 10:2026-06-01\ntime 8:12:00:00\n"
        + f"gmt-offset {len(text)}:{text}\n@\n@\n".encode()
    )
    clock = license.from_output(output).clock
    assert clock == RouterClock(NOW, None if hours is None else timedelta(hours=hours))
    assert clock.ahead(datetime(2026, 6, 1, 12, tzinfo=UTC)) == (None if hours is None else -hours * 3600)


# -- what follows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "expired", "due", "left"),
    [
        (License("x", "free"), False, False, None),
        (License("x", "p1", False, NOW + A_DAY, NOW + 31 * A_DAY), False, False, 31),
        (License("x", "p1", False, NOW - A_DAY, NOW + 29 * A_DAY), False, True, 29),
        (License("x", "p1", None, NOW - 31 * A_DAY, NOW - A_DAY), True, True, -1),
        (License("x", "p1", True, NOW - 31 * A_DAY, NOW - A_DAY), True, True, -1),
        (License("x", "p1", True), True, True, None),
        (License("x", "p1", True, NOW + A_DAY, NOW + 31 * A_DAY), False, True, 31),
        # A trial ended, and the router is free again: 2026, one source.
        (License("x", "free", True, None, NOW - A_DAY), True, False, -1),
        (License("x", "free", False, None, NOW - A_DAY), False, False, -1),
        (License("x", "free", True, None, NOW + A_DAY), False, False, 1),
    ],
)
def test_expiry_and_renewal_by_the_routers_clock(has, expired, due, left):
    assert (has.expired(NOW), has.renewal_due(NOW), has.days_left(NOW)) == (expired, due, left)


@pytest.mark.parametrize(
    ("has", "found"),
    [
        (License("x", "p-unlimited", False), True),
        (License("x", "p1", None, None, NOW + 31 * A_DAY), True),
        (License("x", "p1", False, NOW + A_DAY, NOW + 31 * A_DAY), False),
        (License("x", "p1", True), False),  # it has expired, which is said
        (License("x", "free"), False),
    ],
)
def test_a_level_without_a_next_renewal_is_a_finding(has, found):
    state = license.Reading(has, RouterClock(NOW)).state(NOW.replace(tzinfo=UTC))
    assert [f"{has.level} may not be in force" in one for one in state.findings] == [True] * found


def test_renewal_is_due_earlier_on_demand():
    has = License("x", "p1", False, NOW + A_DAY, NOW + 31 * A_DAY)
    assert has.renewal_due(NOW, before=32)
    assert not has.renewal_due(NOW, before=30)
    assert not License("x", "free").renewal_due(NOW, before=1000)


def test_the_routers_clock_decides_and_a_wrong_one_is_told():
    has = License("x", "p1", False, NOW + A_DAY, NOW + 31 * A_DAY)
    wrong = license.Reading(has, RouterClock(NOW + 40 * A_DAY, timedelta(hours=2)))
    state = wrong.state(NOW.replace(tzinfo=UTC) - timedelta(hours=2))
    assert (state.expired, state.days_left) == (True, -9)
    assert (state.clock_wrong, state.clock_ahead) == (True, 40 * 86400)
    right = license.Reading(has, RouterClock(NOW, timedelta(hours=2))).state(
        NOW.replace(tzinfo=UTC) - timedelta(hours=2)
    )
    assert (right.expired, right.clock_wrong, right.clock_ahead) == (False, False, 0)
    unknown = license.Reading(has, RouterClock(NOW)).state(NOW.replace(tzinfo=UTC))
    assert (unknown.clock_wrong, unknown.clock_ahead) == (False, None)


def test_levels_speeds_and_prices():
    assert [License("x", level).speed_limit for level in license.LEVELS] == [10**6, 10**9, 10**10, None]
    assert License("x", "free").next_levels == ("p1", "p10", "p-unlimited")
    assert License("x", "p10").next_levels == ("p-unlimited",)
    assert License("x", "p-unlimited").next_levels == ()
    assert license.upgrade_cost("free", "p1") == 45
    assert license.upgrade_cost("p1", "p10") == 95
    assert license.upgrade_cost("p10", "p10") == license.upgrade_cost("p10", "p1") == 0


@pytest.mark.parametrize(
    ("has", "wanted", "said"),
    [
        ("free", "p1", None),
        ("free", "p-unlimited", None),
        ("p10", "p10", None),
        ("free", "free", "cannot be requested"),
        ("p10", "free", "cannot be requested"),
        ("free", "P1", "not a valid license level"),
        ("p10", "p1", "never downgraded"),
        ("p1", "p10", "Buy the upgrade to p10 in the account"),
    ],
)
def test_what_the_manual_forbids_is_refused(has, wanted, said):
    found = license.why_not_renew(License("x", has), wanted)
    assert found is None if said is None else found and said in found


def test_an_upgrade_that_was_bought_may_be_fetched():
    assert license.why_not_renew(License("x", "p1"), "p10", bought=True) is None
    assert license.why_not_renew(License("x", "p10"), "p1", bought=True)


def test_only_a_free_router_may_get_a_new_id():
    assert license.must_keep_id(License("x", "free")) is None
    assert "never be renewed" in (license.must_keep_id(License("6lR1ZP/utuJ", "p1")) or "")
