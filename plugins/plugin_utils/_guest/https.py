# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One HTTPS server on kept connections; tells a request that did not leave from one that was lost."""

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

from . import tls
from .base import GuestOptions
from .deadline import Deadline
from .errors import AgentNotThere, GuestError, InvalidInput
from .streams import Readable

_BLOCK = 256 * 1024  # bytes of a body that are read and sent at a time


class Interrupted(GuestError):
    """The request was sent, and no whole answer came back."""


@dataclass(frozen=True)
class Reply:
    """An answer that came whole."""

    status: int
    reason: str
    body: bytes
    location: str = ""
    """Where else to ask."""


def address(options: GuestOptions, port: int, what: str) -> tuple[str, int]:
    """The API's host and port, *port* where none is set. *what* the backend needs as a host. Raises InvalidInput."""
    host = (options.api_host or "").strip().strip("[]")
    if not host:
        raise InvalidInput(f"chr_api_host is not set for {options.vm!r}: backend {options.backend} needs {what}.")
    if any(letter in host for letter in "/@ ?#") or not host.isprintable() or not _encodable(host):
        raise InvalidInput(f"chr_api_host {host!r} is no host name or address; the port goes into chr_api_port.")
    port = port if options.api_port is None else options.api_port
    if not 0 < port < 65536:
        raise InvalidInput(f"chr_api_port {port} is no TCP port.")
    return host, port


def _encodable(host: str) -> bool:
    """Whether *host* can be asked for at all: no empty label, none that is too long."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


class Https:
    """Requests to one server. Safe to use from several threads. Times are in seconds.

    *where* names the server in messages, *authority* what chr_ca_path should be. A connection that was idle for *keep* is
    not used again: the server may be closing it. With *thumbprint*, the SHA-1 or SHA-256 of its certificate that a server which is
    believed has told (hex, with or without colons), the server must have just that certificate, and no authority is asked.
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
    ) -> Reply:
        """One request, which messages call *what*; connected to before *connect* and answered within *patience*.

        A *body* that can be read is sent block by block; *headers* then have its Content-Length, and *patience* is for each block.
        A server that answers before it has all of it is believed. The body of an answer that is no error is given *into* a
        function block by block where there is one, and *patience* is for each block.

        Raises AgentNotThere when it did not leave, Interrupted when it did and its fate is unknown, InvalidInput for a
        certificate that is not trusted and for a chr_ca_path that cannot be used.
        """
        connection = self._connection(connect)
        began = time.monotonic()
        try:
            connection.sock.settimeout(patience)
            with contextlib.ExitStack() as sending:
                if not isinstance(body, bytes | None):
                    sending.enter_context(contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError))
                connection.request(method, url, t.cast("t.Any", body), headers)
            answer = connection.getresponse()
            if into is not None and answer.status < 300:
                while block := answer.read(_BLOCK):
                    into(block)
            content = answer.read()
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
        return Reply(answer.status, answer.reason, content, answer.headers.get("Location", ""))

    def _connection(self, deadline: Deadline) -> http.client.HTTPSConnection:
        """An idle connection that still stands, or a new one. Raises as ``exchange``, but Interrupted."""
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                # readable without a question: the server's end of the connection
                if time.monotonic() - since < self._keep and not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        connection = http.client.HTTPSConnection(
            self._host,
            self._port,
            timeout=max(deadline.remaining, 0.5),
            context=tls.context(self._validate_certs and not self._thumbprint, self._ca_path),
            blocksize=_BLOCK,
        )
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise InvalidInput(
                f"The certificate of {self.where} is not trusted: {error.verify_message}. Give chr_ca_path {self._authority}, and "
                "name the server as its certificate does; chr_validate_certs: false gives the check up, and whoever is in between "
                "can read the password."
            ) from None
        except OSError as error:
            raise AgentNotThere(
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
            raise InvalidInput(
                f"The certificate of {self.where} has the {kind} {shown}, and it should be {self._thumbprint}: something else "
                "answers there, or the certificate was replaced and the server that names it does not know yet. Nothing was sent."
            )


def _words(error: Exception, seconds: float) -> str:
    """What became of a connection, for the middle of a sentence."""
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "it closed the connection in the middle of its answer"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
