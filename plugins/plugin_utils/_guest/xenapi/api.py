# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""XenAPI, the interface of XenServer and XCP-ng: calls as XML-RPC in one shared session, and errors in words.

Why Python's own XML-RPC and not the package XenAPI: that is a thin layer over ``xmlrpc.client``, whose transport sends a request
again when a kept connection breaks, without a word. A lost ``VM.start`` must not be sent again. It has no time-outs, keeps the
password to log in anew, and does not follow HOST_IS_SLAVE. What is left of it when these are replaced are the four lines
that take ``{Status, Value}`` apart; so only the encoding of ``xmlrpc.client`` is used here, and nothing needs to be installed.
"""

from __future__ import annotations

import typing as t
import urllib.parse
import xmlrpc.client

from ..access import Access as PasswordAccess
from ..deadline import Deadline
from ..errors import (
    AgentNotThere,
    GuestError,
    InvalidInput,
    LoginRefused,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    VmNotThere,
)
from ..https import Https, Interrupted, Reply
from ..streams import Readable

PORT = 443
NULL = "OpaqueRef:NULL"
_PATIENCE = 40.0  # seconds for the reply to a call that waits for nothing
_KEEP = 2.0
_HOPS = 3  # from a member of a pool to its coordinator, and once more if that has just changed
_SAID = 300  # characters of a server's own words
_RETRIES = 3  # of calls that can be repeated
_STALL = 120.0  # seconds in which a transfer must move

# The lowest role that may make a call, by xen-api's datamodel; the others take read-only.
_ROLES = {
    "VM.add_to_xenstore_data": "vm-admin",
    "VM.remove_from_xenstore_data": "vm-admin",
    "VM.set_xenstore_data": "vm-admin",
    "Async.VM.start": "vm-operator",
    "Async.VM.clean_reboot": "vm-operator",
    "Async.VM.clean_shutdown": "vm-operator",
    "Async.VM.hard_shutdown": "vm-operator",
    **dict.fromkeys(("VM.create", "VM.set_other_config", "VM.destroy"), "vm-admin"),
    **dict.fromkeys(("VDI.create", "VDI.set_other_config", "VDI.destroy", "VBD.create", "VIF.create"), "vm-admin"),
}


class Access(PasswordAccess):
    """How to get in."""

    @property
    def where(self) -> str:
        return f"XenAPI at {super().where}"


class Failure(GuestError):
    """The server refused a call, which was not carried out. Attributes: ``code`` and the other ``details`` of XenAPI's error."""

    def __init__(self, where: str, method: str, details: list[str]) -> None:
        self.code, *self.details = details
        super().__init__(f"{where} refused {method}: {told(details)}.")


