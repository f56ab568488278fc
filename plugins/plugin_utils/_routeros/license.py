# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The license of a CHR: how it is read, and what follows from it by MikroTik's rules.

Pure functions; what a router prints is untrusted.

"Manual" is MikroTik's wiki page Manual:CHR; "help page" and "newer manual" are its successors.
Where they contradict each other, the function says which one it follows. The router does not show
whether a license is a trial or paid: only the account does.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, readable

from . import records
from .values import seconds

LEVELS = ("free", "p1", "p10", "p-unlimited")
"""Lowest first."""
SPEED_LIMITS: dict[str, int | None] = {
    "free": 1_000_000,
    "p1": 1_000_000_000,
    "p10": 10_000_000_000,
    "p-unlimited": None,
}
"""The upload limit of each interface in bit/s (manual 5); None means unlimited."""
PRICES = {"free": 0, "p1": 45, "p10": 95, "p-unlimited": 250}
"""List prices in US dollars (manual 5, and the same on the newer pages)."""
_LAST_YEAR = 9999
GRACE = timedelta(days=30)
"""The time from next-renewal-at to deadline-at, as in every published sample."""
CLOCK_TOLERANCE = 300.0
"""Largest difference of the router's and the controller's clocks in seconds without a warning.

Reading takes a while on some hypervisors.
"""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OLD_DATE = re.compile(r"([a-z]{3})/(\d{1,2})/(\d{4})")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})")
# It has eleven characters in every published sample.
_SYSTEM_ID = re.compile(r"[A-Za-z0-9+/]{8,16}")
_LINE = re.compile(r"( *)([a-z][a-z-]*):(?: (.*))?")
_YES = {"yes": True, "true": True, "no": False, "false": False}
# Besides hours and minutes, an offset can be a number of seconds, and a negative one the unsigned
# number with the same 32 bits.
_ZONE = re.compile(r"([+-]?)(\d{1,2}):(\d{2})(?::(\d{2}))?|([+-]?)(\d{1,10})")


class Unreadable(ValueError):
    """What a router printed is not a valid or not a complete license."""


@dataclass(frozen=True)
class License:
    """A license as the router shows it.

    Dates are in the router's own time zone, as RouterOS shows all dates. ``limited_upgrades`` is
    None if the router does not show it: RouterOS 6 and free routers do not.
    """

    system_id: str
    level: str
    limited_upgrades: bool | None = None
    next_renewal_at: datetime | None = None
    deadline_at: datetime | None = None

    @property
    def free(self) -> bool:
        return self.level == "free"

    @property
    def speed_limit(self) -> int | None:
        """The upload limit of each interface in bit/s; None means unlimited.

        An expired router keeps its limit (manual 5.4; unofficial notes say otherwise).
        """
        return SPEED_LIMITS[self.level]

    @property
    def next_levels(self) -> tuple[str, ...]:
        """The higher levels that this router can have.

        A free router can try them (manual 5.1). Another one can be upgraded to them by the account,
        but never downgraded (5, 5.3).
        """
        return LEVELS[LEVELS.index(self.level) + 1 :]

    def days_left(self, now: datetime) -> float | None:
        """Return the days from *now*, by the router's clock, to the deadline.

        They are negative afterwards, and None without a deadline.
        """
        return (self.deadline_at - now).total_seconds() / 86400 if self.deadline_at else None

    def expired(self, now: datetime) -> bool:
        """Whether the license has expired at *now*, the router's time.

        It has if the deadline has passed (manual 5.4), or if upgrades are limited and no renewal is
        planned (as eworm-de/routeros-scripts tests it). A free router whose trial has ended can
        still show limited upgrades and the old deadline (seen in 2026 by one source). The router
        itself judges its license, so its time counts.
        """
        left = self.days_left(now)
        over = left is not None and left < 0
        if self.free:
            return over and bool(self.limited_upgrades)
        return over or (bool(self.limited_upgrades) and self.next_renewal_at is None)

    def findings(self, now: datetime) -> tuple[str, ...]:
        """Return sentences about what does not fit together in this license at *now*."""
        if self.free or self.next_renewal_at is not None or self.expired(now):
            return ()
        # In every published sample a licensed router has this date. One source of 2026 had a paid
        # router without it, which was held at the speed of a free one until a reboot.
        return (
            f"The level {self.level} may not be in force: the router shows no next-renewal-at, as every other licensed router "
            "does. Measure its speed, reboot it and read the license again.",
        )

    def renewal_due(self, now: datetime, before: float = 0.0) -> bool:
        """Whether the license should be renewed at *now*, the router's time.

        It should if next-renewal-at has passed (the router then tries every hour, manual 5.4), if
        the license has expired, if upgrades are limited, or if the deadline is less than *before*
        days away.
        """
        if self.free:
            return False
        left = self.days_left(now)
        planned = self.next_renewal_at is not None and self.next_renewal_at <= now
        near = left is not None and left < before
        return planned or near or bool(self.limited_upgrades) or self.expired(now)


