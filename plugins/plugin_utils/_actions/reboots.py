# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for the end of a reboot.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    TimedOut,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest

_LOOK = 3.0  # seconds for one check whether the router answers
SETTLED = 3.0
"""The uptime in seconds from which two boots can be distinguished."""


def watch_boot(
    guest: Guest, told: str, asked: float, deadline: Deadline, look: t.Callable[[float], str | None]
) -> None:
    """Wait for the boot after the order that was given at the time *asked*.

    *look* takes the seconds since the order. It returns None after another boot, or else what it
    saw. *told* says in the message what the order was.
    """
    last: ChrError = Unreachable("it was not reached again")
    while not deadline.expired:
        time.sleep(0.25)
        reason = None
        try:
            guest.ping(_LOOK)
            seen = look(time.monotonic() - asked)
            if seen is None:
                return
            reason = guest.why_it_stays_up()
            last = TimedOut(f"it answers, but {seen}, so it did not reboot")
        except ChrError as error:
            last = error
        if reason:
            raise NotPossible(reason)
    kind = Unreachable if isinstance(last, Unreachable) else TimedOut
    raise kind(f"{guest.vm!r} {told}, but is not back after {deadline.seconds:g} s: {last}")


def settled_uptime(guest: Guest) -> float:
    """Return the uptime in seconds, after it is long enough to be told from that of another boot.

    Raises ScriptFailed.
    """
    uptime = _uptime(guest)
    if uptime < SETTLED:
        time.sleep(SETTLED - uptime)
        uptime = _uptime(guest)
    return uptime


def by_uptime(guest: Guest, before: float) -> t.Callable[[float], str | None]:
    """Return a ``look`` that compares the uptime with the one *before* the order."""

    def look(elapsed: float) -> str | None:
        uptime = _uptime(guest)
        return None if uptime < before + elapsed - 2 else f"has been up for {uptime:g} s"

    return look


def _uptime(guest: Guest) -> float:
    return guest.read_seconds("[/system resource get uptime]", 10.0)
