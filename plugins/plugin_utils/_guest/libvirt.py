# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``libvirt``: the agent of a domain, through libvirt's own agent command.

libvirtd holds the one connection that QEMU serves on an agent channel, so nobody can go past it. Its API call
virDomainQemuAgentCommand carries any command; libvirt synchronises with the agent by itself, and lets one client at a time
have the agent of a domain.

It is reached with libvirt-python, not with ``virsh``: errors come as numbers (virsh has only texts, in the language of the
daemon), scripts and file contents never pass an argument list or a terminal, and after an import of 60 ms a command costs
0.2 ms (a virsh process: 15 to 30 ms). Its price is the installation: the package has no wheels, so it is built against
libvirt's headers or comes from the distribution, for the distribution's Python. The collection needs it for this backend only.

Limits: libvirt reads replies of at most 10 MiB, and passes at most 4 MiB in one string. A request must also fit into the
buffer of the socket between libvirtd and QEMU (212,992 bytes by default): when that is full, libvirtd's qemuAgentIOWrite sends
the request again from its start, and the agent gets garbage. Seen with libvirt 9.0: 213 kB arrive, 253 kB do not.

Sources: libvirt's API reference (libvirt-libvirt-domain, libvirt-qemu, libvirt-virterror), its qemu_agent.c, and what
libvirt 9.0 was seen to answer.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import math
import re
import sys
import threading
import time
import typing as t
from dataclasses import dataclass, replace

from .base import Guest, GuestOptions
from .deadline import Deadline
from .errors import (
    AgentNotThere,
    AgentRefused,
    InvalidInput,
    NotAnAgent,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    VmNotThere,
)
from .libvirt_snapshots import LibvirtSnapshots
from .qga import REPLY_TIMEOUT, Agent
from .qga_guest import QgaGuest

# The agent is asked again after these seconds, the last of them from then on.
_PAUSES = (0.1, 0.2, 0.5, 1.0)
_PROBE = 3.0
# libvirt's own synchronisation (5 s) and its wait for other users of the domain (30 s) are not part of a command's time.
_SLACK = 35.0
# A command that may stay unanswered: time to be carried out, in seconds. libvirt knows whole seconds only.
_UNANSWERED = 1.0
_CLOSE = 2.0

# Numbers of virErrorNumber and virErrorDomain, which never change; older libraries lack the names of the newer ones.
_INTERNAL_ERROR = 1
_NO_SUPPORT = 3
_NO_CONNECT = 5
_INVALID_ARG = 8
_OPERATION_DENIED = 29
_SYSTEM_ERROR = 38
_NO_DOMAIN = 42
_AUTH_FAILED = 45
_OPERATION_INVALID = 55
_CONFIG_UNSUPPORTED = 67
_OPERATION_TIMEOUT = 68
_ARGUMENT_UNSUPPORTED = 74
_AUTH_CANCELLED = 79
_AGENT_UNRESPONSIVE = 86
_ACCESS_DENIED = 88
_AUTH_UNAVAILABLE = 94
_AGENT_UNSYNCED = 97
_AGENT_COMMAND_TIMEOUT = 112
_AGENT_COMMAND_FAILED = 113
_FROM_QEMU = 10
_FROM_URI = 45

_STATES = {1: "running", 2: "blocked", 3: "paused", 4: "shutting down", 5: "off", 6: "crashed", 7: "suspended"}

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_SSH_REFUSAL = re.compile(
    r"Permission denied|Host key verification failed|Too many authentication failures", re.IGNORECASE
)


def open_guest(options: GuestOptions) -> Guest:
    """Raises InvalidInput."""
    target = _Target(options.vm, *_uris(options.libvirt_uri))
    return LibvirtGuest(
        options.vm,
        "libvirt",
        lambda timeout: LibvirtAgent(target, timeout),
        options.connect_timeout,
        options.exec_mode,
    )


class LibvirtGuest(QgaGuest):
    """With requests that fit into libvirtd's socket to QEMU: 96 KiB are 128 KiB in base64, 60 % of the usual buffer."""

    capabilities = replace(QgaGuest.capabilities, max_script=96 * 1024)
    max_write = 96 * 1024

    def snapshots(self) -> LibvirtSnapshots:
        return LibvirtSnapshots(t.cast("LibvirtAgent", self._open_agent(self.connect_timeout)))


@dataclass
class _Target:
    """Which domain, and where."""

    vm: str
    """Name or UUID."""
    uri: str
    shown_uri: str
    """Without a password."""
    uuid: str | None = None
    """Of the domain that was found the first time; no other is talked to afterwards."""


