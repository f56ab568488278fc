# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Text as RouterOS source. Pure functions."""

from __future__ import annotations

# Letters that mean nothing to RouterOS inside quotes; the rest travels as \XX, so nothing can end the string or be expanded.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;_-+=/@()*")


def quote(value: str | bytes) -> str:
    r"""*value* as a RouterOS string literal: any byte survives and nothing in it is interpreted.

    Text is encoded as UTF-8; every byte that is not a harmless printable character becomes ``\XX`` (RouterOS is
    byte-oriented).
    """
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02X}" for byte in data) + '"'
