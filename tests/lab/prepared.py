# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTPS server on loopback with prepared answers for one request after the other.

It keeps connections open.
"""

from __future__ import annotations

import ssl
import threading
import typing as t
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .certificate import make_certificate


@dataclass
class Request:
    """A request that came whole."""

    method: str
    path: str
    body: bytes
    client: int
    """The port of its connection."""


@dataclass
class Answer:
    """The answer to one request."""

    body: bytes = b""
    status: int = 200
    reason: str = "OK"


class PreparedServer:
    """A context manager.

    Put the answers into ``answers``; None closes the connection instead. See ``requests``
    afterwards.
    """

    def __init__(self, folder: Path) -> None:
        certificate = folder / "prepared.pem"
        make_certificate(certificate, "DNS:localhost")
        self.ca_path = f"{certificate}.crt"
        self.answers: list[Answer | None] = []
        self.requests: list[Request] = []

        class Handler(_Handler):
            prepared = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> PreparedServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    prepared: t.ClassVar[PreparedServer]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.prepared.requests.append(Request(self.command, self.path, body, self.client_address[1]))
        answer = self.prepared.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status, answer.reason)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer
