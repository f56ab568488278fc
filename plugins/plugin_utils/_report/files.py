# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conversion of a fleet to the content of a file, in each format.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import csv
import io
import json
import re
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.fleet import Fleet, as_data
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import LEVELS

from .openmetrics import as_openmetrics
from .page import page

# A formula begins with one of these characters or with its full-width form, at the beginning of a
# cell. Some spreadsheets also begin a cell behind a semicolon or a tab.
_BEGINS = re.compile("(^|[;\\t|\\r\\n])(\\s*[=+\\-@\uff0b\uff0d\uff1d\uff20])")


def as_json(fleet: Fleet) -> str:
    return json.dumps(as_data(fleet), ensure_ascii=False, indent=1) + "\n"


def as_csv(fleet: Fleet) -> str:
    """Return a line for each router, with the same keys as in JSON."""
    rows = [_columns(row) for row in as_data(fleet)["routers"]]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["name"])
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _columns(row: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the columns of a router. What was added later is at the end."""
    later = {key: row.pop(key) for key in ("hypervisor", "groups", "routeros", "to_do")}
    upgrades = row.pop("upgrades")
    return {**row, **{f"cost_{level}": upgrades.get(level) for level in LEVELS[1:]}, **later}


def _cell(value: object) -> object:
    """Protect text from being run as a formula by a spreadsheet; a number such as -3 is kept."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return _BEGINS.sub(r"\1'\2", value)
    if isinstance(value, list):
        return _cell(" ".join(value))
    return value


FORMATS: dict[str, t.Callable[[Fleet], str]] = {
    "html": page,
    "json": as_json,
    "csv": as_csv,
    "openmetrics": as_openmetrics,
}


def ending(format: str) -> str:
    """Return the ending of the file's name. A node exporter reads only files that end in .prom."""
    return "prom" if format == "openmetrics" else format
