# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises of the targets of ``make fuzz``, with some hundreds of inputs for each."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.outofband.chr.tests.fuzz import targets as _all_targets  # noqa: F401
from ansible_collections.outofband.chr.tests.fuzz.target import TARGETS, Target

_LONG = 64 * 1024  # bytes
_SECONDS = 3.0  # of processor time; work that grows with the square of the length takes much longer

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda one: one.name)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    words = st.sampled_from(target.words) | st.binary(max_size=3)
    return st.lists(words, max_size=12).map(b"".join) | st.binary(max_size=100)


@each_target
def test_the_kept_inputs_keep_the_promise(target):
    assert target.promise.endswith(".")
    for data in [b"", *target.words, *target.corpus]:
        target.check(data)


@each_target
@settings(max_examples=150)
@given(st.data())
def test_any_input_keeps_the_promise(target, data):
    target.check(data.draw(inputs(target)))


@each_target
@settings(max_examples=8)
@given(st.data())
def test_a_long_input_takes_a_time_that_fits_its_length(target, data):
    word = st.sampled_from(target.words) | st.sampled_from([b" ", b"\n", b"\t", b"\\", b"0", b";"])
    begin, repeated, end = data.draw(word), data.draw(word), data.draw(word)
    long = begin + repeated * (_LONG // len(repeated)) + end
    with at_most(_SECONDS):
        target.check(long)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Interrupt what takes more than so many *seconds* of processor time."""

    def stop(_signal: int, _frame: object) -> None:
        raise AssertionError(f"It takes more than {seconds:g} s of processor time.")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
