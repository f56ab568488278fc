# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server for downloads on loopback that can do everything that goes wrong with one."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
import typing as t
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_BLOCK = 64 * 1024


@dataclass
class Resource:
    """What is at one path, and how it is served."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = "strong"
    """``strong``, ``weak``, None, or the tag itself."""
    ranges: bool = True
    always_partial: bool = False
    """Answer a Range without looking at If-Range."""
    break_after: list[int] = field(default_factory=list)
    """For one request after the other: close the connection after so many bytes of the answer."""
    stall_after: int | None = None
    """Send so many bytes of the answer, and then nothing until ``release`` is set."""
    length: int | None = None
    """A Content-Length in place of the right one; -1: none."""
    statuses: list[int] = field(default_factory=list)
    """Answers of the first requests."""
    login: str | None = None
    """The Authorization that is wanted."""
    release: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request."""
    sent: int = 0
    """Bytes of bodies in all."""


class WebServer:
    """An HTTP server: ``with WebServer() as web: web["/a.zip"] = Resource(b"...")``.

    *certificate* is a PEM file with its key, for HTTPS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._resources: dict[str, Resource] = {}
        self._lock = threading.Lock()

        class Handler(_Handler):
            web = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self._server.server_port}"

    def __setitem__(self, path: str, resource: Resource) -> None:
        self._resources[path] = resource

    def __getitem__(self, path: str) -> Resource:
        return self._resources[path]

    def get(self, path: str) -> Resource:
        return self._resources.get(path.partition("?")[0]) or Resource(b"", 404)

    def __enter__(self) -> WebServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for resource in self._resources.values():
            resource.release.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    web: t.ClassVar[WebServer]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        resource = self.web.get(self.path)
        resource.asked.append(dict(self.headers))
        self.close_connection = True
        status = resource.statuses.pop(0) if resource.statuses else resource.status
        if resource.login and self.headers.get("Authorization") != resource.login:
            status = 401
        body = resource.body if status == resource.status else b""
        tag = _tag(resource)
        begin = self._begin(resource, tag) if status == 200 else 0
        if begin > len(body) or (begin and begin == len(body)):
            status, body = 416, b""
        elif begin:
            status = 206
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="lab"')
        if tag:
            self.send_header("ETag", tag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        elif status == 416:
            self.send_header("Content-Range", f"bytes */{len(resource.body)}")
        for name, value in resource.headers.items():
            self.send_header(name, value)
        length = len(body) - begin if resource.length is None or status != 200 else resource.length
        if length >= 0:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self._send(resource, memoryview(body)[begin if status == 206 else 0 :])

    def _begin(self, resource: Resource, tag: str | None) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not found or not resource.ranges:
            return 0
        condition = self.headers.get("If-Range")
        strong = tag if tag and not tag.startswith("W/") else None
        same = condition in (None, strong, resource.headers.get("Last-Modified"))
        return int(found[1]) if same or resource.always_partial else 0

    def _send(self, resource: Resource, body: memoryview) -> None:
        limit = resource.break_after.pop(0) if resource.break_after else len(body)
        sent = 0
        while sent < min(limit, len(body)):
            if resource.stall_after is not None and sent >= resource.stall_after:
                resource.stalled.set()
                resource.release.wait()
                return
            stop = limit if resource.stall_after is None else min(limit, resource.stall_after)
            block = body[sent : min(sent + _BLOCK, stop)]
            try:
                self.wfile.write(block)
            except OSError:
                return
            sent += len(block)
            resource.sent += len(block)


def _tag(resource: Resource) -> str | None:
    if resource.etag in ("strong", "weak"):
        digest = f'"{hashlib.md5(resource.body, usedforsecurity=False).hexdigest()}"'
        return f"W/{digest}" if resource.etag == "weak" else digest
    return resource.etag
