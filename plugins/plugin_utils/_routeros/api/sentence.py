# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Sentences of the RouterOS API: words with their length before them, and an empty one at the end.

The encoding of the length is that of the vendor's API manual.
"""

from __future__ import annotations

import typing as t

_FORMS = ((0x80, 0x00, 1), (0x4000, 0x8000, 2), (0x200000, 0xC00000, 3), (0x10000000, 0xE0000000, 4))


def encode(words: t.Iterable[bytes]) -> bytes:
    """Return a sentence of *words*, none of which is empty."""
    return b"".join(length(len(word)) + word for word in words) + b"\0"


def length(size: int) -> bytes:
    """Return the bytes that announce a word of *size* bytes."""
    for bound, mark, count in _FORMS:
        if size < bound:
            return (size | mark).to_bytes(count, "big")
    return b"\xf0" + size.to_bytes(4, "big")


def further_bytes(first: int) -> int:
    """Return how many bytes of a length follow its *first* one. Raises ValueError."""
    for count, (mask, mark) in enumerate(((0x80, 0x00), (0xC0, 0x80), (0xE0, 0xC0), (0xF0, 0xE0), (0xFF, 0xF0))):
        if first & mask == mark:
            return count
    raise ValueError(f"0x{first:02X} does not begin the length of a word")


def size(first: int, further: bytes) -> int:
    """Return the length that *first* and the *further* bytes announce."""
    bits = (0x7F, 0x3F, 0x1F, 0x0F, 0x00)[len(further)]
    return int.from_bytes(bytes([first & bits]) + further, "big")
