# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The licenses of many routers: their deadlines, duplicate ids, and prices of higher levels.

Pure functions. Days are calendar days by each router's own clock, because the router itself judges
its license. So two readings on the same day give the same fleet, and a report need not be written
again. The input is untrusted; the output is safe to show.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.identity import Identity

from .changes import Changes, EarlierReport, LastReading, compare, to_compare_with
from .license import LEVELS, upgrade_cost

HORIZONS = (7, 30, 60)
"""Days."""
BANDS = ("expired", "within_7", "within_30", "within_60", "later", "no_deadline", "not_read")
"""The most urgent one comes first, and every router is in exactly one.

``within_30`` does not include the routers in ``within_7``, and so on.
"""

TASKS = ("renew", "buy", "prepaid_key", "reboot", "new_id", "set_clock")
"""What there can be to do for a router."""

_LONGEST = 300
_DAY = 86400  # seconds; a clock that is as wrong makes all that follows from the license doubtful
_OWN_ATTEMPTS = 2  # days; a router tries to renew once an hour (manual 5.4)
_AGES = 1e12  # seconds; a clock cannot be more wrong than that
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Advice:
    """What there is to do for a router."""

    kind: str
    """One of TASKS."""
    before: date | None = None
    """The day on which a license must have been bought, if it may be needed."""

    def __str__(self) -> str:
        buy = f"buy before {self.before.isoformat()}" if self.before else "buy"
        if self.kind == "renew":
            return f"renew, or {buy}" if self.before else "renew"
        return buy if self.kind == "buy" else self.kind.replace("_", " ")


@dataclass(frozen=True)
class RouterPlace:
    """Where a router is, as far as it is known. Groups are those of the inventory."""

    backend: str | None = None
    hypervisor: str | None = None
    """The API, the URI or the machine."""
    vm: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Router:
    """A router of the fleet.

    ``reason`` says why it could not be read. If it is set, only ``name``, ``unreachable``,
    ``reason``, ``place`` and ``routeros`` have a meaning.
    """

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
    findings: tuple[str, ...] = ()
    clock_wrong: bool = False
    identity: Identity | None = None
    """The VM; None if the license does not tell it."""
    clock_ahead: int | None = None
    """Seconds, rounded to whole minutes; None if the clock is right.

    The offset of a right clock differs with each reading, so it would change the report.
    """

    place: RouterPlace = RouterPlace()
    routeros: str | None = None
    """The version of RouterOS as the router shows it."""
    trial: bool = False
    """Whether it is known to be a trial: it was renewed by hand, and its dates stayed."""
    twin: bool = False
    """Whether another VM has the same system id."""

    @property
    def to_do(self) -> Advice | None:
        """What there is to do for this router; None if nothing is known.

        An expired license needs a prepaid key (help page). A paid level without a date for its next
        renewal may not be in force until a reboot (one source of 2026). From next-renewal-at on, a
        router tries once an hour by itself (manual 5.4). If that has not helped for days, it does
        not reach the account server, or it has a trial, which a router does not tell from a paid
        license: that has to be bought before its end (5.1, 5.2).
        """
        if self.reason is not None:
            return None
        if self.clock_wrong and (self.clock_ahead is None or abs(self.clock_ahead) >= _DAY):
            return Advice("set_clock")
        if self.expired:
            return Advice("prepaid_key")
        if self.findings:
            return Advice("reboot")
        if self.level == "free":
            return Advice("new_id") if self.twin else None
        ends = self.deadline_at.date() if self.deadline_at else None
        if self.trial:
            return Advice("buy", ends)
        if not self.renewal_due:
            return None
        since = (self.today - self.next_renewal_at.date()).days if self.today and self.next_renewal_at else 0
        return Advice("renew", ends if since >= _OWN_ATTEMPTS else None)

    @property
    def days_left(self) -> int | None:
        """Calendar days to the deadline, negative afterwards; None without a deadline.

        It is None for a free router, too, unless its trial has ended.
        """
        if self.today is None or self.deadline_at is None or (self.level == "free" and not self.expired):
            return None
        return (self.deadline_at.date() - self.today).days

    @property
    def band(self) -> str:
        """The router's band, one of BANDS."""
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
        """The list price of each higher level in US dollars."""
        if self.level is None:
            return {}
        return {level: cost for level in LEVELS if (cost := upgrade_cost(self.level, level))}