def _uris(uri: str) -> tuple[str, str]:
    """*uri* as libvirt is to get it, and as it is shown. Raises InvalidInput."""
    shown = re.sub(r"(://[^/@]*?):[^/@]*@", r"\1:***@", uri)
    kind, colon, _rest = uri.partition(":")
    if not uri.strip() or not uri.isprintable() or (colon and kind.partition("+")[0] != "qemu"):
        raise InvalidInput(
            f"chr_libvirt_uri {shown!r} does not lead to QEMU: only libvirt's QEMU driver carries the guest agent. Set it to "
            "qemu:///system, qemu:///session or qemu+ssh://user@host/system."
        )
    if kind == "qemu+ssh" and "no_tty=" not in uri:
        # A task cannot answer ssh's questions: ssh is to fail instead of waiting for somebody at the terminal.
        uri += ("&" if "?" in uri else "?") + "no_tty=1"
    return uri, shown  # without a colon it is an alias of the user's libvirt.conf


class LibvirtAgent(Agent):
    """The agent of one domain; a context manager.

    *timeout*: seconds to reach libvirt, the domain and its agent, each time that is needed. Every call of libvirt runs in a
    thread of its own and is given up when its time is over, because libvirt has no time limit for connecting (a host that is
    gone, an ssh that hangs). Such a thread ends with the process, or when the call returns.
    """

    def __init__(self, target: _Target, timeout: float) -> None:
        self.where = f"{target.vm!r} (libvirt {target.shown_uri})"
        self._target = target
        self._timeout = timeout
        self._connection: t.Any = None
        self._domain: t.Any = None
        self._known: t.Any = None
        """The domain, also after its connection was given up."""
        self._ready = False

    def __exit__(self, *exc_info: object) -> None:
        connection, self._connection, self._domain = self._connection, None, None
        self._ready = False
        if connection is not None:
            try:
                _bounded(connection.close, _CLOSE)
            except (_Overrun, _library().libvirtError):
                pass  # the daemon sees the end of the process

    def close(self) -> None:
        """Nothing to give back: between two commands libvirt serves others anyway. Leaving the context disconnects."""

    def execute(
        self,
        command: str,
        arguments: dict[str, t.Any] | None = None,
        *,
        timeout: float = REPLY_TIMEOUT,
    ) -> t.Any:
        self._establish(Deadline(self._timeout))
        return self._send(command, arguments, timeout)

    def execute_perhaps_unanswered(
        self,
        command: str,
        arguments: dict[str, t.Any] | None = None,
        *,
        timeout: float = REPLY_TIMEOUT,
    ) -> None:
        """Waits 1 s for the answer, however long *timeout* is, and takes its absence for success.

        libvirt then synchronises again, and agents work in order: the next command is answered after this one is over.
        """
        self._establish(Deadline(self._timeout))
        with contextlib.suppress(_NoReply):
            self._send(command, arguments, min(timeout, _UNANSWERED))

    def on_domain(
        self, complaint: str, work: t.Callable[[t.Any], t.Any], deadline: Deadline, *, changes: bool
    ) -> t.Any:
        """The value of *work* on the domain, connected first where that is needed; the agent has no part in it.

        Raises NotPossible with *complaint* and libvirt's words, AgentNotThere when libvirt was not reached; when it was lost, or
        did not return before *deadline*, OutcomeUnknown if *changes* says that the work changes something.
        """
        self._reach(Deadline(self._timeout))
        library = _library()
        connection, domain = self._connection, self._domain
        try:
            return _bounded(lambda: work(domain), deadline.remaining)
        except _Overrun:
            lost = f"libvirt did not come back about {self.where} within {deadline.seconds:g} s"
        except library.libvirtError as error:
            code = getattr(error, "get_error_code", lambda: None)()
            if code in (_OPERATION_DENIED, _ACCESS_DENIED):
                raise self._denied(_text(error)) from None
            if _alive(library, connection):
                raise NotPossible(f"{self.where}: {complaint}: {_text(error)}.") from error
            lost = f"libvirt was lost in between ({self.where}: {_text(error)})"
        self._forget()
        if changes:
            raise OutcomeUnknown(f"{lost}. Whether it did the work is unknown; it was not asked again.")
        raise AgentNotThere(f"{lost}.")

    # -- reaching the agent ------------------------------------------------------------------------------------------

    def _establish(self, deadline: Deadline) -> None:
        """Connect and ping, where that is needed, until it works or *deadline* is over.

        With the ping answered, a command that fails later was sent, or at least may have been.
        """
        self._repeat(deadline, lambda: self._ready, lambda: self._ping(deadline))

    def _reach(self, deadline: Deadline) -> None:
        """Only the first half: libvirt and the domain."""
        self._repeat(deadline, lambda: self._domain is not None, lambda: None)

    def _repeat(self, deadline: Deadline, done: t.Callable[[], bool], step: t.Callable[[], None]) -> None:
        attempt = 0
        while not done():
            try:
                if self._domain is None:
                    self._connect(deadline)
                step()
            except _NotYet as error:
                if deadline.expired:
                    raise AgentNotThere(self._too_late(deadline, error), silent=error.silent) from None
                time.sleep(min(_PAUSES[min(attempt, len(_PAUSES) - 1)], deadline.remaining))
                attempt += 1

    def _connect(self, deadline: Deadline) -> None:
        """Open libvirt and find the domain. Raises _NotYet, and GuestError when trying again is of no use."""
        library = _library()
        target = self._target
        try:
            connection = _bounded(lambda: library.open(target.uri), deadline.remaining)
        except _Overrun:
            raise _NotYet("the connection was not made in time") from None
        except library.libvirtError as error:
            raise self._no_connection(error) from None
        self._connection = connection
        try:
            domain, uuid = _bounded(lambda: _find(library, connection, target), deadline.remaining)
        except _Overrun:
            raise _NotYet("it did not look up the VM in time") from None
        except library.libvirtError as error:
            raise self._no_domain(error) from None
        if target.uuid not in (None, uuid):
            raise VmNotThere(
                f"{self.where} is another VM now: {uuid} instead of {target.uuid}. Nothing was sent to it. "
                "Set chr_vm to the UUID of the right one."
            )
        target.uuid = uuid
        self._domain = self._known = domain

    def _ping(self, deadline: Deadline) -> None:
        try:
            self._send("guest-ping", None, min(_PROBE, deadline.remaining), limit=deadline.remaining)
        except AgentRefused:
            self._ready = True
        except (OutcomeUnknown, _Locked) as error:
            raise _NotYet(_text(error.__cause__ or error), silent=True) from None

    def _no_connection(self, error: t.Any) -> Exception:
        """What an error of virConnectOpen means."""
        code, text = error.get_error_code(), _text(error)
        uri = self._target.shown_uri
        where = f"libvirt at {uri} was not reached for {self._target.vm!r}"
        if code in (_AUTH_FAILED, _AUTH_CANCELLED, _AUTH_UNAVAILABLE) or (
            "+" in uri.partition(":")[0] and _SSH_REFUSAL.search(text)
        ):
            return NotPermitted(
                f"{where}, because it refused the login: {text}. Tasks cannot answer questions: a key or an agent for ssh, "
                "membership of the group libvirt (or a polkit rule) for a local daemon, or an auth.conf for SASL is needed, and "
                "'virsh -c URI list' must work as this user without a prompt."
            )
        if code == _SYSTEM_ERROR and error.get_int1() in (errno.EACCES, errno.EPERM):
            return NotPermitted(
                f"{where}, because this user may not use its socket: {text}. Make the user a member of the group libvirt, run "
                "the play as one who is, or set chr_libvirt_uri to qemu+ssh://user@host/system."
            )
        if (
            code in (_INVALID_ARG, _NO_CONNECT, _NO_SUPPORT, _CONFIG_UNSUPPORTED)
            or error.get_error_domain() == _FROM_URI
        ):
            return InvalidInput(
                f"libvirt cannot use chr_libvirt_uri {uri!r} of {self._target.vm!r}: {text}. It looks like qemu:///system or "
                "qemu+ssh://user@host/system."
            )
        return _NotYet(text)

    def _no_domain(self, error: t.Any) -> Exception:
        """What an error in looking up the domain means."""
        code, text = error.get_error_code(), _text(error)
        target = self._target
        if code == _NO_DOMAIN:
            if target.uuid:
                return AgentNotThere(
                    f"{self.where} is not there any more (a transient VM goes when it is off): {text}."
                )
            return VmNotThere(
                f"libvirt at {target.shown_uri} has no VM {target.vm!r}: {text}. Set chr_vm to a name or UUID that "
                f"'virsh -c {target.shown_uri} list --all' shows there; another user's or another host's VMs need another "
                "chr_libvirt_uri."
            )
        if code in (_OPERATION_DENIED, _ACCESS_DENIED, _AUTH_FAILED):
            return self._denied(text)
        return _NotYet(text)

    def _denied(self, text: str) -> NotPermitted:
        return NotPermitted(
            f"libvirt does not let this user talk to the guest agent of {self.where}: {text}. That needs a connection that may "
            "write (not a read-only socket) and, with access control in libvirtd, the permission 'write' on the domain."
        )

    def _too_late(self, deadline: Deadline, last: _NotYet) -> str:
        vm, uri = self._target.vm, self._target.shown_uri
        if not last.silent:
            return (
                f"libvirt at {uri} was not reached for {vm!r} within {deadline.seconds:g} s: {last}. Is libvirtd (or virtqemud) "
                f"running there, and does 'virsh -c {uri} list' work as this user?"
            )
        state = self._state()
        hint = (
            "resume it ('virsh resume')"
            if state == "paused"
            else "it may still be booting, its system may have no agent that runs, or another user of the agent (a backup, a "
            "snapshot) may hold it"
        )
        return f"The guest agent of {self.where} did not answer within {deadline.seconds:g} s: {last}. The VM is {state}: {hint}."

    def _state(self) -> str:
        domain = self._known
        try:
            return _STATES.get(_bounded(domain.state, _CLOSE)[0], "in an unknown state")
        except (_Overrun, _library().libvirtError):
            return "in an unknown state"

    # -- commands ----------------------------------------------------------------------------------------------------

    def _send(
        self, command: str, arguments: dict[str, t.Any] | None, timeout: float, limit: float | None = None
    ) -> t.Any:
        """The ``return`` value. *limit*: seconds after which libvirt itself is given up.

        Raises AgentRefused, AgentNotThere (not sent), NotPossible, NotPermitted; OutcomeUnknown, and _NoReply of it.
        """
        library = _library()
        domain = self._domain
        request = json.dumps(
            {"execute": command, **({"arguments": arguments} if arguments else {})}, separators=(",", ":")
        )
        seconds = max(1, math.ceil(timeout))
        self._ready = False
        began = time.monotonic()
        try:
            reply = _bounded(
                lambda: library.qemu.qemuAgentCommand(domain, request, seconds, 0),
                seconds + _SLACK if limit is None else limit,
            )
        except _Overrun as error:
            self._forget()
            raise OutcomeUnknown(f"libvirt did not come back from {command} to {self.where}: {error}.") from error
        except library.libvirtError as error:
            raise self._failed(error, command, seconds, time.monotonic() - began) from error
        except UnicodeDecodeError as error:
            raise OutcomeUnknown(f"The answer of {self.where} to {command} is not UTF-8: {error}.") from error
        try:
            value = json.loads(reply)["return"]
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown(f"libvirt gave no answer of {self.where} to {command}: {str(reply)[:80]!r}.") from None
        self._ready = True
        return value

    def _failed(self, error: t.Any, command: str, seconds: int, elapsed: float) -> Exception:
        """What an error of the agent command means."""
        code, text = error.get_error_code(), _text(error)
        if code in (_INTERNAL_ERROR, _AGENT_COMMAND_FAILED) and (said := _agents_words(text, command)):
            self._ready = True
            return AgentRefused(self.where, command, said)
        if code == _OPERATION_INVALID:
            if (state := self._state()) in ("off", "crashed"):
                return AgentNotThere(
                    f"{self.where} is {state}: {text}. Start it ('virsh start'), then repeat the task."
                )
            return _Locked(f"{command} was not sent to {self.where}, which is {state}: {text}.")
        if code == _ARGUMENT_UNSUPPORTED:
            return NotPossible(
                f"{self.where} has no guest agent channel: {text}. Add <channel type='unix'><target type='virtio' "
                "name='org.qemu.guest_agent.0'/></channel> to its devices ('virsh edit'), then shut it down and start it again."
            )
        if code == _NO_SUPPORT:
            return NotAnAgent(
                f"libvirt at {self._target.shown_uri} cannot carry the guest agent of {self._target.vm!r}: {text}."
            )
        if code in (_OPERATION_DENIED, _ACCESS_DENIED):
            return self._denied(text)
        if code == _NO_DOMAIN:
            return AgentNotThere(f"{self.where} is not there any more: {text}.")
        if code == _OPERATION_TIMEOUT:  # libvirt's lock: the command has not been sent
            return _Locked(
                f"{command} was not sent to {self.where}, because another job holds the VM (a backup, a migration, another "
                f"user of the agent): {text}."
            )
        if code == _AGENT_COMMAND_TIMEOUT or (
            code in (_AGENT_UNRESPONSIVE, _AGENT_UNSYNCED) and elapsed > seconds * 0.9
        ):
            return _NoReply(f"The guest agent of {self.where} did not answer {command} within {seconds} s: {text}.")
        if code in (_AGENT_UNRESPONSIVE, _AGENT_UNSYNCED):
            return OutcomeUnknown(f"The guest agent of {self.where} was gone during {command}: {text}.")
        self._forget()
        return OutcomeUnknown(f"libvirt failed during {command} to {self.where}: {text}.")

    def _forget(self) -> None:
        """Leave the connection to the thread that still uses it; the next command makes a new one."""
        self._connection = self._domain = None


