# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is checked before a router is removed: the license that would be lost with it.

PRIVATE to the collection: may change in any release.

The router shows its level, but not whether that is a trial or paid; only the account knows. So
every level but ``free`` counts as paid.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import LEVELS

PATIENCE = 5.0
"""Seconds to wait for the agent of a router that is to be removed."""
_READ = 30.0  # seconds for a script
_KEY = (
    "The key stays in the MikroTik account that the router was licensed with. A perpetual license can be transferred there to "
    "another CHR of the same account that is licensed or in its trial: log in to mikrotik.com and open 'all keys' in the "
    "section Cloud Hosted Router (CHR)"
)


@dataclass(frozen=True)
class Held:
    """The license of a router that is to be removed. What was not read is None."""

    level: str | None = None
    system_id: str | None = None
    why_not: str = ""
    """Why it was not read."""

    @classmethod
    def by(cls, guest: Guest) -> Held:
        """Read it with *guest*, without restarting the router."""
        if not guest.capabilities.runs_without_restart:
            return cls(why_not=f"Backend {guest.backend} runs a script only when the router boots.")
        try:
            guest.require_routeros()
            level = _value(guest, "level", [one.encode() for one in LEVELS]) or "free"
            if level not in LEVELS:
                return cls(why_not=f"The router shows the level {level!r}, which is not known.")
            return cls(level, _value(guest, "system-id") if level != "free" else None)
        except ChrError as error:
            return cls(why_not=str(error))

    def check(self, vm: str, *, confirmed: bool) -> str | None:
        """Return a warning about the license of *vm*, or None if it is free.

        Raises NotPossible if the router is licensed and that is not *confirmed*.
        """
        if self.level is None:
            return f"The license of {vm} could not be read. {self.why_not} If it was paid: {_low(_KEY)}."
        if self.level == "free":
            return None
        said = f"{vm} has a license of the level {self.level} (system id {self.system_id}), which is paid or a trial. {_KEY}."
        if not confirmed:
            raise NotPossible(f"{said} The VM was not removed. To go on, set confirm_licensed: true.")
        return said


def _value(guest: Guest, name: str, likely: t.Sequence[bytes] = ()) -> str:
    return readable(guest.read(f"[/system license get {name}]", _READ, likely)).strip()


def _low(text: str) -> str:
    return text[0].lower() + text[1:]
