# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the routers, as JSON and as one page of HTML.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import json
import typing as t
from html import escape

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import doctor
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.doctor import (
    STATES,
    TITLES,
    Check,
    CheckState,
    Patient,
)

from .assets import style
from .document import all_routers, card, counted, document, isolated

_COLOURS: dict[CheckState, str] = {"wrong": "expired", "note": "within_30", "good": "later", "skipped": "no_deadline"}
"""The colours of the states, by their names in the style sheet."""
_WORDS: dict[CheckState, str] = {"wrong": "wrong", "note": "worth a note", "good": "good", "skipped": "not looked at"}
_FORMAT = 1


def as_json(patients: t.Sequence[Patient]) -> str:
    content = {
        "format": _FORMAT,
        "summary": doctor.summary(patients),
        "routers": [doctor.as_data(one) for one in patients],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def page(patients: t.Sequence[Patient]) -> str:
    """Return the whole page."""
    found = "".join(_finding(one) for state in STATES[:2] for one in doctor.findings(patients, state))
    head = (
        f'<header><h1>CHR doctor</h1><p class="muted">{counted(len(patients), "router")}</p>'
        f'<p class="lead">{isolated(doctor.verdict(patients))}</p></header>'
    )
    main = f'{head}\n{_tiles(patients)}\n<div class="cards">{found}</div>\n{_table(patients)}'
    return document("CHR doctor", style(_COLOURS.values()), main)


def _tiles(patients: t.Sequence[Patient]) -> str:
    tiles = ""
    for state in STATES[:3]:
        count = sum(one.state == state for one in patients)
        tiles += f'<li class="{_COLOURS[state]}{"" if count else " none"}"><b>{count:,}</b>{_WORDS[state]}</li>'
    return f'<ul class="tiles" aria-label="Routers by state">{tiles}</ul>'


def _finding(finding: doctor.GroupedFinding) -> str:
    rows = "".join(
        f'<tr><th scope="row">{isolated(name)}</th><td class="why">{isolated(said)}</td></tr>'
        for name, said in finding.routers
    )
    title = f"{TITLES[finding.check]} of {counted(len(finding.routers), 'router')}: {_WORDS[finding.state]}"
    cure = f"<p><strong>Cure:</strong> {isolated(finding.cure)}</p>" if finding.cure else ""
    table = f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><tbody>{rows}</tbody></table></div>'
    return card(title, cure + table)


def _table(patients: t.Sequence[Patient]) -> str:
    heads = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("Router", "State", *TITLES.values(), "Version", "Backend", "Endpoint", "Id")
    )
    states = {_COLOURS[state]: _WORDS[state] for state in STATES[:3] if any(one.state == state for one in patients)}
    rows = "\n".join(_row(one) for one in doctor.ordered(patients))
    return all_routers(
        states, heads, rows, "name, agent, certificate …", "A dot shows what is good, worth a note, or wrong."
    )


def _row(patient: Patient) -> str:
    made = {one.name: one for one in patient.checks}
    cells = "".join(_cell(made.get(name)) for name in TITLES)
    rest = "".join(
        f'<td class="who">{isolated(one)}</td>'
        for one in (patient.routeros, patient.backend, patient.endpoint, patient.vm)
    )
    return (
        f'<tr class="{_COLOURS[patient.state]}"><th scope="row">{isolated(patient.name)}</th>'
        f'<td class="state dot" data-v="{STATES.index(patient.state)}">{_WORDS[patient.state]}</td>{cells}{rest}</tr>'
    )


def _cell(check: Check | None) -> str:
    if check is None:
        return '<td class="d"></td>'
    dot = "" if check.state == "skipped" else f' class="d dot {_COLOURS[check.state]}"'
    return f'<td{dot} title="{escape(check.said)}">{isolated(check.short)}</td>'
