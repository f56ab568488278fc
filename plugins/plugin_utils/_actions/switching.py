# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turning a machine on and off, and waiting until it is so.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import (
    Deadline,
    poll_interval,
    positive_seconds,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    TimedOut,
    Unreachable,
    VmBusy,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power

from .readiness import wait_for_agent

ORDERS = {"started": "start", "stopped": "stop", "reset": "reset"}
"""The states that the hypervisor brings about, and the methods of Power."""
RESTART: dict[str, t.Any] = {
    "restart": {"type": "bool", "default": False},
    "restart_timeout": {"type": "float", "default": 300.0},
}
"""The options of an action that may restart the router."""
_PACE = 0.25  # the shortest time between two looks at a machine that goes down


def order(guest: Guest, power: Power, state: str, deadline: Deadline) -> None:
    """Give the order once, and wait until the machine is on or off as it says.

    If the answer to the order is lost, what the machine does counts, except for a reset, which
    cannot be seen in this way.
    """
    lost: OutcomeUnknown | None = None
    wanted = state != "stopped"

    def give() -> None:
        try:
            getattr(power, ORDERS[state])(deadline)
        except VmBusy:
            if state == "reset" or power.is_on() != wanted:
                raise

    try:
        when_free(give, deadline)
    except OutcomeUnknown as error:
        if state == "reset":
            raise
        lost = error
    seen, unseen = _wait_for_power(power, wanted, deadline)
    if seen:
        return
    if lost:
        raise lost
    told = f"The hypervisor was told to bring {guest.vm!r} into state {state}"
    if unseen:
        raise _unseen(told, "on" if wanted else "off", deadline, unseen)
    raise TimedOut(f"{told}, but its machine is still {'off' if wanted else 'on'} after {deadline.seconds:g} s.")


def when_free(work: t.Callable[[], None], deadline: Deadline) -> None:
    """Do *work*, which changes nothing as long as another task has the VM: then it is repeated.

    Raises VmBusy, which says who has the VM, at *deadline*.
    """
    began = time.monotonic()
    while True:
        try:
            work()
            return
        except VmBusy as error:
            if deadline.expired:
                raise VmBusy(f"{error} It was waited for, for {deadline.seconds:g} s.") from None
        time.sleep(min(poll_interval(max(time.monotonic() - began, 1)), max(deadline.remaining, 0.01)))


def shut_down(guest: Guest, how: str, ask: t.Callable[[], None], deadline: Deadline, advice: str) -> None:
    """Order a shutdown with *ask*, and wait until the hypervisor says that the machine is off.

    Nothing else ends that wait: a silent agent, or a server that cannot be reached, says nothing
    about the machine.
    """
    power = guest.power()
    if not power.is_on():
        raise NotPossible(
            f"{guest.vm!r} was not told to shut down: it answers, although backend {guest.backend} says that its machine is "
            "off. So the end of the shutdown could not be seen. Is another machine in between?"
        )
    ask()
    seen, unseen = _wait_for_power(power, False, deadline, guest.why_it_stays_up)
    if seen:
        return
    told = f"{guest.vm!r} was told to shut down {how}"
    if unseen:
        raise _unseen(told, "off", deadline, unseen)
    raise TimedOut(f"{told}, but has not done so after {deadline.seconds:g} s: its machine still runs. {advice}")


def restart(guest: Guest, arguments: dict[str, t.Any], while_off: t.Callable[[], None] = lambda: None) -> None:
    """Shut the router down, do something *while_off*, turn its machine on, and wait for its agent.

    *arguments*: those of RESTART. A machine that is off stays off. A router that does not shut down
    is not turned off, because it would lose what it has only in memory.
    """
    deadline = Deadline(positive_seconds("restart_timeout", arguments["restart_timeout"]))
    power = guest.power()
    when_free(power.check, deadline)
    if not power.is_on():
        while_off()
        return
    guest.require_routeros()
    advice = "Shut it down by hand, or with outofband.chr.power and state: stopped, and repeat the task."
    shut_down(guest, "for the restart", lambda: guest.shutdown("powerdown"), deadline, advice)
    try:
        while_off()
    finally:
        order(guest, power, "started", deadline)
    wait_for_agent(guest, deadline)


def _wait_for_power(
    power: Power, on: bool, deadline: Deadline, why_not: t.Callable[[], str | None] = lambda: None
) -> tuple[bool, ChrError | None]:
    """Wait until the hypervisor says that the machine is *on*, or that it is off.

    Nothing else ends that wait: a silent agent, or a server that cannot be reached, says nothing
    about the machine. Returns whether it was seen before *deadline*, and the last error if the
    machine could not be seen in the end. Raises NotPossible with the reason that *why_not* returns.
    """
    began = time.monotonic()
    while True:
        unseen: ChrError | None = None
        reason = None
        try:
            if power.is_on() == on:
                return True, None
            reason = why_not()
        except ChrError as error:
            unseen = error
        if reason:
            raise NotPossible(reason)
        if deadline.expired:
            return False, unseen
        time.sleep(min(max(_PACE, poll_interval(time.monotonic() - began)), deadline.remaining))


def _unseen(told: str, wanted: str, deadline: Deadline, error: ChrError) -> ChrError:
    kind = Unreachable if isinstance(error, Unreachable) else TimedOut
    return kind(f"{told}, but whether it is {wanted} could not be seen after {deadline.seconds:g} s: {error}")
