# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""xenstore's wire protocol as a guest's kernel and dom0's toolstack speak it.

It goes over a ring, and over oxenstored's socket.

Written from Xen's public headers ``io/xs_wire.h`` and the document ``docs/misc/xenstore.txt``;
shares nothing with the client of the collection.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import queue
import select
import socket
import struct
import threading
import time
import typing as t
from pathlib import Path

DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, START, END, INTRODUCE, RELEASE = range(1, 10)
WRITE, MKDIR, RM, SET_PERMS, EVENT, ERROR = range(11, 17)
_HEADER = struct.Struct("<IIII")  # type, request, transaction, length
_RING = 1024
PAYLOAD_MAX = 4096
"""The longest message without its header (XENSTORE_PAYLOAD_MAX)."""


class StoreError(Exception):
    """An error reply; the text is its name, such as ``EACCES``."""


class Gone(Exception):
    """The other end, or our own domain, is no more."""


class Transport(t.Protocol):
    """Bytes both ways."""

    def send(self, data: bytes) -> None:
        """All of *data*. Raises Gone."""

    def receive(self) -> bytes:
        """Some bytes. Raises Gone."""

    def close(self) -> None:
        """Let a receiver in another thread end, too."""


class Socket:
    """dom0's way: the unix socket of the daemon."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def receive(self) -> bytes:
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Ring:
    """A guest's way: one page shared with the daemon, and an event channel.

    See shim.c for the files.
    """

    _INDICES = {"request_consumer": 2048, "request_producer": 2052, "reply_consumer": 2056, "reply_producer": 2060}

    def __init__(self, folder: Path, domid: int, port: int) -> None:
        self._port = port
        with (folder / f"ring-{domid}").open("r+b") as page:
            self._page = mmap.mmap(page.fileno(), 4096)
        self._events = os.open(folder / "events", os.O_RDWR | os.O_NONBLOCK)
        self._wake = os.open(folder / f"port-{port}", os.O_RDWR | os.O_NONBLOCK)
        self._lock = threading.Lock()
        self._closed = False

    def _get(self, index: str) -> int:
        return int.from_bytes(self._page[(at := self._INDICES[index]) : at + 4], "little")

    def _set(self, index: str, value: int) -> None:
        self._page[(at := self._INDICES[index]) : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")

    def _notify(self) -> None:
        os.write(self._events, struct.pack("<I", self._port))

    def send(self, data: bytes) -> None:
        while data:
            with self._lock:
                if self._closed:
                    raise Gone
                producer = self._get("request_producer")
                free = _RING - ((producer - self._get("request_consumer")) & 0xFFFFFFFF)
                part, data = data[:free], data[free:]
                for offset, byte in enumerate(part):
                    self._page[(producer + offset) % _RING] = byte
                self._set("request_producer", producer + len(part))
                self._notify()
            if data:
                time.sleep(0.001)

    def receive(self) -> bytes:
        while True:
            with self._lock:
                if self._closed:
                    raise Gone
                consumer = self._get("reply_consumer")
                length = (self._get("reply_producer") - consumer) & 0xFFFFFFFF
                if length:
                    data = bytes(self._page[1024 + (consumer + offset) % _RING] for offset in range(length))
                    self._set("reply_consumer", consumer + length)
                    self._notify()
                    return data
            with contextlib.suppress(OSError, ValueError):
                select.select([self._wake], [], [], 0.02)
                with self._lock:  # a descriptor that was closed meanwhile may be something else's by now
                    if not self._closed:
                        os.read(self._wake, 4096)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._page.close()
            os.close(self._events)
            os.close(self._wake)


ANSWER_SECONDS = 60


class Client:
    """Requests and watch events on one connection.

    Paths may be relative to the domain's own, values are text.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._replies: queue.Queue[tuple[int, bytes] | None] = queue.Queue()
        self.events: queue.Queue[tuple[str, str] | None] = queue.Queue()
        """(path, token); None when the connection ended."""
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        self._transport.close()

    def _read(self) -> None:
        buffer = b""
        try:
            while True:
                while len(buffer) < 16 or len(buffer) < 16 + _HEADER.unpack_from(buffer)[3]:
                    buffer += self._transport.receive()
                kind, _request, _transaction, length = _HEADER.unpack_from(buffer)
                payload, buffer = buffer[16 : 16 + length], buffer[16 + length :]
                if kind == EVENT:
                    path, token, *_depth = payload.decode().split("\0")
                    self.events.put((path, token))
                else:
                    self._replies.put((kind, payload))
        except (Gone, ValueError):
            self.events.put(None)
            self._replies.put(None)

    def ask(self, kind: int, payload: bytes, transaction: int = 0) -> bytes:
        if len(payload) > PAYLOAD_MAX:
            raise StoreError("E2BIG")  # a kernel does not send it: the daemon would drop the connection
        with self._lock:
            self._transport.send(_HEADER.pack(kind, 0, transaction, len(payload)) + payload)
            try:
                reply = self._replies.get(timeout=ANSWER_SECONDS)
            except queue.Empty:
                raise Gone from None
        if reply is None:
            self._replies.put(None)
            raise Gone
        if reply[0] == ERROR:
            raise StoreError(reply[1].rstrip(b"\0").decode())
        return reply[1]

    def read(self, path: str) -> str | None:
        """None: there is no such node. Raises StoreError."""
        try:
            return self.ask(READ, path.encode() + b"\0").decode("utf-8", "surrogateescape")
        except StoreError as error:
            if str(error) == "ENOENT":
                return None
            raise

    def write(self, path: str, value: str) -> None:
        self.ask(WRITE, path.encode() + b"\0" + value.encode("utf-8", "surrogateescape"))

    def make(self, path: str) -> None:
        self.ask(MKDIR, path.encode() + b"\0")

    def remove(self, path: str) -> None:
        """It need not be there."""
        try:
            self.ask(RM, path.encode() + b"\0")
        except StoreError as error:
            if str(error) != "ENOENT":
                raise

    def children(self, path: str) -> list[str]:
        try:
            names = self.ask(DIRECTORY, path.encode() + b"\0")
        except StoreError as error:
            if str(error) == "ENOENT":
                return []
            raise
        return [name for name in names.decode().split("\0") if name]

    def tree(self, path: str, below: str = "") -> dict[str, str]:
        """All nodes from *path* on, it included, by their path relative to *below*."""
        value = self.read(path)
        if value is None:
            return {}
        found = {path.removeprefix(below).lstrip("/"): value}
        for name in self.children(path):
            found |= self.tree(f"{path}/{name}", below)
        return found

    def permissions(self, path: str) -> list[str]:
        """Such as ``["n3", "r0"]``."""
        return self.ask(GET_PERMS, path.encode() + b"\0").rstrip(b"\0").decode().split("\0")

    def permit(self, path: str, *permissions: str) -> None:
        self.ask(SET_PERMS, b"\0".join(part.encode() for part in (path, *permissions)) + b"\0")

    def watch(self, path: str, token: str) -> None:
        self.ask(WATCH, f"{path}\0{token}\0".encode())

    def introduce(self, domid: int, port: int) -> None:
        self.ask(INTRODUCE, f"{domid}\0{domid}\0{port}\0".encode())

    def release(self, domid: int) -> None:
        self.ask(RELEASE, f"{domid}\0".encode())
