# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report as one page of HTML that loads nothing else, and the pieces that pages have.

PRIVATE to the collection: may change in any release.

A page can be read without its script, which only sorts and filters the table. All text from a
router or an inventory is escaped, and the content security policy allows only this script and this
style sheet.
"""

from __future__ import annotations

import base64
import hashlib
import typing as t
from html import escape

from .assets import SCRIPT

_OPEN = 8
"""Lists with more entries are folded."""


def document(title: str, css: str, main: str) -> str:
    """Return the whole page. *main*: its content, which must have a table ``routers``."""
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_hash(css)}'; script-src 'sha256-{_hash(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n'
        f"<style>{css}</style>\n</head>\n<body>\n<main>\n{main}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def card(title: str, content: str) -> str:
    return f'<section class="card"><h2>{title}</h2>{content}</section>'


def listed(heads: t.Sequence[str], rows: t.Sequence[str], caption: str) -> str:
    """Return a small table, which is folded if it is long."""
    table = grid(heads, rows, caption)
    return table if len(rows) <= _OPEN else f"<details><summary>Show all {len(rows):,}</summary>{table}</details>"


def grid(heads: t.Sequence[str], rows: t.Iterable[str], caption: str) -> str:
    columns = "".join(
        f'<th scope="col"{" class=n" if head.startswith(("to ", "Routers")) else ""}>{head}</th>' for head in heads
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption class="unseen">{caption}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def all_routers(states: t.Mapping[str, str], heads: str, rows: str, example: str, caption: str) -> str:
    """Return the table of all routers, which can be sorted and filtered.

    *states*: what the class of a row means, to choose from. *example*: words to filter by.
    """
    options = "".join(f'<option value="{name}">{title}</option>' for name, title in states.items())
    return (
        '<section class="card long" aria-labelledby="all"><h2 id="all">All routers</h2>'
        '<div class="tools" id="tools" hidden><div><label for="words">Filter</label>'
        f'<input id="words" type="search" autocomplete="off" placeholder="{example}"></div>'
        f'<div><label for="state">State</label><select id="state"><option value="">all</option>{options}</select></div>'
        '<p class="muted" id="said" role="status"></p></div>'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="all"><table id="routers">'
        f"<caption>{caption}</caption>"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></section>"
    )


def isolated(text: str) -> str:
    """Escape foreign text, and isolate its writing direction."""
    return f"<bdi>{escape(text)}</bdi>"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