@dataclass(frozen=True)
class RouterClock:
    """The router's time.

    ``local`` has no time zone. ``offset`` is that from UTC, or None if it is unknown.
    """

    local: datetime
    offset: timedelta | None = None

    def ahead(self, controller: datetime) -> float | None:
        """Return by how many seconds the router's clock is ahead of *controller*, an aware time.

        The number is negative if the router is behind, and None if its offset is unknown.
        """
        if self.offset is None:
            return None
        return (self.local.replace(tzinfo=UTC) - controller - self.offset).total_seconds()


@dataclass(frozen=True)
class State:
    """What follows from a license at one moment; see the same names in License."""

    speed_limit: int | None
    expired: bool
    days_left: float | None
    renewal_due: bool
    next_levels: tuple[str, ...]
    findings: tuple[str, ...]
    clock_ahead: float | None
    """In seconds; None if the router's time zone is unknown."""
    clock_wrong: bool
    """Whether the clock is so wrong that ``expired`` and ``days_left`` hold for the router only."""


@dataclass(frozen=True)
class Reading:
    """A license, read together with the router's clock, by which it is judged."""

    license: License
    clock: RouterClock
    routeros: str | None = None
    """The version of RouterOS as the router shows it, such as ``7.22 (stable)``; None if it was not
    read."""

    def state(self, controller: datetime, renew_before: float = 0.0) -> State:
        """Return what follows from the license now.

        *controller* is the controller's time, an aware one; it only serves to notice a wrong clock
        of the router. *renew_before* is in days.
        """
        now = self.clock.local
        ahead = self.clock.ahead(controller)
        return State(
            speed_limit=self.license.speed_limit,
            expired=self.license.expired(now),
            days_left=self.license.days_left(now),
            renewal_due=self.license.renewal_due(now, renew_before),
            next_levels=self.license.next_levels,
            findings=self.license.findings(now),
            clock_ahead=ahead,
            clock_wrong=ahead is not None and abs(ahead) > CLOCK_TOLERANCE,
        )


# -- reading ---------------------------------------------------------------------------------------

# The empty record at the end proves that nothing of the output is missing.
READ_SCRIPT = (
    records.settings("/system license")
    + records.settings("/system clock")
    + records.properties("/system resource", ("version",))
    + ':put "@"\n'
)
"""Prints the license, the clock and the version for ``from_output``; changes nothing."""


def from_output(output: bytes) -> Reading:
    """Parse the output of READ_SCRIPT. Raises Unreadable."""
    try:
        found = records.parse(output)
    except ValueError as error:
        raise Unreadable(f"the license cannot be read: {error}") from error
    if len(found) != 4 or found[3]:
        raise Unreadable(f"the license cannot be read: its output has {len(found)} parts, not 4, so it is not whole")
    return Reading(from_properties(found[0]), _clock(found[1]), found[2].get("version"))


