# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server on loopback that does not keep to HTTP: it drips, never ends, or tells wrong lengths."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
import typing as t
from pathlib import Path

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"

Speech = t.Callable[[], t.Iterator[bytes]]
"""Makes the parts of one answer, which pauses between them as it likes."""


def rude(how: str, paces: float = 0.0, block: bytes = bytes(1024 * 1024)) -> Speech:
    """Return an answer that misbehaves in the way *how*, with *paces* seconds between its parts."""
    ways: dict[str, t.Iterable[bytes]] = {
        "header": itertools.chain([_OK, b"X-Slow: "], itertools.repeat(b"x")),
        "interim": itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        "interim without end": itertools.chain([b"HTTP/1.1 100 Continue\r\n"], itertools.repeat(b"A: b\r\n")),
        "body": itertools.chain([_OK + b"Content-Length: 1000000\r\n\r\n"], itertools.repeat(b"x")),
        "chunk": itertools.chain([_CHUNKED + b"100000\r\n"], itertools.repeat(b"x")),
        "endless": itertools.chain([_OK + b"Connection: close\r\n\r\n"], itertools.repeat(block)),
        "endless chunks": itertools.chain([_CHUNKED], itertools.repeat(b"%x\r\n%b\r\n" % (len(block), block))),
        "huge length": [_OK + b"Content-Length: %d\r\n\r\n{}" % 2**60],
        "huge chunk": [_CHUNKED + b"%x\r\n{}" % 2**60],
        "negative chunk": [_CHUNKED + b"-5\r\n{}"],
        "short": [_OK + b"Content-Length: 100\r\n\r\n{}"],
    }

    def speak() -> t.Iterator[bytes]:
        for part in ways[how]:
            yield part
            if paces:
                time.sleep(paces)

    return speak


class RudeServer:
    """Answers each request with *speak*: ``with RudeServer(rude("header")) as server: server.url``.

    *certificate* is a PEM file with its key, for TLS.
    """

    def __init__(self, speak: Speech, certificate: Path | None = None) -> None:
        self._speak = speak
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context: ssl.SSLContext | None = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.sent = 0
        """Bytes of answers in all."""

    def __enter__(self) -> RudeServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            opened.enter_context(connection)
            if self._context:
                connection = opened.enter_context(self._context.wrap_socket(connection, server_side=True))
            while connection.recv(65536):
                for part in self._speak():
                    connection.sendall(part)
                    self.sent += len(part)
                return
