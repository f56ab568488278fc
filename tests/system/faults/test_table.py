# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each cell of the table of faults: the right result, or a typed error and a truthful state.

The cells mostly wait, so those of a backend run side by side.
"""

from __future__ import annotations

import concurrent.futures
import gc
import time
import typing as t
from collections import defaultdict
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.faults import table
from ansible_collections.outofband.chr.tests.faults.columns import COLUMNS, Column
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

GUIDE = Path(__file__).parents[3] / "docs" / "docsite" / "rst" / "faults_guide.rst"
AT_ONCE = 8
CELLS = [
    # Cells run side by side and against time limits: make test has one column only.
    pytest.param(
        backend,
        fault,
        id=f"{backend}-{fault.title}",
        marks=[pytest.mark.slow] * (backend in fault.slow or backend != "qemu"),
    )
    for backend in table.BACKENDS
    for fault in table.FAULTS
    if " " not in fault.cells[backend]
]


class Runs:
    """The cells of each backend that were selected, side by side."""

    def __init__(self, selected: dict[str, list[table.Fault]]) -> None:
        self._selected = selected
        self._verdicts: dict[str, dict[str, concurrent.futures.Future[None]]] = {}
        self.left: dict[str, int] = {}
        """How many descriptors were open after all cells of a backend, and not before."""

    def verdict(self, backend: str, fault: table.Fault) -> None:
        """Raises what went wrong in a cell."""
        if backend not in self._verdicts:
            self._run(backend)
        self._verdicts[backend][fault.title].result()

    def _run(self, backend: str) -> None:
        selected, column = self._selected[backend], COLUMNS[backend]()
        with temporary_folder() as folder, column.running(folder, len(selected) + 1):
            _cell(column, table.ALL_IS_WELL)  # what is opened once stays open
            before = descriptors()
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                self._verdicts[backend] = {fault.title: pool.submit(_cell, column, fault) for fault in selected}
            deadline = time.monotonic() + 10
            while (left := descriptors() - before) > 0 and time.monotonic() < deadline:
                gc.collect()
                time.sleep(0.1)
            self.left[backend] = left


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def _cell(column: Column, fault: table.Fault) -> None:
    with temporary_folder() as folder, column.cell(folder) as cell:
        outcome, what, runs = fault.cause(cell)
        cell.judge(fault.cells[cell.backend], outcome, what, runs)


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Runs:
    selected: dict[str, list[table.Fault]] = defaultdict(list)
    for item in request.session.items:
        values: dict[str, t.Any] = getattr(getattr(item, "callspec", None), "params", {})
        if isinstance(values.get("fault"), table.Fault):
            selected[values["backend"]].append(values["fault"])
    return Runs(selected)


@pytest.mark.parametrize(("backend", "fault"), CELLS)
def test_fault(backend, fault, runs, record_property):
    record_property("backend", backend)
    record_property("fault", fault.title)
    runs.verdict(backend, fault)


def test_no_descriptor_stays_open(runs):
    assert {backend: left for backend, left in runs.left.items() if left > 0} == {}


def test_the_page_of_the_documentation_is_up_to_date():
    """python -m ansible_collections.outofband.chr.tests.faults.table writes it."""
    assert GUIDE.read_text() == table.page()