def from_values(
    text: t.Callable[[str, t.Sequence[bytes]], str | None],
    span: t.Callable[[str], float],
    controller: datetime,
) -> Reading:
    """Read the license and the clock value by value, where each read is slow.

    *text* returns the value of an expression, or None if it cannot be read; it is faster if the
    value is a likely one. *span* returns a running time in seconds. *controller* is an aware time,
    from which the likely dates follow. The version of RouterOS is not read. Raises Unreadable, and
    what *text* and *span* raise.
    """

    def get(name: str, *likely: str, optional: bool = False) -> str:
        menu = "clock" if name in ("date", "gmt-offset") else "license"
        value = text(f"[/system {menu} get {name}]", [one.encode() for one in likely])
        if value is None and not optional:
            # This must not count as a property without a value: a router without a level is taken
            # for a free one.
            raise Unreadable(f"the license cannot be read: the router did not give its {name}")
        return value or ""

    found = {"system-id": get("system-id"), "level": get("level", *LEVELS)}
    # It is not documented whether RouterOS 6 has this property.
    found["limited-upgrades"] = get("limited-upgrades", *reversed(_YES), optional=True)
    found["next-renewal-at"] = get("next-renewal-at")
    renewal = _moment("next-renewal-at", found["next-renewal-at"])
    found["deadline-at"] = get(
        "deadline-at", *(_written(renewal + GRACE) if renewal and renewal.year < _LAST_YEAR else ())
    )
    license = from_properties(found)

    today = controller.astimezone(UTC)
    near = [one for day in (0, -1, 1) for one in _written(today + timedelta(days=day), "")]
    before, time, after = get("date", *near), span("[/system clock get time]"), get("date", *near)
    # Midnight may pass between two reads.
    date = _date(before if time >= 43200 else after)
    if date is None or not 0 <= time < 86400:
        raise Unreadable("the router's clock cannot be read")
    return Reading(license, RouterClock(date + timedelta(seconds=time), _offset(get("gmt-offset", "0", "+00:00"))))


def from_print(output: bytes) -> License:
    """Parse the output of ``/system license print`` of RouterOS 6 or 7. Raises Unreadable.

    It has padded, right-aligned lines with CRLF. Unlike the output of READ_SCRIPT it has no end
    mark, so every sign of a cut is refused: a last line without its end, no key at the left edge,
    all lines padded for a longer key that is missing, a next renewal without a deadline.
    """
    lines = [line for line in readable(output.rstrip(b"\r") + b"\n").splitlines() if line.strip()]
    found: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match or match[2] in found:
            raise Unreadable(f"the license cannot be read: unexpected line {excerpt(line.strip(), 60)}")
        found[match[2]] = (match[3] or "").strip()
    longest = max(map(len, lines), default=0)
    ended = output.endswith((b"\n", b"\r")) or (len(lines) > 1 and len(lines[-1]) == longest)
    aligned = any(len(line) - len(line.lstrip()) <= 2 for line in lines)
    filled = any(not line.endswith(" ") for line in lines)
    paired = "deadline-at" in found or "next-renewal-at" not in found
    if lines and not (ended and aligned and filled and paired):
        raise Unreadable("the license cannot be read: the router's output was cut short")
    return from_properties(found)


def from_properties(found: t.Mapping[str, str]) -> License:
    """Make a license from its properties, as ``get`` returns them. Raises Unreadable.

    Other properties are ignored. A free license may have no level (help page), but then it must
    have none of the properties that only a licensed router has.
    """
    system_id = found.get("system-id", "").strip()
    if not _SYSTEM_ID.fullmatch(system_id):
        raise Unreadable(f"this is not the license of a CHR: its system-id is {excerpt(system_id, 40)}")
    license = License(
        system_id,
        found.get("level", "").strip() or "free",
        _flag("limited-upgrades", found.get("limited-upgrades", "")),
        _moment("next-renewal-at", found.get("next-renewal-at", "")),
        _moment("deadline-at", found.get("deadline-at", "")),
    )
    if license.level not in LEVELS:
        raise Unreadable(
            f"the router shows the level {excerpt(license.level, 40)}, which is not one of {', '.join(LEVELS)}"
        )
    licensed = license.limited_upgrades or license.next_renewal_at or license.deadline_at
    if licensed and not found.get("level", "").strip():
        raise Unreadable("the license cannot be read: it has dates or limits, but no level")
    return license


def _flag(name: str, value: str) -> bool | None:
    word = value.strip()
    if word and word not in _YES:
        raise Unreadable(f"the router shows {name} as {excerpt(word, 40)}, which is neither yes nor no")
    return _YES.get(word)


