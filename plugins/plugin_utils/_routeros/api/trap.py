# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The errors of the RouterOS API, and those of scripts in its words."""

from __future__ import annotations

import re

from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import masked
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import harmless
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import text

# Categories of the vendor's API manual.
MISSING, ARGUMENT, INTERRUPTED, SCRIPT, GENERAL, OF_API = range(6)

_PLACE = re.compile(r"\s*\((?:[^()]*;\s*)?line (\d{1,9})(?: column (\d{1,9}))?\)\Z")
_CODE = re.compile(r"\s*\(\d+\)\Z")
_LOOKUP = re.compile(r':local \w+ \[[^"]* find where name=')
_WORD = re.compile(r"[^\s=\[\]]*")
_OF_ARGUMENT = ("input does not match", "invalid value", "value of ", "missing value", "ambiguous value")
_LONGEST = 2000  # characters of a message


class Trap(Exception):
    """A command was refused or failed; ``str`` gives the message."""

    def __init__(self, message: str, category: int | None = None) -> None:
        super().__init__(harmless(masked(message))[:_LONGEST])
        self.category = category

    def words(self) -> list[bytes]:
        """Return the sentence that tells it."""
        category = [] if self.category is None else [b"=category=%d" % self.category]
        return [b"!trap", *category, b"=message=" + str(self).encode("utf-8", "replace")]


def from_output(output: bytes, source: str, name: str) -> Trap:
    """Return the trap for the script *source* of the command *name*, which failed with *output*.

    RouterOS ends the output with its error text. Texts about the source of a script become those
    of the API, whose clients know no source.
    """
    lines = [line.strip() for line in text(output).splitlines() if line.strip()]
    message = lines[-1][-_LONGEST:] if lines else "failure: RouterOS gave no reason"
    place = _PLACE.search(message)
    message = _CODE.sub("", _PLACE.sub("", message))
    if place and _LOOKUP.match(_line(source, int(place[1]))):
        return Trap("no such item", MISSING)  # a menu whose items have no names
    if place and place[2]:
        word = _word_at(source, int(place[1]), int(place[2]))
        if message.startswith("bad command name"):
            prefix = "" if word == name else " prefix"
            return Trap(f"no such command{prefix}")
        if message.startswith("expected end of command") and word:
            return Trap(f"unknown parameter {word}")
    if message.startswith("no such item"):
        return Trap(message, MISSING)
    if message.startswith(_OF_ARGUMENT):
        return Trap(message, ARGUMENT)
    return Trap(message, GENERAL if message.startswith("failure") else None)


def _word_at(source: str, line: int, column: int) -> str:
    """Return the word of *source* at *column*, counted from 1."""
    match = _WORD.match(_line(source, line), max(column - 1, 0))
    return match[0].lstrip("!") if match else ""


def _line(source: str, number: int) -> str:
    lines = source.splitlines()
    return lines[number - 1] if 0 < number <= len(lines) else ""
