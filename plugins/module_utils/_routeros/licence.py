# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The licence of a CHR: reading it, and what MikroTik's rules make of it. Pure functions; what a router says is untrusted.

"Manual" is MikroTik's wiki page Manual:CHR, "help page" and "newer manual" are what followed it; where they contradict each
other, the function says which one it takes. The router does not tell a trial from a paid licence: only the account does.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from . import records
from .output import readable
from .values import seconds

LEVELS = ("free", "p1", "p10", "p-unlimited")
"""Lowest first."""
SPEED_LIMITS: dict[str, int | None] = {
    "free": 1_000_000,
    "p1": 1_000_000_000,
    "p10": 10_000_000_000,
    "p-unlimited": None,
}
"""bit/s of upload on each interface (manual 5); None: none is enforced."""
PRICES = {"free": 0, "p1": 45, "p10": 95, "p-unlimited": 250}
"""US dollars, list price (manual 5, the same on the newer pages)."""
GRACE = timedelta(days=30)
"""From next-renewal-at to deadline-at in every published sample."""
CLOCK_TOLERANCE = 300.0
"""Seconds between a router's clock and the controller's that need no word: reading takes a while on some hypervisors."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OLD_DATE = re.compile(r"([a-z]{3})/(\d{1,2})/(\d{4})")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})")
# Eleven in every published sample.
_SYSTEM_ID = re.compile(r"[A-Za-z0-9+/]{8,16}")
_LINE = re.compile(r"( *)([a-z][a-z-]*):(?: (.*))?")
_YES = {"yes": True, "true": True, "no": False, "false": False}
# Beside hours and minutes: a count of seconds, the negative ones also as 32 bits without a sign.
_ZONE = re.compile(r"([+-]?)(\d{1,2}):(\d{2})(?::(\d{2}))?|([+-]?)(\d{1,10})")


class Unreadable(ValueError):
    """What a router gave is no licence, or not a whole one."""


@dataclass(frozen=True)
class Licence:
    """A licence as the router shows it; the dates are in the router's own time zone, as RouterOS shows all dates.

    ``limited_upgrades`` is None where the router shows no such line, as RouterOS 6 and free ones do.
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
        """bit/s of upload on each interface, None for none. It outlives the licence: an expired router keeps its tier

        (manual 5.4; unofficial notes say otherwise).
        """
        return SPEED_LIMITS[self.level]

    @property
    def next_levels(self) -> tuple[str, ...]:
        """The higher levels: of a free router those that it can try (manual 5.1), of another those that the account can

        upgrade it to (5, 5.3: never downwards).
        """
        return LEVELS[LEVELS.index(self.level) + 1 :]

    def days_left(self, now: datetime) -> float | None:
        """Days from *now*, by the router's clock, to the deadline; negative afterwards, None where there is no deadline."""
        return (self.deadline_at - now).total_seconds() / 86400 if self.deadline_at else None

    def expired(self, now: datetime) -> bool:
        """The deadline has passed (manual 5.4), or upgrades are limited and no renewal is planned (observed: the test that

        eworm-de/routeros-scripts makes). *now* is the router's time: it is the router that decides.
        """
        left = self.days_left(now)
        over = left is not None and left < 0
        return not self.free and (over or (bool(self.limited_upgrades) and self.next_renewal_at is None))

    def renewal_due(self, now: datetime, before: float = 0.0) -> bool:
        """The router is past next-renewal-at, so it tries by itself every hour (manual 5.4), or expired, or its upgrades are

        limited, or the deadline is less than *before* days away.
        """
        if self.free:
            return False
        left = self.days_left(now)
        planned = self.next_renewal_at is not None and self.next_renewal_at <= now
        near = left is not None and left < before
        return planned or near or bool(self.limited_upgrades) or self.expired(now)


@dataclass(frozen=True)
class RouterClock:
    """The router's time: ``local`` without a time zone; ``offset`` from UTC, None where the router does not tell."""

    local: datetime
    offset: timedelta | None = None

    def ahead(self, controller: datetime) -> float | None:
        """Seconds by which the router is ahead of *controller* (aware of its zone), negative: behind, None: cannot be known."""
        if self.offset is None:
            return None
        return (self.local.replace(tzinfo=UTC) - self.offset - controller).total_seconds()


