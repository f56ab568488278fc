# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON of servers and guests is read as far as other code can work with it."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_int, loads
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, harmless, message, presentable


@pytest.mark.parametrize(
    "document",
    [
        "[" * 101 + "]" * 101,
        '{"a":' * 101 + "1" + "}" * 101,
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "Infinity",
        "-Infinity",
        "NaN",
        "1e999",
        "9" * 41,
        "9" * 5000,
        "",
        "{",
    ],
    ids=lambda document: document[:10],
)
def test_what_no_code_can_work_with_is_refused(document):
    with pytest.raises(ValueError):
        loads(document)


def test_everything_else_is_read():
    assert loads("[" * 100 + "]" * 100)
    assert loads(b'{"a": [1, -2.5, "\xff", null], "b": ' + b"9" * 40 + b"}") == {
        "a": [1, -2.5, "\udcff", None],
        "b": int("9" * 40),
    }
    assert loads("[" + "[]," * 1000 + "[]]") == [[]] * 1001


@pytest.mark.parametrize("value", [float("inf"), "9" * 400, "x", None, [], "1.5"])
def test_what_is_no_whole_number_is_a_value_error(value):
    with pytest.raises(ValueError):
        as_int(value)


@pytest.mark.parametrize("text", ["\ud800", "\udcff", "a\x1b[2Jb", "\u202e", "\ud83d\ude00"])
def test_any_text_of_a_guest_can_be_shown_and_kept(text):
    shown = presentable({text: [text, (text, 1)]})
    for one in (*shown, *(str(item) for item in shown.values()), harmless(text), message(text), excerpt(text)):
        one.encode()
        assert one.isprintable()
