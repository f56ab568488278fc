# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Getting data out of a router whole: scripts that print each value behind its length, and the reader of that.

``print`` output is made for people: padded, wrapped, different from version to version, and a value can look like a key.
Here a router prints ``@`` per record and ``key length:value`` per property, so that no value can be taken for anything else.
"""

from __future__ import annotations

import re
import typing as t

from .output import readable


class Cut(Exception):
    """The output of a script is not whole."""


_KEY = re.compile(rb"([^ \r\n@][^ \r\n]*) (\d+):")

# An array of arrays is what [print as-value] gives for a menu of items.
_LISTING = """\
:foreach item in={items} do={{
:put "@"
:foreach k,v in=$item do={{ :local t [:tostr $v]; :put ($k . " " . [:len $t] . ":" . $t) }}
}}
"""

# A menu of one item gives its properties as one array.
_SETTINGS = """\
:put "@"
:foreach k,v in=[{command} print as-value] do={{ :local t [:tostr $v]; :put ($k . " " . [:len $t] . ":" . $t) }}
"""

_PROPERTY = """\
:do {{ :local t [:tostr [{command} get {name}]]; :put ("{name} " . [:len $t] . ":" . $t) }} on-error={{}}
"""


def listing(command: str, start: int = 0, end: int | None = None) -> str:
    """A script that prints the items of the menu *command* (such as ``/ip address``) from *start* to *end*, changing nothing."""
    items = f"[{command} print as-value]"
    return _LISTING.format(items=items if end is None else f"[:pick {items} {start} {end}]")


def items(command: str, run: t.Callable[[str], bytes | None], page: int | None = None) -> list[dict[str, str]] | None:
    """All items of the menu *command*, read with *run*; None where that gives None.

    With *page*: at most so many at a time, and fewer where *run* raises Cut. Raises Cut when a single one is too long.
    """
    if page is None:
        output = run(listing(command))
        return None if output is None else parse(output)
    found: list[dict[str, str]] = []
    while True:
        try:
            output = run(listing(command, len(found), len(found) + page))
        except Cut:
            if page == 1:
                raise
            page //= 2
            continue
        if output is None:
            return None
        some = parse(output)
        found += some
        if len(some) < page:
            return found


def properties(command: str, names: tuple[str, ...]) -> str:
    """A script that prints those of the properties *names* of the single-item menu *command* that it has."""
    return ':put "@"\n' + "".join(_PROPERTY.format(command=command, name=name) for name in names)


def settings(command: str) -> str:
    """A script that prints all properties that the single-item menu *command* has, read at one moment, whatever they are named."""
    return _SETTINGS.format(command=command)


def parse(output: bytes) -> list[dict[str, str]]:
    """The records that such a script printed. Raises ValueError where *output* is not of that form, such as cut short."""
    records: list[dict[str, str]] = []
    position = 0
    while position < len(output):
        if output[position : position + 1] in (b"\r", b"\n"):
            position += 1
        elif output.startswith((b"@\r", b"@\n"), position):
            records.append({})
            position += 1
        elif (match := _KEY.match(output, position)) and records:
            end = match.end() + int(match.group(2))
            if output[end : end + 1] not in (b"\r", b"\n"):
                raise ValueError(f"the value of {match.group(1)!r} does not end where it should")
            records[-1][readable(match.group(1))] = readable(output[match.end() : end])
            position = end
        else:
            raise ValueError(f"unexpected output {output[position : position + 40]!r}")
    return records
