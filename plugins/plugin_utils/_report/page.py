# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report on licenses as one page of HTML.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import typing as t
from datetime import date
from html import escape

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.changes import ValueChange
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.fleet import (
    BANDS,
    HORIZONS,
    Advice,
    Fleet,
    Router,
    shown,
    shown_or_none,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import LEVELS

from .assets import style
from .document import all_routers, card, counted, document, grid, isolated, listed
from .plot import MOST_ROWS, plot, span

_NAMED = 12
"""Routers that a cell names; the others are folded."""
_HOW = {
    "renew": "The playbook <code>license_renew</code> asks the account server. Where that changes nothing, the router has a trial: "
    "buy a license for it.",
    "buy": "The router was renewed, and its trial still ends: buy a license in the account at mikrotik.com, then renew.",
    "prepaid_key": "The license has expired. Assign a prepaid key to the router in the account, then renew.",
    "reboot": "The level may not be in force. Measure the router&rsquo;s speed, reboot it, and read the license again.",
    "new_id": "The playbook <code>generate_new_id</code> gives clones ids of their own.",
    "set_clock": "The router judges its license by its clock. Correct the clock, and read the license again.",
}

STATES = {
    "expired": "expired",
    "within_7": "within 7 days",
    "within_30": "8 to 30 days",
    "within_60": "31 to 60 days",
    "later": "after 60 days",
    "no_deadline": "no deadline",
    "not_read": "not read",
}


def page(fleet: Fleet) -> str:
    """Return the whole page."""
    cards = "".join(part(fleet) for part in (_to_do, _changes, _duplicates, _aliases, _clocks, _not_read, _money))
    return document(
        "CHR licenses",
        style(BANDS),
        f'{_head(fleet)}\n{_tiles(fleet)}\n{_plot(fleet)}\n<div class="cards">{cards}</div>\n{_table(fleet)}',
    )


def _head(fleet: Fleet) -> str:
    return (
        f'<header><h1>CHR licenses</h1><p class="muted">{counted(len(fleet.routers), "router")}'
        f"{f', as of {_date(fleet.as_of)} by their own clocks' if fleet.as_of else ''}</p>"
        f'<p class="lead">{_verdict(fleet)}</p></header>'
    )


def _verdict(fleet: Fleet) -> str:
    """Return a summary in one or two sentences."""
    if not fleet.routers:
        return "There is no router to report on."
    if len(fleet.not_read) == len(fleet.routers):
        return "No router could be read."
    due, week = len(fleet.renewal_due), len(fleet.expiring(HORIZONS[0]))
    urgent = [
        (due, "is due for renewal" if due == 1 else "are due for renewal"),
        (len(fleet.expired), "expired"),
        (week, "expires within 7 days" if week == 1 else "expire within 7 days"),
    ]
    parts = [f"<strong>{count:,}</strong> {what}" for count, what in urgent if count]
    said = f"{' and '.join([', '.join(parts[:-1])] * (len(parts) > 1) + parts[-1:])}." if parts else "Nothing is due."
    unread = len(fleet.not_read)
    return f"{said} <strong>{unread:,}</strong> {'was' if unread == 1 else 'were'} not read." if unread else said


def _tiles(fleet: Fleet) -> str:
    below = {"within_30": f"{len(fleet.expiring(30)):,} within 30 days", "within_60": "usual for a paid license"}
    below["no_deadline"] = f"{sum(one.level == 'free' for one in fleet.routers):,} free"
    below["not_read"] = f"{sum(one.unreachable for one in fleet.routers):,} unreachable"
    tiles = "".join(
        f'<li class="{band}{"" if fleet.bands.get(band) else " none"}"><b>{fleet.bands.get(band, 0):,}</b>{STATES[band]}'
        f"<small>{below.get(band, '')}</small></li>"
        for band in BANDS
    )
    due = len(fleet.renewal_due)
    first = f'<li class="due{"" if due else " none"}"><b>{due:,}</b>due for renewal<small>in any of these states</small></li>'
    return f'<ul class="tiles" aria-label="Routers by deadline">{first}{tiles}</ul>'


def _plot(fleet: Fleet) -> str:
    drawn = plot(fleet)
    if not drawn:
        return card("Deadlines", '<p class="muted">No router has a deadline.</p>')
    shown = sum(router.days_left is not None for router in fleet.routers)
    how = "A dot for each router" if shown <= MOST_ROWS else "Licenses that end on each day"
    rest = len(fleet.routers) - shown
    missing = f" {counted(rest, 'router')} without a date {'is' if rest == 1 else 'are'} not in it." if rest else ""
    return card("Deadlines", f"<figure>{drawn}<figcaption>{how}.{missing}</figcaption></figure>")


def _to_do(fleet: Fleet) -> str:
    rows = []
    for kind, routers in fleet.to_do.items():
        if routers:
            names = _names([one.name for one in routers])
            rows.append(
                f'<tr><th scope="row">{kind.replace("_", " ")}</th><td class="n">{len(routers):,}</td>'
                f'<td class="why">{names}<p class="muted">{_HOW[kind]}</p></td></tr>'
            )
    return card("What to do", grid(("What", "Routers", "Which, and how"), rows, "What to do")) if rows else ""


def _changes(fleet: Fleet) -> str:
    changes = fleet.changes
    if changes is None:
        return ""

    def moved(found: t.Sequence[ValueChange]) -> list[str]:
        return [f"{shown(one.name)} ({_day(one.before)} → {_day(one.after)})" for one in found]

    kinds: dict[str, t.Sequence[str]] = {
        "newly due for renewal": changes.newly_due,
        "renewed": moved(changes.renewed),
        "another system id": [
            f"{shown(one.name)} ({shown(one.before)} → {shown(one.after)})" for one in changes.id_changed
        ],
        "new": changes.new,
        "gone": changes.gone,
    }
    rows = [
        f'<tr><th scope="row">{what}</th><td class="n">{len(names):,}</td><td class="why">{_names(names)}</td></tr>'
        for what, names in kinds.items()
        if names
    ]
    title = f"Changes since {escape(shown(changes.since))}"
    if not rows:
        return card(title, '<p class="muted">None.</p>')
    return card(title, grid(("What", "Routers", "Which"), rows, "Changes since the last report"))


def _names(names: t.Sequence[str]) -> str:
    """Return a list of names, of which those after the first ones are folded."""
    first, more = (", ".join(map(_name, map(shown, some))) for some in (names[:_NAMED], names[_NAMED:]))
    return f"{first}<details><summary>and {len(names) - _NAMED:,} more</summary>{more}</details>" if more else first


def _day(moment: str | None) -> str:
    return (shown_or_none(moment) or "none").partition("T")[0]


def _duplicates(fleet: Fleet) -> str:
    if not fleet.duplicates:
        return ""
    routers = {router.name: router for router in fleet.routers}
    rows = [
        f'<tr><td class="d"><code>{escape(one.system_id)}</code></td><td class="n">{len(one.routers):,}</td><td class="who">'
        + _names([f"{name} ({routers[name].level})" for name in one.routers])
        + "</td></tr>"
        for one in fleet.duplicates
    ]
    text = (
        '<p class="muted">Clones of one disk. They disturb each other&rsquo;s license; a free one can be given a new id '
        "(<code>outofband.chr.system_id</code>), a licensed one cannot.</p>"
    )
    return card(
        f"{counted(len(rows), 'system id')} of more than one router",
        text + listed(("System id", "Routers", "Names"), rows, "Duplicate system ids"),
    )


def _aliases(fleet: Fleet) -> str:
    rows = [
        f'<tr><td class="who">{isolated(one.vm)}</td><td class="who">{_names(one.routers)}</td></tr>'
        for one in fleet.aliases
    ]
    if not rows:
        return ""
    text = '<p class="muted">Each name counts as a router here. Keep one of them in the inventory.</p>'
    title = f"{counted(len(rows), 'VM')} with more than one name"
    return card(title, text + listed(("VM", "Names"), rows, "VMs with more than one name"))


def _not_read(fleet: Fleet) -> str:
    rows = [
        f'<tr><th scope="row">{_name(one.name)}</th><td class="d">{"unreachable" if one.unreachable else "failed"}</td>'
        f'<td class="why">{isolated(one.reason or "")}</td></tr>'
        for one in fleet.not_read
    ]
    if not rows:
        return ""
    shown_rows = listed(("Router", "What", "Reason"), rows, "Routers that were not read")
    return card(f"{counted(len(rows), 'router')} not read", shown_rows)


def _clocks(fleet: Fleet) -> str:
    rows = [
        f'<tr><th scope="row">{_name(one.name)}</th><td class="d">{_ahead(one)}</td></tr>' for one in fleet.wrong_clocks
    ]
    if not rows:
        return ""
    text = '<p class="muted">A router judges its license by its own clock. Correct the clock first.</p>'
    shown_rows = listed(("Router", "Its clock is"), rows, "Routers whose clock is wrong")
    return card(f"{counted(len(rows), 'wrong clock')}", text + shown_rows)


def _money(fleet: Fleet) -> str:
    costs = {(one.current, one.wanted): one for one in fleet.upgrades}
    rows = []
    for level in LEVELS:
        cells = "".join(
            f'<td class="n">{_dollars(costs[level, wanted].cost) if (level, wanted) in costs else ""}</td>'
            for wanted in LEVELS[1:]
        )
        count = fleet.levels.get(level, 0)
        rows.append(f'<tr><th scope="row">{level}</th><td class="n">{count:,}</td>{cells}</tr>')
    sums = "".join(
        f'<td class="n"><strong>{_dollars(sum(one.cost for one in fleet.upgrades if one.wanted == wanted))}</strong></td>'
        for wanted in LEVELS[1:]
    )
    rows.append(f'<tr><th scope="row">all</th><td class="n">{sum(fleet.levels.values()):,}</td>{sums}</tr>')
    text = (
        '<p class="muted">US dollars at list price, the whole price of the new level each: the former license becomes free on '
        "the account, for another router. A trial counts as its level, because a router does not tell it from a paid license.</p>"
    )
    heads = ("Level", "Routers", *(f"to {level}" for level in LEVELS[1:]))
    return card("Levels, and what higher ones cost", text + grid(heads, rows, "Cost to upgrade all routers of a level"))


def _table(fleet: Fleet) -> str:
    ordered = sorted(
        enumerate(fleet.routers), key=lambda one: (BANDS.index(one[1].band), one[1].days_left or 0, one[0])
    )
    rows = "\n".join(_row(router) for _place, router in ordered)
    heads = [
        '<th scope="col">Router</th><th scope="col" aria-sort="ascending">State</th><th scope="col" class="n">Days</th>',
        '<th scope="col">To do</th><th scope="col">Deadline</th><th scope="col">Next renewal</th><th scope="col">Level</th>',
        '<th scope="col">RouterOS</th><th scope="col">System id</th><th scope="col">Notes</th><th scope="col">Group</th>',
        '<th scope="col">Backend</th><th scope="col">Hypervisor</th><th scope="col">VM</th>',
    ]
    states = {band: STATES[band] for band in BANDS if fleet.bands.get(band)}
    words = ("name, id, p10, duplicate …", "Dates are in each router&rsquo;s own time zone.")
    return all_routers(states, "".join(heads), rows, *words)


def _row(router: Router) -> str:
    days = "" if router.days_left is None else str(router.days_left)
    place = router.place
    level = LEVELS.index(router.level) if router.level else ""
    rank = f"{BANDS.index(router.band)}{'' if router.days_left is None else _sortable(router.days_left)}"
    return (
        f'<tr class="{router.band}"><th scope="row">{_name(router.name)}</th>'
        f'<td class="state dot" data-v="{rank}">{STATES[router.band]}</td><td class="n">{days}</td>'
        f'<td class="do">{_advice(router.to_do)}</td><td class="d">{_date(router.deadline_at)}</td>'
        f'<td class="d">{_date(router.next_renewal_at)}</td><td class="d" data-v="{level}">{router.level or ""}</td>'
        f'<td class="os">{_text(router.routeros)}</td><td class="d"><code>{escape(router.system_id or "")}</code></td>'
        f'<td class="why">{_notes(router)}</td><td class="who">{", ".join(map(isolated, place.groups))}</td>'
        f'<td class="d">{_text(place.backend)}</td><td class="who">{_text(place.hypervisor)}</td>'
        f'<td class="vm">{_text(place.vm)}</td></tr>'
    )


def _advice(advice: Advice | None) -> str:
    if advice is None:
        return ""
    said, _before, day = str(advice).partition(" before ")
    return f'{said} before <span class="d">{day}</span>' if day else said


def _sortable(days: int) -> str:
    """Return the digits after the rank of a band: a fraction that grows with the days."""
    return f".{days + 5_000_000:08d}"


def _notes(router: Router) -> str:
    notes = []
    if router.reason is not None:
        notes.append(isolated(router.reason))
    if router.twin:
        notes.append("duplicate system id")
    notes += map(isolated, router.findings)
    if router.clock_wrong:
        notes.append(f"clock {_ahead(router)}")
    if router.limited_upgrades and not router.expired:
        notes.append("upgrades limited")
    if router.renewal_due and not router.expired:
        notes.append("renewal due")
    return "; ".join(notes)


def _ahead(router: Router) -> str:
    if router.clock_ahead is None:
        return "wrong"
    minutes = abs(router.clock_ahead) // 60
    amount = (
        f"{minutes:,} min" if minutes < 120 else f"{minutes // 60:,} h" if minutes < 2880 else span(minutes // 1440)[3:]
    )
    return f"{amount} {'ahead' if router.clock_ahead > 0 else 'behind'}"


# -- pieces ----------------------------------------------------------------------------------------


def _name(name: str) -> str:
    return isolated(name)


def _text(text: str | None) -> str:
    return isolated(text) if text else ""


def _date(moment: date | None) -> str:
    return moment.strftime("%Y-%m-%d") if moment else ""


def _dollars(amount: int) -> str:
    return f"${amount:,}"
