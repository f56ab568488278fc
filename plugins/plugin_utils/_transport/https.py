# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Requests to one HTTPS server over kept connections.

A request that was not sent and one whose answer was lost raise different errors.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import select
import socket
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    Unreachable,
    UntrustedCertificate,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import ApiOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._core.streams import Readable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, line

from . import tls
from .bounded_response import API_REPLY, BLOCK, TooMuch, bound, response_of


class Interrupted(ChrError):
    """The request was sent, and no whole answer came back."""


@dataclass(frozen=True)
class Reply:
    """A complete answer of the server."""

    status: int
    reason: str
    body: bytes
    location: str = ""
    """The URL that a redirect names."""


def address(options: ApiOptions, port: int, what: str) -> tuple[str, int]:
    """Return the host and the port of the API.

    *port* is the default. *what* describes the host, for messages. Raises InvalidInput.
    """
    host = (options.api_host or "").strip().strip("[]")
    if not host:
        raise InvalidInput(f"chr_api_host is not set for {options.subject}: backend {options.backend} needs {what}.")
    if not valid_host(host):
        raise InvalidInput(
            f"chr_api_host {host!r} is not a valid host name or address; the port goes into chr_api_port."
        )
    port = port if options.api_port is None else options.api_port
    if not 0 < port < 65536:
        raise InvalidInput(f"chr_api_port {port} is not a valid TCP port.")
    return host, port


def valid_host(host: str) -> bool:
    """Whether *host* can be a host name or an address: no label is empty or too long."""
    if not host or any(letter in host for letter in "/@ ?#") or not host.isprintable():
        return False
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


class Https:
    """Requests to one server. Safe to use from several threads. Times are in seconds.

    *where* names the server in messages, and *authority* says what chr_ca_path should be. A
    connection that was idle for *keep* is not used again: the server may be closing it. With
    *thumbprint*, the SHA-1 or SHA-256 of a certificate that a trusted server has named (hex, with
    or without colons), the server must have exactly that certificate, and no authority is needed.
    """

    def __init__(
        self,
        where: str,
        address: tuple[str, int],
        *,
        validate_certs: bool,
        ca_path: str | None,
        authority: str,
        keep: float,
        thumbprint: str | None = None,
    ) -> None:
        self.where = where
        self.round_trip = 0.0
        """Seconds that the last exchange took."""
        self._host, self._port = address
        self._validate_certs, self._ca_path = validate_certs, ca_path
        self._authority = authority
        self._keep = keep
        self._thumbprint = (thumbprint or "").replace(":", "").lower() if validate_certs else ""
        self._idle: list[tuple[http.client.HTTPSConnection, float]] = []
        self._lock = threading.Lock()

    def exchange(
        self,
        what: str,
        method: str,
        url: str,
        body: bytes | Readable | None,
        headers: dict[str, str],
        connect: Deadline,
        patience: float,
        into: t.Callable[[bytes], object] | None = None,
        limit: int = API_REPLY,
    ) -> Reply:
        """Send one request, which messages call *what*, and return its answer.

        Nothing is sent twice. The server must accept a connection before *connect*, and its whole
        answer must come within *patience* and have at most *limit* bytes. A *body* that can be read
        is sent block by block; *headers* then have its Content-Length, and *patience* is for each
        block. A server may answer before it has the whole body. The body of a successful answer is
        passed block by block to *into*, if that is given; *patience* is for each block then.

        Raises Unreachable when the request was not sent, Interrupted when it was sent and its
        outcome is unknown, UntrustedCertificate, and InvalidInput for a chr_ca_path that cannot be
        used and for a request that is not valid HTTP.
        """
        connection = self._connection(connect)
        began = time.monotonic()
        try:
            connection.sock.settimeout(patience)
            bound(connection, seconds=patience, stall=patience, limit=limit)
            # A server that refuses a request for its header answers, and leaves its body unread.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                try:
                    connection.request(method, url, t.cast("t.Any", body), headers)
                except ValueError:  # its text would show the value, such as a ticket
                    raise InvalidInput(
                        f"{what} cannot be sent to {self.where}: its URL or a header has a character that HTTP does not allow."
                    ) from None
            answer = response_of(connection)
            content = bytearray()
            if into is not None and answer.status < 300:
                for block in answer.blocks():
                    into(block)
                    answer.more_time(patience)
            else:
                for block in answer.blocks():
                    content += block
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Interrupted(f"{self.where} did not answer {what} to its end: {_words(error, patience)}.") from None
        except BaseException:
            connection.close()
            raise
        self.round_trip = time.monotonic() - began
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append((connection, time.monotonic()))
        return Reply(answer.status, answer.reason, bytes(content), answer.headers.get("Location", ""))

    def _connection(self, deadline: Deadline) -> http.client.HTTPSConnection:
        """Return an idle connection that is still open, or a new one.

        Raises Unreachable, InvalidInput.
        """
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                # Readable before a request: the server has closed it.
                if time.monotonic() - since < self._keep and not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        connection = http.client.HTTPSConnection(
            self._host,
            self._port,
            timeout=max(deadline.remaining, 0.5),
            context=tls.context(self._validate_certs and not self._thumbprint, self._ca_path),
            blocksize=BLOCK,
        )
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise UntrustedCertificate(
                f"The certificate of {self.where} is not trusted: {error.verify_message}. Give chr_ca_path {self._authority}, and "
                "name the server as its certificate does. With chr_validate_certs: false nothing is checked, and anyone in between "
                "can read the password."
            ) from None
        except OSError as error:
            raise Unreachable(
                f"{self.where} cannot be reached: {_words(error, deadline.seconds)}. Check chr_api_host and chr_api_port."
            ) from None
        self._check_thumbprint(connection)
        with contextlib.suppress(OSError):
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _check_thumbprint(self, connection: http.client.HTTPSConnection) -> None:
        if not self._thumbprint:
            return
        kind = "sha1" if len(self._thumbprint) == 40 else "sha256"
        shown = hashlib.new(kind, connection.sock.getpeercert(binary_form=True) or b"").hexdigest()
        if shown != self._thumbprint:
            connection.close()
            raise UntrustedCertificate(
                f"The certificate of {self.where} has the {kind} {shown}, and it should be {self._thumbprint}: something else "
                "answers there, or the certificate was replaced and the server that names it does not know yet. Nothing was sent."
            )


def _words(error: Exception, seconds: float) -> str:
    """Describe a broken connection, for the middle of a sentence."""
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, TooMuch):
        return f"its answer is too large ({error})"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "it closed the connection in the middle of its answer"
    if isinstance(error, http.client.BadStatusLine):
        return f"it answered {excerpt(str(error))}, which is not HTTP"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    return getattr(error, "strerror", None) or line(str(error)) or type(error).__name__
