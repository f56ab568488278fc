# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Waiting until the agent answers, and until the router is ready for the next task."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    OutcomeUnknown,
    ScriptFailed,
    ScriptTimedOut,
    TimedOut,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote

_PACE = 0.5  # seconds between two looks
_CONDITION = 10.0  # seconds for one condition


def wait_for_agent(guest: Guest, deadline: Deadline, *, login: bool = False) -> int:
    """Ping the agent, at least once, until it answers. Returns the number of attempts.

    With *login*, the router must also take the login of scripts, if its agent needs one. Raises
    Unreachable at *deadline*, with the last error, and RouterLoginRefused at once.
    """
    tries = 0
    while True:
        tries += 1
        try:
            guest.ping(min(guest.connect_timeout, max(deadline.remaining, 1.0)))
            if login:
                guest.check_login()
            return tries
        except (Unreachable, OutcomeUnknown, ScriptTimedOut) as error:
            if deadline.expired:
                raise Unreachable(
                    f"The guest agent did not answer within {deadline.seconds:g} s and {tries} attempts. The last error: {error}"
                ) from error
            time.sleep(min(0.5, deadline.remaining))


def wait_until_ready(guest: Guest, wanted: dict[str, str], deadline: Deadline) -> None:
    """Ask, at least once, until all RouterOS expressions in *wanted* are true.

    The keys say what is wrong while an expression is false. An expression may have an error as long
    as the router is not ready. Raises TimedOut at *deadline*, NotBoolean.
    """
    missing = dict(wanted)
    began = time.monotonic()
    while missing:
        wrong = ""
        for problem, expression in list(missing.items()):
            try:
                if guest.condition(expression, _CONDITION):
                    del missing[problem]
                    continue
                wrong = problem
            except (OutcomeUnknown, ScriptFailed, Unreachable) as error:
                wrong = str(error).rstrip(".")
            break  # the others can wait
        if not missing:
            return
        if deadline.expired:
            raise TimedOut(
                f"The guest agent of {guest.vm!r} answered, but the router was not ready after {deadline.seconds:g} s: {wrong}."
            )
        time.sleep(min(max(_PACE, poll_interval(time.monotonic() - began)), deadline.remaining))


def has_interfaces(value: t.Any) -> dict[str, str]:
    """Conditions for the option ``interfaces``, by what is wrong as long as they are false.

    Raises InvalidInput.
    """
    if value is None:
        return {}
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return {f"it has fewer than {value} Ethernet interfaces": f"[:len [/interface ethernet find]] >= {value}"}
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise InvalidInput(
            f"interfaces is {value!r}. Give it the names of interfaces, such as [ether1, ether2], or their number."
        )
    return {
        f"it has no interface {name!r}": f"[:len [/interface find name={quote(name)}]] > 0"
        for name in dict.fromkeys(names)
    }
