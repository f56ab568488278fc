# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The RouterOS scripts for commands of the API, and the answers in what they print.

A script prints the records of ``records.py``, with the type of each value in its key. What comes
from the client is a name that has been checked, or is quoted.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.records import parse_bytes

from . import query
from .command import Command
from .trap import ARGUMENT, MISSING, Trap
from .value import Record, record

Sentence = list[bytes]

# One property: k is its name, v its value.
_PROPERTY = """\
:if ([:typeof $v] = "array") do={{
:local t ""
:foreach e in=$v do={{ :set t ($t . "," . [:tostr $e]) }}
:put ($k . "{sign}array " . [:len $t] . ":" . $t)
}} else={{ :put "$k{sign}$[:typeof $v] $[:len [:tostr $v]]:$v" }}
"""
_SHOWN, _FROM_GET = _PROPERTY.format(sign=","), _PROPERTY.format(sign=";")
_WANTED = """\
:if ([:typeof [:find $p ",$k,"]] != "nil") do={{
{property}}}
"""

# The settings of a menu without items are one array of names and values: they are put into a list.
# Its first value may be a list, so it is the names that tell.
_RECORDS = """\
:local r [{command} as-value]
:local one false
:foreach n,i in=$r do={{ :if ([:typeof $n] = "str") do={{ :set one true }} }}
:if ($one) do={{
:local s $r
:set r [:toarray ""]
:set ($r->0) $s
}}
{before}:foreach n,i in={chosen} do={{
:put "@"
:foreach k,v in=$i do={{
{property}}}
{missing}}}
"""

# With what the output of a second script begins: the id of the item before its first one.
_AFTER = """\
:put "@"
:if ([:len $r] >= {start}) do={{
:local a [:tostr (($r->{last})->".id")]
:put ("after " . [:len $a] . ":" . $a)
}}
"""

# It is not known which properties each version shows as-value: some say that it leaves out flags
# (disabled, dynamic, running) or counters. The command get shows all. Which ones are missing is
# found out with the first item, and with each that has more or fewer properties than the one before
# it. If none is missing, the other items are not asked. The key of such a property has ``;`` before
# its type.
_BEFORE_MISSING = """\
:local more true
:local size 0
:local missing [:toarray ""]
"""
_MISSING = """\
:if ($more) do={{
:local g [:toarray ""]
:do {{ :set g [{menu} get ($i->".id")] }} on-error={{}}
:if ([:len $g] != $size) do={{
:set size [:len $g]
:foreach k,v in=$g do={{
:if (([:typeof ($i->$k)] = "nothing") && ([:pick $k 0] != ".") && ([:typeof [:find $missing $k]] = "nil")) do={{
:set ($missing->[:len $missing]) $k
}}
}}
:set more ([:len $missing] > 0)
}}
:foreach k in=$missing do={{
:local v ($g->$k)
{property}}}
}}
"""

_VALUE = """\
:put "@"
:local k "ret"
:local v [{command}]
{property}"""

_ITEM = re.compile(rb"\*[0-9A-Fa-f]{1,8}(?:,\*[0-9A-Fa-f]{1,8})*\Z")
_KEY = re.compile(rb"[a-z0-9.-]+\Z")
_NUMBERS = (".id", "numbers", "number")
"""Arguments that name the items of a command. In a script they stand without a name."""
_PLACES = ("destination", "place-before", "copy-from")
"""Other arguments whose value is an item."""
_LITERAL = ("value-name",)
"""Arguments whose value is the name of a property, which is not written in quotes."""
_SWITCHES = ("once", "detail", "stats")
"""Arguments that have no value."""
_OF_ANSWERS = (".proplist", "count-only", "from")
"""Arguments of print that choose from what has been read."""
_OF_SCRIPTS = ("as-value", "without-paging")
_RETURNING = ("add", "find", "get")
_WITH_RECORDS = (
    ("certificate", "sign"),
    ("console", "inspect"),
    *(("file", name) for name in ("head", "read", "tail")),
    ("system", "license", "renew"),
    *(("system", "package", "update", name) for name in ("check-for-updates", "download", "install")),
)
"""Commands that end by themselves, and whose answer is records."""


class Unsteady(Exception):
    """Items came or went between two scripts that read a menu."""


