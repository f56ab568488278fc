# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The REST interface of Proxmox VE: proxmoxer's resources over the collection's own transport.

proxmoxer works with any object that has the method ``request`` of a requests session. The one
given to it here keeps connections, sends JSON bodies (a form cannot express a list without
members), and distinguishes a request that never left from one whose fate is unknown. That
decides between "try again" and "outcome unknown".
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ansible_collections.outofband.chr.plugins.plugin_utils._core import library as libraries
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    LoginRefused,
    NotPermitted,
    NotPossible,
    TooLarge,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads
from ansible_collections.outofband.chr.plugins.plugin_utils._core.streams import Readable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.api_login import ApiLogin
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted, Reply

from .options import ProxmoxServer

PORT = 8006
REPLY_TIMEOUT = 40.0
"""Seconds to wait for a reply. The proxy between the nodes gives up after 30."""
_ANSWER = 10.0  # seconds for the answer to a request that can be repeated
_IDLE = 2.0  # the server closes a connection after 5 s without a request
_BASE = "/api2/json"

Resource = t.Any
"""A ProxmoxResource of proxmoxer, as in ``pve.nodes("pve1").qemu(100).config.get()``."""
Ask = t.Callable[[Resource], t.Any]
"""Makes one request with a resource and returns the answer.

The resource is the root of the API, unless the caller says otherwise.
"""
Body = tuple[bytes | Readable | None, dict[str, str]]
"""The body of a request, and the headers that describe it."""


def library() -> t.Any:
    """Import proxmoxer. Raises NotPossible if it is missing or too old."""
    proxmoxer = libraries.load("proxmoxer", backend="proxmox", requirement="proxmoxer>=2")
    version = str(proxmoxer.__version__)
    if version.startswith(("0.", "1.")):
        raise NotPossible(
            f"Backend proxmox needs proxmoxer>=2, but {sys.executable} has {version}. "
            f"Install it for that Python: {sys.executable} -m pip install 'proxmoxer>=2'"
        )
    # It logs what is sent (scripts, passwords) at INFO and what is received at DEBUG. A filter
    # works whatever level somebody sets later.
    logging.getLogger("proxmoxer.core").addFilter(_shows_no_data)
    return proxmoxer


def warm_up() -> None:
    """Run proxmoxer's code once before Ansible forks, without a server.

    Otherwise each worker takes 1 ms longer. Raises NotPossible if proxmoxer is missing.
    """
    resource, reply = library().ProxmoxResource, Reply(200, "OK", b'{"data": null}')
    for encode in (form_body, json_body) * 20:  # as often as Python's interpreter needs to specialise the code

        def send(_method: str, _url: str, body: t.Callable[[], Body]) -> Reply:
            body()
            return reply

        pve = resource(base_url=_BASE, session=_Session(send, encode), serializer=_Serializer(""))
        pve.cluster.resources.get(type="vm")
        pve.nodes("pve").qemu(100).agent("exec").post(command=[])


