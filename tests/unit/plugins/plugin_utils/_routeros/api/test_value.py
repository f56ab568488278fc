# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as a script prints them, and as the API shows them."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.value import Value, record


@pytest.mark.parametrize(
    ("kind", "printed", "shown"),
    [
        ("time", "00:00:00", "0s"),
        ("time", "00:30:00", "30m"),
        ("time", "1w2d03:04:05", "1w2d3h4m5s"),
        ("time", "00:00:00.010", "10ms"),
        ("time", "00:00:01.001234", "1s1ms234us"),
        ("time", "-00:00:05", "-5s"),
        ("time", "never", "never"),
        ("array", ",192.0.2.1,192.0.2.2", "192.0.2.1,192.0.2.2"),
        ("array", "", ""),
        ("array", ",a;b", "a;b"),
        ("bool", "true", "true"),
        ("num", "5", "5"),
        ("str", "00:30:00", "00:30:00"),
        ("str", ",x", ",x"),
    ],
)
def test_times_and_lists_have_the_form_of_the_api(kind, printed, shown):
    found = record(("ip", "dns"), {f"name,{kind}".encode(): printed.encode()})
    assert found == {b"name": Value(kind.encode(), shown.encode())}


@pytest.mark.parametrize(
    ("menu", "name"), [("system clock", "time"), ("system scheduler", "start-time"), ("log", "time")]
)
def test_a_time_of_day_stays_as_it_is(menu, name):
    found = record(tuple(menu.split()), {f"{name},time".encode(): b"08:09:10"})
    assert found[name.encode()].text == b"08:09:10"
    assert record(("ip", "dns"), {f"{name},time".encode(): b"08:09:10"})[name.encode()].text == b"8h9m10s"


def test_what_is_not_set_is_left_out():
    printed = {b"a,nothing": b"", b"b,nil": b"", b"comment,str": b"", b"c,str": b"", b"d;str": b"", b"e;bool": b"false"}
    assert set(record(("ip", "dns"), printed)) == {b"c", b"e"}