def _alive(library: t.Any, connection: t.Any) -> bool:
    try:
        return bool(_bounded(connection.isAlive, _CLOSE))
    except (_Overrun, library.libvirtError):
        return False


def _find(library: t.Any, connection: t.Any, target: _Target) -> tuple[t.Any, str]:
    """The domain and its UUID. In a worker thread. Raises libvirtError, VmNotThere."""
    found = []
    missing: Exception | None = None
    lookups = [connection.lookupByName]
    if _UUID.fullmatch(target.vm):
        lookups.insert(0, connection.lookupByUUIDString)
    for look_up in lookups:
        try:
            found.append(look_up(target.vm))
        except library.libvirtError as error:
            if error.get_error_code() != _NO_DOMAIN:
                raise
            missing = missing or error
    uuids = {domain.UUIDString() for domain in found}
    if len(uuids) > 1:
        raise VmNotThere(
            f"chr_vm {target.vm!r} is the UUID of one VM and the name of another on {target.shown_uri}; nothing was sent."
        )
    if missing and not found:
        raise missing
    return found[0], uuids.pop()


def _agents_words(text: str, command: str) -> str | None:
    """The agent's own error in libvirt's "unable to execute QEMU agent command 'guest-exec': ...", which may be translated."""
    said = re.search(re.escape(command) + r"[^:]*:\s*(.*)", text, re.DOTALL)
    return " ".join(said[1].split()) or None if said else None


