# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Queries of the RouterOS API: words that compute on a stack whether an item is wanted.

The rules are those of the vendor's API manual: the stack holds any number of true values at the
beginning, and an item is wanted if no false one is left on it.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import seconds

from .trap import OF_API, Trap
from .value import Record, Value

_BOOLEANS = {b"true": True, b"yes": True, b"false": False, b"no": False}
_OPERATIONS = re.compile(rb"(?:\d{1,4}(?!\d)|[!&|.])*\Z")
_OPERATION = re.compile(rb"(\d+)(\.?)|([!&|.])")
_NUMBER = re.compile(rb"-?\d{1,40}\Z")
_WORD = re.compile(rb"\?(?:(?P<test>[-<>=]?)(?P<name>[^=]+)(?:=(?P<value>.*))?)\Z", re.DOTALL)
_LARGEST = 10_000  # values on the stack


def check(queries: t.Sequence[bytes]) -> None:
    """Raise Trap for a query word that the API does not have."""
    for word in queries:
        match = _WORD.match(word)
        fits = _OPERATIONS.match(word, 2) if word.startswith(b"?#") else match and _fits(match)
        if not fits:
            raise Trap(f"invalid query word {excerpt(word)}", OF_API)


def _fits(match: re.Match[bytes]) -> bool:
    return (match["value"] is None) == (match["test"] == b"-") or match["test"] == b""


def names(queries: t.Sequence[bytes]) -> set[bytes]:
    """Return the names of the properties that *queries* look at."""
    return {match["name"] for word in queries if not word.startswith(b"?#") and (match := _WORD.match(word))}


def wanted(queries: t.Sequence[bytes], item: Record) -> bool:
    """Whether *item* is one that *queries*, which have been checked, select."""
    stack: list[bool] = []
    for word in queries:
        if word.startswith(b"?#"):
            stack = _operated(word[2:], stack)
        elif match := _WORD.match(word):
            stack.append(_test(match["test"], item.get(match["name"]), match["value"]))
    return all(stack)


def _test(test: bytes, value: Value | None, given: bytes | None) -> bool:
    if given is None:
        return (value is None) == (test == b"-")
    if value is None:
        return False
    if test in (b"", b"="):
        return _order(value, given) == 0
    order = _order(value, given)
    return order < 0 if test == b"<" else order > 0


def _order(value: Value, given: bytes) -> int:
    """Return how *value* compares with the text *given*: below 0, 0, or above 0."""
    if value.text == given:
        return 0
    ours, theirs = _comparable(value.kind, value.text), _comparable(value.kind, given)
    if ours is None or theirs is None:
        ours, theirs = value.text, given
    return int(ours > theirs) - int(ours < theirs)


def _comparable(kind: bytes, text: bytes) -> t.Any:
    if kind == b"bool":
        return _BOOLEANS.get(text)
    if kind == b"num" or (kind == b"str" and _NUMBER.match(text)):
        return int(text) if _NUMBER.match(text) else None
    if kind == b"id":
        return int(text[1:], 16) if re.match(rb"\*[0-9A-Fa-f]{1,16}\Z", text) else None
    try:
        if kind == b"time":
            return seconds(text.decode())
        if kind in (b"ip", b"ip6"):
            return ipaddress.ip_address(text.decode()).packed
    except ValueError:
        return None
    return None


def _operated(operations: bytes, stack: list[bool]) -> list[bool]:
    """Return *stack* after *operations*. Below what is on it, there are true values."""

    def at(index: int) -> bool:
        return stack[-1 - index] if index < len(stack) else True

    def pop() -> bool:
        return stack.pop() if stack else True

    for match in _OPERATION.finditer(operations):
        index, sign = match[1], match[3]
        if index is not None and match.end() == len(operations) and not match[2]:
            return [at(int(index))]
        if index is not None:
            stack.append(at(int(index)))
        elif sign == b"!":
            stack.append(not pop())
        elif sign == b".":
            stack.append(at(0))
        else:
            first, second = pop(), pop()
            stack.append((first and second) if sign == b"&" else (first or second))
        if len(stack) > _LARGEST:
            raise Trap("the query needs too large a stack", OF_API)
    return stack
