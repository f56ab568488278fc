# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The licence of a router as ``/system license`` shows it.

``COMMANDS`` is where ``renew`` and ``generate-new-id`` belong: a ``CommandSpec`` whose function gets a ``Call`` and
changes ``call.router.licence``.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .kinds import BOOL, STRING, Prop
from .menus import BaseMenu, Item, SettingsMenu
from .specs import CommandSpec
from .values import Value

if TYPE_CHECKING:
    from .device import Router

COMMANDS: tuple[CommandSpec, ...] = ()


def new_system_id() -> str:
    """Eleven base64 characters, as a CHR has."""
    return base64.b64encode(os.urandom(8)).decode()[:11]


@dataclass
class Licence:
    """``level`` is free, p1, p10 or p-unlimited; the dates are None until the account server has set them."""

    system_id: str
    level: str = "free"
    next_renewal_at: datetime | None = None
    deadline_at: datetime | None = None
    limited_upgrades: bool | None = None


class LicenceMenu(SettingsMenu):
    """``/system license``: what is None in the licence has no line."""

    def item(self, router: Router) -> Item:
        licence = router.licence
        values: dict[str, Value] = {"system-id": licence.system_id, "level": licence.level}
        values["limited-upgrades"] = licence.limited_upgrades
        for name, moment in (("next-renewal-at", licence.next_renewal_at), ("deadline-at", licence.deadline_at)):
            values[name] = router.date_time(moment) if moment else None
        return Item(0, values)


MENUS: tuple[BaseMenu, ...] = (
    LicenceMenu(
        "system license",
        Prop("system-id", STRING, read_only=True),
        Prop("level", STRING, read_only=True),
        Prop("limited-upgrades", BOOL, read_only=True),
        Prop("next-renewal-at", STRING, read_only=True),
        Prop("deadline-at", STRING, read_only=True),
        exported=False,
        more=COMMANDS,
    ),
)