def _shows_no_data(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


class ApiError(ChrError):
    """The server answered with an error.

    Attributes: ``status`` (the HTTP status), ``said`` (the server's own text: status line, message,
    errors about parameters).
    """

    def __init__(self, where: str, request: str, status: int, said: str) -> None:
        super().__init__(f"{where} answered {request} with {status}: {said or 'gave no reason'}")
        self.status = status
        self.said = said


@dataclass(frozen=True)
class ProxmoxLogin(ApiLogin):
    """A login with an API token, or with user and password."""

    token_id: str | None
    token_secret: str | None = field(repr=False)

    @classmethod
    def from_options(cls, options: ProxmoxServer) -> t.Self:
        """Read the options of the connection. Raises InvalidInput."""
        secret, token = options.api_token_secret, options.api_token_id
        login = cls.read(options, PORT, "the name of a node", token_id=token, token_secret=secret)
        if token:
            if not secret:
                raise InvalidInput("chr_api_token_id is set and chr_api_token_secret is not.")
            if "!" not in token and not login.user:
                raise InvalidInput("chr_api_token_id needs the form user@realm!name, or chr_api_user with the user.")
        elif not (login.user and login.password):
            raise InvalidInput(
                f"No login for {login.host!r}: set chr_api_token_id and chr_api_token_secret, or chr_api_user and chr_api_password."
            )
        for name, value in (("chr_api_token_secret", secret), ("chr_api_token_id", token)):
            if value and not (value.isascii() and value.isprintable() and " " not in value):
                raise InvalidInput(f"{name} has a character that is not valid in an API token.")
        if login.user and "@" not in login.user:
            raise InvalidInput(f"chr_api_user {login.user!r} needs its realm, as in {login.user}@pam.")
        return login

    @property
    def where(self) -> str:
        return f"Proxmox VE at {super().where}"

    @property
    def token(self) -> str | None:
        """``user@realm!id`` of the API token. None means a login with the password."""
        if not self.token_id:
            return None
        return self.token_id if "!" in self.token_id else f"{self.user}!{self.token_id}"

    @property
    def account(self) -> str:
        """The user or the token, for messages."""
        return f"token {self.token}" if self.token else self.user


def max_body(version: tuple[int, int] | None) -> int:
    """The largest body of a request in bytes. An unknown *version* counts as a new one.

    pve-http-server 5.2.1, in Proxmox VE 8.4, raised it from 64 to 512 KiB. 256 bytes stay free: the
    server writes the body anew for the process that carries it out.
    """
    return (64 if version is not None and version < (8, 4) else 512) * 1024 - 256


def form_body(values: dict[str, t.Any]) -> Body:
    """Encode *values* as the fields of a form."""
    return urlencode(values).encode("ascii"), {"Content-Type": "application/x-www-form-urlencoded"}


def json_body(values: dict[str, t.Any]) -> Body:
    """Encode *values* as a JSON object."""
    return json.dumps(values).encode("ascii"), {"Content-Type": "application/json"}


class _Response:
    """An answer in the form that proxmoxer expects."""

    def __init__(self, request: str, reply: Reply) -> None:
        self.request = request
        self.status_code = reply.status
        self.reason = reply.reason
        # proxmoxer formats every answer for its log: a view costs nothing there and shows nothing.
        self.content = memoryview(reply.body)


class _Serializer:
    """Decodes the answers for proxmoxer. *where* names the server in messages."""

    def __init__(self, where: str) -> None:
        self._where = where

    def loads(self, response: _Response) -> t.Any:
        """The ``data`` of an answer. Raises Interrupted if the answer is not Proxmox VE's."""
        answer = _decoded(response)
        if "data" not in answer:
            raise Interrupted(f"{self._where} answered {response.request} with something other than Proxmox VE's JSON.")
        return answer["data"]

    def loads_errors(self, response: _Response) -> list[str]:
        """The texts in the body of an error.

        They are ``message`` (since pve-http-server 5.2.0) and ``errors`` about parameters.
        """
        answer = _decoded(response)
        errors = answer.get("errors")
        named = errors.items() if isinstance(errors, dict) else ()
        return [str(answer.get("message") or ""), *(f"{name}: {str(text).strip()}" for name, text in named)]


def _decoded(response: _Response) -> dict[str, t.Any]:
    """The JSON object in an answer, or an empty one if the answer is something else."""
    try:
        answer = loads(response.content.tobytes())
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


class _Session:
    """The object that proxmoxer uses instead of a requests session, for one call.

    *send* gets the method, the URL and a function that makes the body. It calls that function
    again when it repeats the request with a new ticket.
    """

    def __init__(
        self, send: t.Callable[[str, str, t.Callable[[], Body]], Reply], encode: t.Callable[[dict[str, t.Any]], Body]
    ) -> None:
        self._send, self._encode = send, encode
        self.asked = ""
        """The last request, for messages."""

    def request(
        self, method: str, url: str, data: dict[str, t.Any] | None = None, params: dict[str, t.Any] | None = None
    ) -> _Response:
        self.asked = _request_line(method, url)
        if params:
            url += f"?{urlencode(params)}"
        with_body = method in ("POST", "PUT")  # pve-http-server takes no body with the others
        return _Response(
            self.asked, self._send(method, url, lambda: self._encode(data or {}) if with_body else (None, {}))
        )


def _request_line(method: str, url: str) -> str:
    """The request for messages, without its values."""
    return f"{method} {url.partition('?')[0].removeprefix(_BASE)}"


class Api:
    """Calls to one server as one user. Safe to use from several threads. Times are in seconds.

    Raises NotPossible if proxmoxer is missing.
    """

    def __init__(self, login: ProxmoxLogin) -> None:
        self.login = login
        self.where = login.where
        self._library = library()
        self._server = login.server(
            self.where,
            login.host,
            authority="the authority that signed it (on a node: /etc/pve/pve-root-ca.pem)",
            keep=_IDLE,
        )
        self._ticket: dict[str, str] | None = None
        self._login_lock = threading.Lock()
        self._shared = login.session("proxmox", wait=2 * REPLY_TIMEOUT)
        self._version: tuple[int, int] | None = None

    @property
    def round_trip(self) -> float:
        """Seconds that the last exchange took."""
        return self._server.round_trip

    def version(self, timeout: float) -> tuple[int, int]:
        """The server's version as (major, minor)."""
        if self._version is None:
            answer = self.call(lambda pve: pve.version.get(), timeout=timeout)
            try:
                numbers = str(answer["version"]).replace("-", ".").split(".")
                self._version = (int(numbers[0]), int(numbers[1]))
            except (KeyError, TypeError, ValueError, IndexError):
                raise ChrError(f"{self.where} answered without a version. Is it Proxmox VE?") from None
        return self._version

    def call(
        self,
        ask: Ask,
        *,
        encode: t.Callable[[dict[str, t.Any]], Body] = form_body,
        timeout: float = 30.0,
        patience: float = REPLY_TIMEOUT,
    ) -> t.Any:
        """Return the answer to *ask*.

        *timeout*: seconds to connect. *patience*: seconds to wait for the answer. A login and a GET
        can be repeated, so they wait at most _ANSWER seconds longer than *timeout*. *encode* makes
        the body of a POST or PUT from its values. If the body is a stream, *patience* is for each
        block of it, and for the answer.

        Raises Unreachable when the request did not leave, Interrupted when it did and its fate is
        unknown, ApiError for an answer with an error, NotPermitted for 401 and 403, InvalidInput
        for a certificate that is not trusted, TooLarge for a body that the server would not take.
        """
        deadline = Deadline(timeout)
        quick = min(patience, timeout + _ANSWER)

        def send(method: str, url: str, body: t.Callable[[], Body]) -> Reply:
            refused = None  # tickets end after two hours, and when the server says so
            for attempt in (1, 2):
                ticket = None if self.login.token else self._open(refused, deadline, quick)
                wait = quick if method == "GET" else patience
                reply = self._exchange(method, url, body(), self._credentials(method, ticket), deadline, wait)
                if reply.status != 401:
                    break
                if ticket is None or attempt == 2:
                    raise NotPermitted(self._not_known())
                refused = ticket
            return reply

        return self._answer(ask, _Session(send, encode))

    def _answer(self, ask: Ask, session: _Session) -> t.Any:
        """Return what *ask* gets over *session*.

        A ResourceException of proxmoxer becomes ApiError or NotPermitted.
        """
        root = self._library.ProxmoxResource(base_url=_BASE, session=session, serializer=_Serializer(self.where))
        try:
            return ask(root)
        except self._library.ResourceException as error:
            said = _said([error.content, *error.errors])
            if error.status_code == 403:
                raise NotPermitted(f"{self.where} does not let {self.login.account} do this (403 {said}).") from None
            raise ApiError(self.where, session.asked, error.status_code, said) from None

    # -- who we are --------------------------------------------------------------------------------

    def _credentials(self, method: str, ticket: dict[str, str] | None) -> dict[str, str]:
        if ticket is None:
            return {"Authorization": f"PVEAPIToken={self.login.token}={self.login.token_secret or ''}"}
        protect(ticket["ticket"], ticket["prevention"])
        headers = {"Cookie": f"PVEAuthCookie={ticket['ticket']}"}
        return headers if method == "GET" else {**headers, "CSRFPreventionToken": ticket["prevention"]}

    def _open(self, refused: dict[str, str] | None, deadline: Deadline, patience: float) -> dict[str, str]:
        """Return the ticket of this user, which all tasks share.

        If there is no ticket, or it is the *refused* one, log in to get a new one.
        """
        with self._login_lock:
            if self._ticket is None or self._ticket == refused:
                self._ticket = self._shared.get(lambda: self._log_in(deadline, patience), refused)
            return self._ticket

    def forget(self) -> None:
        """Forget the ticket. This and every other task log in again for the next call."""
        with self._login_lock:
            self._ticket = None
            if not self.login.token:
                self._shared.forget()

    def _log_in(self, deadline: Deadline, patience: float) -> dict[str, str]:
        def send(method: str, url: str, body: t.Callable[[], Body]) -> Reply:
            return self._exchange(method, url, body(), {}, deadline, patience)

        values = {"username": self.login.user, "password": self.login.password}
        try:
            data = self._answer(lambda pve: pve.access.ticket.post(**values), _Session(send, form_body))
        except Interrupted as error:
            raise Unreachable(str(error)) from None  # the request that needs the ticket was not sent
        except ApiError as error:
            if error.status != 401:
                raise
            raise LoginRefused(
                f"{self.where} refused the password of {self.login.user!r} (401). Check chr_api_user, which needs "
                "its realm (root@pam), and chr_api_password."
            ) from None
        try:
            if data.get("NeedTFA"):
                raise NotPermitted(
                    f"{self.where} wants a second factor of {self.login.user!r}: use an API token (chr_api_token_id, "
                    "chr_api_token_secret) instead of the password."
                )
            ticket = {"ticket": str(data["ticket"]), "prevention": str(data["CSRFPreventionToken"])}
        except (AttributeError, KeyError, TypeError):
            raise ChrError(f"{self.where} answered the login without a ticket.") from None
        if not all(one.isascii() and one.isprintable() for one in ticket.values()):
            raise ChrError(f"{self.where} answered the login with a ticket that HTTP cannot carry.")
        return ticket

    def _not_known(self) -> str:
        if self.login.token:
            return (
                f"{self.where} does not accept the API token {self.login.token!r} (401): it does not exist, has "
                "expired, or chr_api_token_secret is wrong."
            )
        return f"{self.where} logged {self.login.user!r} in and then refused its ticket (401)."

    def _exchange(
        self, method: str, url: str, body: Body, credentials: dict[str, str], deadline: Deadline, patience: float
    ) -> Reply:
        """Send one request and never repeat it. Raises the errors of ``call``."""
        content, described = body
        headers = {"Accept": "application/json", **credentials, **described}
        what = _request_line(method, url)
        limit = max_body(self._version)
        if isinstance(content, bytes) and len(content) > limit:
            raise TooLarge(
                f"{self.where} takes at most {limit} bytes in the body of a request, and {what} would have "
                f"{len(content)}; nothing was sent."
            )
        reply = self._server.exchange(what, method, url, content, headers, deadline, patience)
        if reply.status < 200 or 300 <= reply.status < 400:  # proxmoxer would return None
            raise ApiError(self.where, what, reply.status, _said([reply.reason]))
        return reply


def _said(texts: t.Iterable[str]) -> str:
    """Join the server's words into one line, each of them once."""
    text = "; ".join(dict.fromkeys(word for text in texts if (word := text.strip())))
    return line(text)


_apis: dict[tuple[t.Any, ...], Api] = {}
_apis_lock = threading.Lock()


def shared_api(login: ProxmoxLogin) -> Api:
    """Return the one Api of this process for the server and user of *login*.

    A forked process makes its own. Raises NotPossible if proxmoxer is missing.
    """
    secrets = hashlib.sha256(json.dumps([login.password, login.token_secret]).encode()).digest()
    key = (os.getpid(), login.host, login.port, login.account, login.validate_certs, login.ca_path, secrets)
    with _apis_lock:
        if key not in _apis:
            _apis[key] = Api(login)
        return _apis[key]
