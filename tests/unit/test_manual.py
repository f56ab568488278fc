# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every row of the vendor's manual on the guest tools has a test whose docstring names it: ``Manual
7.5, exitCode: ...``."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]

# section: our short names of its rows
ROWS = {
    "7.1": ("enabled in the hypervisor", "forward jump", "never back"),
    "7.2": ("poweron", "resume", "poweroff", "suspend", "30 seconds", "failure", "repeat", "log", "switches"),
    "7.3": ("on request", "freeze", "freeze-fail", "thaw", "60 seconds", "freeze failure", "FAT32", "logs"),
    "7.4": ("every 30 seconds", "disable-perfmon", "exclude-nics", "primary-nics", "low-priority-nics"),
    "7.5": (
        *("inline", "import", "arguments", "workingDirectory", "envVariables", "console"),
        *("JobID", "pid", "name", "endTime", "exitCode", "empty array", "one minute", "one read"),
        *("failure file", "120 seconds", "vmrun", "Invoke-VMScript", "files"),
    ),
    "8": ("every 30 seconds", "first address", "script", "status", "output", "not while running", "at creation"),
    "9": (
        *("guest-info", "guest-file", "guest-network-get-interfaces"),
        *("path", "input-data", "capture-output", "args", "env"),
        *("exitcode 0", "exitcode 1", "exitcode -1", "signal", "err-data", "out-data", "no time limit"),
    ),
    "10": ("REST", "quiesced snapshot", "enable provision agent", "disable provision agent", "remote default agent"),
}
_NAMED = re.compile(r"Manual (\d+(?:\.\d+)?), ([^:]+): ")


def named_rows() -> set[str]:
    """``section, row`` of every row that a test names."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                named = _NAMED.match(ast.get_docstring(node) or "")
                if named:
                    found |= {f"{named[1]}, {row}" for row in re.split(r", | and ", named[2])}
    return found


def rows() -> set[str]:
    """``section, row`` of every row there is."""
    return {f"{section}, {row}" for section, names in ROWS.items() for row in names}


def test_every_row_of_the_manual_has_a_test_that_names_it():
    assert sorted(rows() - named_rows()) == []


def test_every_row_that_a_test_names_is_one():
    """Only the rows of these sections are compared; tests name rows of others, too."""
    named = {row for row in named_rows() if row.partition(",")[0] in ROWS}
    assert sorted(named - rows()) == []
