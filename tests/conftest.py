# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""End a run in an orderly way; measure what each test costs, and print the slowest ones at the
end."""

from __future__ import annotations

import os
import resource
import signal
import threading
import typing as t
from collections import defaultdict

import pytest

from ansible_collections.outofband.chr.tests.lab import leave_out

SHOWN = 10


def processor_seconds() -> float:
    """The processor time, in seconds, of this process and of those of its children that have
    ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


_measured = processor_seconds()


def count_from_here() -> None:
    """Leave out the time that was used until now."""
    global _measured
    _measured = processor_seconds()


os.register_at_fork(after_in_child=count_from_here)  # ansible-test runs each unit test in a process of its own


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what the machine lacks, and let SIGTERM end a run as Ctrl-C does."""
    config.pluginmanager.register(leave_out)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Imports are no test's cost."""
    count_from_here()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> t.Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the processor time into the report: a report also travels from pytest-xdist's
    workers."""
    global _measured
    report = yield
    before, _measured = _measured, processor_seconds()
    report.processor_seconds = _measured - before  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the slowest tests, each with its set-up and its clean-up; run_sessions.py reads these
    lines."""
    costs: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                costs[report.nodeid][0] += report.duration
                costs[report.nodeid][1] += getattr(report, "processor_seconds", 0.0)
    if not costs:
        return
    terminalreporter.section("slowest tests")
    for name, (seconds, processor) in sorted(costs.items(), key=lambda item: item[1], reverse=True)[:SHOWN]:
        terminalreporter.write_line(f"{seconds:8.1f} s, {processor:6.1f} s of processor time  {name}")
