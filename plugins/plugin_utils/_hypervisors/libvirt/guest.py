# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``libvirt``: the agent of a domain, through libvirt's own agent command.

libvirtd holds the one connection that QEMU serves on an agent channel, so nobody can bypass it. Its
API call virDomainQemuAgentCommand carries any command. libvirt synchronises with the agent by
itself, and lets one client at a time use the agent of a domain.

This backend uses libvirt-python and not ``virsh``, because it reports errors as numbers (virsh has
only texts, in the language of the daemon), because scripts and file contents never pass an argument
list or a terminal, and because after an import of 60 ms a command costs 0.2 ms (a virsh process
costs 15 to 30 ms). The drawback is the installation: the package has no wheels, so it is built
against libvirt's headers or comes from the distribution, for the distribution's Python. The
collection needs it for this backend only.

Limits: libvirt reads replies of at most 10 MiB, and passes at most 4 MiB in one string. A request
must also fit into the buffer of the socket between libvirtd and QEMU (212,992 bytes by default).
When the buffer is full, libvirtd's qemuAgentIOWrite sends the request again from its start, and the
agent gets garbage. With libvirt 9.0, 213 kB were seen to arrive and 253 kB were not.

Sources: libvirt's API reference (libvirt-libvirt-domain, libvirt-qemu, libvirt-virterror), its
qemu_agent.c, and what libvirt 9.0 was seen to answer.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.outofband.chr.plugins.plugin_utils._core.bounded import Overrun, bounded
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    NotAnAgent,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    Unreachable,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import QgaGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.protocol import (
    REPLY_TIMEOUT,
    Agent,
    Command,
)

from .checks import LibvirtChecks
from .connection import (
    ACCESS_DENIED,
    AGENT_COMMAND_FAILED,
    AGENT_COMMAND_TIMEOUT,
    AGENT_UNRESPONSIVE,
    AGENT_UNSYNCED,
    ARGUMENT_UNSUPPORTED,
    AUTH_FAILED,
    CLOSE,
    INTERNAL_ERROR,
    NO_DOMAIN,
    NO_SUPPORT,
    OPERATION_DENIED,
    OPERATION_INVALID,
    OPERATION_TIMEOUT,
    NotYet,
    alive,
    library,
    open_once,
    persist,
    unreached,
    uris,
    words,
)
from .options import LibvirtOptions, without_key
from .power import LibvirtPower
from .snapshots import LibvirtSnapshots

_PROBE = 3.0
# libvirt's own synchronisation (5 s) and its wait for other users of the domain (30 s) are not part
# of a command's time.
_SLACK = 35.0
# Seconds for a command that may stay unanswered to be carried out. libvirt counts in whole seconds.
_UNANSWERED = 1.0
# With 0 s, libvirt often gives up before its other thread has sent the request. Libvirt 9.0 sent it
# at the second attempt on average.
_NO_WAIT = 0.0
_CLOSES = 8

