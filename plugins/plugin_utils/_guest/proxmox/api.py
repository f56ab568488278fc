# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The REST interface of Proxmox VE: kept connections, and one login for all tasks.

Why http.client and no library: proxmoxer cannot send the JSON bodies that a list without members needs, and hides whether a
request had left when a connection broke; that decides here between "try again" and "outcome unknown". requests hides the
latter too, and its import costs every task of every host more than the exchange itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from ..base import GuestOptions
from ..deadline import Deadline
from ..errors import AgentNotThere, GuestError, InvalidInput, LoginRefused, NotPermitted
from ..https import Https, Interrupted, Reply, address
from ..sessions import Login, SharedSession
from ..streams import Readable
from .multipart import Multipart

PORT = 8006
REPLY_TIMEOUT = 40.0
"""Seconds for a reply: the proxy between the nodes gives up after 30."""
FORM_LIMIT = 60_000
"""Bytes of a form body; with its header it must stay below the 64 KiB that pve-http-server before 5.2.1 takes."""
_IDLE = 2.0  # the server closes a connection after 5 s without a request


class ApiError(GuestError):
    """The server answered with an error.

    Attributes: ``status`` (HTTP), ``said`` (the server's own text: status line, message, parameter errors).
    """

    def __init__(self, where: str, request: str, status: int, said: str) -> None:
        super().__init__(f"{where} answered {request} with {status}: {said or 'no text came with it'}")
        self.status = status
        self.said = said


@dataclass(frozen=True)
class Access:
    """How to get in. Nothing secret in the representation."""

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    token_id: str | None
    token_secret: str | None = field(repr=False)
    validate_certs: bool
    ca_path: str | None
    directory: Path
    """Where the session of a password login is kept for other tasks."""

    @classmethod
    def of(cls, options: GuestOptions) -> t.Self:
        """What the options of the connection say. Raises InvalidInput."""
        host, port = address(options, PORT, "the name of a node")
        user = (options.api_user or "").strip()
        if options.api_token_id:
            if not options.api_token_secret:
                raise InvalidInput("chr_api_token_id is set and chr_api_token_secret is not.")
            if "!" not in options.api_token_id and not user:
                raise InvalidInput("chr_api_token_id needs the form user@realm!name, or chr_api_user beside it.")
        elif not (user and options.api_password):
            raise InvalidInput(
                f"No login for {host!r}: set chr_api_token_id and chr_api_token_secret, or chr_api_user and chr_api_password."
            )
        secret, token = options.api_token_secret, options.api_token_id
        for name, value in (("chr_api_token_secret", secret), ("chr_api_token_id", token)):
            if value and not (value.isascii() and value.isprintable() and " " not in value):
                raise InvalidInput(f"{name} has a character that no API token has.")
        if user and "@" not in user:
            raise InvalidInput(f"chr_api_user {user!r} needs its realm, as in {user}@pam.")
        return cls(
            host=host,
            port=port,
            user=user,
            password=options.api_password,
            token_id=token,
            token_secret=secret,
            validate_certs=options.validate_certs,
            ca_path=options.ca_path,
            directory=options.runtime_directory,
        )

    @property
    def token(self) -> str | None:
        """``user@realm!id`` of the API token; None: log in with the password."""
        if not self.token_id:
            return None
        return self.token_id if "!" in self.token_id else f"{self.user}!{self.token_id}"

    @property
    def login(self) -> str:
        """Who we are, for messages."""
        return f"token {self.token}" if self.token else self.user


