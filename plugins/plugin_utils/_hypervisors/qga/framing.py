# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Cutting a byte stream into the messages of a guest agent.

An agent sends JSON objects, one per line, and a 0xFF byte before the reply to guest-sync-delimited.
What arrives may start in the middle of an old message, stop in the middle, be split or joined
anywhere, and contain 0xFF between messages. Some agents may leave out the newline, so an object
ends where its braces balance.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads

# Only these bytes can change the state of the scanner; the base64 of file contents has none of
# them.
_STRUCTURAL = re.compile(rb'["\\{}\n\xff]')

_NEWLINE, _RESET, _QUOTE, _BACKSLASH, _OPEN = b"\n", b"\xff", b'"', b"\\", b"{"

_GARBAGE = 4096  # bytes; more than a message shows, because secrets are masked before it is cut
MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes in one message; more is not an agent, or not one to trust."""


class MessageTooLarge(ValueError):
    """A single message grew beyond MAX_MESSAGE."""


class Decoder:
    """Turns chunks of bytes into decoded JSON objects.

    It drops everything else, and remembers the beginning of it for error texts.
    """

    def __init__(self) -> None:
        self.garbage = b""
        """The first bytes that were not part of a message, for diagnosis."""
        self.reset()

    def reset(self) -> None:
        """Forget a half message."""
        self._buffer = bytearray()
        self._depth = 0
        self._in_string = False
        self._scanned = 0

    def feed(self, data: bytes) -> list[dict[str, t.Any]]:
        """The objects completed by *data*.

        Raises MessageTooLarge. Linear in the number of bytes, however they are split.
        """
        messages = []
        self._buffer += data
        position = self._after_plain_text(self._scanned) if self._in_string else self._scanned
        start = 0  # of the current message (depth > 0) or of the garbage before the next one
        while match := _STRUCTURAL.search(self._buffer, position):
            byte, at, position = match.group(), match.start(), match.end()
            if byte in (_NEWLINE, _RESET):
                # No agent sends a raw newline or 0xFF inside a message: what was open is a half
                # message.
                self._drop(start, at)
                self._depth, self._in_string, start = 0, False, position
            elif self._depth == 0:
                if byte == _OPEN:
                    self._drop(start, at)
                    self._depth, start = 1, at
            elif self._in_string:
                if byte == _BACKSLASH:
                    if position == len(self._buffer):
                        position = at  # the escaped byte is still to come
                        break
                    if self._buffer[position] not in b"\n\xff":  # these end a half message, escaped or not
                        position += 1
                elif byte == _QUOTE:
                    self._in_string = False
            elif byte == _QUOTE:
                self._in_string = True
                position = self._after_plain_text(position)
            elif byte == _OPEN:
                self._depth += 1
            elif byte != _BACKSLASH:
                self._depth -= 1
                if self._depth == 0:
                    message = self._parse(start, position)
                    start = position
                    if message is not None:
                        messages.append(message)
        else:
            position = len(self._buffer)
        if self._depth == 0:
            self._drop(start, len(self._buffer))
            start = position = len(self._buffer)
        if len(self._buffer) - start > MAX_MESSAGE:
            raise MessageTooLarge(f"a single message of more than {MAX_MESSAGE} bytes")
        del self._buffer[:start]
        self._scanned = position - start
        return messages

    def _after_plain_text(self, position: int) -> int:
        """Return the end of a string at *position*, or *position* if more than text is in it.

        This finds the end of a file's content much faster than the regular expression. It is done
        once for each string and each ``feed``, so all stays linear.
        """
        end = self._buffer.find(_QUOTE, position)
        end = len(self._buffer) if end < 0 else end
        plain = all(self._buffer.find(byte, position, end) < 0 for byte in (_BACKSLASH, _NEWLINE, _RESET))
        return end if plain else position

    def _parse(self, start: int, end: int) -> dict[str, t.Any] | None:
        try:
            message = loads(bytes(self._buffer[start:end]))
        except ValueError:
            self._drop(start, end)
            return None
        return t.cast("dict[str, t.Any]", message)

    def _drop(self, start: int, end: int) -> None:
        if len(self.garbage) < _GARBAGE:
            self.garbage += bytes(self._buffer[start : min(end, start + _GARBAGE - len(self.garbage))])
