# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base class of the actions about licenses.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ScriptFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import license
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import License, Reading

from .guest import GuestAction

READ_TIMEOUT = 30.0
"""Seconds for a script that only reads."""


class LicenseAction(GuestAction):
    """An action that reads the router's license."""

    def reading(self, guest: Guest) -> Reading:
        """Read the license and the clock. Raises ScriptFailed if they cannot be read whole."""
        try:
            if guest.capabilities.output:
                return license.from_output(self.read(guest, license.READ_SCRIPT, READ_TIMEOUT))
            with guest.exchange():
                return self._by_values(guest)
        except license.Unreadable as error:
            raise ScriptFailed(
                f"{guest.vm!r}: {error}. Look at the license on the router: /system license print"
            ) from error

    def _by_values(self, guest: Guest) -> Reading:
        def value(expression: str, likely: t.Sequence[bytes]) -> str | None:
            try:
                return readable(guest.read(expression, READ_TIMEOUT, likely))
            except ScriptFailed:
                return None  # this RouterOS has no such property, or it could not be read

        return license.from_values(value, lambda expression: guest.read_seconds(expression, READ_TIMEOUT), now())

    def report(self, guest: Guest, reading: Reading, renew_before: float = 0.0) -> dict[str, t.Any]:
        """Return a reading as values for the result, with warnings about what is wrong in it."""
        shown = {**as_result(reading, renew_before), "router": self.identity(guest)}
        result: dict[str, t.Any] = {"license": shown, "ansible_facts": {"chr_license": shown}}
        result["warnings"] = [f"{guest.vm!r}: {finding}" for finding in shown["findings"]]
        if shown["clock_wrong"]:
            off = abs(shown["clock_ahead"])
            result["warnings"].append(
                f"The clock of {guest.vm!r} is {off:.0f} s {'ahead' if shown['clock_ahead'] > 0 else 'behind'}: the router "
                "judges its license by it. Set up /system ntp client."
            )
        return result


def now() -> datetime:
    """Return the controller's time."""
    return datetime.now(UTC)


def as_result(reading: Reading, renew_before: float = 0.0) -> dict[str, t.Any]:
    """Convert a license and what follows from it to values for JSON.

    Dates are in the router's own time zone.
    """
    state = dataclasses.asdict(reading.state(now(), renew_before))
    left = state["days_left"]
    return {
        **_shown(reading.license),
        **state,
        "days_left": None if left is None else round(left, 3),
        "next_levels": list(state["next_levels"]),
        "findings": list(state["findings"]),
        "router_time": reading.clock.local.isoformat(),
        "routeros": reading.routeros,
    }


def _shown(shown: License) -> dict[str, t.Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in vars(shown).items()}


def lines(shown: dict[str, t.Any]) -> str:
    """Return the parts of a license that do not change by themselves, as text for a diff."""
    keys = ("system_id", "level", "limited_upgrades", "next_renewal_at", "deadline_at")
    return "".join(f"{key}: {shown[key]}\n" for key in keys if shown.get(key) is not None)