class Api:
    """Calls to one server as one user. Safe to use from several threads. Times are in seconds."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.where = f"Proxmox VE at {access.host}:{access.port}"
        self._server = Https(
            self.where,
            (access.host, access.port),
            validate_certs=access.validate_certs,
            ca_path=access.ca_path,
            authority="the authority that signed it (on a node: /etc/pve/pve-root-ca.pem)",
            keep=_IDLE,
        )
        self._ticket: dict[str, str] | None = None
        self._login_lock = threading.Lock()
        self._shared = SharedSession(
            Login(
                kind="proxmox",
                where=self.where,
                user=access.user,
                password=access.password or "",
                directory=access.directory,
                wait=2 * REPLY_TIMEOUT,
            )
        )
        self._version: tuple[int, int] | None = None

    @property
    def round_trip(self) -> float:
        """Seconds that the last exchange took."""
        return self._server.round_trip

    def version(self, timeout: float) -> tuple[int, int]:
        """(major, minor) of the server."""
        if self._version is None:
            answer = self.call("GET", "/version", timeout=timeout)
            try:
                numbers = str(answer["version"]).replace("-", ".").split(".")
                self._version = (int(numbers[0]), int(numbers[1]))
            except (KeyError, TypeError, ValueError, IndexError):
                raise GuestError(f"{self.where} does not say its version: is that Proxmox VE?") from None
        return self._version

    def call(
        self,
        method: str,
        path: str,
        values: dict[str, t.Any] | None = None,
        *,
        as_json: bool = False,
        timeout: float = 30.0,
        patience: float = REPLY_TIMEOUT,
    ) -> t.Any:
        """The ``data`` of one call, connected to within *timeout* and answered within *patience*.

        *values* travel as a JSON object or a form (GET and DELETE: the query).

        Raises AgentNotThere when the request did not leave, Interrupted when it did and its fate is unknown, ApiError for
        an answer with an error, NotPermitted for 401 and 403, InvalidInput for a certificate that is not trusted.
        """
        deadline = Deadline(timeout)
        reply = self._as_ourselves(
            method,
            lambda headers: self._exchange(method, path, values, as_json, headers, deadline, patience),
            deadline,
            patience,
        )
        return self._data(f"{method} {path}", reply)

    def upload(
        self,
        path: str,
        fields: dict[str, str],
        name: str,
        size: int,
        begin: t.Callable[[], Readable],
        *,
        timeout: float = 30.0,
        patience: float = REPLY_TIMEOUT,
    ) -> t.Any:
        """The ``data`` of a POST of *fields* and one file, which *begin* opens at its beginning and whose *name* the server uses.

        The file is read while it is sent; *patience* is for each block, and for the answer. Raises as ``call``.
        """
        deadline = Deadline(timeout)

        def send(headers: dict[str, str]) -> Reply:
            body = Multipart(fields, name, begin(), size)
            headers = {"Accept": "application/json", **headers, **body.headers}
            return self._server.exchange(f"POST {path}", "POST", f"/api2/json{path}", body, headers, deadline, patience)

        return self._data(f"POST {path}", self._as_ourselves("POST", send, deadline, patience))

    def _as_ourselves(
        self, method: str, send: t.Callable[[dict[str, str]], Reply], deadline: Deadline, patience: float
    ) -> Reply:
        """What *send* gets with the headers that say who we are; a second time where the ticket has ended. Raises NotPermitted."""
        refused = None  # tickets end after two hours, and when the server says so
        for attempt in (1, 2):
            ticket = None if self.access.token else self._open(refused, deadline, patience)
            reply = send(self._credentials(method, ticket))
            if reply.status != 401:
                break
            if ticket is None or attempt == 2:
                raise NotPermitted(self._not_known(reply.reason))
            refused = ticket
        return reply

    # -- who we are --------------------------------------------------------------------------------------------------

    def _credentials(self, method: str, ticket: dict[str, str] | None) -> dict[str, str]:
        if ticket is None:
            return {"Authorization": f"PVEAPIToken={self.access.token}={self.access.token_secret or ''}"}
        headers = {"Cookie": f"PVEAuthCookie={ticket['ticket']}"}
        return headers if method == "GET" else {**headers, "CSRFPreventionToken": ticket["prevention"]}

    def _open(self, refused: dict[str, str] | None, deadline: Deadline, patience: float) -> dict[str, str]:
        """The ticket of this user, shared with all tasks; a new one where there is none or it is the *refused* one."""
        with self._login_lock:
            if self._ticket is None or self._ticket == refused:
                self._ticket = self._shared.get(lambda: self._log_in(deadline, patience), refused)
            return self._ticket

    def forget(self) -> None:
        """Log in anew next time, here and in every other task."""
        with self._login_lock:
            self._ticket = None
            if not self.access.token:
                self._shared.forget()

    def _log_in(self, deadline: Deadline, patience: float) -> dict[str, str]:
        values = {"username": self.access.user, "password": self.access.password or ""}
        try:
            reply = self._exchange("POST", "/access/ticket", values, False, {}, deadline, patience)
        except Interrupted as error:
            raise AgentNotThere(str(error)) from None  # the request that needs the ticket was not sent
        if reply.status == 401:
            raise LoginRefused(
                f"{self.where} refused the password of {self.access.user!r} (401 {reply.reason}). Check chr_api_user, which needs "
                "its realm (root@pam), and chr_api_password."
            )
        data = self._data("POST /access/ticket", reply)
        try:
            if data.get("NeedTFA"):
                raise NotPermitted(
                    f"{self.where} wants a second factor of {self.access.user!r}: use an API token (chr_api_token_id, "
                    "chr_api_token_secret) instead of the password."
                )
            return {"ticket": str(data["ticket"]), "prevention": str(data["CSRFPreventionToken"])}
        except (AttributeError, KeyError, TypeError):
            raise GuestError(f"{self.where} answered the login without a ticket.") from None

    def _not_known(self, reason: str) -> str:
        if self.access.token:
            return (
                f"{self.where} does not accept the API token {self.access.token!r} (401 {reason}): it does not exist, has "
                "expired, or chr_api_token_secret is wrong."
            )
        return f"{self.where} logged {self.access.user!r} in and then refused its ticket (401 {reason})."

    # -- HTTP --------------------------------------------------------------------------------------------------------

    def _exchange(
        self,
        method: str,
        path: str,
        values: dict[str, t.Any] | None,
        as_json: bool,
        headers: dict[str, str],
        deadline: Deadline,
        patience: float,
    ) -> Reply:
        body = None
        url = f"/api2/json{path}"
        if method in ("GET", "DELETE"):  # pve-http-server takes no body with these
            url += f"?{urlencode(values)}" if values else ""
        elif as_json:
            body, kind = json.dumps(values or {}).encode("ascii"), "application/json"
        else:
            body, kind = urlencode(values or {}).encode("ascii"), "application/x-www-form-urlencoded"
        if body is not None:
            headers = {**headers, "Content-Type": kind}
        headers = {"Accept": "application/json", **headers}
        return self._server.exchange(f"{method} {path}", method, url, body, headers, deadline, patience)

    def _data(self, request: str, reply: Reply) -> t.Any:
        status = reply.status
        try:
            answer = json.loads(reply.body) if reply.body else {}
        except ValueError:
            answer = None
        if 200 <= status < 300:
            if not isinstance(answer, dict) or "data" not in answer:
                raise Interrupted(f"{self.where} answered {request} with something else than Proxmox VE's JSON.")
            return answer["data"]
        said = _said(reply.reason, answer)
        if status == 403:
            raise NotPermitted(f"{self.where} does not let {self.access.login} do this (403 {said}).")
        raise ApiError(self.where, request, status, said)


def _said(reason: str, answer: t.Any) -> str:
    """The server's words: the status line, and from the body ``message`` (pve-http-server 5.2.0) and ``errors``."""
    parts = [reason.strip()]
    if isinstance(answer, dict):
        parts.append(str(answer.get("message") or "").strip())
        if isinstance(errors := answer.get("errors"), dict):
            parts += [f"{name}: {str(text).strip()}" for name, text in errors.items()]
    kept: list[str] = []
    for part in parts:
        if part and part not in kept:
            kept.append(part)
    text = "; ".join(kept)
    return "".join(letter if letter.isprintable() else " " for letter in text)[:500]


_apis: dict[tuple[t.Any, ...], Api] = {}
_apis_lock = threading.Lock()


def shared_api(access: Access) -> Api:
    """The one session of this process with that server as that user; a fork starts its own."""
    secrets = hashlib.sha256(json.dumps([access.password, access.token_secret]).encode()).digest()
    key = (os.getpid(), access.host, access.port, access.login, access.validate_certs, access.ca_path, secrets)
    with _apis_lock:
        if key not in _apis:
            _apis[key] = Api(access)
        return _apis[key]