class Xapi:
    """Calls to one pool as one user. All errors are GuestError."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._shared = access.session("xenapi")
        self._session: dict[str, t.Any] | None = None
        self._servers: dict[str, Https] = {}

    # -- calls -------------------------------------------------------------------------------------------------------

    def call(self, method: str, *values: t.Any, changes: bool = False, waits: float = 0.0) -> t.Any:
        """The value of one call. *waits*: the seconds that the server may take on purpose.

        A session or coordinator that is no longer one is replaced, once: such a call was not carried out. Raises AgentNotThere
        when the server was not reached, or did not answer a question; OutcomeUnknown when the fate of a call that *changes*
        something is unknown; NotPermitted, VmNotThere, Failure for what the server refused.
        """
        refused: dict[str, t.Any] | None = None
        while True:
            session = self._open(refused)
            try:
                return self._request(session["host"], method, (session["ref"], *values), waits)
            except Interrupted as error:
                if changes:
                    raise OutcomeUnknown(
                        f"{error} Whether {method} was carried out is unknown; it was not sent again."
                    ) from None
                raise AgentNotThere(str(error), silent=True) from None
            except Failure as error:
                if error.code not in ("SESSION_INVALID", "HOST_IS_SLAVE") or refused:
                    raise self._explained(error, method) from None
                refused = session

    def repeat(self, method: str, *values: t.Any) -> t.Any:
        """``call`` for what can be done twice without harm: it is sent again when its fate is unknown."""
        for attempt in range(1, _RETRIES + 1):
            try:
                return self.call(method, *values, changes=True)
            except OutcomeUnknown:
                if attempt == _RETRIES:
                    raise
        raise AssertionError("not reached")

    def changes(self, subjects: t.Iterable[str], token: str, timeout: float) -> tuple[dict[str, dict[str, t.Any]], str]:
        """What changed of the *subjects* (``vm/<ref>``) since *token*: records by ref, and the next token.

        With an empty token all of them, at once; else it waits at most *timeout* for a change, and gives nothing when there was
        none. Raises as ``call``.
        """
        batch = self.call("event.from", list(subjects), token, float(timeout), waits=timeout)
        try:
            return {one["ref"]: one["snapshot"] for one in batch["events"] if one.get("snapshot")}, batch["token"]
        except (KeyError, TypeError):
            raise NotPossible(f"{self.access.where} answered event.from with something else than events.") from None

    def permissions(self) -> frozenset[str] | None:
        """The calls that this user may make, in lower case as ``vm.create``; None: all of them, or it cannot be told."""
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
    ) -> None:
        """Move bytes by a handler beside the calls. *body*: a new source and its length, from its beginning for each host.

        A host that does not see the storage names another one. The session travels as a cookie: so it is in no URL, and in no log
        of requests. A good end means nothing: the task in *query* tells how it went. Raises Interrupted, NotPermitted, NotPossible,
        and AgentNotThere, InvalidInput as ``call``.
        """
        session = self._open(None)
        host = session["host"]
        headers = {"Cookie": f"session_id={session['ref']}"}
        for _hop in range(_HOPS):
            server = self._server(host)
            source, length = body() if body else (None, 0)
            sized = {**headers, "Content-Length": str(length)} if body else headers
            connect = Deadline(self.access.connect_timeout)
            url = f"{path}?{urllib.parse.urlencode(query)}"
            try:
                reply = server.exchange(path, method, url, source, sized, connect, _STALL, into)
            except (AgentNotThere, InvalidInput) as error:
                if host == session["host"]:
                    raise
                raise type(error)(
                    f"The pool behind {self.access.where} names {host} as the host that sees the storage, and the controller must "
                    f"reach that one, too. {error}"
                ) from None
            if reply.status == 200:
                return
            if reply.status != 302:
                raise self._turned_away(path, reply)
            host = urllib.parse.urlsplit(reply.location).hostname or host
        raise NotPossible(f"The hosts of the pool behind {self.access.where} send {path} to one another. Try again.")

    def _turned_away(self, path: str, reply: Reply) -> GuestError:
        if reply.status in (401, 403):
            return NotPermitted(
                f"{self.access.where} does not let {self.access.user!r} use {path} (HTTP {reply.status}): it takes the role "
                "vm-admin or a higher one."
            )
        return NotPossible(f"{self.access.where} answered {path} with HTTP {reply.status} {_shown(reply.reason)}.")

    def forget(self) -> None:
        """Log in anew next time, here and in every other task."""
        self._session = None
        self._shared.forget()

    # -- who we are --------------------------------------------------------------------------------------------------

    def _open(self, refused: dict[str, t.Any] | None) -> dict[str, t.Any]:
        if self._session is None or self._session == refused:
            self._session = self._shared.get(self._log_in, refused)
        return self._session

    def _log_in(self) -> dict[str, t.Any]:
        """The session, and the host that has it: a member of a pool names its coordinator."""
        access = self.access
        host = access.host
        for _hop in range(_HOPS):
            values = (access.user, access.password, "1.0", "outofband.chr")
            try:
                return {"ref": self._request(host, "session.login_with_password", values, 0.0), "host": host}
            except Interrupted as error:
                raise AgentNotThere(str(error), silent=True) from None  # a session more or less does no harm
            except Failure as error:
                if error.code == "HOST_IS_SLAVE" and error.details:
                    host = error.details[0]
                    continue
                if error.code == "SESSION_AUTHENTICATION_FAILED":
                    raise LoginRefused(
                        f"{access.where} refused the login of {access.user!r}: wrong user or password (chr_api_user, "
                        "chr_api_password)."
                    ) from None
                raise self._explained(error, "login") from None
            except (AgentNotThere, InvalidInput) as error:
                if host == access.host:
                    raise
                raise type(error)(
                    f"{access.where} is a member of a pool and names {host} as its coordinator. {error} Set chr_api_host to a name "
                    "of the coordinator that works from here."
                ) from None
        raise NotPossible(
            f"{access.where} is a member of a pool, and {host}, which it names as coordinator, says the same."
        )

    # -- the wire ----------------------------------------------------------------------------------------------------

    def _request(self, host: str, method: str, values: tuple[t.Any, ...], waits: float) -> t.Any:
        """The value of one call without any repetition. Raises AgentNotThere, InvalidInput, Interrupted, Failure."""
        try:
            body = xmlrpc.client.dumps(tuple(map(_plain, values)), method).encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidInput(f"A text for {method} is not valid UTF-8.") from None
        server = self._server(host)
        connect = Deadline(self.access.connect_timeout)
        headers = {"Content-Type": "text/xml"}
        reply = server.exchange(method, "POST", "/", body, headers, connect, waits + _PATIENCE)
        return self._value(server.where, method, reply)

    def _server(self, host: str) -> Https:
        if host not in self._servers:
            access = self.access
            self._servers[host] = Https(
                f"XenAPI at {host}:{access.port}",
                (host, access.port),
                validate_certs=access.validate_certs,
                ca_path=access.ca_path,
                authority="the host's own certificate or that of the authority that signed it",
                keep=_KEEP,
            )
        return self._servers[host]

    def _value(self, where: str, method: str, reply: Reply) -> t.Any:
        if reply.status != 200:
            raise Interrupted(f"{where} answered {method} with HTTP {reply.status} {_shown(reply.reason)}.")
        try:
            answer: t.Any = xmlrpc.client.loads(reply.body)[0][0]
            if answer["Status"] == "Success":
                return answer["Value"]
            details = [str(one) for one in answer["ErrorDescription"]]
            code, *_more = details
        except xmlrpc.client.Fault as fault:
            raise Interrupted(f"{where} answered {method} with a fault: {_shown(str(fault.faultString))}.") from None
        except Exception:  # whatever the parser finds wrong with what is no XML-RPC
            raise Interrupted(f"{where} answered {method} with something else than XenAPI's XML-RPC.") from None
        if code in ("MESSAGE_PARAMETER_COUNT_MISMATCH", "MESSAGE_METHOD_UNKNOWN"):
            raise NotPossible(f"{where} does not know {method} as it is called here: {told(details)}.")
        raise Failure(where, method, details)

    def _explained(self, error: Failure, method: str) -> GuestError:
        """What can be said better than by XenAPI's own words."""
        access = self.access
        if error.code == "RBAC_PERMISSION_DENIED":
            role = _ROLES.get(method, "read-only")
            return NotPermitted(
                f"{access.where} does not let {access.user!r} call {method} (RBAC_PERMISSION_DENIED): it takes the role {role} "
                "or a higher one. Scripts and imports need vm-admin."
            )
        if error.code == "SESSION_INVALID":
            return NotPossible(
                f"{access.where} logged {access.user!r} in and then refused the session ({method}). Does something log out all of "
                "that user's sessions?"
            )
        if error.code == "HOST_IS_SLAVE":
            return NotPossible(
                f"The coordinator of the pool behind {access.where} has changed twice in a moment. Try again."
            )
        if error.code == "HANDLE_INVALID" and error.details[:1] == ["VM"]:
            return VmNotThere(f"{access.where} no longer has the VM ({method}). Nothing was done.")
        return error


def _plain(value: t.Any) -> t.Any:
    """*value* with texts of no other type than str, as Ansible's are: ``xmlrpc.client`` knows no others."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return value


def told(details: t.Sequence[str]) -> str:
    """XenAPI's error as one text: the code, and what stands beside it, without references that tell nothing."""
    code, *more = details
    kept = [_shown(one) for one in more if one and not one.startswith("OpaqueRef:")]
    return f"{_shown(code)} ({', '.join(kept)})"[:_SAID] if kept else _shown(code)


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text.strip())[:_SAID]
