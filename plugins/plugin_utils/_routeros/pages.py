# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Scripts that carry a long text in parts, through a global variable of the router.

Each script fits into what the way to the router carries. The variable is in the router's memory
only, and the last script removes it; a restart of the router removes it as well. Pure functions.
"""

from __future__ import annotations

import secrets


def variable() -> str:
    """A new name of a global variable."""
    return f"outofband{secrets.token_hex(8)}"


def forget(name: str) -> str:
    """A script that removes the global variable *name* if it exists."""
    return f'/system script environment remove [/system script environment find name="{name}"]'


def first_page(expression: str, name: str, part: int, largest: int) -> str:
    """A script that prints the length of the text of *expression*.

    It also prints the text if that has at most *part* bytes. A longer one, of up to *largest*
    bytes, is kept in the global variable *name*.
    """
    return (
        f":local s [:tostr ({expression})]\n:local n [:len $s]\n:put $n\n"
        f":if ($n <= {part}) do={{ :put $s }}\n"
        f":if (($n > {part}) && ($n <= {largest})) do={{ :global {name} $s }}"
    )


def page(name: str, start: int, end: int) -> str:
    """A script that prints the bytes *start* to *end* of the global variable *name*."""
    return f":global {name}\n:put [:pick ${name} {start} {end}]"


def printed(output: bytes, length: int) -> bytes:
    r"""The text of *length* bytes that a script has printed as its last line.

    A console may print a line end inside a text as ``\r\n``. Raises ValueError for other output.
    """
    for kept in (output, output.replace(b"\r\n", b"\n")):
        text = kept[:length]
        if len(text) == length and kept[length:] in (b"", b"\n", b"\r\n"):
            return text
    raise ValueError(f"{len(output)} bytes instead of {length}")