@dataclass(frozen=True)
class Duplicate:
    """A system id that more than one router has, because their disks are clones.

    Such routers disturb each other's license (manual 5.5).
    """

    system_id: str
    routers: tuple[str, ...]


@dataclass(frozen=True)
class Alias:
    """A VM that has more than one name in the inventory, so it is more than one router here."""

    vm: str
    routers: tuple[str, ...]


@dataclass(frozen=True)
class Upgrade:
    """The list price in US dollars of upgrading all routers of one level to another."""

    current: str
    wanted: str
    routers: int
    cost: int


@dataclass(frozen=True)
class Fleet:
    """All routers of a report.

    ``routers`` are sorted by name, with chr2 before chr10. ``as_of`` is the routers' date, not the
    controller's.
    """

    routers: tuple[Router, ...]
    as_of: date | None = None
    levels: dict[str, int] = field(default_factory=dict)
    bands: dict[str, int] = field(default_factory=dict)
    duplicates: tuple[Duplicate, ...] = ()
    aliases: tuple[Alias, ...] = ()
    upgrades: tuple[Upgrade, ...] = ()
    earlier: EarlierReport | None = None
    """The report that this one is compared with."""

    @property
    def changes(self) -> Changes | None:
        """What changed since the earlier report; None if there is none."""
        return compare(self.earlier, {one.name: _known(one) for one in self.routers}) if self.earlier else None

    @property
    def to_do(self) -> dict[str, list[Router]]:
        """Return the routers with something to do, for each of TASKS."""
        found: dict[str, list[Router]] = {kind: [] for kind in TASKS}
        for router in self.routers:
            if task := router.to_do:
                found[task.kind].append(router)
        return found

    def ending(self, days: float) -> list[Router]:
        """Return the routers that have expired, or expire within *days*; the most urgent first."""
        found = [one for one in self.routers if one.expired or (one.days_left is not None and one.days_left <= days)]
        return sorted(found, key=lambda one: (not one.expired, one.days_left or 0))

    @property
    def expired(self) -> list[Router]:
        return [router for router in self.routers if router.expired]

    def expiring(self, days: int) -> list[Router]:
        """Return the routers that have not expired, with a deadline at most *days* away."""
        return [one for one in self.routers if not one.expired and one.days_left is not None and one.days_left <= days]

    @property
    def renewal_due(self) -> list[Router]:
        return [router for router in self.routers if router.renewal_due]

    @property
    def not_read(self) -> list[Router]:
        return [router for router in self.routers if router.reason is not None]

    @property
    def questionable(self) -> list[Router]:
        """Return the routers with findings."""
        return [router for router in self.routers if router.findings]

    @property
    def wrong_clocks(self) -> list[Router]:
        return [router for router in self.routers if router.clock_wrong]


def fleet(routers: t.Iterable[Router]) -> Fleet:
    """Make the fleet of these routers; their order does not matter."""
    found = tuple(sorted(routers, key=lambda router: (_natural(router.name), router.name)))
    levels = Counter(router.level for router in found)
    bands = Counter(router.band for router in found)
    ids: dict[str, list[Router]] = {}
    vms: dict[tuple[str, ...], list[Router]] = {}
    for router in found:
        if router.system_id:
            ids.setdefault(router.system_id, []).append(router)
        if router.identity:
            vms.setdefault(router.identity.key, []).append(router)
    duplicates = tuple(
        Duplicate(one, tuple(router.name for router in routers))
        for one, routers in sorted(ids.items())
        if len({one.identity.key if one.identity else (str(at),) for at, one in enumerate(routers)}) > 1
    )
    twins = {one.system_id for one in duplicates}
    found = tuple(replace(one, twin=True) if one.system_id in twins else one for one in found)
    dates = Counter(router.today for router in found if router.today and not router.clock_wrong)
    dates = dates or Counter(router.today for router in found if router.today)
    return Fleet(
        found,
        # The date of most routers, since midnight may pass between two readings. If two dates are
        # equally frequent, the later one is taken.
        as_of=max(dates, key=lambda day: (dates[day], day), default=None),
        levels={level: levels[level] for level in LEVELS},
        bands={band: bands[band] for band in BANDS},
        duplicates=duplicates,
        aliases=tuple(
            Alias(shown(routers[0].identity), tuple(router.name for router in routers))
            for routers in vms.values()
            if len(routers) > 1
        ),
        upgrades=tuple(
            Upgrade(current, wanted, levels[current], levels[current] * cost)
            for current in LEVELS
            for wanted in LEVELS
            if (cost := upgrade_cost(current, wanted))
        ),
    )


