# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""String literals of RouterOS. Pure functions."""

from __future__ import annotations

# Characters without a meaning inside quotes. All others are written as \XX, so nothing can end the
# string or be expanded.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;_-+=/@()*")


def quote(value: str | bytes) -> str:
    r"""Return *value* as a RouterOS string literal, in which nothing is interpreted.

    Text is encoded as UTF-8, because RouterOS works with bytes. Every byte is kept; one that is not
    a harmless printable character becomes ``\XX``.
    """
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02X}" for byte in data) + '"'
