# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page about the demo: each chapter with its command, what came of it, and a picture of it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import jinja2

from .chapters import Chapter
from .routers import TWINS, Demo

Bar = tuple[str, tuple[float, ...], str]
"""The name of a router, the lengths, and words."""
_DAYS = 60
"""The length of the longest bar of a license."""


def page(simulated: str, demo: Demo, story: list[Chapter]) -> str:
    """Return the page, which loads nothing else."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    told = {chapter.key: chapter for chapter in story}
    answers = _answers(told.get("scripts"))
    return environment.get_template("page.html.j2").render(
        simulated=simulated,
        demo=demo,
        story=story,
        places=list(dict.fromkeys(host["demo_place"] for host in demo.hosts.values())),
        before=_fleet(told.get("before")),
        after=_fleet(told.get("after")),
        answers=answers,
        most_seconds=max([1.0, *(length for _name, (length,), _words in answers)]),
        steps=_steps(told.get("image")),
        ids=_ids(told.get("before"), told.get("after")),
        renewals=_renewals(told.get("before"), told.get("after")),
        configured=_configured(told.get("api")),
        days=_DAYS,
    )


def _fleet(chapter: Chapter | None) -> dict[str, dict[str, t.Any]]:
    """Return what the report of a chapter says of each router, with a class for its state."""
    rows = chapter.report["routers"] if chapter and chapter.report else []
    ids = [row["system_id"] for row in rows if row["system_id"]]
    return {row["name"]: {**row, "state": _state(row, ids)} for row in rows}


def _state(row: dict[str, t.Any], ids: list[str]) -> str:
    if row["reason"]:
        return "unread"
    if ids.count(row["system_id"]) > 1:
        return "twin"
    if row["days_left"] is None:
        return "free"
    return "soon" if row["days_left"] <= 14 else "good"


def _answers(chapter: Chapter | None) -> list[Bar]:
    """Return after how many seconds the agent of each router answered, and what its script said."""
    seconds: dict[str, float] = {}
    said: dict[str, str] = {}
    for one in chapter.results if chapter else []:
        result, name = one["result"], one["host"]
        if one["action"] == "outofband.chr.wait_for_agent":
            seconds[name] = round(result.get("elapsed") or 0.0, 1)
        if one["action"] == "outofband.chr.script" and result.get("stdout", "").startswith("Hello"):
            said[name] = ", ".join(result["stdout_lines"])
    return [(name, (length,), said.get(name, "")) for name, length in seconds.items()]


def _steps(chapter: Chapter | None) -> list[str]:
    """Return the steps that changed something on the way to the new router."""
    return [
        one["task"].rpartition(" : ")[2] for one in (chapter.results if chapter else []) if one["result"].get("changed")
    ]


def _ids(before: Chapter | None, after: Chapter | None) -> list[tuple[str, str, str]]:
    first, last = _fleet(before), _fleet(after)
    return [
        (name, first[name]["system_id"], last[name]["system_id"]) for name in TWINS if name in first and name in last
    ]


def _renewals(before: Chapter | None, after: Chapter | None) -> list[Bar]:
    """Return the days that each license had before and has now."""
    first, last = _fleet(before), _fleet(after)
    return [
        (name, (row["days_left"] or 0, last[name]["days_left"] or 0), "")
        for name, row in first.items()
        if name in last and (last[name]["days_left"] or row["days_left"])
    ]


def _configured(chapter: Chapter | None) -> list[tuple[str, bool]]:
    """Return what api_modify brought about, and whether it had to change something."""
    found: dict[str, bool] = {}
    for one in chapter.results if chapter else []:
        for item in one["result"].get("results", []):
            path = (item.get("item") or {}).get("path") if isinstance(item.get("item"), dict) else None
            if path:
                found[path] = bool(item.get("changed"))
    return list(found.items())