def _text(error: BaseException) -> str:
    """An error, of libvirt or of our own, as one line without a full stop at its end."""
    return " ".join(str(error).split()).rstrip(".")


class _Library:
    """libvirt-python: ``open``, ``libvirtError`` and the module ``qemu``."""

    def __init__(self) -> None:
        try:
            libvirt = importlib.import_module("libvirt")
            self.qemu: t.Any = importlib.import_module("libvirt_qemu")
        except ImportError as error:
            raise NotPossible(
                f"chr_backend libvirt needs the Python package libvirt-python, which {sys.executable} cannot import ({error}). "
                "Install it with 'pip install libvirt-python' (that needs pkg-config, gcc and libvirt-dev or libvirt-devel), "
                "or, where Ansible runs with the distribution's Python, as its package python3-libvirt."
            ) from None
        self.open: t.Callable[[str], t.Any] = libvirt.open
        self.libvirtError: type[Exception] = libvirt.libvirtError
        libvirt.registerErrorHandler(_say_nothing, None)  # by default libvirt writes every error to stderr


def _say_nothing(_context: object, _error: object) -> None:
    pass


_loaded: _Library | None = None


def _library() -> _Library:
    """Raises NotPossible."""
    global _loaded
    if _loaded is None:
        _loaded = _Library()
    return _loaded


def preload() -> None:
    """Import libvirt-python, where it is installed, for processes that are forked later: 60 ms that each would spend again."""
    with contextlib.suppress(NotPossible):
        _library()


_T = t.TypeVar("_T")


def _bounded(function: t.Callable[[], _T], seconds: float) -> _T:
    """The result or the exception of *function*, run in a thread; _Overrun when it takes longer than *seconds*."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="libvirt", daemon=True)
    thread.start()
    thread.join(max(seconds, 0.001))
    if results:
        return results[0]
    if errors:
        raise errors[0]
    raise _Overrun(f"no answer within {seconds:.3g} s")


class _Overrun(Exception):
    """libvirt has not returned in time, and may still be at it."""


class _NotYet(Exception):
    """Trying again may help."""

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


class _Locked(AgentNotThere):
    """Another job has the domain, or it is paused; the command was not sent."""


class _NoReply(OutcomeUnknown):
    """The command was sent, and the time for its answer is over."""
