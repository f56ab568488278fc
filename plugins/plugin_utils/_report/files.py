# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet as the content of a file, for each format. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import csv
import io
import json
import typing as t

from ansible_collections.outofband.chr.plugins.module_utils._routeros.fleet import Fleet, as_data
from ansible_collections.outofband.chr.plugins.module_utils._routeros.licence import LEVELS

from .page import page

# What spreadsheets take for the beginning of a formula, also in its full-width forms.
_FORMULA = "=+-@\uff0b\uff0d\uff1d\uff20"


def as_json(fleet: Fleet) -> str:
    return json.dumps(as_data(fleet), ensure_ascii=False, indent=1) + "\n"


def as_csv(fleet: Fleet) -> str:
    """A line for each router, with the keys that it has in JSON."""
    rows = [_columns(row) for row in as_data(fleet)["routers"]]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["name"])
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _columns(row: dict[str, t.Any]) -> dict[str, t.Any]:
    upgrades = row.pop("upgrades")
    return row | {f"cost_{level}": upgrades.get(level) for level in LEVELS[1:]}


def _cell(value: object) -> object:
    """A spreadsheet must not run what a router or an inventory says; only text is touched, so -3 stays a number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.lstrip()[:1] in tuple(_FORMULA):
        return f"'{value}"
    return value


FORMATS: dict[str, t.Callable[[Fleet], str]] = {"html": page, "json": as_json, "csv": as_csv}
"""By the ending of the file's name."""
