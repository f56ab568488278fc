# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page at the end of the demo shows what its playbooks returned."""

from __future__ import annotations

from ansible_collections.outofband.chr.tests.demo.chapters import Chapter
from ansible_collections.outofband.chr.tests.demo.page import page
from ansible_collections.outofband.chr.tests.demo.routers import Demo

HOST = {"demo_place": "Proxmox VE (simulated)", "chr_backend": "proxmox"}


def row(name, system_id, days_left):
    level = "free" if days_left is None else "p1"
    return {"name": name, "system_id": system_id, "days_left": days_left, "level": level, "reason": None}


def chapter(key, *, rows=(), results=(), status=0):
    report = {"routers": list(rows)} if rows else None
    return Chapter(
        key, f"About {key}", "Text.", "outofband.chr.x", ["chr3"], status=status, results=list(results), report=report
    )


def test_clones_deadlines_answers_and_what_was_left_out_are_shown():
    demo = Demo({"chr3": dict(HOST), "chr4": dict(HOST)}, missing={"About api": "no <library>"})
    answers = [
        {"host": "chr3", "task": "wait", "action": "outofband.chr.wait_for_agent", "result": {"elapsed": 0.25}},
        {
            "host": "chr3",
            "task": "script",
            "action": "outofband.chr.script",
            "result": {"stdout": "Hello <b>", "stdout_lines": ["Hello <b>", "RouterOS 7.22", "more"], "changed": True},
        },
    ]
    story = [
        chapter("scripts", results=answers),
        chapter("before", rows=[row("chr3", "same", 3), row("chr4", "same", None)]),
        chapter("ids"),
        chapter("renewal"),
        chapter("after", rows=[row("chr3", "same", 60), row("chr4", "other", 60)]),
        chapter("api", status=None),
    ]
    shown = page("All of this is simulated.", demo, story)
    assert shown.index("All of this is simulated.") < shown.index("<h1>2 routers")
    assert shown.count('class="router twin"') == 2
    assert shown.count('class="router good"') == 2
    assert "<td>0.25 s</td><td>Hello &lt;b&gt;, RouterOS 7.22</td>" in shown
    assert "<code>same</code> (kept)" in shown and "<code>other</code></td>" in shown
    assert "3 → 60 days" in shown and "free → 60 days" in shown
    assert "Left out: no &lt;library&gt;" in shown
    assert "Changed: chr3." in shown


def test_a_playbook_that_failed_is_told_with_its_exit_status():
    assert "The playbook ended with 2." in page("Simulated.", Demo({"chr3": dict(HOST)}), [chapter("image", status=2)])
