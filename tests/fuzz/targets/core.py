# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets, JSON, and the words of others."""

from __future__ import annotations

import base64
import contextlib
import json
import unicodedata
import urllib.parse

from ansible_collections.outofband.chr.plugins.plugin_utils._core import masking, scalars
from ansible_collections.outofband.chr.plugins.plugin_utils._core import text as shown
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote

from ..target import parts, target, text


@target(b"s3cr3t-pass", b"\0", b"\\\\", b"%2f", b"/+=", b"&lt;", b"\r\n", b'"', b"\xc3\xa9", b"\xe2\x82\xac")
def masked_text(data: bytes) -> None:
    """A secret of at least six characters is in no encoding left in a masked text."""
    words, around = map(text, parts(data[:4096], 2))
    secret = words[:64]
    # A text of placeholders only is not told from what cannot be shown.
    if len(secret) < 6 or not set(secret) - {"?", "*", " ", "\ufffd"}:
        return
    raw = secret.encode("utf-8", "surrogateescape")
    encoded = [
        secret,
        json.dumps(secret)[1:-1],
        urllib.parse.quote(raw, safe=""),
        urllib.parse.quote_plus(raw),
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("=")[: len(raw) * 8 // 6],
        quote(raw)[1:-1],
    ]
    masking.forget()
    masking.protect(secret)
    try:
        for one in encoded:
            # What stands around it must not be a part of the same escape.
            masked = masking.masked(f"{around}<{one}>{around}")
            assert f"<{one}>" not in masked, (one, masked)
            assert masking.MASK in masked
    finally:
        masking.forget()


@target(b"{", b"}", b"[", b"]", b'"a":', b"1e400", b"NaN", b"-", b"9" * 41, b"\\ud800", b",", b"true", b"null", b'"')
def json_of_others(data: bytes) -> None:
    """Any document is a value of JSON that other code can work with, or a ValueError."""
    with contextlib.suppress(ValueError):
        value = scalars.loads(data)
        json.dumps(shown.presentable(value), allow_nan=False).encode()
        scalars.as_bool(value)
        with contextlib.suppress(ValueError):
            assert abs(scalars.as_int(value)) < 10**40


@target(b"\x1b[2J", b"\r\n", b"\n", b"\xff", b"\xe2\x80\xae", b"\t", b" ", b";", b"word", b"\xed\xa0\x80")
def words_of_others(data: bytes) -> None:
    """What is shown is short, valid text without anything that a terminal would obey."""
    for one in (shown.message(data), shown.excerpt(data), shown.line(text(data)), shown.message(text(data))):
        one.encode()
        assert len(one) <= 510
        assert not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in one.replace("\t", "")), one
        assert "\x1b" not in one
    shown.readable(data).encode()
