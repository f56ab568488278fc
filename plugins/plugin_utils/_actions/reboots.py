# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for the end of a reboot.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    TimedOut,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.background import in_background

# All in seconds.
_LOOK = 3.0  # for one check whether the router answers
_GOING_DOWN = 1.0  # for the answer to a command that ends the agent
_OWN = 30.0  # for a short script
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


def order(guest: Guest, command: str) -> None:
    """Run *command*, such as ``/system reboot``, once; its answer may be lost. Raises ScriptFailed.

    The caller has to watch what becomes of it.
    """
    if guest.capabilities.may_run_again_at_boot:
        # In the background, because the script must have ended and been removed before the
        # router goes down.
        guest.checked(guest.run(in_background(command).encode(), _OWN), _OWN)
        return
    with contextlib.suppress(OutcomeUnknown):  # a router that goes down may not answer
        result = guest.run(command.encode(), _GOING_DOWN)
        if result.rc:
            raise ScriptFailed(guest.failure(result, _GOING_DOWN))


def before_reboot(guest: Guest, deadline: Deadline) -> t.Callable[[float], str | None]:
    """Return a ``look`` for ``watch_boot``, once another boot can be told from this one.

    Where only conditions can be read, the uptime must be longer than SETTLED before, and shorter
    than the time since the order afterwards. Raises TimedOut, ScriptFailed.
    """
    if guest.capabilities.output:
        return by_uptime(guest, settled_uptime(guest))
    while not guest.condition(f"[/system resource get uptime] > {SETTLED:.0f}s", 10.0):
        if deadline.expired:
            raise TimedOut(
                f"{guest.vm!r} did not reach an uptime of {SETTLED:g} s within {deadline.seconds:g} s. Without it, a reboot "
                "could not be recognized, so it was not rebooted."
            )
        time.sleep(0.5)
    return up_for_less(guest)


def up_for_less(guest: Guest) -> t.Callable[[float], str | None]:
    """Return a ``look`` with a condition: whether the router booted after the order."""

    def look(elapsed: float) -> str | None:
        since = int(elapsed) + 1
        again = guest.condition(f"[/system resource get uptime] < {since}s", 10.0)
        return None if again else f"has been up for {since} s or more"

    return look


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