def _moment(name: str, value: str) -> datetime | None:
    """Parse ``jan/10/2016 21:59:59`` (up to 7.9) or ``2016-01-10 21:59:59``; empty gives None.

    Raises Unreadable.
    """
    if not value.strip():
        return None
    date, _unused, time = value.strip().partition(" ")
    day, clock = _date(date), _TIME.fullmatch(time.strip())
    try:
        if day and clock:
            return day.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3]))
    except ValueError:
        pass
    raise Unreadable(f"the router shows {name} as {excerpt(value.strip(), 40)}, which is not a valid date and time")


def _date(text: str) -> datetime | None:
    word = text.strip().lower()
    old, iso = _OLD_DATE.fullmatch(word), _ISO_DATE.fullmatch(word)
    try:
        if old:
            return datetime(int(old[3]), _MONTHS.index(old[1]) + 1, int(old[2]))
        if iso:
            return datetime(int(iso[1]), int(iso[2]), int(iso[3]))
    except ValueError:
        pass
    return None


def _written(moment: datetime, time: str = " %H:%M:%S") -> tuple[str, str]:
    """Return *moment* as new and as old versions of RouterOS write it."""
    clock = moment.strftime(time)
    old = f"{_MONTHS[moment.month - 1]}/{moment.day:02d}/{moment.year:04d}"
    return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}{clock}", old + clock


def _clock(found: t.Mapping[str, str]) -> RouterClock:
    date = _date(found.get("date", ""))
    try:
        time = seconds(found.get("time", ""))
    except ValueError:
        time = -1
    if date is None or not 0 <= time < 86400:
        shown = f"{found.get('date', '')} {found.get('time', '')}"
        raise Unreadable(f"the router's clock cannot be read: it shows {excerpt(shown.strip(), 40)}")
    return RouterClock(date + timedelta(seconds=time), _offset(found.get("gmt-offset", "")))


def _offset(text: str) -> timedelta | None:
    match = _ZONE.fullmatch(text.strip())
    if not match:
        return None
    if match[6]:
        count = int(match[6])
        count -= 2**32 if count > 2**31 else 0
        span = timedelta(seconds=-count if match[5] == "-" else count)
    else:
        span = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=int(match[4] or 0))
        span = -span if match[1] == "-" else span
    return span if abs(span) <= timedelta(hours=26) else None


# -- policy ----------------------------------------------------------------------------------------


def upgrade_cost(current: str, wanted: str) -> int:
    """Return the list price of upgrading from *current* to *wanted* in US dollars.

    It is the whole price of the new level: the former license is not credited, but becomes free on
    the account for another router (manual 5). It is 0 if nothing has to be bought.
    """
    return PRICES[wanted] if LEVELS.index(wanted) > LEVELS.index(current) else 0


def why_not_renew(license: License, wanted: str, bought: bool = False) -> str | None:
    """Return why ``renew`` must not be run to get *wanted*, or None if it may.

    *bought* says that the upgrade is already paid for in the account.
    """
    if wanted not in LEVELS:
        return f"{wanted[:40]!r} is not a valid license level. Valid are {', '.join(LEVELS[1:])}."
    if wanted == "free":
        return "The level free cannot be requested: a new instance has it, and a license is never downgraded."
    if LEVELS.index(wanted) < LEVELS.index(license.level):
        return f"The router has {license.level}, and a license is never downgraded, so it cannot become {wanted}."
    if license.free or wanted == license.level or bought:
        return None
    # Manual 5.1 and 5.3; the help page: the trial level of an instance cannot be changed.
    return (
        f"The router has {license.level} (it does not show whether as a trial or paid), so a request for {wanted} would be "
        f"ignored. Buy the upgrade to {wanted} in the account at mikrotik.com, then renew; for a trial of {wanted}, set up a new "
        "instance."
    )


def must_keep_id(license: License) -> str | None:
    """Return why ``generate-new-id`` must not be run, or None if it may.

    It is not known that the router itself would refuse it (manual 5.5).
    """
    if license.free:
        return None
    return (
        f"The router has a license of level {license.level} on the system id {license.system_id}: with a new id it could never be "
        "renewed or upgraded again. A new id is for free routers only."
    )