@dataclass(frozen=True)
class State:
    """What follows from a licence at a moment; see the members of Licence of the same names."""

    speed_limit: int | None
    expired: bool
    days_left: float | None
    renewal_due: bool
    next_levels: tuple[str, ...]
    clock_ahead: float | None
    """Seconds, None where the router's time zone is unknown."""
    clock_wrong: bool
    """The clock is so far off that ``expired`` and ``days_left`` are the router's truth and nobody else's."""


@dataclass(frozen=True)
class Reading:
    """A licence and the clock that it is judged by, read together."""

    licence: Licence
    clock: RouterClock

    def state(self, controller: datetime, renew_before: float = 0.0) -> State:
        """*controller*: its time, aware of the zone, only to tell a wrong router clock; *renew_before*: days."""
        now = self.clock.local
        ahead = self.clock.ahead(controller)
        return State(
            speed_limit=self.licence.speed_limit,
            expired=self.licence.expired(now),
            days_left=self.licence.days_left(now),
            renewal_due=self.licence.renewal_due(now, renew_before),
            next_levels=self.licence.next_levels,
            clock_ahead=ahead,
            clock_wrong=ahead is not None and abs(ahead) > CLOCK_TOLERANCE,
        )


# -- reading ---------------------------------------------------------------------------------------------------------

# The empty record at the end proves that nothing of the output is missing.
READ_SCRIPT = records.settings("/system license") + records.settings("/system clock") + ':put "@"\n'
"""Prints the licence and the clock for ``from_output``; changes nothing."""


def from_output(output: bytes) -> Reading:
    """What READ_SCRIPT printed. Raises Unreadable."""
    try:
        found = records.parse(output)
    except ValueError as error:
        raise Unreadable(f"the licence cannot be read: {error}") from error
    if len(found) != 3 or found[2]:
        raise Unreadable(f"the licence cannot be read: its output has {len(found)} parts, not 3, so it is not whole")
    return Reading(from_properties(found[0]), _clock(found[1]))


def from_values(
    text: t.Callable[[str, t.Sequence[bytes]], str | None],
    span: t.Callable[[str], float],
    controller: datetime,
) -> Reading:
    """The same where values cost much and are read one by one.

    *text* gives an expression's value, the sooner if it is a likely one, or None where it cannot be read; *span* the seconds of
    a time that runs. *controller* is an aware time, for the likely dates only. Raises Unreadable, and what they raise.
    """

    def get(name: str, *likely: str, optional: bool = False) -> str:
        menu = "clock" if name in ("date", "gmt-offset") else "license"
        value = text(f"[/system {menu} get {name}]", [one.encode() for one in likely])
        if value is None and not optional:
            # Never taken for a property without a value: without a level, a router would be a free one.
            raise Unreadable(f"the licence cannot be read: the router did not give its {name}")
        return value or ""

    found = {"system-id": get("system-id"), "level": get("level", *LEVELS)}
    # Whether RouterOS 6 knows this property is not documented.
    found["limited-upgrades"] = get("limited-upgrades", *reversed(_YES), optional=True)
    found["next-renewal-at"] = get("next-renewal-at")
    renewal = _moment("next-renewal-at", found["next-renewal-at"])
    found["deadline-at"] = get("deadline-at", *(_written(renewal + GRACE) if renewal else ()))
    licence = from_properties(found)

    today = controller.astimezone(UTC)
    near = [one for day in (0, -1, 1) for one in _written(today + timedelta(days=day), "")]
    before, time, after = get("date", *near), span("[/system clock get time]"), get("date", *near)
    # Midnight may pass in between.
    date = _date(before if time >= 43200 else after)
    if date is None or not 0 <= time < 86400:
        raise Unreadable("the router's clock cannot be read")
    return Reading(licence, RouterClock(date + timedelta(seconds=time), _offset(get("gmt-offset", "0", "+00:00"))))


def from_print(output: bytes) -> Licence:
    """What ``/system license print`` shows: padded, right-aligned lines, with CRLF, of RouterOS 6 or 7. Raises Unreadable.

    This text has no end mark, as READ_SCRIPT's has, so output that can be seen to be cut is refused: a last line without its
    end, no key at the left edge, every line padded for a longer value that is not there, a next renewal without a deadline.
    """
    lines = [line for line in readable(output.rstrip(b"\r") + b"\n").splitlines() if line.strip()]
    found: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match or match[2] in found:
            raise Unreadable(f"the licence cannot be read: unexpected line {line.strip()[:60]!r}")
        found[match[2]] = (match[3] or "").strip()
    longest = max(map(len, lines), default=0)
    ended = output.endswith((b"\n", b"\r")) or (len(lines) > 1 and len(lines[-1]) == longest)
    aligned = any(len(line) - len(line.lstrip()) <= 2 for line in lines)
    filled = any(not line.endswith(" ") for line in lines)
    paired = "deadline-at" in found or "next-renewal-at" not in found
    if lines and not (ended and aligned and filled and paired):
        raise Unreadable("the licence cannot be read: the router's output was cut short")
    return from_properties(found)


