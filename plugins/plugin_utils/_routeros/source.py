# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The one door for scripts of users: text, files, conditions and first-boot scripts."""

from __future__ import annotations

import codecs
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_LOOK = 64  # bytes by which UTF-16 without a mark is recognized


def script(given: t.Any, what: str = "The script") -> bytes:
    """Return the bytes of a script that is *given* as text, as a list of lines, or as bytes.

    A byte order mark of UTF-8, which some editors add, is removed. Raises InvalidInput, which calls
    the script *what*, for everything that is not a text in UTF-8.
    """
    data = _encoded(given, what).removeprefix(codecs.BOM_UTF8)
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise InvalidInput(f"{what} is encoded in {name}. Save it as UTF-8.")
    if b"\0" in data:
        head = data[:_LOOK]
        if len(head) > 1 and (not any(head[1::2]) or not any(head[::2])):
            raise InvalidInput(f"{what} is encoded in UTF-16, without a byte order mark. Save it as UTF-8.")
        raise InvalidInput(f"{what} has a NUL byte at offset {data.index(0)}: RouterOS source is text.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{what} is not valid UTF-8: byte 0x{data[error.start]:02X} at offset {error.start}. "
            "Save it as UTF-8, or write the byte as a RouterOS escape such as \\E9."
        ) from None
    return data


def _encoded(given: t.Any, what: str) -> bytes:
    if isinstance(given, bytes):
        return given
    if getattr(given, "__ENCRYPTED__", False):  # a value of a vault, in ansible-core before 2.19
        given = str(given)
    if isinstance(given, (list, tuple)):
        for number, one in enumerate(given, 1):
            if not isinstance(one, str):
                raise InvalidInput(f"{what} is a list whose item {number} is not text. Put that line in quotes.")
        given = "\n".join(given)
    if not isinstance(given, str):
        raise InvalidInput(f"{what} must be text or a list of lines. Put it in quotes.")
    try:
        return given.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{what} is not valid UTF-8 at character {error.start}.") from None
