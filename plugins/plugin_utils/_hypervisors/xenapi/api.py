# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""XenAPI, the interface of XenServer and XCP-ng: its Python library over our own transport.

The transport of ``xmlrpc.client`` silently sends a request again when a kept connection breaks,
and has no time limits. A lost ``VM.start`` must not be sent again, so ``Transport.request`` is
replaced. The library logs in again with a password that it keeps. Here, a session lasts for one
call, gets its reference from the login that all tasks share, and never sees the password again.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
import urllib.parse
import xmlrpc.client

from ansible_collections.outofband.chr.plugins.plugin_utils._core import library as libraries
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    LoginRefused,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    Unreachable,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.streams import Readable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, line
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.bounded_response import API_REPLY
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import (
    Https,
    Interrupted,
    Reply,
    valid_host,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin

from .answers import checked, events, objects
from .privileges import ROLES

PORT = 443
NULL = "OpaqueRef:NULL"
_PATIENCE = 40.0  # seconds for the reply to a call that waits for nothing
_ANSWER = 10.0  # seconds more than chr_connect_timeout for the reply to a call that can be repeated
_LIST = 2 * API_REPLY  # bytes of a list: the record of a VM has 10 KB, and snapshots have records, too
_KEEP = 2.0
_HOPS = 3  # redirections: from a member of a pool to its coordinator, and once more after a recent change
_SAID = 300  # characters of a server's own words
_RETRIES = 3  # attempts at a call that can be repeated
_PAUSE = 0.25  # seconds before a call is repeated
_STALL = 120.0  # seconds in which a transfer must make progress
_URL = "https://xapi/"  # the transport has the address of the host


def library() -> t.Any:
    """Import XenAPI. Raises NotPossible if it is missing."""
    return libraries.load("XenAPI", backend="xenapi", requirement="XenAPI>=25")


class XenapiLogin(PasswordLogin):
    """A login to a host or to the coordinator of a pool."""

    @property
    def where(self) -> str:
        return f"XenAPI at {super().where}"


class XenapiError(ChrError):
    """The server refused a call and did not carry it out.

    Attributes: ``code`` and the other ``details`` of XenAPI's error.
    """

    def __init__(self, where: str, method: str, details: list[str]) -> None:
        self.code, *self.details = details
        super().__init__(f"{where} refused {method}: {told(details)}.")


class _Transport(xmlrpc.client.Transport):
    """Sends one request of a session to *server*, and never again. Times are in seconds.

    *method* names the call in messages. The server has *patience* seconds to answer, and the answer
    may have *limit* bytes.
    """

    def __init__(self, server: Https, method: str, connect: Deadline, patience: float, limit: int) -> None:
        super().__init__()
        self._server, self._method = server, method
        self._connect, self._patience, self._limit = connect, patience, limit

    def request(self, host: t.Any, handler: str, request_body: t.Any, verbose: bool = False) -> t.Any:
        """Return the values in the answer. Raises Unreachable, InvalidInput, Interrupted."""
        headers = {"Content-Type": "text/xml"}
        exchange = self._server.exchange
        sent = (self._method, "POST", handler, request_body, headers)
        reply = exchange(*sent, self._connect, self._patience, limit=self._limit)
        if reply.status != 200:
            raise self._interrupted(f"HTTP {reply.status} {line(reply.reason, _SAID)}")
        try:
            (answer,) = t.cast("tuple[t.Any]", xmlrpc.client.loads(reply.body)[0])
            _needed = answer["Value"] if answer["Status"] == "Success" else answer["ErrorDescription"][0]
        except xmlrpc.client.Fault as fault:
            raise self._interrupted(f"a fault: {line(str(fault.faultString), _SAID)}") from None
        except Exception:  # any error of the parser
            raise self._interrupted("something other than XenAPI's XML-RPC") from None
        return (answer,)

    def _interrupted(self, answer: str) -> Interrupted:
        return Interrupted(f"{self._server.where} answered {self._method} with {answer}.")


class Xapi:
    """Calls to one pool as one user.

    All errors are ChrError. Raises NotPossible if the library is missing.
    """

    def __init__(self, login: XenapiLogin) -> None:
        self.login = login
        self._library = library()
        self._shared = login.session("xenapi")
        self._session: dict[str, t.Any] | None = None
        self._servers: dict[str, Https] = {}

    # -- calls -------------------------------------------------------------------------------------

    def call(self, method: str, *values: t.Any, changes: bool = False, waits: float = 0.0) -> t.Any:
        """Make one call and return its value. *waits*: seconds that the call waits on purpose.

        If the session or the coordinator is no longer valid, it is replaced once: such a call was
        not carried out. A call that changes nothing is repeated if its answer is lost. Raises
        Unreachable when the server was not reached, or did not answer such a call; OutcomeUnknown
        when it did not answer a call that *changes* something; NotPermitted, VmNotFound or
        XenapiError when it refused the call.
        """
        refused: dict[str, t.Any] | None = None
        arguments = tuple(map(_plain, values))
        deadline, lost = Deadline(self.login.connect_timeout), 0

        def ask(session: t.Any) -> t.Any:
            session._session = shared["ref"]
            return session.xenapi_request(method, arguments)

        while True:
            shared = self._open(refused)
            try:
                return checked(method, self._request(shared["host"], method, ask, waits, changes), self.login.where)
            except Interrupted as error:
                if changes:
                    raise OutcomeUnknown(
                        f"{error} Whether {method} was carried out is unknown; it was not sent again."
                    ) from None
                lost += 1
                if lost == _RETRIES or deadline.expired:
                    raise Unreachable(str(error), silent=True) from None
                time.sleep(min(_PAUSE, deadline.remaining))
            except XenapiError as error:
                if error.code not in ("SESSION_INVALID", "HOST_IS_SLAVE") or refused:
                    raise self._explained(error, method) from None
                refused = shared

    def repeat(self, method: str, *values: t.Any) -> t.Any:
        """Make a call that can be repeated without harm. It is sent again if its fate is unknown.

        Raises the errors of ``call``.
        """
        for attempt in range(1, _RETRIES + 1):
            try:
                return self.call(method, *values, changes=True)
            except OutcomeUnknown:
                if attempt == _RETRIES:
                    raise
        raise AssertionError("not reached")

    def changes(self, subjects: t.Iterable[str], token: str, timeout: float) -> tuple[dict[str, dict[str, t.Any]], str]:
        """The changes to the *subjects* (``vm/<ref>``) since *token*: records by ref, and a token.

        With an empty token, it returns all of them at once. Otherwise it waits at most *timeout*
        seconds for a change, and returns no records if there was none. The returned token is for
        the next call. Raises the errors of ``call``.
        """
        batch = self.call("event.from", list(subjects), token, float(timeout), waits=timeout)
        return events(batch, self.login.where)

    def all_of(self, *classes: str) -> dict[str, dict[str, dict[str, t.Any]]]:
        """All objects of these *classes*, such as ``host``: records by class and ref, in one call.

        Raises the errors of ``call``.
        """
        found = objects(self.call("event.from", list(classes), "", 0.0), self.login.where)
        return {one: found.get(one, {}) for one in classes}

    def permissions(self) -> frozenset[str] | None:
        """The calls that this user may make, in lower case, such as ``vm.create``.

        None if the user may make all calls, or the server does not tell.
        """
        session = self._open(None)["ref"]
        if self.call("session.get_is_local_superuser", session):
            return None
        known = frozenset(self.call("session.get_rbac_permissions", session))
        return known if "vm.get_record" in known else None  # every role may do that

    def transfer(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        *,
        body: t.Callable[[], tuple[Readable, int]] | None = None,
        into: t.Callable[[bytes], object] | None = None,
        limit: int = API_REPLY,
    ) -> None:
        """Transfer bytes with an HTTP handler of the host.

        *body* returns a new source at its beginning, and its length; it is called for each host.
        *into* takes the blocks of an answer of at most *limit* bytes. A host that does not see the
        storage names another one. The session travels as a cookie, so it is neither in a URL nor in
        a log of requests. A return without an error proves nothing: the
        task in *query* tells whether the transfer succeeded. Raises Interrupted, NotPermitted,
        NotPossible, Unreachable, InvalidInput.
        """
        session = self._open(None)
        host = session["host"]
        headers = {"Cookie": f"session_id={session['ref']}"}
        for _hop in range(_HOPS):
            server = self._server(host)
            source, length = body() if body else (None, 0)
            sized = {**headers, "Content-Length": str(length)} if body else headers
            connect = Deadline(self.login.connect_timeout)
            url = f"{path}?{urllib.parse.urlencode(query)}"
            try:
                reply = server.exchange(path, method, url, source, sized, connect, _STALL, into, limit)
            except (Unreachable, InvalidInput) as error:
                if host == session["host"]:
                    raise
                raise type(error)(
                    f"The pool behind {self.login.where} names {host} as the host that sees the storage, and the controller must "
                    f"be able to reach that host. {error}"
                ) from None
            if reply.status == 200:
                return
            if reply.status != 302:
                raise self._turned_away(path, reply)
            host = self._led_to(reply.location, path) or host
        raise NotPossible(f"The hosts of the pool behind {self.login.where} redirect {path} to one another. Try again.")

    def _led_to(self, location: str, path: str) -> str | None:
        """Return the host of a redirect. Raises NotPossible."""
        try:
            host = urllib.parse.urlsplit(location).hostname
        except ValueError:
            host = " "
        if host and not valid_host(host):
            raise NotPossible(f"{self.login.where} redirects {path} to {excerpt(location)}, which is not a valid URL.")
        return host

    def _turned_away(self, path: str, reply: Reply) -> ChrError:
        if reply.status in (401, 403):
            return NotPermitted(
                f"{self.login.where} does not let {self.login.user!r} use {path} (HTTP {reply.status}). It needs the role "
                "vm-admin or a higher one."
            )
        return NotPossible(f"{self.login.where} answered {path} with HTTP {reply.status} {line(reply.reason, _SAID)}.")

    def log_out(self, session: dict[str, t.Any]) -> None:
        """End *session* at the server. Raises ChrError."""
        try:
            self._request(
                str(session.get("host")), "session.logout", lambda one: one.session.logout(session.get("ref"))
            )
        except Interrupted as error:
            raise Unreachable(str(error)) from None

    def forget(self) -> None:
        """End the session. This and every other task log in again for the next call."""
        self._session = None
        if session := self._shared.forget():
            with contextlib.suppress(ChrError):  # the server ends it when nobody uses it
                self.log_out(session)

    # -- who we are --------------------------------------------------------------------------------

    def _open(self, refused: dict[str, t.Any] | None) -> dict[str, t.Any]:
        if self._session is None or self._session == refused:
            self._session = self._shared.get(self._log_in, refused)
            protect(self._session["ref"])
        return self._session

    def _log_in(self) -> dict[str, t.Any]:
        """Log in, and return the session and its host. A member of a pool names its coordinator."""
        login = self.login
        host = login.host

        def log_in(session: t.Any) -> t.Any:
            session.login_with_password(_plain(login.user), _plain(login.password), "1.0", "outofband.chr")
            return session.handle

        for _hop in range(_HOPS):
            try:
                return {"ref": self._request(host, "session.login_with_password", log_in), "host": host}
            except Interrupted as error:
                raise Unreachable(str(error), silent=True) from None  # one session more on the server does no harm
            except XenapiError as error:
                if error.code == "HOST_IS_SLAVE" and error.details and valid_host(error.details[0]):
                    host = error.details[0]
                    continue
                if error.code == "SESSION_AUTHENTICATION_FAILED":
                    raise LoginRefused(
                        f"{login.where} refused the login of {login.user!r}: wrong user or password (chr_api_user, "
                        "chr_api_password)."
                    ) from None
                raise self._explained(error, "login") from None
            except (Unreachable, InvalidInput) as error:
                if host == login.host:
                    raise
                raise type(error)(
                    f"{login.where} is a member of a pool and names {host} as its coordinator. {error} Set chr_api_host to a name "
                    "of the coordinator that works from here."
                ) from None
        raise NotPossible(
            f"{login.where} is a member of a pool and names {host} as its coordinator, but {host} says that it is a member, too."
        )

    # -- the wire ----------------------------------------------------------------------------------

    def _request(
        self, host: str, method: str, ask: t.Callable[[t.Any], t.Any], waits: float = 0.0, changes: bool = False
    ) -> t.Any:
        """Return what *ask* gets with one call over a new session of the library.

        The call is never repeated here. One that *changes* something gets more time. Raises
        Unreachable, InvalidInput, Interrupted, XenapiError, NotPossible.
        """
        server = self._server(host)
        limit = _LIST if method.endswith((".get_all_records", ".from")) else API_REPLY
        connect = Deadline(self.login.connect_timeout)
        patience = _PATIENCE if changes else min(_PATIENCE, connect.seconds + _ANSWER)
        transport = _Transport(server, method, connect, waits + patience, limit)
        try:
            return ask(self._library.Session(_URL, transport=transport))
        except self._library.Failure as error:
            details = [str(one) for one in error.details]
        except xmlrpc.client.Fault:  # the library reports a session that must be opened again in this way
            details = ["SESSION_INVALID"]
        if details[0] in ("MESSAGE_PARAMETER_COUNT_MISMATCH", "MESSAGE_METHOD_UNKNOWN"):
            raise NotPossible(f"{server.where} does not know {method} with these parameters: {told(details)}.")
        raise XenapiError(server.where, method, details)

    def _server(self, host: str) -> Https:
        if host not in self._servers:
            self._servers[host] = self.login.server(
                f"XenAPI at {host}:{self.login.port}",
                host,
                authority="the host's own certificate or that of the authority that signed it",
                keep=_KEEP,
            )
        return self._servers[host]

    def _explained(self, error: XenapiError, method: str) -> ChrError:
        """A better error than XenAPI's own, if there is one for its code."""
        login = self.login
        if error.code == "RBAC_PERMISSION_DENIED":
            role = ROLES.get(method, "read-only")
            return NotPermitted(
                f"{login.where} does not let {login.user!r} call {method} (RBAC_PERMISSION_DENIED). It needs the role {role} "
                "or a higher one. Scripts and imports need vm-admin."
            )
        if error.code == "SESSION_INVALID":
            return NotPossible(
                f"{login.where} logged {login.user!r} in and then refused the session ({method}). Does another program log out "
                "all sessions of that user?"
            )
        if error.code == "HOST_IS_SLAVE":
            return NotPossible(
                f"The coordinator of the pool behind {login.where} has changed twice in a moment. Try again."
            )
        if error.code == "HANDLE_INVALID" and error.details[:1] == ["VM"]:
            return VmNotFound(f"{login.where} no longer has the VM ({method}). Nothing was done.")
        return error


def _plain(value: t.Any) -> t.Any:
    """Return *value* with plain texts, as ``xmlrpc.client`` does not accept subclasses of str.

    Ansible's texts are such subclasses. Raises InvalidInput.
    """
    if isinstance(value, str):
        try:
            return value.encode().decode()
        except UnicodeEncodeError:
            raise InvalidInput("A text for XenAPI is not valid UTF-8.") from None
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return value


def told(details: t.Sequence[str]) -> str:
    """XenAPI's error as one text: the code and the other details, without opaque references."""
    code, *more = details
    kept = [line(one, _SAID) for one in more if one and not one.startswith("OpaqueRef:")]
    return line(f"{code} ({', '.join(kept)})" if kept else code, _SAID)
