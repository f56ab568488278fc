# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text that ``print`` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .kinds import Prop, shown
from .values import is_void, quote

if TYPE_CHECKING:
    from .menus import Item, ItemMenu

_FLAG_NAMES = {
    "X": "DISABLED",
    "D": "DYNAMIC",
    "R": "RUNNING",
    "I": "INVALID",
    "C": "COMPLETE",
    "A": "ACTIVE",
    "S": "STATIC",
}
Numbered = list[tuple[int, "Item"]]


def flags(columns: list[Prop], item: Item) -> str:
    """The letters of an item, such as ``XD``."""
    return "".join(prop.flag for prop in columns if prop.flag and item.value(prop.name) is True)


def print_settings(columns: list[Prop], item: Item) -> list[str]:
    """Print ``key: value`` lines.

    Keys are right-aligned two blanks from the edge, values are padded to one width.
    """
    pairs = [(prop.name, shown(item.value(prop.name))) for prop in columns if not is_void(item.value(prop.name))]
    keys = max((len(key) for key, _unused in pairs), default=0) + 2
    values = max((len(value) for _unused, value in pairs), default=0)
    return [f"{key:>{keys}}: {value:<{values}}" for key, value in pairs]


def print_items(menu: ItemMenu, columns: list[Prop], rows: Numbered, style: str) -> list[str]:
    """Print the rows in a style.

    The styles are ``terse``, ``detail``, ``value-list``, ``proplist``, and (empty, ``brief``) a
    table.
    """
    if style == "value-list":
        return _value_list(columns, rows)
    if style in ("terse", "detail"):
        return _long(columns, rows, style)
    return _table(menu, columns, rows, style == "proplist")


def _value_list(columns: list[Prop], rows: Numbered) -> list[str]:
    used = [prop for prop in columns if any(not is_void(item.value(prop.name)) for _unused, item in rows)]
    width = max((len(prop.name) for prop in used), default=0) + 2
    return [
        f"{prop.name:>{width}}: {' '.join(shown(item.value(prop.name)) for _unused, item in rows)}" for prop in used
    ]


def _long(columns: list[Prop], rows: Numbered, style: str) -> list[str]:
    lines = (
        [_legend(columns, rows)] if style == "detail" and any(flags(columns, item) for _unused, item in rows) else []
    )
    for index, item in rows:
        words = [word for prop in columns for word in _word(prop, item, style)]
        comment = shown(item.value("comment"))
        head = f"{index:>2} {flags(columns, item) or ' '} "
        if style == "detail" and comment:
            lines += [f"{head} ;;; {comment}", "     " + " ".join(words)]
        else:
            lines.append(head + " ".join(words))
        if style == "detail":
            lines.append("")
    return lines


def _word(prop: Prop, item: Item, style: str) -> list[str]:
    value = item.value(prop.name)
    if is_void(value) or prop.flag or (prop.name == "comment" and style == "detail"):
        return []
    if prop.name == "comment" and value == "":
        return []
    quoted = style == "detail" and isinstance(value, str) and prop.kind.name == "string"
    return [f"{prop.name}={quote(value) if quoted and isinstance(value, str) else shown(value)}"]


def _legend(columns: list[Prop], rows: Numbered) -> str:
    letters = sorted({letter for _unused, item in rows for letter in flags(columns, item)})
    return "Flags: " + ", ".join(f"{letter} - {_FLAG_NAMES.get(letter, letter)}" for letter in letters)


def _table(menu: ItemMenu, columns: list[Prop], rows: Numbered, chosen: bool) -> list[str]:
    if not rows:
        return []
    names = [prop for prop in columns if not prop.flag and prop.name != "comment"]
    if menu.columns and not chosen:
        names = [prop for prop in names if prop.name in menu.columns or prop.counter]
    names = [prop for prop in names if any(shown(item.value(prop.name)) for _unused, item in rows)]
    marks = [flags(columns, item) for _unused, item in rows]
    mark_width = max(len(mark) for mark in marks)
    cells = [[shown(item.value(prop.name)).split("\n")[0].rstrip("\r") for prop in names] for _unused, item in rows]
    widths = [max(len(prop.name), *(len(row[at]) for row in cells)) for at, prop in enumerate(names)]
    number = len(str(rows[-1][0]))

    def line(first: str, mark: str, words: list[str]) -> str:
        gap = f" {mark:<{mark_width}}" if mark_width else ""
        body = "  ".join(f"{word:<{widths[at]}}" for at, word in enumerate(words))
        return f"{first:<{number}}{gap} {body}"

    lines = [_legend(columns, rows)] if mark_width else []
    lines.append("Columns: " + ", ".join(prop.name.upper() for prop in names))
    lines.append(line("#", "", [prop.name.upper() for prop in names]))
    for at, (index, item) in enumerate(rows):
        comment = shown(item.value("comment"))
        if comment:
            lines.append(f";;; {comment}")
        lines.append(line(str(index), marks[at], cells[at]))
    return lines