@dataclass(frozen=True)
class Print:
    """The command ``print``, which changes nothing."""

    command: Command

    def source(self, start: int, end: int | None) -> str:
        """Return the script for the items *start* to *end*."""
        switches = "".join(
            f" {name}"
            for name, value in self.command.attributes.items()
            if value not in (b"no", b"false") and name not in (*_OF_ANSWERS, *_NUMBERS, *_OF_SCRIPTS)
        )
        needed = self._needed()
        shown, missing = (one if needed is None else _WANTED.format(property=one) for one in (_SHOWN, _FROM_GET))
        return _RECORDS.format(
            command=f"{_line(*self.command.menu, 'print')}{switches}",
            before=(_AFTER.format(start=start, last=start - 1) if start else "")
            + _BEFORE_MISSING
            + ("" if needed is None else f":local p {quote(b',%s,' % b','.join(sorted(needed)))}\n"),
            chosen="$r" if end is None else f"[:pick $r {start} {end}]",
            property=shown,
            missing=_MISSING.format(menu=_line(*self.command.menu), property=missing),
        )

    def reader(self) -> t.Callable[[bytes, int | None], list[Record]]:
        """Return what takes the items out of the output of each script, also unwanted ones.

        It raises Unsteady if an item was missed or read twice, because others came or went.
        """
        last: bytes | None = None

        def items(output: bytes, _limit: int | None) -> list[Record]:
            nonlocal last
            found = [record(self.command.menu, one) for one in parse_bytes(output, lenient=True)]
            if last is not None and (not found or _text(found.pop(0), b"after") != last):
                raise Unsteady
            if found:
                last = _text(found[-1], b".id") or b""
            return found

        return items

    def answer(self, items: list[Record]) -> list[Sentence]:
        """Return the sentences of the answer."""
        named = [value for name, value in self.command.attributes.items() if name in ("from", *_NUMBERS) and value]
        found = [
            one for one in items if query.wanted(self.command.queries, one) and all(_is(one, names) for names in named)
        ]
        if "count-only" in self.command.attributes:
            return [[b"!done", b"=ret=%d" % len(found)]]
        chosen = self._chosen()
        return [*(_section(one, chosen) for one in found), [b"!done"]]

    def _chosen(self) -> set[bytes] | None:
        """Return the names of the properties that the client wants; None for all."""
        wanted = self.command.attributes.get(".proplist")
        return {one.strip() for one in wanted.split(b",")} if wanted else None

    def _needed(self) -> set[bytes] | None:
        """Return the names of the properties that are read; None for all."""
        chosen = set() if "count-only" in self.command.attributes else self._chosen()
        return None if chosen is None else {*chosen, *query.names(self.command.queries), b".id", b"name"}


@dataclass(frozen=True)
class Order:
    """Any other command: its script, and what its output is in the API."""

    source: str
    answer: t.Callable[[bytes], list[Sentence]]
    goes_down: bool = False
    """Whether the router restarts or ends, and may not answer any more."""


def plan(command: Command) -> Print | Order:
    """Return how *command* is carried out. Raises Trap."""
    if command.name in ("print", "getall"):
        return Print(command)
    if command.queries:
        raise Trap("query words are for print only", ARGUMENT)
    before, arguments = _arguments(command)
    whole = (*command.menu, command.name)
    line = f"{_line(*whole)}{arguments}"

    def returned(output: bytes) -> list[Sentence]:
        value = _records(command, output)[0].get(b"ret")
        if value is None:
            return [[b"!done"]]
        separated = value.text.replace(b",", b";") if command.name == "find" else value.text
        return [[b"!done", b"=ret=" + separated]]

    def sections(output: bytes) -> list[Sentence]:
        return [*(_section(one, None) for one in _records(command, output)), [b"!done"]]

    if command.name in _RETURNING:
        return Order(before + _VALUE.format(command=line, property=_SHOWN), returned)
    if command.bounded or whole in _WITH_RECORDS:
        source = _RECORDS.format(command=line, before="", chosen="$r", property=_SHOWN, missing="")
        return Order(before + source, sections)
    goes_down = whole in (("system", "reboot"), ("system", "shutdown"))
    return Order(f"{before}{line}\n", lambda _output: [[b"!done"]], goes_down)


def _line(*words: str) -> str:
    return f"/{' '.join(words)}"


def _records(command: Command, output: bytes) -> list[Record]:
    """Return the records that the script of *command* printed. Raises ValueError."""
    # What the command itself printed stands before them.
    begin = re.search(rb"^@\r?\n", output, re.MULTILINE)
    if not begin:
        raise ValueError(f"{excerpt(output)} has no record")
    return [record(command.menu, one) for one in parse_bytes(output[begin.start() :], lenient=True)]


def _arguments(command: Command) -> tuple[str, str]:
    """Return what comes before the line of *command*, and the arguments in it. Raises Trap."""
    before, items, written = "", "", ""
    for name, value in command.attributes.items():
        if name in _NUMBERS or name in _PLACES:
            variable = name.strip(".").replace("-", "")
            looked_up, found = _items(command, value, variable)
            before += looked_up
            if name in _PLACES:
                written += f" {name}={found}"
            else:
                items = f" {found}"
        elif name.startswith("!"):
            written += f" {name}"
        elif name.startswith("."):
            raise Trap(f"unknown parameter {name}")
        elif name in _LITERAL:
            if not _KEY.match(value):
                raise Trap(f"input does not match any value of {name}", ARGUMENT)
            written += f" {name}={value.decode()}"
        elif name in _SWITCHES and not value:
            written += f" {name}"
        elif name not in _OF_SCRIPTS:
            written += f" {name}={quote(value)}"
    return before, items + written


def _items(command: Command, value: bytes, variable: str) -> tuple[str, str]:
    """Return a script that finds the items that *value* names, and how they are written then.

    RouterOS would take a number in a script for the place of an item in the list. In the API, a
    number can only be a name. Raises Trap.
    """
    if _ITEM.match(value):
        return "", value.decode()
    names = value.split(b",")
    if not all(names):
        raise Trap("no such item", MISSING)
    condition = " or ".join(f"name={quote(name)}" for name in names)
    return (
        f":local {variable} [{_line(*command.menu)} find where {condition}]\n"
        f':if ([:len ${variable}] != {len(names)}) do={{ :error "no such item" }}\n'
    ), f"${variable}"


def _is(one: Record, names: bytes) -> bool:
    """Whether *names* has the id or the name of an item."""
    values = (one.get(b".id"), one.get(b"name"))
    return any(value is not None and value.text in names.split(b",") for value in values)


def _text(one: Record, name: bytes) -> bytes | None:
    return one[name].text if name in one else None


def _section(one: Record, chosen: set[bytes] | None) -> Sentence:
    words = (b"=" + name + b"=" + value.text for name, value in one.items() if chosen is None or name in chosen)
    return [b"!re", *words]
