# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of a guest agent on its socket, with nothing around them: the floor."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import importlib
import io
import json
import socket
import time
import typing as t
from pathlib import Path

Ask = t.Callable[..., t.Any]


@contextlib.contextmanager
def channel(address: Path) -> t.Iterator[tuple[socket.socket, Ask]]:
    """A connection, and what sends one command on it and returns the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address))
        with connection.makefile("rb") as replies:

            def ask(command: str, **arguments: object) -> t.Any:
                connection.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
                return json.loads(replies.readline())["return"]

            yield connection, ask


class LibvirtChannel:
    """libvirt's own call for a command of an agent; a context manager, and an Ask."""

    def __init__(self, uri: str, domain: str) -> None:
        self._qemu = importlib.import_module("libvirt_qemu")
        self._libvirt = importlib.import_module("libvirt")
        self._connection = self._libvirt.open(uri)
        self._domain = self._connection.lookupByName(domain)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def __call__(self, command: str, **arguments: object) -> t.Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(self._qemu.qemuAgentCommand(self._domain, request, 60, 0))["return"]

    def close(self, handle: int) -> None:
        """Close a file, which the agent does not answer: it takes a second."""
        request = json.dumps({"execute": "guest-file-close", "arguments": {"handle": handle}})
        with contextlib.suppress(self._libvirt.libvirtError):
            self._qemu.qemuAgentCommand(self._domain, request, 1, 0)


def start(ask: Ask, source: str) -> int:
    encoded = base64.b64encode(source.encode() + b"\n").decode()
    return int(ask("guest-exec", **{"input-data": encoded, "capture-output": True})["pid"])


def run_on_each(addresses: t.Iterable[Path], source: str, threads: int = 8) -> None:
    """Run a script on each agent."""

    def one(address: Path) -> None:
        with channel(address) as (_connection, ask):
            job = start(ask, source)
            while not ask("guest-exec-status", pid=job)["exited"]:
                time.sleep(0.004)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, addresses))


def write(address: Path, content: bytes, chunk: int, name: str = "floor.bin") -> None:
    with channel(address) as (connection, ask):
        handle = write_open(ask, content, chunk, name)
        _close(connection, ask, handle)


def read(address: Path, chunk: int, name: str = "floor.bin") -> None:
    with channel(address) as (connection, ask):
        handle = read_open(ask, chunk, name)
        _close(connection, ask, handle)


def write_open(ask: Ask, content: bytes, chunk: int, name: str = "floor.bin") -> int:
    """Write a file and leave it open. Returns its handle."""
    handle = ask("guest-file-open", path=name, mode="w")
    for begin in range(0, len(content), chunk):
        part = content[begin : begin + chunk]
        encoded = base64.b64encode(part).decode()
        ask("guest-file-write", handle=handle, **{"buf-b64": encoded, "count": len(part)})
    return int(handle)


def read_open(ask: Ask, chunk: int, name: str = "floor.bin") -> int:
    """Read a file and leave it open. Returns its handle."""
    handle, ended, content = ask("guest-file-open", path=name, mode="r"), False, io.BytesIO()
    while not ended:
        reply = ask("guest-file-read", handle=handle, count=chunk)
        content.write(base64.b64decode(reply["buf-b64"]))
        ended = reply["eof"]
    return int(handle)


def _close(connection: socket.socket, ask: Ask, handle: int) -> None:
    """A close is not answered, so what follows it is waited for."""
    connection.sendall(json.dumps({"execute": "guest-file-close", "arguments": {"handle": handle}}).encode() + b"\n")
    ask("guest-ping")
