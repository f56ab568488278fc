# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The license of a router, and the menu ``/system license``.

It has what the router keeps, and what it does by itself as its clock goes on.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .accounts import Answer
from .evaluate import Call
from .kinds import BOOL, STRING, Prop
from .menus import BaseMenu, Item, SettingsMenu
from .renew import RENEW
from .specs import CommandSpec
from .values import Value

if TYPE_CHECKING:
    from .device import Router

HOUR = timedelta(hours=1)


def new_system_id() -> str:
    """Eleven base64 characters, as a CHR has."""
    return base64.b64encode(os.urandom(8)).decode()[:11]


@dataclass
class License:
    """The license.

    ``level`` is free, p1, p10 or p-unlimited. The dates are None until the account server has set
    them.
    """

    system_id: str
    level: str = "free"
    next_renewal_at: datetime | None = None
    deadline_at: datetime | None = None
    limited_upgrades: bool | None = None
    key_id: str | None = None
    """The system id that the key was made for; the key is worth nothing with another one."""
    renewals: int = 0
    """How often ``renew`` brought a license."""
    attempts: int = 0
    """How often the router went to the account server by itself."""
    pending_id: str | None = None
    _tried_at: datetime | None = None
    _settled: datetime | None = None
    """The next-renewal-at for which the router tries no more."""

    def accept(self, answer: Answer) -> None:
        """What a good answer of the account server changes."""
        self.level = answer.level
        self.limited_upgrades = answer.limited_upgrades
        self.next_renewal_at, self.deadline_at = answer.next_renewal_at, answer.deadline_at
        self.key_id = self.system_id

    def catch_up(self, router: Router) -> None:
        """Do what the router did by itself since it was last looked at.

        That is hourly attempts, and the end at the deadline.

        A server that can be reached now is taken to have been there at the first of the attempts.
        """
        now = router.clock.now()
        if self.level == "free" or self.limited_upgrades:
            return
        if self.next_renewal_at and self._settled != self.next_renewal_at:
            self._try(router, now, self.next_renewal_at)
        if self.deadline_at and now > self.deadline_at:
            self.expire(router.license_switches.expired_keeps_dates)

    def _try(self, router: Router, now: datetime, due: datetime) -> None:
        first = self._tried_at + HOUR if self._tried_at and self._tried_at >= due else due
        if now < first:
            return
        count = (now - first) // HOUR + 1
        self._tried_at = first + (count - 1) * HOUR
        try:
            if router.accounts is None:
                raise ConnectionRefusedError("no way to the account server")
            answer = router.accounts.contact(self.system_id, router.machine, self.key_id)
        except OSError:
            self.attempts += count
            return
        self.attempts += 1
        if answer.status == "done":
            self.accept(answer)
        if answer.status == "done" or router.license_switches.retries_stop_at_error:
            self._settled = due

    def expire(self, keep_dates: bool) -> None:
        """No more upgrades; the level stays."""
        self.limited_upgrades = True
        if not keep_dates:
            self.next_renewal_at = self.deadline_at = None

    def reboot(self) -> None:
        self.system_id, self.pending_id = self.pending_id or self.system_id, None


class LicenseMenu(SettingsMenu):
    """``/system license``: what is None in the license has no line."""

    def item(self, router: Router) -> Item:
        license = router.license
        license.catch_up(router)
        hidden = license.level == "free" and not router.license_switches.free_has_level
        values: dict[str, Value] = {"system-id": license.system_id, "level": None if hidden else license.level}
        shows_limits = license.limited_upgrades or router.number_version >= (7,)
        values["limited-upgrades"] = license.limited_upgrades if shows_limits else None
        for name, moment in (("next-renewal-at", license.next_renewal_at), ("deadline-at", license.deadline_at)):
            values[name] = router.date_time(moment) if moment else None
        return Item(0, values)


def _generate_new_id(call: Call) -> Value:
    """Make a new id at any level, because no guard is documented.

    The key of a licensed router stays with the old id.
    """
    license = call.router.license
    license.pending_id = new_system_id()
    if not call.router.license_switches.new_id_at_reboot:
        license.reboot()
    return None


COMMANDS = (*RENEW, CommandSpec("generate-new-id", _generate_new_id))

MENUS: tuple[BaseMenu, ...] = (
    LicenseMenu(
        "system license",
        Prop("system-id", STRING, read_only=True),
        Prop("level", STRING, read_only=True),
        Prop("limited-upgrades", BOOL, read_only=True),
        Prop("next-renewal-at", STRING, read_only=True),
        Prop("deadline-at", STRING, read_only=True),
        exported=False,
        without="export",
        more=COMMANDS,
    ),
)
