# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The QEMU guest agent protocol on a byte stream.

Sources: the QGA protocol as QEMU documents it, and the CHR manual, section 9, for what RouterOS
does differently.
"""

from __future__ import annotations

import json
import random
import re
import socket
import time
import typing as t
from abc import ABC, abstractmethod

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    NotAnAgent,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel, ConnectError

from .framing import Decoder, MessageTooLarge

REPLY_TIMEOUT = 10.0
"""Seconds to wait for the reply to a command that an agent answers from memory."""

# A guest that is still booting reads our requests late or never, so they are repeated.
_SYNC_INTERVALS = (1.0, 2.0, 3.0)
_CONNECT_RETRY = 0.1
_RECEIVE = 256 * 1024
_STRANGER = re.compile(rb"HTTP/\d|SSH-\d|<!doctype |<html", re.IGNORECASE)


Command = tuple[str, dict[str, t.Any]]
"""The name of an agent's command, and its arguments."""


class Agent(ABC):
    """A conversation with a guest agent, and a context manager.

    Subclasses carry its messages in different ways. It connects when necessary. If it cannot
    connect, it raises Unreachable or NotAnAgent, and the command was not sent.
    """

    where: str
    """The VM and the way to it, for error texts."""

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the channel, so that others can use it. The next command opens it again."""

    @abstractmethod
    def execute(
        self,
        command: str,
        arguments: dict[str, t.Any] | None = None,
        *,
        timeout: float = REPLY_TIMEOUT,
        meanwhile: t.Callable[[], object] = lambda: None,
    ) -> t.Any:
        """Execute one agent command and return its ``return`` value.

        *meanwhile* is called once, while the agent works if the channel lets it. Raises
        AgentRefused for an error reply and OutcomeUnknown when the reply did not come within
        *timeout* seconds, or the channel closed. A late reply is never taken for the answer to a
        later command.
        """

    @abstractmethod
    def close_file(self, handle: int, probe: Command, *, timeout: float = REPLY_TIMEOUT) -> None:
        """Close a file, which RouterOS 7.22 does without ever answering (says tikoci/mikropkl).

        *probe*: a harmless command with the open *handle*, which agents answer, and refuse once it
        is closed. Raises the errors of ``execute``, as far as it can detect them.
        """


class AgentSession(Agent):
    """One exclusive, synchronised conversation with an agent, and a context manager.

    QEMU serves one client per channel, so keep it short. It connects and synchronises before the
    first command, and again after trouble, each time within *timeout* seconds.
    """

    def __init__(self, channel: Channel, vm: str, timeout: float) -> None:
        self.where = f"{vm!r} ({channel})"
        self._channel = channel
        self._vm = vm
        self._timeout = timeout
        self._decoder = Decoder()
        self._socket: socket.socket | None = None
        self._synced = False
        self._pending: list[dict[str, t.Any]] = []

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
        self._synced = False

    def execute(
        self,
        command: str,
        arguments: dict[str, t.Any] | None = None,
        *,
        timeout: float = REPLY_TIMEOUT,
        meanwhile: t.Callable[[], object] = lambda: None,
    ) -> t.Any:
        self._establish(Deadline(self._timeout))
        self._synced = False
        self._send(_request(command, arguments), command)
        meanwhile()
        reply = self._receive(Deadline(timeout), command)
        self._synced = True
        return self._value(reply, command)

    def close_file(self, handle: int, probe: Command, *, timeout: float = REPLY_TIMEOUT) -> None:
        """Send the command, and a sync request right after it.

        Agents work in order. So the reply to the sync request proves that the command is over, and
        no time is spent waiting for an answer that never comes. *probe* is not needed.
        """
        command = "guest-file-close"
        self._establish(Deadline(self._timeout))
        self._synced = False
        sync_id, sync = _sync_request()
        self._send(_request(command, {"handle": handle}) + sync, command)
        deadline = Deadline(timeout)
        reply: dict[str, t.Any] | None = None
        while True:
            message = self._receive(deadline, command)
            if _is_sync_reply(message, sync_id):
                break
            reply = reply or message
        self._synced = True
        if reply:
            self._value(reply, command)

    def _value(self, reply: dict[str, t.Any], command: str) -> t.Any:
        if "error" in reply:
            raise AgentRefused(self.where, command, _error_text(reply["error"]))
        return reply["return"]

    # -- reaching the agent ------------------------------------------------------------------------

    def _establish(self, deadline: Deadline) -> None:
        """Connect and synchronise if necessary. Retry until it works or *deadline* is over."""
        while not self._synced:
            try:
                if self._socket is None:
                    self._decoder = Decoder()
                    self._socket = self._channel.connect(deadline)
                self._synchronise(deadline)
            except (ConnectError, _Lost) as error:
                self.close()
                # Another try with no time left could only hide what was seen.
                if deadline.remaining <= _CONNECT_RETRY:
                    raise self._not_there(deadline, error) from None
                time.sleep(_CONNECT_RETRY)
            except BaseException:
                self.close()
                raise

    def _synchronise(self, deadline: Deadline) -> None:
        """Send sync requests until the newest one is answered.

        Everything before that reply is stale. Raises _Lost when the channel closes or *deadline*
        ends.
        """
        attempt = 0
        while True:
            sync_id, request = _sync_request()
            # The 0xFF makes an agent drop a half request that a former client left behind. Whether
            # every RouterOS bears it is unknown, so the first request goes without, as Proxmox VE
            # does it.
            self._write((b"\xff" if attempt % 2 else b"") + request, deadline)
            self._decoder.reset()
            pause = Deadline(min(_SYNC_INTERVALS[min(attempt, len(_SYNC_INTERVALS) - 1)], deadline.remaining))
            attempt += 1
            while (messages := self._read(pause)) is not None:
                if any(_is_sync_reply(message, sync_id) for message in messages):
                    self._synced = True
                    return
                self._reject_stranger(messages)
            if deadline.expired:
                raise _Silent(f"connected, sent guest-sync-delimited {attempt} times, no answer{self._heard()}")

    def _reject_stranger(self, messages: t.Iterable[dict[str, t.Any]] = ()) -> None:
        if any("QMP" in message for message in messages):
            raise NotAnAgent(
                f"What answers on {self._channel} is QEMU's monitor (QMP), not a guest agent. "
                f"Check chr_socket of {self._vm!r}."
            )
        heard = self._decoder.garbage.lstrip()
        if _STRANGER.match(heard):
            raise NotAnAgent(
                f"What answers on {self._channel} is not a guest agent: it said {excerpt(heard)}. "
                f"Check chr_socket of {self._vm!r}."
            )

    def _not_there(self, deadline: Deadline, last: Exception) -> Unreachable:
        return Unreachable(
            f"The guest agent of {self._vm!r} did not answer on {self._channel} within {deadline.seconds:g} s: "
            f"{last}. {self._channel.hint}",
            silent=isinstance(last, _Silent),
        )

    def _heard(self) -> str:
        heard = self._decoder.garbage.strip()
        return f"; received instead: {excerpt(heard)}" if heard else ""

    # -- bytes -------------------------------------------------------------------------------------

    def _send(self, request: bytes, command: str) -> None:
        try:
            self._write(request, Deadline(REPLY_TIMEOUT + len(request) / 100_000))
        except _Lost as error:
            self.close()
            raise OutcomeUnknown(
                f"The channel to {self.where} failed while {command} was being sent: {error}."
            ) from error

    def _receive(self, deadline: Deadline, command: str) -> dict[str, t.Any]:
        """Wait for the next reply. Raises OutcomeUnknown if none comes until *deadline*."""
        silent = f"The guest agent of {self.where} did not answer {command}"
        while not self._pending:
            try:
                messages = self._read(deadline)
            except _Lost as error:
                self.close()
                raise OutcomeUnknown(f"{silent}: {error}.") from error
            if messages is None:
                raise OutcomeUnknown(f"{silent} within {deadline.seconds:g} s{self._heard()}.")
            self._pending += [message for message in messages if "return" in message or "error" in message]
        return self._pending.pop(0)

    def _connection(self, deadline: Deadline) -> socket.socket:
        """The open socket, set to wait until *deadline*. Raises _Lost."""
        if self._socket is None:
            raise _Lost("the channel is closed")
        self._socket.settimeout(max(deadline.remaining, 0.0001))
        return self._socket

    def _write(self, data: bytes, deadline: Deadline) -> None:
        self._pending = []
        try:
            self._connection(deadline).sendall(data)
        except TimeoutError as error:
            raise _Lost("the other side does not read (is another program using the channel?)") from error
        except OSError as error:
            raise _Lost(error.strerror or str(error)) from error

    def _read(self, deadline: Deadline) -> list[dict[str, t.Any]] | None:
        """Read once and return the messages that this completed (maybe none yet).

        None if *deadline* ended first. Raises _Lost.
        """
        if deadline.expired:
            return None  # even when more is there to read: a peer that never stops talking must not hold us
        try:
            data = self._connection(deadline).recv(_RECEIVE)
        except TimeoutError:
            return None
        except OSError as error:
            raise _Lost(error.strerror or str(error)) from error
        if not data:
            self._reject_stranger()
            raise _Lost(f"the other side closed the channel{self._heard()}")
        try:
            return self._decoder.feed(data)
        except MessageTooLarge as error:
            raise _Lost(str(error)) from error


class _Lost(Exception):
    """The stream cannot be used any more."""


class _Silent(_Lost):
    """The channel is open, but nobody answers."""


def _request(command: str, arguments: dict[str, t.Any] | None) -> bytes:
    request: dict[str, t.Any] = {"execute": command}
    if arguments:
        request["arguments"] = arguments
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _sync_request() -> tuple[int, bytes]:
    sync_id = random.randrange(1, 2**31)
    return sync_id, _request("guest-sync-delimited", {"id": sync_id})


def _is_sync_reply(message: dict[str, t.Any], sync_id: int) -> bool:
    return str(message.get("return")) == str(sync_id)


def _error_text(error: t.Any) -> str:
    return excerpt(error.get("desc") or error.get("class") or error if isinstance(error, dict) else error)