def read(name: object, license: object, *, renewed_in_vain: bool = False) -> Router:
    """Make a router from what license_info returned as ``license``.

    *renewed_in_vain* says that it was renewed before and still ends soon. If *license* is not
    valid, the router has a ``reason``.
    """
    try:
        router = _read(name, license)
        planned = router.next_renewal_at
        overdue = planned is not None and router.today is not None and planned.date() <= router.today
        return replace(router, trial=renewed_in_vain and overdue)
    except (KeyError, TypeError, ValueError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        return not_read(name, f"What was read is not a license as license_info returns it: {why}.")


def not_read(name: object, reason: object, unreachable: bool = False) -> Router:
    """Make a router that could not be read."""
    return Router(shown(name), shown(reason) or "No reason is known.", unreachable)


def located(router: Router, place: RouterPlace, routeros: object = None) -> Router:
    """Add to *router* what the inventory tells; what the license told counts more."""
    told = router.place
    return replace(
        router,
        place=RouterPlace(
            told.backend or shown_or_none(place.backend),
            told.hypervisor or shown_or_none(place.hypervisor),
            told.vm or shown_or_none(place.vm),
            tuple(map(shown, place.groups)),
        ),
        routeros=router.routeros or shown_or_none(routeros),
    )


def compared(whole: Fleet, last: object) -> Fleet:
    """Return *whole*, compared with the *last* report in its folder, which is the data of a file.

    Raises ValueError if that is not a report.
    """
    if not isinstance(last, t.Mapping) or last.get("schema") != SCHEMA:
        raise ValueError(f"it does not have the schema {SCHEMA}")
    if last.get("version") != VERSION:
        raise ValueError(f"it has version {shown(last.get('version'))} of the schema, and this is version {VERSION}")
    return replace(whole, earlier=to_compare_with(last, _iso(whole.as_of)))


def _known(router: Router) -> LastReading:
    if router.reason is not None:
        return LastReading()
    return LastReading(router.system_id, router.level, _iso(router.deadline_at), router.renewal_due)


def _read(name: object, license: object) -> Router:
    if not isinstance(license, t.Mapping):
        raise TypeError("it is not a dictionary")
    level, system_id = license["level"], license["system_id"]
    if level not in LEVELS:
        raise ValueError(f"the level {str(level)[:40]!r} is not one of {', '.join(LEVELS)}")
    if not isinstance(system_id, str) or not system_id:
        raise ValueError(f"the system_id is {str(system_id)[:40]!r}")
    today = _moment(license, "router_time")
    if today is None:
        raise ValueError("it has no router_time")
    wrong, ahead = _flag(license, "clock_wrong"), license.get("clock_ahead")
    identity = Identity.of(license.get("router"))
    return Router(
        shown(name),
        system_id=shown(system_id),
        level=str(level),
        limited_upgrades=_flag(license, "limited_upgrades") if license.get("limited_upgrades") is not None else None,
        next_renewal_at=_moment(license, "next_renewal_at"),
        deadline_at=_moment(license, "deadline_at"),
        today=today.date(),
        expired=_flag(license, "expired"),
        renewal_due=_flag(license, "renewal_due"),
        findings=tuple(map(shown, _list(license, "findings"))),
        identity=identity,
        place=RouterPlace(shown(identity.backend), shown(identity.endpoint), shown(identity.vm))
        if identity
        else RouterPlace(),
        routeros=shown_or_none(license.get("routeros")),
        clock_wrong=wrong,
        clock_ahead=round(ahead / 60) * 60
        if wrong and isinstance(ahead, (int, float)) and abs(ahead) < _AGES
        else None,
    )


def _flag(license: t.Mapping[str, object], name: str) -> bool:
    value = license.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {str(value)[:40]!r}, not true or false")
    return value


def _list(license: t.Mapping[str, object], name: str) -> list[object]:
    value = license.get(name, [])
    if not isinstance(value, list):
        raise TypeError(f"{name} is {str(value)[:40]!r}, not a list")
    return value


def _moment(license: t.Mapping[str, object], name: str) -> datetime | None:
    value = license.get(name)
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo:
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a time without a zone")
    return moment


def shown(value: object) -> str:
    """Convert *value* to one line of text that is safe to show and save.

    Nothing in the result moves the cursor or changes the direction of the text.
    """
    text = " ".join(str(value).split())
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def shown_or_none(value: object) -> str | None:
    """Convert *value* as ``shown``; None if it is not a text or is empty."""
    return (shown(value) or None) if isinstance(value, str) else None


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts chr2 before chr10."""
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in _DIGITS.split(name)]


# -- as data ---------------------------------------------------------------------------------------

SCHEMA = "outofband.chr.license_report"
VERSION = 1
"""Increased when a key of ``as_data`` is removed or changes its meaning, not when one is added."""


def as_data(whole: Fleet) -> dict[str, t.Any]:
    """Return the fleet as values for JSON, as RETURN of license_report describes them."""
    earlier = whole.earlier
    return {
        "schema": SCHEMA,
        "version": VERSION,
        **summary(whole),
        "routers": [_row(one) for one in whole.routers],
        "compared_with": {
            "as_of": earlier.as_of,
            "routers": {name: asdict(known) for name, known in earlier.routers.items()},
        }
        if earlier
        else None,
    }


def summary(whole: Fleet) -> dict[str, t.Any]:
    """Return the part of ``as_data`` that is about the whole fleet."""
    return {
        "as_of": _iso(whole.as_of),
        "total": len(whole.routers),
        "renewal_due": _names(whole.renewal_due),
        "expired": _names(whole.expired),
        "expiring": {str(days): _names(whole.expiring(days)) for days in HORIZONS},
        "to_do": {kind: _names(routers) for kind, routers in whole.to_do.items()},
        "changes": _changes(whole.changes),
        "levels": whole.levels,
        "bands": whole.bands,
        "findings": [{"name": one.name, "findings": list(one.findings)} for one in whole.questionable],
        "duplicates": [{"system_id": one.system_id, "routers": list(one.routers)} for one in whole.duplicates],
        "aliases": [{"vm": one.vm, "routers": list(one.routers)} for one in whole.aliases],
        "not_read": [
            {"name": one.name, "unreachable": one.unreachable, "reason": one.reason} for one in whole.not_read
        ],
        "wrong_clocks": [{"name": one.name, "ahead": one.clock_ahead} for one in whole.wrong_clocks],
        "upgrades": [
            {"from": one.current, "to": one.wanted, "routers": one.routers, "cost": one.cost} for one in whole.upgrades
        ],
    }


def _changes(changes: Changes | None) -> dict[str, t.Any] | None:
    if changes is None:
        return None
    return {
        "since": changes.since,
        "new": list(changes.new),
        "gone": list(changes.gone),
        "renewed": [{"name": one.name, "from": one.before, "to": one.after} for one in changes.renewed],
        "newly_due": list(changes.newly_due),
        "id_changed": [{"name": one.name, "from": one.before, "to": one.after} for one in changes.id_changed],
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
        "findings": list(router.findings),
        "clock_wrong": router.clock_wrong,
        "clock_ahead": router.clock_ahead,
        "upgrades": router.upgrades,
        "backend": router.place.backend,
        "endpoint": router.place.hypervisor,
        "vm": router.place.vm,
        "unreachable": router.unreachable,
        "reason": router.reason,
        "hypervisor": router.place.hypervisor,
        "groups": list(router.place.groups),
        "routeros": router.routeros,
        "to_do": str(router.to_do) if router.to_do else None,
    }


def _iso(moment: date | None) -> str | None:
    return moment.isoformat() if moment else None


def _names(routers: t.Iterable[Router]) -> list[str]:
    return [router.name for router in routers]