_STATES = {1: "running", 2: "blocked", 3: "paused", 4: "shutting down", 5: "off", 6: "crashed", 7: "suspended"}

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def open_guest(options: LibvirtOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput, NotPossible."""
    target = _Target(options.vm, *uris(options.libvirt_uri))
    return LibvirtGuest(target, options)


class LibvirtGuest(QgaGuest):
    """A guest whose requests fit into libvirtd's socket to QEMU.

    96 KiB of a file are 128 KiB in base64, which is 60 % of the usual buffer.
    """

    capabilities = replace(QgaGuest.capabilities, max_script=96 * 1024)
    max_write = 96 * 1024

    def __init__(self, target: _Target, options: LibvirtOptions) -> None:
        super().__init__(
            options.vm,
            "libvirt",
            lambda timeout: LibvirtAgent(target, timeout),
            options.connect_timeout,
            options.exec_mode,
        )
        self._target = target

    def place(self) -> tuple[str, str]:
        if self._target.uuid is None:
            agent = LibvirtAgent(self._target, self.connect_timeout)
            with agent:
                deadline = Deadline(self.connect_timeout)
                agent.on_domain("Its UUID cannot be read", lambda domain: None, deadline, changes=False)
        return without_key(self._target.shown_uri), str(self._target.uuid)

    def power(self) -> LibvirtPower:
        return LibvirtPower(t.cast("LibvirtAgent", self._open_agent(self.connect_timeout)), self.connect_timeout)

    def checks(self) -> LibvirtChecks:
        agent = t.cast("LibvirtAgent", self._open_agent(self.connect_timeout))
        return LibvirtChecks(agent, self.vm, self._target.uri, self._target.shown_uri, self.connect_timeout)

    def snapshots(self) -> LibvirtSnapshots:
        return LibvirtSnapshots(t.cast("LibvirtAgent", self._open_agent(self.connect_timeout)))


@dataclass
class _Target:
    """The domain, and the libvirt that has it."""

    vm: str
    """The name or the UUID of the domain."""
    uri: str
    shown_uri: str
    """The URI for messages, without a password."""
    uuid: str | None = None
    """The UUID of the domain that was found first. No other is used afterwards."""


class LibvirtAgent(Agent):
    """The agent of one domain, and a context manager.

    *timeout*: seconds to reach libvirt, the domain and its agent, each time that is necessary.
    Every call of libvirt runs in a thread of its own (see ``bounded``).
    """

    def __init__(self, target: _Target, timeout: float) -> None:
        self.where = f"{target.vm!r} (libvirt {target.shown_uri})"
        self._target = target
        self._timeout = timeout
        self._connection: t.Any = None
        self._domain: t.Any = None
        self._known: t.Any = None
        """The domain. It is kept after its connection was given up."""
        self._ready = False

    def __exit__(self, *exc_info: object) -> None:
        connection, self._connection, self._domain = self._connection, None, None
        self._ready = False
        if connection is not None:
            try:
                bounded(connection.close, CLOSE)
            except (Overrun, library().libvirtError):
                pass  # the daemon sees the end of the process

    def close(self) -> None:
        """Do nothing: between two commands libvirt serves other clients anyway.

        Leaving the context disconnects.
        """

    def execute(
        self,
        command: str,
        arguments: dict[str, t.Any] | None = None,
        *,
        timeout: float = REPLY_TIMEOUT,
        meanwhile: t.Callable[[], object] = lambda: None,
    ) -> t.Any:
        self._establish(Deadline(self._timeout))
        meanwhile()  # libvirt's call waits for the answer
        return self._send(command, arguments, timeout)

    def close_file(self, handle: int, probe: Command, *, timeout: float = REPLY_TIMEOUT) -> None:
        """Close the file without waiting for the answer, until *probe* is refused.

        If that does not work, wait 1 s for the answer. No answer counts as success. libvirt then
        synchronises again. Agents work in order, so the next command is answered after the file is
        closed.
        """
        self._establish(Deadline(self._timeout))
        close: Command = ("guest-file-close", {"handle": handle})
        try:
            self._send(*probe, _PROBE)
        except (AgentRefused, _NoReply):
            attempts = 0  # this agent does not know the probe, so it would prove nothing
        else:
            attempts = _CLOSES
        for _attempt in range(attempts):
            with contextlib.suppress(_NoReply):
                self._send(*close, _NO_WAIT)
            try:
                self._send(*probe, timeout)
            except AgentRefused:
                return
            except _NoReply:
                break
        refused = (AgentRefused,) if attempts else ()  # the file may have been closed late
        with contextlib.suppress(_NoReply, *refused):
            self._send(*close, min(timeout, _UNANSWERED))

    def on_domain(
        self,
        complaint: str,
        work: t.Callable[[t.Any], t.Any],
        deadline: Deadline,
        *,
        changes: bool,
        permission: str = "write",
    ) -> t.Any:
        """Call *work* with the domain and return its value. The agent is not involved.

        It connects first if necessary. *permission*: the one of libvirt's access control that the
        work needs, for messages. Raises NotPossible with *complaint* and libvirt's words, and
        Unreachable if libvirt could not be reached. If the connection was lost or *work* did not
        return before *deadline*, it raises OutcomeUnknown if *changes* says that the work changes
        something, and Unreachable otherwise.
        """
        self._reach(Deadline(self._timeout))
        error_class = library().libvirtError
        connection, domain = self._connection, self._domain
        try:
            return bounded(lambda: work(domain), deadline.remaining)
        except Overrun:
            lost = f"libvirt did not return from a call about {self.where} within {deadline.seconds:g} s"
        except error_class as error:
            code = getattr(error, "get_error_code", lambda: None)()
            if code in (OPERATION_DENIED, ACCESS_DENIED):
                raise self._denied(words(error), permission) from None
            if alive(connection):
                raise NotPossible(f"{self.where}: {complaint}: {words(error)}.") from error
            lost = f"the connection to libvirt was lost ({self.where}: {words(error)})"
        self._forget()
        if changes:
            raise OutcomeUnknown(f"{lost}. Whether libvirt did the work is unknown; it was not asked again.")
        raise Unreachable(f"{lost}.")

    def if_there(self, complaint: str, look: t.Callable[[t.Any], t.Any]) -> t.Any:
        """Call *look*, which changes nothing, with the domain, and return its value.

        None if the domain was found before and is gone, as a transient one is when it is off.
        Raises the errors of ``on_domain``.
        """
        try:
            return self.on_domain(
                complaint, lambda domain: _unless_gone(look, domain), Deadline(self._timeout), changes=False
            )
        except _Gone:
            return None

    def may_write(self) -> bool | None:
        """Whether libvirt lets this user send commands to the agent, whether or not it answers.

        It checks the permission first. None if it did not return. Raises as ``on_domain``.
        """
        self._reach(Deadline(self._timeout))
        try:
            self._send("guest-ping", None, _UNANSWERED, limit=self._timeout)
        except NotPermitted:
            return False
        except OutcomeUnknown as error:
            return None if isinstance(error.__cause__, Overrun) else True
        except ChrError:
            pass
        return True

    # -- reaching the agent ------------------------------------------------------------------------

    def _establish(self, deadline: Deadline) -> None:
        """Connect and ping if necessary. Retry until it works or *deadline* is over.

        After an answered ping, a command that fails was sent, or at least may have been sent.
        """
        self._repeat(deadline, lambda: self._ready, lambda: self._ping(deadline))

    def _reach(self, deadline: Deadline) -> None:
        """Connect to libvirt and find the domain, without the ping."""
        self._repeat(deadline, lambda: self._domain is not None, lambda: None)

    def _repeat(self, deadline: Deadline, done: t.Callable[[], bool], step: t.Callable[[], None]) -> None:
        def attempt() -> None:
            if self._domain is None:
                self._connect(deadline)
            step()

        if not done():
            try:
                persist(deadline, attempt)
            except NotYet as error:
                if error.silent:
                    raise Unreachable(self._silent(deadline, error), silent=True) from None
                raise unreached(self._target.shown_uri, repr(self._target.vm), deadline, error) from None

    def _connect(self, deadline: Deadline) -> None:
        """Open libvirt and find the domain.

        Raises NotYet, and ChrError when another attempt would be useless.
        """
        target = self._target
        connection = open_once(target.uri, target.shown_uri, repr(target.vm), deadline)
        self._connection = connection
        try:
            domain, uuid = bounded(lambda: _find(connection, target), deadline.remaining)
        except Overrun:
            raise NotYet("it did not look up the VM in time") from None
        except library().libvirtError as error:
            raise self._no_domain(error) from None
        if target.uuid not in (None, uuid):
            raise VmNotFound(
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
            raise NotYet(words(error.__cause__ or error), silent=True) from None

    def _no_domain(self, error: t.Any) -> Exception:
        """The exception that an error in looking up the domain becomes."""
        code, text = error.get_error_code(), words(error)
        target = self._target
        if code == NO_DOMAIN:
            if target.uuid:
                return _Gone(
                    f"{self.where} does not exist any more (a transient VM disappears when it is off): {text}."
                )
            return VmNotFound(
                f"libvirt at {target.shown_uri} has no VM {target.vm!r}: {text}. Set chr_vm to a name or UUID that "
                f"'virsh -c {target.shown_uri} list --all' shows there; another user's or another host's VMs need another "
                "chr_libvirt_uri."
            )
        if code in (OPERATION_DENIED, ACCESS_DENIED, AUTH_FAILED):
            return self._denied(text)
        return NotYet(text)

    def _denied(self, text: str, permission: str = "write") -> NotPermitted:
        what = "talk to the guest agent of" if permission == "write" else permission
        return NotPermitted(
            f"libvirt does not let this user {what} {self.where}: {text}. That needs a connection that may "
            f"write (not a read-only socket) and, with access control in libvirtd, the permission {permission!r} on the domain."
        )

    def _silent(self, deadline: Deadline, last: NotYet) -> str:
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
            return _STATES.get(bounded(domain.state, CLOSE)[0], "in an unknown state")
        except (Overrun, library().libvirtError):
            return "in an unknown state"

    # -- commands ----------------------------------------------------------------------------------

    def _send(
        self, command: str, arguments: dict[str, t.Any] | None, timeout: float, limit: float | None = None
    ) -> t.Any:
        """Send one command and return its ``return`` value.

        *limit*: seconds after which the call of libvirt itself is given up. Raises AgentRefused,
        Unreachable (the command was not sent), NotPossible, NotPermitted, OutcomeUnknown and its
        subclass _NoReply.
        """
        error_class = library().libvirtError
        domain = self._domain
        request = json.dumps(
            {"execute": command, **({"arguments": arguments} if arguments else {})}, separators=(",", ":")
        )
        seconds = max(1, math.ceil(timeout)) if timeout else 0
        self._ready = False
        began = time.monotonic()
        try:
            reply = bounded(
                lambda: library().qemu.qemuAgentCommand(domain, request, seconds, 0),
                seconds + _SLACK if limit is None else limit,
            )
        except Overrun as error:
            self._forget()
            raise OutcomeUnknown(f"libvirt did not return from {command} to {self.where}: {error}.") from error
        except error_class as error:
            raise self._failed(error, command, seconds, time.monotonic() - began) from error
        except UnicodeDecodeError as error:
            raise OutcomeUnknown(f"The answer of {self.where} to {command} is not UTF-8: {error}.") from error
        try:
            value = loads(reply)["return"]
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown(
                f"libvirt returned no valid answer of {self.where} to {command}: {excerpt(reply)}."
            ) from None
        self._ready = True
        return value

    def _failed(self, error: t.Any, command: str, seconds: int, elapsed: float) -> Exception:
        """The exception that an error of the agent command becomes."""
        code, text = error.get_error_code(), words(error)
        if code in (INTERNAL_ERROR, AGENT_COMMAND_FAILED) and (said := _agents_words(text, command)):
            self._ready = True
            return AgentRefused(self.where, command, said)
        if code == OPERATION_INVALID:
            if (state := self._state()) in ("off", "crashed"):
                return Unreachable(f"{self.where} is {state}: {text}. Start it ('virsh start'), then repeat the task.")
            return _Locked(f"{command} was not sent to {self.where}, which is {state}: {text}.")
        if code == ARGUMENT_UNSUPPORTED:
            return NotPossible(
                f"{self.where} has no guest agent channel: {text}. Add <channel type='unix'><target type='virtio' "
                "name='org.qemu.guest_agent.0'/></channel> to its devices ('virsh edit'), then shut it down and start it again."
            )
        if code == NO_SUPPORT:
            return NotAnAgent(
                f"libvirt at {self._target.shown_uri} cannot carry the guest agent of {self._target.vm!r}: {text}."
            )
        if code in (OPERATION_DENIED, ACCESS_DENIED):
            return self._denied(text)
        if code == NO_DOMAIN:
            return Unreachable(f"{self.where} does not exist any more: {text}.")
        if code == OPERATION_TIMEOUT:  # libvirt's lock: the command has not been sent
            return _Locked(
                f"{command} was not sent to {self.where}, because another job holds the VM (a backup, a migration, another "
                f"user of the agent): {text}."
            )
        if code == AGENT_COMMAND_TIMEOUT or (code in (AGENT_UNRESPONSIVE, AGENT_UNSYNCED) and elapsed > seconds * 0.9):
            return _NoReply(f"The guest agent of {self.where} did not answer {command} within {seconds} s: {text}.")
        if code in (AGENT_UNRESPONSIVE, AGENT_UNSYNCED):
            return OutcomeUnknown(f"The guest agent of {self.where} disappeared during {command}: {text}.")
        self._forget()
        return OutcomeUnknown(f"libvirt failed during {command} to {self.where}: {text}.")

    def _forget(self) -> None:
        """Give up the connection, which a thread may still use. The next command opens another."""
        self._connection = self._domain = None


def _unless_gone(look: t.Callable[[t.Any], t.Any], domain: t.Any) -> t.Any:
    """What *look* returns. None if libvirt says that it no longer has the *domain*."""
    try:
        return look(domain)
    except library().libvirtError as error:
        if getattr(error, "get_error_code", lambda: None)() == NO_DOMAIN:
            return None
        raise


def _find(connection: t.Any, target: _Target) -> tuple[t.Any, str]:
    """The domain and its UUID. It runs in a worker thread. Raises libvirtError, VmAmbiguous."""
    found = []
    missing: Exception | None = None
    lookups = [connection.lookupByName]
    if _UUID.fullmatch(target.vm):
        lookups.insert(0, connection.lookupByUUIDString)
    for look_up in lookups:
        try:
            found.append(look_up(target.vm))
        except library().libvirtError as error:
            if getattr(error, "get_error_code", lambda: None)() != NO_DOMAIN:
                raise
            missing = missing or error
    uuids = {domain.UUIDString() for domain in found}
    if len(uuids) > 1:
        raise VmAmbiguous(
            f"chr_vm {target.vm!r} is the UUID of one VM and the name of another on {target.shown_uri}. Nothing was sent."
        )
    if missing and not found:
        raise missing
    return found[0], uuids.pop()


def _agents_words(text: str, command: str) -> str | None:
    """The agent's own error in a text of libvirt, which may be translated.

    The text is "unable to execute QEMU agent command 'guest-exec': ..." in English.
    """
    said = re.search(re.escape(command) + r"[^:]*:\s*(.*)", text, re.DOTALL)
    return " ".join(said[1].split()) or None if said else None


class _Gone(Unreachable):
    """The domain was found before, and does not exist any more."""


class _Locked(Unreachable):
    """Another job holds the domain, or it is paused. The command was not sent."""


class _NoReply(OutcomeUnknown):
    """The command was sent, but no answer came in time."""
