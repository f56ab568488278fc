# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Conversion between bytes of routers and hypervisors and text that is safe to show."""

from __future__ import annotations

import re
import typing as t

from .errors import InvalidInput
from .masking import each_text, masked

_SEEN = 64 * 1024  # characters of the words of others that are looked at
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def readable(output: bytes, encoding: str | None = None) -> str:
    """Convert *output* to text that can be kept and shown anywhere.

    What is not UTF-8 has *encoding* (see ``known_encoding``). Without one, its bytes become
    ``\\xe9``, for example, because a fact cache cannot store surrogates. Control characters become
    ``?``, because a terminal would obey escape sequences.
    """
    data = output.replace(b"\r\n", b"\n")
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        decoded = data.decode(encoding or "utf-8", "backslashreplace")
    return without_controls(decoded)


def known_encoding(name: str | None) -> str | None:
    """Return *name* if it is an encoding that contains ASCII, or None. Raises InvalidInput."""
    if not name:
        return None
    ascii_bytes = bytes(range(32, 127))
    try:
        if ascii_bytes.decode(name) == ascii_bytes.decode("ascii"):
            return name
    except (LookupError, UnicodeError):
        pass
    raise InvalidInput(
        f"chr_encoding {name!r} is not an encoding of text that contains ASCII. Set it to one such as cp1251, cp1252 or "
        "iso8859-2."
    )


def presentable(value: t.Any) -> t.Any:
    """Return *value*, with lists and dictionaries in it, with texts that can be kept and shown.

    The texts come from JSON: a byte that is not UTF-8 is a surrogate escape.
    """

    def change(text: str) -> str:
        try:
            return readable(text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # another lone surrogate
            return harmless(text)

    return each_text(value, change)


def message(output: bytes | str, limit: int = 500) -> str:
    """Return the end of *output* for an error text: at most *limit* characters, none of control.

    *output* are words of others. Secrets are masked before it is cut.
    """
    seen = output[-_SEEN:]  # a secret that is cut here is too far from what is shown
    whole = masked(readable(seen) if isinstance(seen, bytes) else harmless(seen))
    lines = [line.rstrip() for line in whole.splitlines() if line.strip()]
    joined = "; ".join(lines[-3:])
    return joined if len(joined) <= limit else "..." + joined[-limit:]


def excerpt(value: object, limit: int = 80) -> str:
    """Return the beginning of *value* in quotes for an error text, at most *limit* characters.

    *value* are words of others. Secrets are masked before it is cut.
    """
    whole = masked(readable(value[:_SEEN]) if isinstance(value, bytes) else str(value)[:_SEEN])
    return repr(whole[:limit] + ("..." if len(whole) > limit else ""))


def line(words: str, limit: int = 500) -> str:
    """Return *words* of others as one line for an error text, at most *limit* characters.

    Secrets are masked before it is cut.
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in masked(words[:_SEEN]))
    return printable.strip()[:limit]


def harmless(text: str) -> str:
    """Return *text* without what a terminal would obey, and without lone surrogates."""
    return without_controls(text.encode("utf-8", "backslashreplace").decode())


def without_controls(text: str) -> str:
    """Return *text* with ``?`` for control characters other than a line end and a tab."""
    return _CONTROL.sub("?", text)


def encoded(source: str) -> bytes:
    """Encode *source* as UTF-8. Raises InvalidInput."""
    try:
        return source.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{excerpt(source)} is not valid UTF-8.") from None
