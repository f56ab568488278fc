# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The licences of many routers at once: which end when, which ids occur twice, what higher levels cost. Pure functions.

Days are calendar days by each router's own clock, because it is the router that decides. So two readings of one day give the
same fleet, and a report of it need not be written again. What comes in is untrusted, and comes out fit to be shown.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

from .licence import LEVELS, upgrade_cost

HORIZONS = (7, 30, 60)
"""Days."""
BANDS = ("expired", "within_7", "within_30", "within_60", "later", "no_deadline", "not_read")
"""Most urgent first; every router is in one of them. ``within_30`` has what is not in ``within_7`` already, and so on."""

_LONGEST = 300
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Router:
    """A router of the fleet. Without a ``reason`` it was read; with one, only ``name``, ``unreachable`` and ``reason`` count."""

    name: str
    reason: str | None = None
    unreachable: bool = False
    system_id: str | None = None
    level: str | None = None
    limited_upgrades: bool | None = None
    next_renewal_at: datetime | None = None
    deadline_at: datetime | None = None
    today: date | None = None
    expired: bool = False
    renewal_due: bool = False
    clock_wrong: bool = False
    clock_ahead: int | None = None
    """Seconds, in whole minutes, only of a wrong clock: that of a right one is never twice the same."""

    @property
    def days_left(self) -> int | None:
        """Calendar days to the deadline, negative afterwards; None where there is none. A free router has none to mind."""
        if self.today is None or self.deadline_at is None or self.level == "free":
            return None
        return (self.deadline_at.date() - self.today).days

    @property
    def band(self) -> str:
        """One of BANDS."""
        if self.reason is not None:
            return "not_read"
        if self.expired:
            return "expired"
        left = self.days_left
        if left is None:
            return "no_deadline"
        return next((f"within_{days}" for days in HORIZONS if left <= days), "later")

    @property
    def upgrades(self) -> dict[str, int]:
        """US dollars at list price to each higher level."""
        if self.level is None:
            return {}
        return {level: cost for level in LEVELS if (cost := upgrade_cost(self.level, level))}


@dataclass(frozen=True)
class Duplicate:
    """A system id of more than one router: cloned disks. Such routers get in the way of each other's licence (manual 5.5)."""

    system_id: str
    routers: tuple[str, ...]


@dataclass(frozen=True)
class Upgrade:
    """What it costs at list price to bring all routers of one level to another: US dollars."""

    current: str
    wanted: str
    routers: int
    cost: int


@dataclass(frozen=True)
class Fleet:
    """``routers`` are in the order of their names, with numbers in them counted; ``as_of`` is the routers' date, not ours."""

    routers: tuple[Router, ...]
    as_of: date | None = None
    levels: dict[str, int] = field(default_factory=dict)
    bands: dict[str, int] = field(default_factory=dict)
    duplicates: tuple[Duplicate, ...] = ()
    upgrades: tuple[Upgrade, ...] = ()

    @property
    def expired(self) -> list[Router]:
        return [router for router in self.routers if router.expired]

    def expiring(self, days: int) -> list[Router]:
        """Not expired yet, and the deadline is at most so many *days* away."""
        return [one for one in self.routers if not one.expired and one.days_left is not None and one.days_left <= days]

    @property
    def renewal_due(self) -> list[Router]:
        return [router for router in self.routers if router.renewal_due]

    @property
    def not_read(self) -> list[Router]:
        return [router for router in self.routers if router.reason is not None]

    @property
    def wrong_clocks(self) -> list[Router]:
        return [router for router in self.routers if router.clock_wrong]


def fleet(routers: t.Iterable[Router]) -> Fleet:
    """The fleet of these routers, the same in whatever order they come."""
    found = tuple(sorted(routers, key=lambda router: (_natural(router.name), router.name)))
    levels = Counter(router.level for router in found)
    bands = Counter(router.band for router in found)
    ids: dict[str, list[str]] = {}
    for router in found:
        if router.system_id:
            ids.setdefault(router.system_id, []).append(router.name)
    dates = Counter(router.today for router in found if router.today and not router.clock_wrong)
    dates = dates or Counter(router.today for router in found if router.today)
    return Fleet(
        found,
        # Most routers have the same date; midnight between them, and the later one counts where it is a draw.
        as_of=max(dates, key=lambda day: (dates[day], day), default=None),
        levels={level: levels[level] for level in LEVELS},
        bands={band: bands[band] for band in BANDS},
        duplicates=tuple(Duplicate(one, tuple(names)) for one, names in sorted(ids.items()) if len(names) > 1),
        upgrades=tuple(
            Upgrade(current, wanted, levels[current], levels[current] * cost)
            for current in LEVELS
            for wanted in LEVELS
            if (cost := upgrade_cost(current, wanted))
        ),
    )


