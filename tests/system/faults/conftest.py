# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the table of faults at the end of a run."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.tests.faults import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    verdicts = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                properties = dict(report.user_properties)
                if "fault" in properties and (report.when == "call" or not report.passed):
                    verdicts[properties["fault"], properties["backend"]] = report.outcome
    if verdicts:
        terminalreporter.section("table of faults")
        for line in table.as_text(verdicts):
            terminalreporter.write_line(line)
