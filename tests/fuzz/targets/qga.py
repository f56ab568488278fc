# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's guest agent and monitor: bytes, messages, answers."""

from __future__ import annotations

import contextlib
import io
import json
import re
import typing as t
from pathlib import PurePosixPath
from unittest import mock

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import AgentRefused, ChrError, OutcomeUnknown
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.power import QemuPower
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga import framing
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import QgaGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.protocol import Agent, AgentSession
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel

from ..target import target, without_sleep

_WORDS = (
    *(b'{"return": ', b'{"error": {"class": "X", "desc": "', b"}", b"{}", b"\n", b"\xff", b'"', b"\\", b"[", b"]"),
    *(b'{"return": @ID@}\n', b'{"QMP": {}}\n', b"HTTP/1.1 400", b"SSH-2.0", b'{"event": "RESET"}\n'),
)
_ANSWERS = (
    *(
        b'{"pid": 7}',
        b'{"exited": true',
        b', "exitcode": 0',
        b', "out-data": "',
        b"b2sNCg==",
        b'", "out-truncated": 1}',
    ),
    *(b"1", b'{"count": 3, "eof": true, "buf-b64": "YWJj"}', b"\n", b'{"supported_commands": [{"name": "', b'"}]}'),
    *(b"guest-network-get-interfaces", b"guest-get-osinfo", b'[{"name": "ether1", "ip-addresses": [{"prefix": '),
    *(
        b'{"count": 3}',
        b'"path" is missing',
        b"!",
        b"{}",
        b"[]",
        b"null",
        b'"x"',
        b"-1",
        b"}]}]",
        b'{"id": "routeros"}',
    ),
)


@target(*_WORDS)
def qga_framing(data: bytes) -> None:
    """Any bytes end in objects or nothing, however they are split, and what is kept is bounded."""
    size, data = (data[0] or 1, data[1:]) if data else (1, b"")
    whole, split = framing.Decoder(), framing.Decoder()
    expected = whole.feed(data)
    found = [one for at in range(0, len(data), size) for one in split.feed(data[at : at + size])]
    assert found == expected
    assert all(isinstance(one, dict) for one in found)
    for decoder in (whole, split):
        assert len(decoder.garbage) <= framing._GARBAGE
        assert len(decoder._buffer) <= len(data)


@target(*_WORDS)
def qga_session(data: bytes) -> None:
    """Whatever speaks on the channel, a command returns a value or raises a typed error."""
    with without_sleep(), AgentSession(_Wire(data), "chr1", 0.01) as agent:
        for _command in range(3):
            with contextlib.suppress(ChrError):
                agent.execute("guest-info", timeout=0.01)
            with contextlib.suppress(ChrError):
                agent.close_file(7, ("guest-file-flush", {"handle": 7}), timeout=0.01)


@target(*_ANSWERS)
def qga_answers(data: bytes) -> None:
    """Whatever an agent answers, each operation on a guest ends or raises a typed error."""
    answers = []
    for line in data.split(b"\n")[:20]:
        with contextlib.suppress(ValueError):
            answers.append(loads(line))
    operations: tuple[t.Callable[[QgaGuest], object], ...] = (
        lambda guest: guest.ping(0.01),
        lambda guest: guest.run(b":put 1", 0.0),
        lambda guest: guest.report(),
        lambda guest: guest.operating_system(),
        lambda guest: guest.get("a.txt", io.BytesIO()),
        lambda guest: guest.put(io.BytesIO(b"abc"), "a.txt"),
    )
    with without_sleep():
        for operation in operations:
            with contextlib.suppress(ChrError):
                operation(QgaGuest("chr1", "qemu", lambda _timeout: _Answers(answers), 0.01))


@target(b'{"QMP": {}}\n', b'{"return": {}}\n', b'{"return": {"status": "running"}}\n', b'{"error": {"desc": "x"}}\n')
def qmp(data: bytes) -> None:
    """Whatever speaks on QEMU's monitor, a command returns or raises a typed error."""
    power = monitor_of(data)
    with (
        contextlib.suppress(ChrError),
        mock.patch.object(QemuPower, "_made_by_us", lambda _self: PurePosixPath("/vm")),
    ):
        if data[:1] == b"r":
            power.reset(Deadline(0.01))
        else:
            power.check()


def monitor_of(data: bytes) -> QemuPower:
    """The switch of a QEMU whose monitor says *data*."""
    channel = _Wire(data)
    return QemuPower("chr1", channel, None, channel, 0.01)


class _Wire(Channel):
    """A channel on which *data* comes, and then the end. @ID@ is the id of the last sync."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sync_id = b"0"

    def __str__(self) -> str:
        return "a channel"

    def connect(self, deadline: Deadline) -> t.Any:
        return self

    def settimeout(self, seconds: float) -> None:
        assert 0 < seconds < 100

    def close(self) -> None:
        pass

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        if match := re.search(rb'"id":(\d+)', data):
            self.sync_id = match[1]

    def recv(self, size: int) -> bytes:
        line, end, self.data = self.data.partition(b"\n")
        return (line + end).replace(b"@ID@", self.sync_id)

    def makefile(self, _mode: str) -> t.Any:
        return io.BufferedRWPair(io.BytesIO(self.data), io.BytesIO())


class _Answers(Agent):
    """An agent with these *answers*, and then none. A text that begins with ! is a refusal."""

    where = "'chr1' (a channel)"

    def __init__(self, answers: list[t.Any]) -> None:
        self._answers = iter(answers)

    def close(self) -> None:
        pass

    def execute(
        self,
        command: str,
        arguments: dict[str, t.Any] | None = None,
        *,
        timeout: float = 10.0,
        meanwhile: t.Callable[[], object] = lambda: None,
    ) -> t.Any:
        json.dumps(arguments)
        meanwhile()
        for answer in self._answers:
            if isinstance(answer, str) and answer.startswith("!"):
                raise AgentRefused(self.where, command, answer[1:])
            return answer
        raise OutcomeUnknown("The guest agent did not answer.")

    def close_file(self, handle: int, probe: t.Any, *, timeout: float = 10.0) -> None:
        self.execute("guest-file-close", {"handle": handle})