def from_properties(found: t.Mapping[str, str]) -> Licence:
    """A licence from its properties, as ``get`` gives them; others are ignored. Raises Unreadable.

    A free licence may have no level (help page); so it has none of what only a licensed one has either.
    """
    system_id = found.get("system-id", "").strip()
    if not _SYSTEM_ID.fullmatch(system_id):
        raise Unreadable(f"this is no licence of a CHR: its system-id is {system_id[:40]!r}")
    licence = Licence(
        system_id,
        found.get("level", "").strip() or "free",
        _flag("limited-upgrades", found.get("limited-upgrades", "")),
        _moment("next-renewal-at", found.get("next-renewal-at", "")),
        _moment("deadline-at", found.get("deadline-at", "")),
    )
    if licence.level not in LEVELS:
        raise Unreadable(f"the router shows the level {licence.level[:40]!r}, which is none of {', '.join(LEVELS)}")
    licensed = licence.limited_upgrades or licence.next_renewal_at or licence.deadline_at
    if licensed and not found.get("level", "").strip():
        raise Unreadable("the licence cannot be read: it has dates or limits and no level")
    return licence


def _flag(name: str, value: str) -> bool | None:
    word = value.strip()
    if word and word not in _YES:
        raise Unreadable(f"the router shows {name} as {word[:40]!r}, which is neither yes nor no")
    return _YES.get(word)


def _moment(name: str, value: str) -> datetime | None:
    """``jan/10/2016 21:59:59`` (up to 7.9) or ``2016-01-10 21:59:59``; None for nothing. Raises Unreadable."""
    if not value.strip():
        return None
    date, _unused, time = value.strip().partition(" ")
    day, clock = _date(date), _TIME.fullmatch(time.strip())
    try:
        if day and clock:
            return day.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3]))
    except ValueError:
        pass
    raise Unreadable(f"the router shows {name} as {value.strip()[:40]!r}, which is no date and time")


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
    """*moment* as new and as old versions write it."""
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
        raise Unreadable(f"the router's clock cannot be read: it shows {shown.strip()[:40]!r}")
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


# -- policy ----------------------------------------------------------------------------------------------------------


def upgrade_cost(current: str, wanted: str) -> int:
    """US dollars at list price to bring *current* to *wanted*: the whole price of the new level, because the former licence is

    not credited but becomes free on the account for another router (manual 5). 0 where nothing is to be bought.
    """
    return PRICES[wanted] if LEVELS.index(wanted) > LEVELS.index(current) else 0


def refusal(licence: Licence, wanted: str, bought: bool = False) -> str | None:
    """Why ``renew`` must not be run to get *wanted*; None if it may. *bought*: the account has the upgrade already."""
    if wanted not in LEVELS:
        return f"{wanted[:40]!r} is no licence level: it is {', '.join(LEVELS[1:])}."
    if wanted == "free":
        return "The level free cannot be asked for: a new instance has it, and a licence never goes downwards."
    if LEVELS.index(wanted) < LEVELS.index(licence.level):
        return f"The router has {licence.level}, and a licence never goes downwards, so not to {wanted}."
    if licence.free or wanted == licence.level or bought:
        return None
    # Manual 5.1 and 5.3; the help page: the trial level of an instance cannot be changed.
    return (
        f"The router has {licence.level} (a trial or a paid licence, which it does not tell), so asking for {wanted} would be "
        f"ignored. Buy the upgrade to {wanted} in the account at mikrotik.com, then renew; for a trial of {wanted}, set up a new "
        "instance."
    )


def must_keep_id(licence: Licence) -> str | None:
    """Why ``generate-new-id`` must not be run; None if it may. The router itself is not known to refuse (manual 5.5)."""
    if licence.free:
        return None
    return (
        f"The router has a licence of level {licence.level} on the system id {licence.system_id}: with a new id it could never be "
        "renewed or upgraded again. A new id is for free routers only."
    )
