# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What make test leaves out: some tests of a file, never all, so that each real component is
met."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SYSTEM = Path(__file__).parents[1] / "system"
FILES = sorted(SYSTEM.rglob("test_*.py"))


def functions_in(path: Path) -> list[ast.FunctionDef]:
    """The test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def is_slow(test: ast.FunctionDef) -> bool:
    """Whether the whole test is marked, or every case of one of its parametrizations."""
    for decorator in test.decorator_list:
        if ast.unparse(decorator) == "pytest.mark.slow":
            return True
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.parametrize":
            cases = decorator.args[1]
            if isinstance(cases, ast.List) and all("pytest.mark.slow" in ast.unparse(case) for case in cases.elts):
                return True
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SYSTEM)))
def test_some_tests_of_each_file_run(path):
    assert "pytestmark" not in path.read_text(encoding="utf-8")
    tests = functions_in(path)
    assert not all(map(is_slow, tests))
