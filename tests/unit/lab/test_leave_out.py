# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component that is missing leaves out the tests that need it, each of them, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab import leave_out

TESTS = """
import pytest
from ansible_collections.outofband.chr.tests.lab.missing import Missing

@pytest.fixture(scope="session")
def daemon():
    raise Missing("the daemon is not installed")

def test_one(daemon):
    pass

def test_two(daemon):
    pass

def test_without():
    pass
"""


@pytest.mark.parametrize(
    ("ci", "expected"), [("false", "1 passed, 2 skipped"), ("true", "1 passed, 2 error")], ids=["here", "CI"]
)
def test_each_test_of_a_missing_component_is_left_out_and_fails_in_ci(tmp_path, ci, expected):
    (tmp_path / "test_daemon.py").write_text(TESTS)
    root = Path(leave_out.__file__).parents[5]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", leave_out.__name__, "-p", "no:cacheprovider", str(tmp_path)],
        env={**inherited, "CI": ci, "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert expected in run.stdout, run.stdout + run.stderr