def read(name: object, licence: object) -> Router:
    """A router from what license_info returned as ``license``; one with a ``reason`` where that is no such thing."""
    try:
        return _read(name, licence)
    except (KeyError, TypeError, ValueError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        return not_read(name, f"What was read is no licence as license_info returns it: {why}.")


def not_read(name: object, reason: object, unreachable: bool = False) -> Router:
    """A router that was not read."""
    return Router(shown(name), shown(reason) or "No reason is known.", unreachable)


def _read(name: object, licence: object) -> Router:
    if not isinstance(licence, t.Mapping):
        raise TypeError("it is not a dictionary")
    level, system_id = licence["level"], licence["system_id"]
    if level not in LEVELS:
        raise ValueError(f"the level {str(level)[:40]!r} is none of {', '.join(LEVELS)}")
    if not isinstance(system_id, str) or not system_id:
        raise ValueError(f"the system_id is {str(system_id)[:40]!r}")
    today = _moment(licence, "router_time")
    if today is None:
        raise ValueError("it has no router_time")
    wrong, ahead = _flag(licence, "clock_wrong"), licence.get("clock_ahead")
    return Router(
        shown(name),
        system_id=shown(system_id),
        level=str(level),
        limited_upgrades=_flag(licence, "limited_upgrades") if licence.get("limited_upgrades") is not None else None,
        next_renewal_at=_moment(licence, "next_renewal_at"),
        deadline_at=_moment(licence, "deadline_at"),
        today=today.date(),
        expired=_flag(licence, "expired"),
        renewal_due=_flag(licence, "renewal_due"),
        clock_wrong=wrong,
        clock_ahead=round(float(ahead) / 60) * 60 if wrong and isinstance(ahead, (int, float)) else None,
    )


def _flag(licence: t.Mapping[str, object], name: str) -> bool:
    value = licence.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {str(value)[:40]!r}, not true or false")
    return value


def _moment(licence: t.Mapping[str, object], name: str) -> datetime | None:
    value = licence.get(name)
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo:
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a time without a zone")
    return moment


def shown(value: object) -> str:
    """*value* as text of one line that can be shown and saved: nothing in it moves a cursor or turns letters round."""
    text = " ".join(str(value).split())
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _natural(name: str) -> list[tuple[int, str]]:
    """chr2 comes before chr10."""
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in _DIGITS.split(name)]


# -- as data ---------------------------------------------------------------------------------------------------------

SCHEMA = "outofband.chr.license_report"
VERSION = 1
"""Grows when a key of ``as_data`` goes away or changes its meaning, not when one is added."""


def as_data(whole: Fleet) -> dict[str, t.Any]:
    """The fleet as JSON has it; RETURN of the module license_report describes it."""
    return {"schema": SCHEMA, "version": VERSION, **summary(whole), "routers": [_row(one) for one in whole.routers]}


def summary(whole: Fleet) -> dict[str, t.Any]:
    """What ``as_data`` says of the whole fleet."""
    return {
        "as_of": _iso(whole.as_of),
        "total": len(whole.routers),
        "levels": whole.levels,
        "bands": whole.bands,
        "expired": _names(whole.expired),
        "expiring": {str(days): _names(whole.expiring(days)) for days in HORIZONS},
        "renewal_due": _names(whole.renewal_due),
        "duplicates": [{"system_id": one.system_id, "routers": list(one.routers)} for one in whole.duplicates],
        "not_read": [
            {"name": one.name, "unreachable": one.unreachable, "reason": one.reason} for one in whole.not_read
        ],
        "wrong_clocks": [{"name": one.name, "ahead": one.clock_ahead} for one in whole.wrong_clocks],
        "upgrades": [
            {"from": one.current, "to": one.wanted, "routers": one.routers, "cost": one.cost} for one in whole.upgrades
        ],
    }


def _row(router: Router) -> dict[str, t.Any]:
    return {
        "name": router.name,
        "band": router.band,
        "system_id": router.system_id,
        "level": router.level,
        "limited_upgrades": router.limited_upgrades,
        "next_renewal_at": _iso(router.next_renewal_at),
        "deadline_at": _iso(router.deadline_at),
        "days_left": router.days_left,
        "expired": router.expired,
        "renewal_due": router.renewal_due,
        "clock_wrong": router.clock_wrong,
        "clock_ahead": router.clock_ahead,
        "upgrades": router.upgrades,
        "unreachable": router.unreachable,
        "reason": router.reason,
    }


def _iso(moment: date | None) -> str | None:
    return moment.isoformat() if moment else None


def _names(routers: t.Iterable[Router]) -> list[str]:
    return [router.name for router in routers]
