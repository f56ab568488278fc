# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pveproxy: HTTP in front of the lab's cluster, as pve-http-server 3.2 to 6.0.5 speaks it.

Which answers close the connection, which have a body, and what is answered before a body was read
was seen with that server's own code.
"""

from __future__ import annotations

import http.server
import json
import re
import secrets
import socket
import struct
import time
import typing as t
from urllib.parse import parse_qsl, unquote, urlsplit

from .storage import receive
from .tasks import Died

if t.TYPE_CHECKING:
    from .server import LabProxmox

_UPLOAD_PATH = re.compile(r"/nodes/([^/]+)/storage/([^/]+)/upload$")
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


class Listing(list[t.Any]):
    """Data of an answer that also tells how much there is in all."""

    def __init__(self, rows: t.Iterable[t.Any], total: int) -> None:
        super().__init__(rows)
        self.total = total


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxmox: LabProxmox

    def log_message(self, format: str, *args: t.Any) -> None:
        """Quiet."""

    def handle_one_request(self) -> None:
        self.connection.settimeout(self.proxmox.idle_seconds)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.connection.settimeout(None)
        return super().parse_request()

    def do_GET(self) -> None:
        if self._has_no_body():
            url = urlsplit(self.path)
            self._serve("GET", url.path, dict(parse_qsl(url.query, keep_blank_values=True)))

    def do_DELETE(self) -> None:
        if self._has_no_body():
            url = urlsplit(self.path)
            self._serve("DELETE", url.path, dict(parse_qsl(url.query, keep_blank_values=True)))

    def _has_no_body(self) -> bool:
        if not int(self.headers.get("Content-Length", 0)):
            return True
        self._plain(501, f"Unexpected content for method '{self.command}'")
        return False

    def do_PUT(self) -> None:
        self.do_POST("PUT")

    def do_POST(self, method: str = "POST") -> None:
        length = int(self.headers.get("Content-Length", 0))
        path = unquote(urlsplit(self.path).path).removeprefix("/api2/json")
        kind = self.headers.get("Content-Type", _FORM).partition(";")[0]
        if method == "POST" and (place := _UPLOAD_PATH.match(path)):
            self._upload(place[1], place[2], length)
        elif length > self.proxmox.largest_body:
            self._plain(501, "for data too large")  # on the header, and the body stays unread
        elif kind not in (_FORM, _JSON) and not self._is_faulty(path):
            self._plain(506, f"upload 'Content-Type '{self.headers['Content-Type']}' not implemented")
        else:
            body = self.rfile.read(length)
            try:
                values = self._json(body) if kind == _JSON else _form(body)
            except ValueError as error:
                self._plain(500 if self.proxmox.number >= (8, 4) else 501, f"malformed JSON string, {error}")
            else:
                self._serve(method, urlsplit(self.path).path, values)

    def _json(self, body: bytes) -> dict[str, t.Any]:
        values = json.loads(body)
        if not isinstance(values, dict):
            raise ValueError("Not a HASH reference")  # noqa: TRY004 - one kind of malformed body
        if self.proxmox.number >= (8, 0):
            return values
        # Up to 7.4 it goes on to pvedaemon as a form, without null and empty lists.
        flat = {
            name: "\0".join(map(str, value)) if isinstance(value, list) else value for name, value in values.items()
        }
        return {name: value for name, value in flat.items() if value is not None and values[name] != []}

    def _upload(self, node: str, storage: str, length: int) -> None:
        """A form with a file; the connection ends with it."""
        pve, self.close_connection = self.proxmox, True
        spool = pve.folder / f"pveupload-{secrets.token_hex(8)}"

        def take() -> t.Any:
            login = pve.login("POST", self.headers)
            if pve.spool_full:
                raise Died(501, "write to temporary file failed - No space left on device")
            kind = self.headers.get("Content-Type", "")
            return pve.start_upload(node, storage, receive(self.rfile, length, kind, spool, pve.uploading), login)

        try:
            self._answer(f"/nodes/{node}/storage/{storage}/upload", take)
        except OSError:
            spool.unlink(missing_ok=True)

    def _serve(self, method: str, path: str, values: dict[str, t.Any]) -> None:
        path = unquote(path).removeprefix("/api2/json")
        self._answer(path, lambda: self.proxmox.answer(method, path, values, self.headers))

    def _is_faulty(self, path: str) -> bool:
        return any(part in path for part in self.proxmox.faults)

    def _answer(self, path: str, answer: t.Callable[[], t.Any]) -> None:
        for part, fault in self.proxmox.faults.items():
            if part in path and self._fail(fault):
                return
        try:
            data = answer()
        except Died as error:
            self._refuse(error)
            return
        for lost in self.proxmox.lost:
            if lost[0] == self.command and path.endswith(lost[1]):
                self.proxmox.lost.remove(lost)
                self._fail("reset")
                return
        body = {"data": data, **({"total": data.total} if isinstance(data, Listing) else {})}
        self._send(200, "OK", json.dumps(body).encode(), by_daemon=self.proxmox.by_daemon(self.command, path))

    def _refuse(self, error: Died) -> None:
        if error.status == 401:
            time.sleep(self.proxmox.refusal_seconds)
        if error.status in (401, 506) or error.status >= 595:  # it never came to a handler of the API
            self._send(error.status, error.reason)
            return
        body: dict[str, t.Any] = {"data": None}
        if error.errors:
            body["errors"] = error.errors
        if self.proxmox.number >= (8, 4):
            body["message"] = error.reason if error.status == 501 else f"{error.reason}\n"
        self._send(error.status, error.reason, json.dumps(body).encode())

    def _plain(self, status: int, reason: str) -> None:
        """Refuse in plain text, which older versions leave out."""
        content = reason.encode() if self.proxmox.number >= (8, 4) else b""
        self._send(status, reason, content, kind="")

    def _fail(self, fault: str) -> bool:
        if fault == "hang":
            time.sleep(60)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
        elif fault != "hang":
            status, _unused, reason = fault.partition(" ")
            self._send(int(status), reason, json.dumps({"data": None}).encode() if int(status) < 595 else b"")
            return True
        self.close_connection = True
        self.connection.close()
        return True

    def _send(
        self,
        status: int,
        reason: str,
        content: bytes = b"",
        *,
        kind: str = "application/json;charset=UTF-8",
        by_daemon: bool = False,
    ) -> None:
        closes = status >= 400 or self.close_connection
        self.send_response(status, reason)
        if content:
            self.send_header("Content-Length", str(len(content)))
            if kind:
                self.send_header("Content-Type", kind)
        if by_daemon and not closes:
            self.send_header("Connection", "close")  # pvedaemon's own, passed on
        self.send_header("Connection", "close" if closes else "Keep-Alive")
        self.end_headers()
        self.wfile.write(content)


def _form(body: bytes) -> dict[str, t.Any]:
    values: dict[str, t.Any] = {}
    for key, value in parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=99):
        values[key] = f"{values[key]}\0{value}" if key in values else value
    return values
