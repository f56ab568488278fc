# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Deadlines and polling intervals."""

from __future__ import annotations

import math
import time

from .errors import InvalidInput

_YEAR = 366 * 86400.0


def positive_seconds(name: str, value: float) -> float:
    """Check that *value* is a usable time and return it, in seconds.

    Raises InvalidInput, which names the option *name*.
    """
    if not 0 < value <= _YEAR:
        raise InvalidInput(f"{name} is {value:g}: it must be a number of seconds above 0 and at most a year.")
    return value


def days_from_zero(name: str, value: float) -> float:
    """Check that *value* is a usable number of days, which may be 0, and return it.

    Raises InvalidInput, which names the option *name*.
    """
    if not 0 <= value < math.inf:
        raise InvalidInput(f"{name} is {value:g}: it must be a number of days from 0.")
    return value


class Deadline:
    """A point in monotonic time, *seconds* from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self._end


def poll_interval(elapsed: float) -> float:
    """Seconds to sleep before asking again about a job that has run for *elapsed* seconds.

    The first question is asked at once, the second after 4 ms. From then on the end of a job is
    noticed at most 25 ms + 5 % of its run time after it happened (the wait has 22 ms of these, as
    an exchange takes time too). From 10 s on it is 6 %, so a job of 60 s takes fewer than 100
    questions.
    """
    if elapsed < 0.004:
        return 0.004
    return 0.022 + elapsed * (0.05 if elapsed < 10 else 0.06)
