# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pace of looking, against the numbers that were promised."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import (
    days_from_zero,
    poll_interval,
    positive_seconds,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

EXCHANGE = 0.0005


def looks(duration: float) -> list[float]:
    """When an endless series of looks happens, until the first that sees a job of *duration*
    seconds ended."""
    times, now = [], 0.0
    while True:
        times.append(now)
        if now >= duration:
            return times
        now += poll_interval(now) + EXCHANGE


def test_a_script_of_60_s_costs_fewer_than_100_polls():
    assert len(looks(60.0)) < 100


@pytest.mark.parametrize("milliseconds", [1, 3, 5, 15, 20, 26, 50, 100, 333, 1000, 2500, 5000, 9000])
def test_the_end_is_seen_within_25_ms_and_5_percent(milliseconds):
    duration = milliseconds / 1000
    assert looks(duration)[-1] - duration <= 0.025 + 0.05 * duration


def test_the_first_look_comes_at_once():
    assert looks(0.0) == [0.0]


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e10])
def test_a_time_without_end_or_sense_is_refused(value):
    with pytest.raises(InvalidInput, match="chr_connect_timeout is"):
        positive_seconds("chr_connect_timeout", value)


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), float("-inf")])
def test_a_number_of_days_is_finite_and_at_least_0(value):
    with pytest.raises(InvalidInput, match=r"fail_within_days is .*: it must be a number of days from 0\."):
        days_from_zero("fail_within_days", value)
    assert days_from_zero("fail_within_days", 0) == 0
