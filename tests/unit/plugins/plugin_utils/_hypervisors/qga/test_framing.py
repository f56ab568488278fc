# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Property tests of the framing: any split, any garbage between messages, no hang and no wrong
answer."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga import framing

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
messages = st.dictionaries(st.sampled_from(["return", "error", "x", '{"', "\\"]), json_values, min_size=1, max_size=3)
# What may lie between messages: a stale or half message, noise of any kind, and then the line end
# or 0xFF that ends it.
half_message = st.binary(max_size=40) | messages.map(lambda m: json.dumps(m).encode()).flatmap(
    lambda text: st.integers(0, len(text) - 1).map(lambda cut: text[:cut])
)
separators = st.sampled_from([b"\n", b"\r\n", b"\xff", b"\xff\xff", b"\n\xff\n", b"\xff \n"])


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    points = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in zip(points, points[1:], strict=False)]


def decode(pieces: list[bytes]) -> list[dict]:
    decoder = framing.Decoder()
    return [message for piece in pieces for message in decoder.feed(piece)]


@given(st.lists(st.tuples(messages, separators)), st.lists(st.integers(0, 10_000), max_size=20))
def test_messages_survive_any_split_and_any_separator(items, cuts):
    data = b"".join(json.dumps(message).encode() + separator for message, separator in items)
    assert decode(split(data, cuts)) == [message for message, _separator in items]


@given(st.lists(messages), st.lists(st.integers(0, 10_000), max_size=20), st.booleans())
def test_a_newline_is_not_needed(items, cuts, ascii_only):
    data = b"".join(json.dumps(message, ensure_ascii=ascii_only).encode() for message in items)
    assert decode(split(data, cuts)) == items


@given(st.lists(st.tuples(half_message, separators, messages)), st.lists(st.integers(0, 10_000), max_size=20))
def test_garbage_and_half_messages_cost_no_message_behind_them(items, cuts):
    data = b"".join(half + separator + json.dumps(message).encode() + b"\n" for half, separator, message in items)
    found = decode(split(data, cuts))
    expected = [message for _half, _separator, message in items]
    # The garbage may itself hold whole objects; the messages must all be there, in order.
    position = 0
    for message in found:
        if position < len(expected) and message == expected[position]:
            position += 1
    assert position == len(expected)


@given(st.lists(st.binary(max_size=200)))
def test_any_bytes_end_in_objects_or_nothing(pieces):
    for message in decode(pieces):
        assert isinstance(message, dict)


@given(st.lists(st.binary(max_size=60)), st.lists(st.integers(0, 10_000), max_size=20))
def test_the_split_never_changes_what_is_found(pieces, cuts):
    data = b"".join(pieces)
    assert decode(split(data, cuts)) == decode([data])


def test_bytes_that_are_not_utf8_survive_inside_a_message():
    (message,) = decode([b'{"return": "caf\xe9"}\n'])
    assert message["return"].encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_a_large_message_is_linear_in_its_size_however_it_is_split():
    """16 MB in 4 KB pieces: CPU time, as the machine is noisy; quadratic work would take
    minutes."""
    data = b'{"return": "' + b"A" * (16 << 20) + b'"}\n'
    began = time.process_time()
    assert len(decode([data[at : at + 4096] for at in range(0, len(data), 4096)])) == 1
    assert time.process_time() - began < 5


def test_a_message_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(framing, "MAX_MESSAGE", 1000)
    with pytest.raises(framing.MessageTooLarge):
        decode([b'{"return": "' + b"A" * 600, b"A" * 600])


def test_deep_nesting_is_garbage_and_costs_nothing_behind_it():
    bomb = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert decode([bomb + b'\n{"return": 1}\n'])[-1] == {"return": 1}


def test_garbage_is_remembered_for_the_error_text():
    decoder = framing.Decoder()
    decoder.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 10_000)
    assert decoder.garbage.startswith(b"HTTP/1.1 400 Bad Request")
    assert len(decoder.garbage) <= 4096


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity"])
def test_numbers_that_nobody_can_count_with_are_garbage(number):
    assert decode([b'{"return": {"pid": ' + number + b'}}\n{"return": 1}\n']) == [{"return": 1}]
