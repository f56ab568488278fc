# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of RouterOS's API: how they are framed, and what queries ask.

A ``str`` holds one byte per character, as everywhere in the lab's router.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import ScriptError
from .values import Array, Value, equal, is_void, less, text

MAX_SENTENCE = 1024 * 1024
"""No sentence may be longer, in bytes, with its length prefixes."""
_OPERATION = re.compile(r"([0-9]+)|([!&|.])")


class BadSentence(Exception):
    """These bytes cannot be a sentence, or the sentence is too long."""


@dataclass
class Sentence:
    """A command with its arguments.

    ``arguments`` has None for a value that is to be removed (``=!name=``).
    """

    command: str
    arguments: dict[str, str | None] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    proplist: list[str] | None = None
    tag: str | None = None
    unknown: str | None = None
    """A word that is none of these."""


def encoded(words: list[str]) -> bytes:
    """A sentence as bytes."""
    return b"".join(_prefix(len(word)) + word.encode("latin-1", "replace") for word in words) + b"\0"


def _prefix(length: int) -> bytes:
    for size, mark, limit in ((1, 0, 0x80), (2, 0x80, 0x4000), (3, 0xC0, 0x200000), (4, 0xE0, 0x10000000)):
        if length < limit:
            return (length | mark << 8 * (size - 1)).to_bytes(size, "big")
    return b"\xf0" + length.to_bytes(4, "big")


def read_sentence(read: Callable[[int], bytes]) -> list[str]:
    """The words of the next sentence; *read* returns exactly so many bytes.

    Raises BadSentence, and what *read* raises.
    """
    words: list[str] = []
    left = MAX_SENTENCE
    while length := _length(read):
        left -= length + 1
        if left < 0:
            raise BadSentence("too long")
        words.append(read(length).decode("latin-1"))
    return words


def _length(read: Callable[[int], bytes]) -> int:
    first = read(1)[0]
    if first > 0xF0:
        raise BadSentence("bad control byte")
    for more, mark, limit in ((0, 0, 0x80), (1, 0x80, 0xC0), (2, 0xC0, 0xE0), (3, 0xE0, 0xF0)):
        if first < limit:
            return int.from_bytes(bytes([first - mark]) + read(more), "big")
    return int.from_bytes(read(4), "big")


def parsed(words: list[str]) -> Sentence:
    """What the words of a sentence say."""
    sentence = Sentence(words[0])
    for word in words[1:]:
        name, _unused, value = word[1:].partition("=")
        if word.startswith("?"):
            sentence.queries.append(word[1:])
        elif word.startswith(".tag="):
            sentence.tag = value
        elif word.startswith((".proplist=", "=.proplist=")):
            sentence.proplist = [one for one in word.partition("proplist=")[2].split(",") if one]
        elif word.startswith("=!"):
            sentence.arguments[name[1:]] = None
        elif word.startswith("="):
            sentence.arguments[name] = value
        else:
            sentence.unknown = word
    return sentence


# -- queries ---------------------------------------------------------------------------------------


def fits(queries: list[str], value: Callable[[str], Value]) -> bool:
    """Whether an item fits the query words; *value* gives its properties.

    The words push to a stack of booleans, as the vendor's manual describes it.
    """
    stack: list[bool] = []
    for word in queries:
        if word.startswith("#"):
            _operate(word[1:], stack)
        else:
            stack.append(_test(word, value))
    return all(stack)


def _test(word: str, value: Callable[[str], Value]) -> bool:
    name, compares, wanted = word.lstrip("=<>-").partition("=")
    found = value(name)
    if word.startswith("-"):
        return is_void(found)
    if not compares or is_void(found):
        return not compares and not is_void(found)
    if isinstance(found, Array):
        found = ",".join(text(one) for one in found.values())
    try:
        if word.startswith("<"):
            return less(found, wanted)
        return less(wanted, found) if word.startswith(">") else equal(found, wanted)
    except ScriptError:  # they cannot be compared
        return False


def _operate(operations: str, stack: list[bool]) -> None:
    parts = [(match[1], match[2]) for match in _OPERATION.finditer(operations)]
    if "".join(index or operation for index, operation in parts) != operations:
        raise ScriptError("unknown query operation")

    def pop() -> bool:
        return stack.pop() if stack else True  # the stack has no end

    before = ""
    for at, (index, operation) in enumerate(parts):
        if index:
            chosen = stack[-1 - int(index)] if int(index) < len(stack) else True
            stack[:] = [*stack, chosen] if at + 1 < len(parts) else [chosen]
        elif operation == "!":
            stack.append(not pop())
        elif operation in ("&", "|"):
            first, second = pop(), pop()
            stack.append((first and second) if operation == "&" else (first or second))
        elif not before.isdigit():
            stack.append(stack[-1] if stack else True)
        before = index or operation
