# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values read by success bits, on the lab's interpreter: no value is ever read wrong, whatever is
lost on the way."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotBoolean, ScriptFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import read_by_exit_code
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import duration
from ansible_collections.outofband.chr.tests.lab.routeros import Router

ROUTER = Router()


def succeed(scripts: list[str]) -> list[bool]:
    return [ROUTER.run(script).exitcode == 0 for script in scripts]


@given(st.one_of(st.binary(max_size=12), st.text("0123456789.", max_size=16).map(str.encode)))
def test_every_text_comes_back_as_it_is(value):
    value = value.replace(b"\0", b"")
    assert read_by_exit_code.read_text(quote(value), succeed) == value


@given(st.integers(0, 2**28 - 1))
def test_every_span_of_time_comes_back_as_it_is(seconds):
    assert read_by_exit_code.read_seconds(duration(seconds), succeed) == seconds


@given(st.binary(min_size=1, max_size=6), st.integers(0, 1000))
def test_lost_answers_never_make_a_wrong_value(value, seed):
    value = value.replace(b"\0", b"")
    chance = random.Random(seed)

    def unreliable(scripts: list[str]) -> list[bool]:
        return [one and chance.random() > 0.02 for one in succeed(scripts)]

    with contextlib.suppress(ChrError):
        assert read_by_exit_code.read_text(quote(value), unreliable) == value


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"no such item\r\n", b"no such item"),
        (b"one\ntwo (line 1 column 5)\n", b"two (line 1 column 5)"),
        (b"before\r\n\r\ngr\xc3\xb6\xc3\x9fer", b"gr\xc3\xb6\xc3\x9fer"),
        (b"x" * 500 + b"\n" + b"0123456789" * 20 + b"\r\n", b"0123456789" * 12),
    ],
    ids=len,
)
def test_of_a_text_of_several_lines_the_beginning_of_the_last_one_is_read(content, line):
    assert read_by_exit_code.read_last_line(quote(content), succeed) == line


def test_conditions():
    assert read_by_exit_code.conditions(["1 = 1", "1 = 2", " 2 = 2 "], succeed) == [True, False, True]
    with pytest.raises(NotBoolean):
        read_by_exit_code.conditions(["1 = 1", "3"], succeed)
    with pytest.raises(ScriptFailed):
        read_by_exit_code.conditions(["[/no such menu]"], succeed)


def test_a_condition_that_becomes_true_between_two_questions_is_true():
    router = Router()
    asked = []

    def changing(scripts):
        asked.append(scripts)
        if len(asked) == 2:
            router.run("/system identity set name=ready")
        return [router.run(script).exitcode == 0 for script in scripts]

    ready = '[/system identity get name] = "ready"'
    assert read_by_exit_code.conditions([ready, "1 = 2"], changing) == [True, False]
