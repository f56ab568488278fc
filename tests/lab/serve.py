# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transport of an agent's bytes.

There is a socket that behaves like QEMU's chardev, and a virtio-serial port seen from inside a
guest.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
import time
import typing as t
from pathlib import Path

from .qga.agent import Agent, HangUp
from .routeros import Router
from .switches import Switches


class Requests:
    """Splits what a client sends into requests, as an agent's JSON parser does.

    A newline is not needed.
    """

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._buffer = b""
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the complete requests.

        A piece that cannot be a request is returned as it is, for an error reply.
        """
        if b"\xff" in data and self._switches.client_delimiter != "garbage":
            before, _unused, after = data.rpartition(b"\xff")
            complaint = [b"\xff"] if self._switches.client_delimiter == "error" else []
            complete = self.feed(before.replace(b"\xff", b""))
            self._buffer = b""
            return complete + complaint + self.feed(after)
        self._buffer += data
        if self._buffer[:1] == b"{" and not (b"}" in data or b"\n" in data):
            return []  # a long request, which ends later
        found = []
        while self._buffer.strip():
            stripped = self._buffer.lstrip()
            try:
                _unused, end = self._decoder.raw_decode(stripped.decode("latin-1"))
            except ValueError:
                line, newline, rest = stripped.partition(b"\n")
                if not newline:
                    self._buffer = stripped
                    break
                found.append(line)  # a whole line that is no JSON
                self._buffer = rest
            else:
                found.append(stripped[:end])
                self._buffer = stripped[end:]
        return found


class LabRouter:
    """A router with its agent on a socket, one client at a time; a context manager.

    ``on`` is "unix:/path" or "tcp:host:port" (port 0: chosen, see ``address``). A power-off closes
    the socket, as the end of QEMU does; a reboot keeps it and answers nothing for
    ``switches.boot_seconds``.
    """

    def __init__(self, router: Router, on: str, switches: Switches | None = None) -> None:
        self.router = router
        self.agent = Agent(router, switches)
        self._on = on
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._away_until = 0.0
        self.channel = threading.Lock()
        """Held by the one client that QEMU serves."""
        router.on_power = self._power

    @property
    def switches(self) -> Switches:
        return self.agent.switches

    def start(self) -> LabRouter:
        """Power on."""
        kind, _unused, where = self._on.partition(":")
        if kind == "unix":
            Path(where).unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(where)
            self.address = where
        else:
            host, _unused, port = where.rpartition(":")
            listener = socket.create_server((host, int(port)))
            self._on = f"tcp:{host}:{listener.getsockname()[1]}"
            self.address = f"tcp://{host}:{listener.getsockname()[1]}"
        listener.listen(1)
        self._listener = listener
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Power off: the socket is closed."""
        for one in (self._listener, self._client):
            if one:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._listener = self._client = None
        self.agent.forget()
        self.router.lose_power()

    __enter__ = start

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _power(self, what: str) -> None:
        """End a moment after the order, as a machine does.

        Replies on their way can still be sent.
        """
        threading.Timer(0.05, self.reset if what == "reboot" else self.stop).start()

    def reset(self) -> None:
        """Begin anew, without power being cut: the socket stays open."""
        self._away_until = time.monotonic() + self.switches.boot_seconds
        self.agent.forget()
        self.router.reset()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _unused = listener.accept()
            except OSError:
                return
            self._client = client
            with client, self.channel, contextlib.suppress(OSError, HangUp):
                converse(client.recv, client.sendall, self.agent, lambda: time.monotonic() < self._away_until)


def converse(
    receive: t.Callable[[int], bytes],
    send: t.Callable[[bytes], t.Any],
    agent: Agent,
    away: t.Callable[[], bool],
) -> None:
    """Answer requests until the client is gone. Raises OSError, HangUp."""
    requests = Requests(agent.switches)
    while data := receive(256 * 1024):
        if away():
            requests = Requests(agent.switches)
            continue  # what reaches a guest without an agent is lost
        for request in requests.feed(data):
            reply = agent.answer(request)
            if not away():
                _send(send, reply, agent.switches.dribble)


def _send(send: t.Callable[[bytes], t.Any], reply: bytes, dribble: int) -> None:
    if not dribble:
        if reply:
            send(reply)
        return
    for start in range(0, len(reply), dribble):
        send(reply[start : start + dribble])
        time.sleep(0.001)


REBOOT, POWER_OFF = 10, 11


def serve_ports(ports: list[Path], router: Router, switches: Switches) -> int:
    """Be the agent on virtio-serial ports inside a guest.

    Returns the exit status that tells init to reboot or to power off.
    """
    wanted: queue.Queue[int] = queue.Queue()
    router.on_power = lambda what: wanted.put(REBOOT if what == "reboot" else POWER_OFF)
    for port in ports:
        threading.Thread(target=_serve_port, args=(port, Agent(router, switches)), daemon=True).start()
    status = wanted.get()
    time.sleep(0.05)  # replies on their way still get out
    return status


def _serve_port(port: Path, agent: Agent) -> None:
    descriptor = os.open(port, os.O_RDWR)

    def receive(size: int) -> bytes:
        while not (data := os.read(descriptor, size)):
            time.sleep(0.005)  # no client on the host's side
        return data

    def send(data: bytes) -> None:
        while data:
            data = data[os.write(descriptor, data) :]

    while True:
        with contextlib.suppress(HangUp):
            converse(receive, send, agent, lambda: False)
