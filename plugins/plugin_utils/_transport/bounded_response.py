# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""HTTP answers of servers that may be slow or hostile.

``http.client`` waits anew for every part of an answer, skips any number of interim answers (100
Continue), and reserves as much memory as a length in the answer says.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline

BLOCK = 256 * 1024
"""Bytes of a body that are read at a time."""
API_REPLY = 64 * 1024 * 1024
"""The largest answer of an API, in bytes. The output of a script comes in one."""
_LONGEST = 18  # digits of a length


class TooMuch(http.client.HTTPException):
    """The answer is longer than it may be."""


class BoundedResponse(http.client.HTTPResponse):
    """An answer that must come within a time, and must not be larger than a limit.

    *seconds* is the time for all of it, *stall* the time without a byte, and *limit* the bytes on
    the wire, with headers and interim answers. Reading raises TimeoutError, TooMuch, and what
    ``http.client`` raises.
    """

    def __init__(
        self, sock: socket.socket, *arguments: t.Any, seconds: float, stall: float, limit: int, **more: t.Any
    ) -> None:
        super().__init__(sock, *arguments, **more)
        self._wire = _Wire(self.fp.detach(), sock, Deadline(seconds), stall, limit)
        self.fp = io.BufferedReader(self._wire)

    def begin(self) -> None:
        super().begin()
        if self.length is not None and self.length > self._wire.left:
            raise TooMuch(f"it announced {self.length} bytes")
        # Proxmox VE's proxy passes on the "close" of the program behind it, adds its own
        # "Keep-Alive", and keeps the connection (pve-http-server up to 6.0.5).
        said = ",".join(self.headers.get_all("Connection", [])).lower()
        if "keep-alive" in said and (self.length is not None or self.chunked):
            self.will_close = False

    def more_time(self, seconds: float) -> None:
        """Let the rest of the answer take *seconds* from now."""
        self._wire.deadline = Deadline(seconds)

    def blocks(self) -> t.Iterator[bytes]:
        """Return the body block by block."""
        try:
            while block := self.read(BLOCK):
                yield block
        except (ValueError, OverflowError, MemoryError) as error:  # a chunk whose length is nonsense
            raise http.client.HTTPException("the length of a part is not valid") from error
        if self.length:
            raise http.client.IncompleteRead(b"", self.length)


def bound(connection: http.client.HTTPConnection, *, seconds: float, stall: float, limit: int) -> None:
    """Let the next answers on *connection* be BoundedResponses. The arguments are theirs."""
    made = functools.partial(BoundedResponse, seconds=seconds, stall=stall, limit=limit)
    connection.response_class = t.cast("type[http.client.HTTPResponse]", made)


def response_of(connection: http.client.HTTPConnection) -> BoundedResponse:
    """Wait for the answer on a *connection* that was bound. Raises OSError, HTTPException."""
    return t.cast("BoundedResponse", connection.getresponse())


def length_of(text: str | None) -> int | None:
    """Return the number of bytes that a header tells, or None if *text* is not a plain number."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else None


class _Wire(io.RawIOBase):
    """The bytes of an answer as they come, up to the limits."""

    def __init__(self, raw: t.Any, sock: socket.socket, deadline: Deadline, stall: float, limit: int) -> None:
        self._raw, self._socket = raw, sock
        self.deadline, self._stall = deadline, stall
        self.left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, target: t.Any) -> int | None:
        if self.deadline.expired:
            raise TimeoutError
        if self.left <= 0:
            raise TooMuch("it did not stop sending")
        self._socket.settimeout(max(min(self._stall, self.deadline.remaining), 0.001))
        count: int | None = self._raw.readinto(target)
        self.left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
