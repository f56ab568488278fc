# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page about the demo: each chapter with its command, what came of it, and a picture of it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import jinja2

from .chapters import Chapter, by_number
from .routers import TWINS, Demo

Fleet = dict[str, dict[str, t.Any]]
"""What the report says of each router, by name."""
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
    before, after = _fleet(told.get("before")), _fleet(told.get("after"))
    return environment.get_template("page.html.j2").render(
        simulated=simulated,
        demo=demo,
        story=story,
        places=list(dict.fromkeys(host["demo_place"] for host in demo.hosts.values())),
        before=before,
        after=after,
        answers=_answers(told.get("scripts")),
        steps=_steps(told.get("image")),
        ids=[
            (name, before[name]["system_id"], after[name]["system_id"])
            for name in TWINS
            if name in before and name in after
        ],
        renewals=_renewals(before, after),
        configured=_configured(told.get("api")),
        days=_DAYS,
    )


def _fleet(chapter: Chapter | None) -> Fleet:
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


def _answers(chapter: Chapter | None) -> dict[str, dict[str, t.Any]]:
    """Return, by router, after how many seconds its agent answered, and what its script said."""
    found: dict[str, dict[str, t.Any]] = {}
    for one in chapter.results if chapter else []:
        result, router = one["result"], found.setdefault(one["host"], {"seconds": None, "said": ""})
        if one["action"] == "outofband.chr.wait_for_agent":
            router["seconds"] = result.get("elapsed")
        if result.get("stdout", "").startswith("Hello"):
            router["said"] = ", ".join(result["stdout_lines"][:2])
    return {name: found[name] for name in sorted(found, key=by_number)}


def _steps(chapter: Chapter | None) -> list[str]:
    """Return the steps that changed something on the way to the new router."""
    return [
        one["task"].rpartition(" : ")[2] for one in (chapter.results if chapter else []) if one["result"].get("changed")
    ]


def _renewals(before: Fleet, after: Fleet) -> list[tuple[str, list[int | None]]]:
    """Return, for each router with a new deadline, the days that it had before and has now."""
    days = {name: [row["days_left"], after[name]["days_left"]] for name, row in before.items() if name in after}
    return [(name, both) for name, both in days.items() if both[1] is not None and both[0] != both[1]]


def _configured(chapter: Chapter | None) -> list[tuple[str, bool]]:
    """Return what api_modify brought about, and whether it had to change something."""
    found: dict[str, bool] = {}
    for one in chapter.results if chapter else []:
        for item in one["result"].get("results", []):
            path = (item.get("item") or {}).get("path") if isinstance(item.get("item"), dict) else None
            if path:
                found[path] = bool(item.get("changed"))
    return list(found.items())
