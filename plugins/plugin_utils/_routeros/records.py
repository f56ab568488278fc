# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Scripts that print data with the length of each value, and the parser of their output.

The output of ``print`` is made for people: it is padded and wrapped, it differs between versions,
and a value can look like a key. These scripts print ``@`` for each record and ``key length:value``
for each property, so no value can be mistaken for something else.
"""

from __future__ import annotations

import array
import bisect
import functools
import re
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import Cut
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, readable

_KEY = re.compile(rb"([^ \r\n@][^ \r\n]*) (\d+):")
# What follows a value: the end, or a line that begins a property or a record.
_NEXT = re.compile(rb"(?:\r?\n)++(?:@\r?\n|[a-z.][a-z0-9.,;-]*+ \d+:|\Z)|\r?\Z")
_LATER = re.compile(rb"(?<!\n)(?:\r?\n)++(?:@\r?\n|[a-z.][a-z0-9.,;-]*+ \d+:|\Z)|\r?\Z")
"""The same, for a search, which need not begin in the middle of empty lines."""
_RecordT = t.TypeVar("_RecordT")
_DIGITS = 12  # of a length; no output is that long

# [print as-value] returns an array of arrays for a menu of items.
_LISTING = """\
:foreach item in={items} do={{
:put "@"
:foreach k,v in=$item do={{ :local t [:tostr $v]; :put ($k . " " . [:len $t] . ":" . $t) }}
}}
"""

# It returns one array with the properties for a menu with a single item.
_SETTINGS = """\
:put "@"
:foreach k,v in=[{command} print as-value] do={{ :local t [:tostr $v]; :put ($k . " " . [:len $t] . ":" . $t) }}
"""

_PROPERTY = """\
:do {{ :local t [:tostr [{command} get {name}]]; :put ("{name} " . [:len $t] . ":" . $t) }} on-error={{}}
"""


def listing(command: str, start: int = 0, end: int | None = None) -> str:
    """Return a script that prints the items *start* to *end* of the menu *command*.

    *command* is for example ``/ip address``; without *end*, all items are printed. The script
    changes nothing.
    """
    items = f"[{command} print as-value]"
    return _LISTING.format(items=items if end is None else f"[:pick {items} {start} {end}]")


def items(
    command: str,
    run: t.Callable[[str], bytes | None],
    page: int | None = None,
    limit: int | None = None,
    encoding: str | None = None,
) -> list[dict[str, str]] | None:
    """Read the first items of the menu *command* with *run*. Returns None if *run* returns None.

    *limit* is the largest number of items to return; one more is returned if there are more.
    *encoding* is that of ``readable``. *page*, and what is raised, are those of ``in_pages``.
    """

    def some(output: bytes, most: int | None) -> list[dict[str, str]]:
        return parse(output, lenient=True, limit=most, encoding=encoding)

    return in_pages(functools.partial(listing, command), run, some, page, limit)


def in_pages(
    script: t.Callable[[int, int | None], str],
    run: t.Callable[[str], bytes | None],
    parsed: t.Callable[[bytes, int | None], list[_RecordT]],
    page: int | None = None,
    limit: int | None = None,
) -> list[_RecordT] | None:
    """Read records with *run*, in as many scripts as their size needs.

    *script* makes the one for the items from the first number to before the second one, or to the
    end. *parsed* takes the output and the largest number of records to return.
    *page* is the largest number of items for one script; fewer are read if *run* raises Cut.
    Without it, all items are read with one script if that is possible. Raises Cut when a single
    item is too long.
    """
    most = None if limit is None else limit + 1
    found: list[_RecordT] = []
    while most is None or len(found) < most:
        step = page if most is None or page is None else min(page, most - len(found))
        end = most if step is None else len(found) + step
        try:
            output = run(script(len(found), end))
        except Cut as error:
            if most is not None:
                need = most - len(found)
                some = parsed(error.output, need + 1)
                if len(some) > need:  # where one more begins, these are whole
                    return found + some[:need]
            if step == 1 or (step is None and most is None):
                raise
            page = (step or t.cast("int", most)) // 2 or 1
            continue
        if output is None:
            return None
        some = parsed(output, None if most is None else most - len(found))
        found += some
        if step is None or len(some) < step:
            break
    return found


def properties(command: str, names: tuple[str, ...]) -> str:
    """Return a script that prints the properties *names* of the single-item menu *command*.

    Properties that the menu does not have are left out.
    """
    return ':put "@"\n' + "".join(_PROPERTY.format(command=command, name=name) for name in names)


def settings(command: str) -> str:
    """Return a script that prints all properties of the single-item menu *command*.

    They are all read at the same moment.
    """
    return _SETTINGS.format(command=command)


def parse(
    output: bytes, *, lenient: bool = False, limit: int | None = None, encoding: str | None = None
) -> list[dict[str, str]]:
    """Parse the records that such a script printed, at most *limit* of them.

    Raises ValueError if *output* does not have that form, for example because it was cut. With
    *lenient*, a value whose length does not fit ends before the next line that begins a property or
    a record, and a line that is neither is left out. *encoding* is that of ``readable``.
    """
    return [
        {readable(key): readable(value, encoding) for key, value in one.items()}
        for one in parse_bytes(output, lenient=lenient, limit=limit)
    ]


def parse_bytes(output: bytes, *, lenient: bool = False, limit: int | None = None) -> list[dict[bytes, bytes]]:
    """Parse records as ``parse`` does, and keep every byte of their values."""
    records: list[dict[bytes, bytes]] = []
    position = 0
    ends = _Ends(output)
    while position < len(output):
        if output[position : position + 1] in (b"\r", b"\n"):
            position += 1
        elif output.startswith((b"@\r", b"@\n"), position):
            if len(records) == limit:
                break
            records.append({})
            position += 1
        elif (match := _KEY.match(output, position)) and records:
            length = int(match.group(2)[:_DIGITS])
            end = match.end() + length
            if lenient:
                end = ends.of(match.end(), length)
            elif output[end : end + 1] not in (b"\r", b"\n"):
                raise ValueError(f"the value of {match.group(1)!r} does not end where it should")
            value = output[match.end() : end]
            records[-1][match.group(1)] = value if len(value) == length else value.replace(b"\r\n", b"\n")
            position = end
        elif lenient:
            position = output.find(b"\n", position) + 1 or len(output)
        else:
            raise ValueError(f"unexpected output {excerpt(output[position : position + 4096], 40)}")
    return records


class _Ends:
    """Finds the ends of values in *output*, whose lengths may not fit."""

    def __init__(self, output: bytes) -> None:
        self._output = output

    @functools.cached_property
    def _pairs(self) -> array.array[int]:
        """Where two characters end a line."""
        return array.array("q", (match.start() for match in re.finditer(rb"\r\n", self._output)))

    def of(self, start: int, length: int) -> int:
        """Return the end of the value that begins at *start* and should have *length* bytes.

        It is not known whether RouterOS counts bytes in every version, and whether it prints a line
        end inside a value as one character or as two.
        """
        output, end = self._output, start + length
        if _NEXT.match(output, end) and end <= len(output):
            return end
        first = bisect.bisect_left(self._pairs, start)
        later = range(first, len(self._pairs))
        converted = end + bisect.bisect_left(later, end - first, key=lambda at: self._pairs[at] - at)
        if _NEXT.match(output, converted):
            return converted
        found = _LATER.search(output, start)
        return found.start() if found else len(output)
