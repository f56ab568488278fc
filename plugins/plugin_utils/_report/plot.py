# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plot of the report: deadlines on a time axis, as SVG.

PRIVATE to the collection: may change in any release.

A few routers get a row each, with a name; many are shown as a histogram by days. Positions along
the axis are percentages, so that the plot fills the width of the page and text keeps its size.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.fleet import HORIZONS, Fleet, Router
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import LEVELS

MOST_ROWS = 25
"""With more routers a histogram is drawn."""
_EARLIEST, _LATEST = -30, 120
"""The largest range of days on the axis; days outside are counted at its ends."""
_TICKS = (-30, -14, 0, 7, 30, 60, 90, 120)
_TOP, _AXIS, _ROW, _HISTOGRAM = 24, 40, 28, 210  # px
_NAME, _NARROW_NAME = 28, 12  # longest name in characters on a wide and on a narrow page
_FITS_WIDE, _FITS_NARROW = 5, 20  # percent that a caption needs on a wide and on a narrow page
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONES = ("expired", *(f"within_{days}" for days in HORIZONS), "later")


@dataclass(frozen=True)
class _Axis:
    """Columns of one day each, from *first* to *last*; ``x`` is the left edge of a column."""

    first: int
    last: int

    def x(self, day: float) -> float:
        return (min(max(day, self.first), self.last + 1) - self.first) / (self.last - self.first + 1) * 100

    def column(self, day: int) -> int:
        return min(max(day, self.first), self.last)


def plot(fleet: Fleet) -> str:
    """Return an ``<svg>``, or empty text if no router has a deadline."""
    routers = sorted((one for one in fleet.routers if one.days_left is not None), key=_left)
    if not routers or fleet.as_of is None:
        return ""
    left = [_left(router) for router in routers]
    axis = _Axis(max(min(*left, -5), _EARLIEST), min(max(*left, 64), _LATEST))
    drawn, height = _rows(routers, axis) if len(routers) <= MOST_ROWS else _histogram(routers, axis, fleet.as_of)
    return (
        f'<svg class="plot" role="img" aria-labelledby="plot-title plot-desc" width="100%" height="{_TOP + height + _AXIS}">'
        f'<title id="plot-title">Deadlines of {len(routers):,} licenses</title>'
        f'<desc id="plot-desc">{escape(_description(fleet))}</desc>'
        f"{_zones(axis, height)}{_ticks(axis, height, fleet.as_of)}{drawn}</svg>"
    )


def _left(router: Router) -> int:
    return router.days_left or 0


def _description(fleet: Fleet) -> str:
    near = ", ".join(f"{len(fleet.expiring(days)):,} within {days} days" for days in HORIZONS)
    return f"{len(fleet.expired):,} expired; {near}. The table of routers has every date."


def _zones(axis: _Axis, height: int) -> str:
    """Draw the background, with a zone for each horizon of the tiles."""
    edges = [axis.first, 0, *(days + 1 for days in HORIZONS), axis.last + 1]
    captions = ("past", "≤7 days", "8–30 days", "31–60 days", "later")
    parts = []
    for zone, caption, begin, end in zip(_ZONES, captions, edges[:-1], edges[1:], strict=True):
        if begin < end:
            x, width = axis.x(begin), axis.x(end) - axis.x(begin)
            parts.append(
                f'<rect class="zone {zone}" x="{x:.2f}%" y="0" width="{width:.2f}%" height="{_TOP + height}"/>'
            )
            if width > _FITS_WIDE:
                where = "caption" if width > _FITS_NARROW else "caption wide"
                parts.append(f'<text class="{where}" x="{x:.2f}%" dx="5" y="15">{caption}</text>')
    return "".join(parts)


def _rows(routers: t.Sequence[Router], axis: _Axis) -> tuple[str, int]:
    """Draw a line from today to each deadline, with a dot and a name at its end.

    Returns the drawing and its height in pixels.
    """
    parts = []
    today = axis.x(0)
    for number, router in enumerate(routers):
        y = _TOP + number * _ROW + _ROW // 2
        x = axis.x(axis.column(_left(router)) + 0.5)
        side = 'text-anchor="end" dx="-11"' if x > 50 else 'dx="11"'
        parts.append(
            f'<g class="{router.band}"><title>{escape(_told(router))}</title>'
            f'<line class="stem" x1="{today:.2f}%" y1="{y}" x2="{x:.2f}%" y2="{y}"/>'
            f'<circle class="mark" cx="{x:.2f}%" cy="{y}" r="6"/>'
            f'<text class="name" x="{x:.2f}%" {side} y="{y + 4}">{_named(router.name)}'
            f'<tspan class="more wide"> {router.level}</tspan>'
            f'<tspan class="more"> {escape(short(_left(router)))}</tspan></text></g>'
        )
    return "".join(parts), len(routers) * _ROW + 6


