# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The way ``socket``: xenstored's own socket and wire protocol.

Scripts are not in a program's arguments, changes are transactions, and a watch tells each change.
Sources: xen/io/xs_wire.h and docs/misc/xenstore.txt of Xen.
"""

from __future__ import annotations

import collections
import contextlib
import random
import socket
import struct
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel, ConnectError

from . import vm_data
from .store import Busy, Domain, Follower, Moved, NotOurs, Seen, Store, StoreChange, StoreLost, StoreNode, StoreRefused

DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, START, END = 1, 2, 3, 4, 5, 6, 7
WRITE, MKDIR, RM, SET_PERMS, EVENT, ERROR = 11, 12, 13, 14, 15, 16
MAX_PAYLOAD = 4096
_HEADER = struct.Struct(
    "=IIII"
)  # type, request, transaction, length; in dom0's byte order, which is ours on x86 and arm
_REPLY = 10.0  # seconds for one reply
_PIPELINED = 32  # requests that are sent before their replies are read
_TOKEN = "outofband"
_CONFLICTS = 50  # attempts at a transaction
_EVENTS = 1000  # that are taken at a time

Request = tuple[int, tuple[str, ...]]


class StoreConnection:
    """Requests and watch events on one stream.

    Raises StoreLost when the stream breaks, StoreRefused for an error reply.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._buffer = b""
        self._events: collections.deque[str] = collections.deque()
        self._request = 0

    def close(self) -> None:
        self._stream.close()

    def ask(self, kind: int, *parts: str, transaction: int = 0, timeout: float = _REPLY) -> bytes:
        """Send a request and return the payload of the reply.

        Each of *parts* ends with NUL, except the value of a WRITE.
        """
        (reply,) = self.ask_all([(kind, parts)], transaction, timeout)
        if isinstance(reply, StoreRefused):
            raise reply
        return reply

    def ask_all(
        self, requests: t.Sequence[Request], transaction: int = 0, timeout: float = _REPLY
    ) -> list[bytes | StoreRefused]:
        """Send *requests* without waiting for each reply, and return all replies."""
        deadline = Deadline(timeout + len(requests) * 0.01)
        replies: list[bytes | StoreRefused] = []
        for start in range(0, len(requests), _PIPELINED):
            some = [_payload(*request) for request in requests[start : start + _PIPELINED]]
            first = self._request + 1
            for kind, payload in some:
                self._request += 1
                self._send(_HEADER.pack(kind, self._request, transaction, len(payload)) + payload, deadline)
            replies += [self._reply(number, deadline) for number in range(first, first + len(some))]
        return replies

    def events(self, timeout: float) -> list[str]:
        """Wait at most *timeout* seconds for a change under a watch. Returns the changed paths."""
        deadline = Deadline(timeout)
        while not self._events:
            message = self._receive(deadline)
            if message is None:
                break
            if message[0] == EVENT:
                self._note(message[2])
        # A guest can change its nodes faster than they are read.
        while len(self._events) < _EVENTS and (message := self._receive(Deadline(0.0))) is not None:
            if message[0] == EVENT:
                self._note(message[2])
        found = list(self._events)
        self._events.clear()
        return found

    def _note(self, payload: bytes) -> None:
        self._events.append(_text(payload.split(b"\0")[0]))

    def _send(self, data: bytes, deadline: Deadline) -> None:
        self._stream.settimeout(max(deadline.remaining, 0.01))
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise StoreLost(f"sending failed: {error.strerror or error}") from error

    def _reply(self, number: int, deadline: Deadline) -> bytes | StoreRefused:
        while True:
            message = self._receive(deadline)
            if message is None or deadline.expired:
                raise StoreLost(f"no reply within {deadline.seconds:.3g} s")
            kind, request, payload = message
            if kind == EVENT:
                self._note(payload)
            elif request != number:
                raise StoreLost("xenstored answered another request than ours")
            elif kind == ERROR:
                return StoreRefused(_text(payload.rstrip(b"\0")))
            else:
                return payload

    def _receive(self, deadline: Deadline) -> tuple[int, int, bytes] | None:
        """The next message as (type, request, payload). None if *deadline* came first."""
        while True:
            if len(self._buffer) >= _HEADER.size:
                kind, request, _transaction, length = _HEADER.unpack_from(self._buffer)
                if length > MAX_PAYLOAD:
                    raise StoreLost("what answers there does not speak xenstore's protocol")
                end = _HEADER.size + length
                if len(self._buffer) >= end:
                    payload, self._buffer = self._buffer[_HEADER.size : end], self._buffer[end:]
                    return kind, request, payload
            self._stream.settimeout(max(deadline.remaining, 0.0001))
            try:
                data = self._stream.recv(65536)
            except TimeoutError:
                return None
            except OSError as error:
                raise StoreLost(error.strerror or str(error)) from error
            if not data:
                raise StoreLost("the connection was closed")
            self._buffer += data


