# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A relay to a server that breaks when a test wants it to.

It spoils answers and resets connections on sockets of any kind, also within TLS.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import struct
import threading
import time
import typing as t
from pathlib import Path

How = t.Literal["reset", "silence", "half", "garbage", "drip"]
"""What becomes of an answer: the connection is reset without it, or stays open and silent; one half
of it comes, and then nothing; other bytes come, and then nothing; it comes in small pieces."""
GARBAGE = b"\x00\xff{]\r\n<\xfe" * 8
_KEPT = 1 << 20  # bytes of a request that are searched
_PIECES = 20  # of an answer that drips
_DRIP = 0.03  # seconds between two of them


class Relay:
    """A context manager that relays between *listener* and *target* (a path, or host and port).

    *breaks_after*: bytes of a request. When they have been passed on, the answer is spoilt as *how*
    says; so many *times*. *tls*: a certificate with its key, for clients that speak TLS; the server
    then speaks it, too, and its certificate is not checked.
    """

    def __init__(
        self,
        listener: socket.socket,
        target: str | tuple[str, int],
        breaks_after: bytes = b"",
        times: float = math.inf,
        how: How = "reset",
        tls: Path | None = None,
    ) -> None:
        self._listener, self._target, self._tls = listener, target, tls
        self.address = listener.getsockname()
        self._breaks_after, self._times, self._how = breaks_after, times, how
        self.broken = threading.Event()
        """Set once a request came whose answer is spoilt."""
        self._resets = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> t.Self:
        self._listen()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end_listening()
        self.reset()

    @property
    def open(self) -> int:
        """How many clients are connected."""
        with self._lock:
            return len(self._open) // 2

    def break_after(self, request: bytes, how: How, times: float = math.inf) -> None:
        """Spoil answers from now on, as the arguments of the class say; b"" for none."""
        self._breaks_after, self._how, self._times = request, how, times

    def reset(self) -> None:
        """End all connections at once, without a word: from now on nothing passes through them."""
        with self._lock:
            self._resets += 1

    def restart(self, seconds: float) -> None:
        """Be away for some *seconds*, as a server that is restarted: nobody listens meanwhile."""
        self._end_listening()
        self.reset()
        time.sleep(seconds)
        if isinstance(self.address, str):
            Path(self.address).unlink()
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.address)
        else:
            self._listener = socket.create_server(self.address[:2])
        self._listen()

    def _listen(self) -> None:
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _end_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _unused = listener.accept()
            except OSError:
                return
            with self._lock:
                since = self._resets
            threading.Thread(target=self._serve, args=(client, since), daemon=True).start()

    def _serve(self, client: socket.socket, since: int) -> None:
        server = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
        with contextlib.suppress(OSError):
            server.connect(self._target)
            if self._tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._tls)
                client = context.wrap_socket(client, server_side=True)
                server = ssl._create_unverified_context().wrap_socket(server)
            pair = {client, server}
            with self._lock:
                self._open |= pair
            try:
                self._pass(client, server, since)
            finally:  # a client that is killed can leave with an error
                with self._lock:
                    self._open -= pair
                    was_reset = self._resets != since
            for one in pair if was_reset else ():
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for one in (client, server):
            one.close()

    def _pass(self, client: socket.socket, server: socket.socket, since: int) -> None:
        """Relay until one side closes, or all connections are reset."""
        request = b""  # what came from the client since the last answer
        how: How | None = None
        answered = False
        sources = [client, server]
        while self._resets == since:
            if how is None and (how := self._spoils(request)):
                answered = False
                self.broken.set()
            if how == "reset":
                time.sleep(0.3)  # the server has the request, and its answer goes nowhere
                self.reset()
                return
            for source in _readable(sources):
                try:
                    source.settimeout(0.01)
                    data = source.recv(65536)
                except TimeoutError:
                    continue  # TLS's own words
                finally:
                    source.settimeout(None)
                if self._resets != since:
                    return
                if not data and source is server and how in ("silence", "half", "garbage"):
                    sources = [client]  # which is not told
                    continue
                if not data:
                    return
                if source is server:
                    self._answer(client, data, how, answered)
                    answered, request = True, b""
                    continue
                if how == "drip" and answered:
                    how = None  # only the answer to that request
                server.sendall(data)
                request = (request + data)[-_KEPT:]
                break  # its answer may be meant

    def _spoils(self, request: bytes) -> How | None:
        """How the answer to *request* is spoilt, and count it."""
        with self._lock:
            if not self._breaks_after or self._breaks_after not in request or self._times <= 0:
                return None
            self._times -= 1
            return self._how

    @staticmethod
    def _answer(client: socket.socket, data: bytes, how: How | None, again: bool) -> None:
        """Pass on a part of an answer. *again*: it is not the first since the request."""
        if how is None:
            client.sendall(data)
        elif how == "half" and not again:
            client.sendall(data[: len(data) // 2])
        elif how == "garbage" and not again:
            client.sendall(GARBAGE)
        elif how == "drip":
            size = len(data) // _PIECES + 1
            for start in range(0, len(data), size):
                client.sendall(data[start : start + size])
                time.sleep(_DRIP)


def _readable(sockets: list[socket.socket]) -> list[socket.socket]:
    """Those with something to read, after a short wait at most."""
    pending = [one for one in sockets if isinstance(one, ssl.SSLSocket) and one.pending()]
    return pending or select.select(sockets, [], [], 0.05)[0]
