# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table for people, and the file for the next run."""

from __future__ import annotations

import typing as t

from .row import NotRun, Row

HEAD = f"  {'':<46}{'ours':>9} {'unit':<13}{'theirs':>9}  {'ratio':>6}  peer"


def lines_of(row: Row | NotRun) -> t.Iterator[str]:
    """What is printed for one row."""
    if isinstance(row, NotRun):
        yield f"  {row.name:<46}not run: {row.why}"
        return
    theirs = f"{row.theirs:9.4g}" if row.theirs is not None else ""
    ratio = f"{row.ratio:6.2f}" if row.ratio is not None else ""
    yield f"  {row.name:<46}{row.ours:9.4g} {row.unit:<13}{theirs:>9}  {ratio:>6}  {row.peer}{_target(row)}".rstrip()


def summary(rows: t.Sequence[Row | NotRun]) -> t.Iterator[str]:
    """The last lines: what was not run, and which targets were missed."""
    for row in rows:
        if isinstance(row, NotRun):
            yield f"{'ERROR' if row.failed else 'Not run'}: {row.section}: {row.name}: {row.why}"
        elif row.met is False:
            yield f"Missed target: {row.key}."


def _target(row: Row) -> str:
    limits = []
    if row.at_most is not None:
        limits.append(f"at most {row.at_most:.4g} x")
    if row.goal is not None:
        limits.append(f"at most {row.goal:.4g} {row.unit}")
    return f"   [{'met' if row.met else 'MISSED'}: {', '.join(limits)}]" if limits else ""


def as_json(machine: dict[str, t.Any], rows: t.Sequence[Row | NotRun], *, quick: bool) -> dict[str, t.Any]:
    """The result as it is written and committed."""
    note = "A quick run: few hosts and one round. Only ratios mean something, and these not much."
    return {
        "run": note if quick else "The whole run.",
        "quick": quick,
        "machine": machine,
        "rows": [_as_json(row) for row in rows if isinstance(row, Row)],
        "not run": [f"{row.section}: {row.name}: {row.why}" for row in rows if isinstance(row, NotRun)],
    }


def merged(before: dict[str, t.Any], now: dict[str, t.Any], titles: t.Collection[str]) -> dict[str, t.Any]:
    """The result *before*, with the rows of the sections *titles* as they are *now*.

    Raises ValueError if one of the two is of a quick run, and the other one is not.
    """
    if before["quick"] != now["quick"]:
        raise ValueError("A quick run and a whole one cannot be in one result.")

    def others(keys: t.Iterable[str]) -> list[str]:
        return [key for key in keys if key.partition(": ")[0] not in titles]

    kept = others(row["row"] for row in before["rows"])
    return {
        **now,
        "rows": [row for row in before["rows"] if row["row"] in kept] + now["rows"],
        "not run": others(before["not run"]) + now["not run"],
    }


def _as_json(row: Row) -> dict[str, t.Any]:
    about = {
        "row": row.key,
        "ours": _short(row.ours),
        "unit": row.unit,
        "peer": row.peer or None,
        "theirs": _short(row.theirs),
        "ratio": _short(row.ratio),
        "ratio at most": _short(row.at_most),
        "ours at most": _short(row.goal),
        "met": row.met,
    }
    return {key: value for key, value in about.items() if value is not None}


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")
