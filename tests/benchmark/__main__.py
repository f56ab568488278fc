# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure all sections, print and write the result, and compare it with the committed one."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab.missing import Missing

from . import (
    bridge,
    calls,
    files,
    fleet,
    inventory,
    library,
    machine,
    memory,
    report,
    script,
    seen,
    uploads,
)
from .compare import left_out, regressions
from .row import NotRun, Row
from .stage import TESTS, Stage

COMMITTED = TESTS / "benchmark" / "result.json"
SECTIONS: dict[str, t.Any] = {
    "script": script,
    "seen": seen,
    "files": files,
    "uploads": uploads,
    "calls": calls,
    "memory": memory,
    "inventory": inventory,
    "fleet": fleet,
    "bridge": bridge,
    "library": library,
}
"""In the order in which they are measured."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make benchmark")
    parser.add_argument("--quick", action="store_true", help="few hosts and one round, in about 2 minutes")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="this section; may be repeated")
    parser.add_argument(
        "--json", type=Path, help="write the result to this file; with --only, replace these sections in it"
    )
    parser.add_argument("--committed", type=Path, default=COMMITTED, help="the result to compare with")
    arguments = parser.parse_args()
    chosen = arguments.only or list(SECTIONS)
    about = machine.describe()
    titles = {SECTIONS[name].TITLE for name in chosen}
    before = None
    if arguments.only and arguments.json and arguments.json.exists():
        before = json.loads(arguments.json.read_text(encoding="utf-8"))
    rows: list[Row | NotRun] = []
    for row in (row for name in chosen for row in measured(name, quick=arguments.quick)):
        rows.append(row)
        if arguments.json:  # after each row, so that a run that is ended leaves what it has
            result = report.as_json(about, rows, quick=arguments.quick)
            result = report.merged(before, result, titles) if before else result
            arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print("\nThe machine: " + ", ".join(f"{key} {value}" for key, value in about.items()))
    print("\n".join(report.summary(rows)))
    worse = compared(arguments.committed, rows, chosen, quick=arguments.quick)
    return int(worse or any(isinstance(row, NotRun) and row.failed for row in rows))


def measured(name: str, *, quick: bool) -> t.Iterator[Row | NotRun]:
    """The rows of a section, which are printed as they come."""
    section = SECTIONS[name]
    print(f"\n{section.TITLE}\n{report.HEAD}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chr-bench-") as folder:
        stage = Stage(Path(folder), quick=quick)
        (stage.folder / "collections").symlink_to(os.environ["PYTHONPATH"])
        rows = section.measure(stage)
        while True:
            try:
                row = next(rows, None)
            except Exception as error:  # it must not cost the results of the other sections
                row = NotRun(section.TITLE, "the rest", str(error), failed=not isinstance(error, Missing))
            if row is None:
                return
            print("\n".join(report.lines_of(row)), flush=True)
            yield row


def compared(file: Path, rows: list[Row | NotRun], chosen: list[str], *, quick: bool) -> int:
    """The exit status, after what is worse than in *file* was measured again and is still worse."""
    if not file.exists():
        print(f"There is no {file}, so nothing is compared.")
        return 0
    committed = json.loads(file.read_text(encoding="utf-8"))
    if committed["quick"] != quick:
        print(f"{file.name} is of {'a quick' if committed['quick'] else 'a whole'} run, so nothing is compared.")
        return 0
    first = [row for row in rows if isinstance(row, Row)]
    titles = {SECTIONS[name].TITLE for name in chosen}
    for key in left_out(committed, first):
        if key.partition(": ")[0] in titles:
            print(f"Not measured this time: {key}.")
    worse = regressions(committed, first)
    if worse:
        again = {row.section for row in first if row.key in worse}
        print("\nSome ratios are worse than the committed ones, so they are measured once more.")
        second = [row for name in chosen if SECTIONS[name].TITLE in again for row in measured(name, quick=quick)]
        still = regressions(committed, [row for row in second if isinstance(row, Row)])
        worse = {key: text for key, text in still.items() if key in worse}
    for text in worse.values():
        print(f"ERROR: {text}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
