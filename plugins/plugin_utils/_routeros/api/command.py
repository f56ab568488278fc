# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A command of the RouterOS API, taken from the words of a sentence and checked."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt

from . import query
from .trap import GENERAL, OF_API, Trap

_PATH = re.compile(rb"(?:/[a-z0-9][a-z0-9-]*)+\Z")
_NAME = re.compile(rb"!?\.?[a-z0-9][a-z0-9.-]*\Z")
_SECRET = re.compile(r"password|passphrase|secret|key|psk|pin\b|authentication|encryption|community|token")
_NOT_SECRET = (b"", b"yes", b"no", b"true", b"false", b"none")
_BOUNDS = {"once", "count", "duration"}
"""Arguments with which a command that goes on by itself comes to an end."""
_STREAMS = (
    *("bandwidth-test", "blink", "cable-test", "cell-monitor", "check", "discover", "fetch", "flat-snoop"),
    *("flood-ping", "follow", "frequency-monitor", "frequency-scan", "ip-scan", "listen", "mac-scan", "monitor"),
    *("monitor-peers", "monitor-slaves", "monitor-traffic", "ping", "ping-speed", "profile", "quick", "scan"),
    *("sniff", "snmp-get", "snmp-walk", "snoop", "spectral-scan", "speed-test", "torch", "traceroute", "wps-client"),
)
"""Commands that go on until somebody ends them."""
_ENDLESS_PRINTS = {"follow", "follow-only", "interval", "follow-strict"}
# Of the commands at the root, which are those of the scripting language, too.
_AT_THE_ROOT = {"beep", "blink", "execute", "export", "import", "password", "ping", "redo", "undo"}


@dataclass(frozen=True)
class Command:
    """A command, such as ``/ip/address/set``: its menu, its name, and what it was given."""

    menu: tuple[str, ...]
    name: str
    attributes: dict[str, bytes]
    queries: tuple[bytes, ...] = ()

    @property
    def bounded(self) -> bool:
        """Whether the command would go on by itself, and was told when to end."""
        return self.name in _STREAMS and not _BOUNDS.isdisjoint(self.attributes)

    @property
    def secrets(self) -> list[bytes]:
        """The values that may be secret, as their names say."""
        return [value for name, value in self.attributes.items() if _SECRET.search(name) and value not in _NOT_SECRET]


def tag_of(words: t.Sequence[bytes]) -> bytes | None:
    """Return the tag of a sentence, which its answer has, too."""
    return next((word.removeprefix(b".tag=") for word in words if word.startswith(b".tag=")), None)


def command(words: t.Sequence[bytes]) -> Command:
    """Return the command of a sentence of *words*, or raise Trap if the API has no such command.

    Also refused are commands without an end, which a guest agent cannot carry.
    """
    if not _PATH.match(words[0]):
        raise Trap("no such command prefix")
    *menu, name = words[0].decode().removeprefix("/").split("/")
    attributes: dict[str, bytes] = {}
    queries: list[bytes] = []
    for word in words[1:]:
        if word.startswith(b"="):
            key, _equals, value = word[1:].partition(b"=")
            if not _NAME.match(key):
                raise Trap(f"unknown parameter {excerpt(key)}")
            attributes[key.decode()] = value
        elif word.startswith(b"?"):
            queries.append(word)
        elif not word.startswith(b".tag="):
            raise Trap(f"unknown word {excerpt(word)} in the sentence", OF_API)
    query.check(queries)
    found = Command(tuple(menu), name, attributes, tuple(queries))
    _refuse_what_has_no_end(found)
    if not menu and name not in _AT_THE_ROOT:
        raise Trap("no such command")
    return found


def _refuse_what_has_no_end(one: Command) -> None:
    # RouterOS would take the beginning of a name for the whole.
    stream = next((name for name in _STREAMS if name.startswith(one.name)), None)
    endless = one.name in ("print", "getall") and not _ENDLESS_PRINTS.isdisjoint(one.attributes)
    if not endless and (stream is None or one.bounded):
        return
    shown = f"/{'/'.join((*one.menu, one.name))}"
    if stream == "listen" or endless:
        raise Trap(
            f"{shown} goes on until the client ends it, and a guest agent runs scripts that end. Use print, and repeat it.",
            GENERAL,
        )
    raise Trap(
        f"{shown} goes on until the client ends it, and a guest agent runs scripts that end. Add once, or count or duration "
        "where the command has them.",
        GENERAL,
    )