def _named(name: str) -> str:
    def as_long_as(most: int, where: str) -> str:
        text = name if len(name) <= most else name[: most - 1] + "…"
        return f'<tspan class="isolated{where}">{escape(text)}</tspan>'

    if len(name) <= _NARROW_NAME:
        return as_long_as(_NARROW_NAME, "")
    return as_long_as(_NAME, " wide") + as_long_as(_NARROW_NAME, " narrow")


def _histogram(routers: t.Sequence[Router], axis: _Axis, as_of: date) -> tuple[str, int]:
    """Draw a bar for each day, coloured by the band of its routers.

    Returns the drawing and its height in pixels.
    """
    columns: dict[int, list[Router]] = {}
    for router in routers:
        columns.setdefault(axis.column(_left(router)), []).append(router)
    most = max(map(len, columns.values()))
    scale = (_HISTOGRAM - 22) / most
    ground = _TOP + _HISTOGRAM
    width = axis.x(1) - axis.x(0)
    parts = [_grid(most, scale, ground)]
    for day, found in sorted(columns.items()):
        y = float(ground)
        x = axis.x(day)
        parts.append(f"<g><title>{escape(_crowd(found, day, axis, as_of))}</title>")
        bands = Counter(router.band for router in found)
        for band in (zone for zone in reversed(_ZONES) if bands[zone]):
            tall = max(bands[band] * scale, 2.0)
            y -= tall
            parts.append(
                f'<rect class="bar {band}" x="{x:.2f}%" y="{y:.1f}" width="{width:.2f}%" height="{tall:.1f}"/>'
            )
        parts.append("</g>")
    peak = min(columns, key=lambda day: (-len(columns[day]), day))
    x = axis.x(peak + 0.5)
    parts.append(
        f'<text class="name" x="{x:.2f}%" y="{_TOP + 14}" text-anchor="{_anchor(x)}">{most:,}'
        f'<tspan class="more"> on {_day(as_of, peak)}</tspan></text>'
    )
    return "".join(parts), _HISTOGRAM


def _grid(most: int, scale: float, ground: int) -> str:
    """Draw up to three lines at round numbers of routers."""
    step = next(factor * 10**power for power in range(9) for factor in (1, 2, 5) if factor * 10**power * 3.5 >= most)
    return "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{(y := ground - count * scale):.1f}" y2="{y:.1f}"/>'
        f'<text class="caption" x="0" dx="5" y="{y - 4:.1f}">{count:,}</text>'
        for count in range(step, most + 1, step)
    )


def _ticks(axis: _Axis, height: int, as_of: date) -> str:
    ground = _TOP + height
    parts = [f'<line class="axis" x1="0" x2="100%" y1="{ground}" y2="{ground}"/>']
    for day in _TICKS:
        if axis.first <= day <= axis.last:
            x = axis.x(day + 1 if day > 0 else day)  # the end of the zone of that name
            parts.append(
                f'<g class="{"wide" if day in (7, -14) else ""}">'
                f'<line class="{"today" if day == 0 else "axis"}" x1="{x:.2f}%" x2="{x:.2f}%" '
                f'y1="{0 if day == 0 else ground}" y2="{ground + 5}"/>'
                f'<text class="tick" x="{x:.2f}%" y="{ground + 19}" text-anchor="{_anchor(x)}">{short(day)}</text>'
                f'<text class="caption" x="{x:.2f}%" y="{ground + 34}" text-anchor="{_anchor(x)}">{_day(as_of, day)}</text></g>'
            )
    return "".join(parts)


def _anchor(x: float) -> str:
    """Return which end of a text to put at *x* so that it stays inside the plot."""
    return "start" if x < 6 else "end" if x > 92 else "middle"


def _told(router: Router) -> str:
    deadline = router.deadline_at.isoformat(" ") if router.deadline_at else ""
    return f"{router.name}, {router.level}: {deadline}, {span(_left(router))}"


def _crowd(found: t.Sequence[Router], day: int, axis: _Axis, as_of: date) -> str:
    levels = Counter(router.level for router in found)
    parts = ", ".join(f"{levels[level]:,} {level}" for level in LEVELS if levels[level])
    beyond = " or later" if day == axis.last else " or earlier" if day == axis.first else ""
    return f"{_day(as_of, day)}{beyond}, {span(day)}: {len(found):,} ({parts})"


def _day(as_of: date, days: int) -> str:
    try:
        day = as_of + timedelta(days=days)
    except OverflowError:  # the clock shows the end of the calendar
        return ""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def span(days: int) -> str:
    """Return ``in 3 days``, ``today``, ``1 day ago``."""
    count = f"{abs(days):,} day{'' if abs(days) == 1 else 's'}"
    return "today" if days == 0 else f"in {count}" if days > 0 else f"{count} ago"


def short(days: int) -> str:
    """Return ``3 d``, ``today``, ``1 d ago``."""
    return "today" if days == 0 else f"{days:,} d" if days > 0 else f"{-days:,} d ago"
