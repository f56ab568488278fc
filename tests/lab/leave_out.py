# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hooks of pytest, for conftest.py, about components that the machine does not have.

Each is named, and it is a failure with CI=true.
"""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from .missing import Missing, in_ci, programs_named


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> t.Generator[None, object, object]:
    """Leave out a test when one of its fixtures misses a component.

    pytest keeps the error of a fixture of a session and raises it again for each of its tests.
    """
    with _left_out():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> t.Generator[None, object, object]:
    """Leave out what a test misses."""
    with _left_out():
        return (yield)


@contextlib.contextmanager
def _left_out() -> t.Iterator[None]:
    try:
        with programs_named():
            yield
    except Missing as error:
        reason = str(error).splitlines()[0]
    else:
        return
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)
