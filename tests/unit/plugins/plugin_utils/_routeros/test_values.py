# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message, readable
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import seconds


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("00:06:48", 408),
        ("1d02:03:04", 93784),
        ("1w2d03:04:05", 788645),
        ("2w", 1209600),
        ("5s", 5),
        ("1h30m", 5400),
        ("6m48s\r\n", 408),
        ("00:00:01.500", 1),
    ],
)
def test_times_of_both_styles(duration, expected):
    assert seconds(duration) == expected


@pytest.mark.parametrize("duration", ["", "soon", "12", "1d2d", ":::", "-00:00:01"])
def test_what_is_no_time_is_refused(duration):
    with pytest.raises(ValueError, match="not a valid RouterOS time"):
        seconds(duration)


def test_text_keeps_odd_bytes_and_readable_shows_them():
    assert text(b"caf\xe9\r\n").encode("utf-8", "surrogateescape") == b"caf\xe9\n"
    assert readable(b"caf\xe9 \x1b[31m\xc2\x9b\tx\r\n") == "caf\\xe9 ?[31m?\tx\n"


def test_a_message_is_short_and_has_the_end():
    assert message(b"one\r\ntwo\r\n\r\nthree\r\nfour\r\n") == "two; three; four"
    assert len(message(b"x" * 10_000)) < 510
