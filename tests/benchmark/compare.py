# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The comparison with the committed result. Only ratios are compared, never seconds."""

from __future__ import annotations

import typing as t

from .row import Row

WORSE = 1.2
"""A ratio may be at most this many times the committed one."""


def regressions(committed: dict[str, t.Any], rows: t.Iterable[Row]) -> dict[str, str]:
    """Return a sentence for each row whose ratio is worse, by the row's key."""
    before = {row["row"]: row["ratio"] for row in committed["rows"] if "ratio" in row}
    worse = {}
    for row in rows:
        if row.ratio is not None and row.key in before and row.ratio > before[row.key] * WORSE:
            more = row.ratio / before[row.key] - 1
            worse[row.key] = (
                f"{row.key}: the ratio is {row.ratio:.3g}, {more:.0%} above the committed {before[row.key]:.3g}."
            )
    return worse


def left_out(committed: dict[str, t.Any], rows: t.Iterable[Row]) -> list[str]:
    """The committed rows that were not measured this time."""
    now = {row.key for row in rows}
    return [row["row"] for row in committed["rows"] if row["row"] not in now]
