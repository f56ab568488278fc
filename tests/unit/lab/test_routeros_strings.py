# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strings: escapes, substitution, and bytes that come through unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.values import quote

ROUTER = Router()


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (r'"\"\\\$\?\_"', b'"\\$? '),
        (r'"\n\r\t\a\b\f\v"', b"\n\r\t\a\b\f\v"),
        (r'"\C3\A9"', b"\xc3\xa9"),
        ('"$x"', b"X"),
        ('"[$x-y]"', b"[X-y]"),
        ('"$[:len abc]$(1 + 1)"', b"32"),
        ('"end$"', b"end$"),
        ('$"x"', b"X"),
        ('"a b"', b"a b"),
    ],
)
def test_escapes_and_substitutions(literal: str, expected: bytes) -> None:
    assert ROUTER.run(f":local x X; :put {literal}").output == expected + b"\r\n"


@pytest.mark.parametrize("literal", ['"\\x"', '"\\c3"', '"\\C"', '"open', '"a"b', '"$(1"'])
def test_malformed_strings_are_refused(literal: str) -> None:
    assert ROUTER.run(f":put {literal}").exitcode == -1


def test_length_counts_bytes_and_text_is_sent_as_utf8() -> None:
    assert ROUTER.run(':put [:len "é"]').output == b"2\r\n"
    assert ROUTER.run(':put "é"').output == "é\r\n".encode()


def test_lines_end_as_the_router_was_told() -> None:
    assert Router(output_newline="\n").run(":put 1; :put 2").output == b"1\n2\n"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_written_as_hex_come_back(data: bytes) -> None:
    escaped = "".join(f"\\{byte:02X}" for byte in data)
    assert ROUTER.run(f':put "{escaped}"').output == data + b"\r\n"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_quoted_bytes_come_back_from_a_property(data: bytes) -> None:
    router = Router()
    source = f"/system note set note={quote(data.decode('latin-1'))}; :put [/system note get note]"
    assert router.run(source).output == data + b"\r\n"


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet=':/ "$[](){};=\\\n#.->abput1', max_size=60) | st.binary(max_size=60))
def test_any_source_ends_in_an_outcome(source: str | bytes) -> None:
    assert Router(max_steps=1000).run(source).exitcode in (0, -1, 1)
