# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions about licences share. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.module_utils._routeros import licence
from ansible_collections.outofband.chr.plugins.module_utils._routeros.licence import Licence, Reading
from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import readable
from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import ScriptFailed

READ_TIMEOUT = 30.0
"""Seconds for a script that reads."""


class LicenceAction(GuestAction):
    """An action that looks at the router's licence."""

    def reading(self, guest: Guest) -> Reading:
        """The licence and the clock. Raises ScriptFailed where they cannot be read whole."""
        try:
            if guest.capabilities.output:
                return licence.from_output(self.read(guest, licence.READ_SCRIPT, READ_TIMEOUT))
            return self._by_values(guest)
        except licence.Unreadable as error:
            raise ScriptFailed(f"{guest.vm!r}: {error}. Look at it there: /system license print") from error

    def _by_values(self, guest: Guest) -> Reading:
        def value(expression: str, likely: t.Sequence[bytes]) -> str | None:
            try:
                return readable(guest.read(expression, READ_TIMEOUT, likely))
            except ScriptFailed:
                return None  # this RouterOS has no such property, or it could not be read

        return licence.from_values(value, lambda expression: guest.read_seconds(expression, READ_TIMEOUT), now())

    def report(self, guest: Guest, reading: Reading, renew_before: float = 0.0) -> dict[str, t.Any]:
        """What the results have of a reading, and a warning for a clock that is off."""
        shown = as_result(reading, renew_before)
        result: dict[str, t.Any] = {"license": shown, "ansible_facts": {"chr_license": shown}}
        if shown["clock_wrong"]:
            off = abs(shown["clock_ahead"])
            result["warnings"] = [
                f"The clock of {guest.vm!r} is {off:.0f} s {'ahead' if shown['clock_ahead'] > 0 else 'behind'}: the router "
                "judges its licence by it. Set up /system ntp client."
            ]
        return result


def now() -> datetime:
    """The controller's time."""
    return datetime.now(UTC)


def as_result(reading: Reading, renew_before: float = 0.0) -> dict[str, t.Any]:
    """A licence and what follows from it, as values that JSON has. Dates are in the router's own zone."""
    state = dataclasses.asdict(reading.state(now(), renew_before))
    left = state["days_left"]
    return {
        **_shown(reading.licence),
        **state,
        "days_left": None if left is None else round(left, 3),
        "next_levels": list(state["next_levels"]),
        "router_time": reading.clock.local.isoformat(),
    }


def _shown(shown: Licence) -> dict[str, t.Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in vars(shown).items()}


def lines(shown: dict[str, t.Any]) -> str:
    """A licence for a diff: what does not change by itself."""
    keys = ("system_id", "level", "limited_upgrades", "next_renewal_at", "deadline_at")
    return "".join(f"{key}: {shown[key]}\n" for key in keys if shown.get(key) is not None)