def _opened(channel: Channel, timeout: float) -> StoreConnection:
    """Open and test a connection.

    Raises StoreLost, StoreRefused, and ConnectError if another attempt would be useless.
    """
    try:
        stream = channel.connect(Deadline(timeout))
    except ConnectError as error:
        if str(error).startswith("busy"):
            raise StoreLost(str(error)) from None
        raise
    connection = StoreConnection(stream)
    try:
        # ssh's end of a forwarded socket opens at once, and closes again if the far end cannot be
        # opened.
        connection.ask(DIRECTORY, "/", timeout=min(timeout, _REPLY))
    except (StoreLost, StoreRefused):
        connection.close()
        raise
    return connection


def _payload(kind: int, parts: tuple[str, ...]) -> tuple[int, bytes]:
    data = b"\0".join(part.encode("utf-8", "surrogateescape") for part in parts)
    return kind, data if kind == WRITE else data + b"\0"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _value(reply: bytes | StoreRefused) -> str | None:
    """The value in the reply to a READ. None if the node does not exist. Raises StoreRefused."""
    if isinstance(reply, StoreRefused):
        if str(reply) == "ENOENT":
            return None
        raise reply
    return _text(reply)


class WireStore(Store):
    """One connection to xenstored."""

    mode = "socket"

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._watching = 0

    @classmethod
    def open(cls, channel: Channel, timeout: float, patience: float) -> WireStore:
        """Connect to xenstored through *channel*, and try again for *patience* seconds.

        oxenstored can let a client wait while it accepts others, so some of many clients at once
        fail to connect. Raises StoreLost, and the errors of the channel.
        """
        deadline = Deadline(patience)
        pause = 0.02
        while True:
            try:
                return cls(_opened(channel, timeout))
            except ConnectError as error:
                raise StoreLost(f"{channel}: {error}", refused=True) from None
            except (StoreLost, StoreRefused) as error:
                if deadline.expired:
                    raise StoreLost(f"{channel}: {error}", refused=True) from None
            time.sleep(min(pause, max(deadline.remaining, 0.001)) * random.uniform(0.5, 1.0))
            pause = min(2 * pause, 0.5)

    def close(self) -> None:
        self._connection.close()

    def _read(self, paths: t.Sequence[str], transaction: int = 0) -> list[str | None]:
        replies = self._connection.ask_all([(READ, (path,)) for path in paths], transaction)
        return [_value(reply) for reply in replies]

    def _children(self, paths: t.Sequence[str]) -> list[list[str]]:
        """The names below each of *paths*. Empty for a path that does not exist."""
        found = []
        for reply in self._connection.ask_all([(DIRECTORY, (path,)) for path in paths]):
            if isinstance(reply, StoreRefused):
                if str(reply) != "ENOENT":
                    raise reply
                reply = b""
            found.append([_text(name) for name in reply.split(b"\0") if name])
        return found

    def domains(self) -> list[Domain]:
        (names,) = self._children(["/local/domain"])
        domids = [int(name) for name in names if name.isdecimal() and int(name) > 0]
        values = self._read([f"/local/domain/{domid}/{key}" for domid in domids for key in ("name", "vm")])
        return [
            Domain(domid, values[2 * index] or "", values[2 * index + 1] or "")
            for index, domid in enumerate(domids)
            if values[2 * index] is not None
        ]

    def domain(self, domid: int, transaction: int = 0) -> Domain | None:
        name, vm = self._read([f"/local/domain/{domid}/name", f"/local/domain/{domid}/vm"], transaction)
        return None if name is None else Domain(domid, name, vm or "")

    def tree(self, path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        level = [""]
        while level:
            names = self._children([f"{path}{below}" for below in level])
            level = [f"{below}/{name}" for below, some in zip(level, names, strict=True) for name in some]
            values = self._read([f"{path}{below}" for below in level])
            found |= {below[1:]: value for below, value in zip(level, values, strict=True) if value is not None}
        return found

    def nodes(self, domain: Domain) -> dict[str, StoreNode]:
        root = f"{domain.path}/{vm_data.ROOT}"
        (value,) = self._read([root])
        values = {"": value, **{f"/{path}": value for path, value in self.tree(root).items()}}
        replies = self._connection.ask_all([(GET_PERMS, (f"{root}{path}",)) for path in values])
        found = {}
        for (path, value), reply in zip(values.items(), replies, strict=True):
            permissions = _value(reply)
            if value is not None and permissions is not None:
                found[f"{vm_data.ROOT}{path}"] = StoreNode(value, tuple(permissions.rstrip("\0").split("\0")))
        return found

    def change(
        self, domain: Domain, changes: t.Sequence[StoreChange], *, unless_busy: bool, script: t.Sequence[str] = ()
    ) -> None:
        for _unused in range(_CONFLICTS):
            transaction = self._started()
            try:
                if self.domain(domain.domid, transaction) != domain:
                    raise Moved
                keys = (vm_data.SCRIPT, vm_data.STATUS)
                there, status = self._read([f"{domain.path}/{key}" for key in keys], transaction)
                if script and there not in script:
                    raise NotOurs
                if unless_busy and status is not None and vm_data.busy({vm_data.STATUS: status}):
                    raise Busy
                for change in changes:
                    self._carry_out(domain, change, transaction)
            except (Moved, NotOurs, Busy, StoreRefused):
                with contextlib.suppress(StoreRefused):
                    self._connection.ask(END, "F", transaction=transaction)
                raise
            try:
                self._connection.ask(END, "T", transaction=transaction)
                return
            except StoreRefused as error:
                if str(error) != "EAGAIN":  # somebody else changed the same nodes: our transaction was not carried out
                    raise
        raise StoreRefused("EAGAIN, again and again: something else changes the same nodes all the time")

    def _started(self) -> int:
        """Begin a transaction, and return its number."""
        answer = _text(self._connection.ask(START, "").rstrip(b"\0"))
        if not (answer.isascii() and answer.isdigit() and int(answer) < 2**32):
            raise StoreLost(f"xenstored began a transaction with the number {excerpt(answer)}")
        return int(answer)

    def _carry_out(self, domain: Domain, change: StoreChange, transaction: int) -> None:
        path = f"{domain.path}/{change.path}"
        if change.permissions is not None:
            self._connection.ask(MKDIR, path, transaction=transaction)
            self._connection.ask(SET_PERMS, path, *change.permissions, transaction=transaction)
        elif change.value is not None:
            self._connection.ask(WRITE, path, change.value, transaction=transaction)
        else:
            with contextlib.suppress(StoreRefused):  # it may not exist
                self._connection.ask(RM, path, transaction=transaction)

    def follow(self, domain: Domain, changes: t.Sequence[StoreChange]) -> Follower:
        self._watching += 1
        token = f"{_TOKEN}-{self._watching}"
        watches = [(path, token) for path in (f"{domain.path}/{vm_data.SCRIPT}", "@releaseDomain")]
        for watch in watches:
            self._connection.ask(WATCH, *watch)
        follower = _WireFollower(self, self._connection, domain, watches)
        try:
            if changes:
                self.change(domain, changes, unless_busy=True)
        except (Busy, Moved, StoreRefused):
            follower.close()
            raise
        return follower


class _WireFollower(Follower):
    def __init__(
        self, store: WireStore, connection: StoreConnection, domain: Domain, watches: list[tuple[str, str]]
    ) -> None:
        self._store, self._connection, self._domain, self._watches = store, connection, domain, watches
        self._status_changes = 0
        self._last: Seen | None = None

    def look(self, timeout: float) -> Seen:
        deadline = Deadline(timeout)
        while True:
            first = self._last is None
            changed = self._connection.events(0.0 if first else deadline.remaining)
            self._status_changes += changed.count(f"{self._domain.path}/{vm_data.STATUS}")
            seen = self._now()
            if first or seen != self._last or deadline.expired:
                self._last = seen
                return seen

    def _now(self) -> Seen:
        if self._store.domain(self._domain.domid) != self._domain:
            return Seen({}, self._status_changes, gone=True)
        keys = (vm_data.SCRIPT, vm_data.STATUS, *vm_data.OUTPUTS)
        values = self._store._read([f"{self._domain.path}/{key}" for key in keys])
        return Seen(
            {key: value for key, value in zip(keys, values, strict=True) if value is not None}, self._status_changes
        )

    def close(self) -> None:
        with contextlib.suppress(StoreRefused, StoreLost):
            for watch in self._watches:
                self._connection.ask(UNWATCH, *watch)
            self._connection.events(0.0)  # they belong to these watches and must not reach the next ones
