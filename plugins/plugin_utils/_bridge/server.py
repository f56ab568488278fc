# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The life of the process: what it is asked to do, and when it ends."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import signal
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import runs

from .bridge import Access, Bridge

_LOOK = 1.0  # seconds between two looks for endpoints that nobody uses, and for the controlling process
_FIRST = 60.0  # seconds for the first request
_THREADS = 64
_LAST = 30.0  # seconds beyond the time of a command, after which its end is not waited for
_REQUEST = 1024 * 1024  # bytes


@dataclasses.dataclass(frozen=True)
class Orders:
    """What the process is started for."""

    socket: Path
    """Where it takes requests."""
    pid: int
    """The controlling process, with which it ends."""
    run: runs.Run | None
    """The run of Ansible to which its sessions with hypervisors belong."""


class Server:
    """Serves requests: lines of JSON, each with one line as the answer."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._bridges: dict[str, Bridge] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="router")
        self._changing: dict[str, asyncio.Lock] = collections.defaultdict(asyncio.Lock)
        self._ended = asyncio.Event()
        self._asked = False

    async def run(self, ready: t.Callable[[], None]) -> None:
        """Serve until the end, and call *ready* when requests are taken. Raises OSError."""
        before = os.umask(0o177)
        try:
            control = await asyncio.start_unix_server(self._accept, str(self._orders.socket), limit=_REQUEST)
        finally:
            os.umask(before)
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._ended.set)
        try:
            ready()
            await self._watch()
        finally:
            self._ended.set()
            control.close()
            self._orders.socket.unlink(missing_ok=True)
            patience = max((bridge.patience for bridge in self._bridges.values()), default=0.0) + _LAST
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*map(self._close, list(self._bridges))), patience)

    async def _watch(self) -> None:
        """Return when the controlling process has ended, or when nobody needs this one any more."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with contextlib.ExitStack() as held:
            try:
                process = os.pidfd_open(self._orders.pid)
            except ProcessLookupError:
                return
            except (AttributeError, OSError):  # another system, or an old kernel
                process = None
            if process is not None:
                held.callback(os.close, process)
                loop.add_reader(process, self._ended.set)
                held.callback(loop.remove_reader, process)
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), _LOOK)
                for name, bridge in list(self._bridges.items()):
                    if bridge.idle:
                        await self._close(name)
                changing = any(lock.locked() for lock in self._changing.values())
                if not self._bridges and not changing and (self._asked or loop.time() - begun > _FIRST):
                    return
                if process is None and not runs.process_exists(self._orders.pid):
                    return

    async def _close(self, name: str) -> bool:
        """Close the endpoint of a router when its command has ended. Returns whether there is one.

        A new one is not opened before that.
        """
        async with self._changing[name]:
            return await self._closed(name)

    async def _closed(self, name: str) -> bool:
        bridge = self._bridges.pop(name, None)
        if bridge is not None:
            await bridge.close()
        return bridge is not None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, EOFError):
            request = json.loads(await reader.readline())
            answer = await self._answer(request)
            if answer is not None:
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, request: dict[str, t.Any]) -> dict[str, t.Any] | None:
        """Return the answer to *request*, or None if the process is about to end."""
        if self._ended.is_set():
            return None
        try:
            if request["do"] == "start":
                async with self._changing[request["router"]]:
                    return dataclasses.asdict(await self._start(request))
            if request["do"] == "stop":
                return {"stopped": await self._close(request["router"])}
            self._ended.set()
            return {}
        except (ChrError, OSError) as error:
            return {"error": str(error)}

    async def _start(self, request: dict[str, t.Any]) -> Access:
        """Return the endpoint of a router, which is opened if there is none. Raises ChrError."""
        values = request["options"]
        options = from_options({**values, "runtime_directory": Path(values["runtime_directory"])})
        name, times = request["router"], (request["timeout"], request["idle_timeout"])
        bridge = self._bridges.get(name)
        if bridge is not None and bridge.options != options:
            await self._closed(name)
            bridge = None
        if bridge is None:
            bridge = self._bridges[name] = Bridge(options, *times, self._threads)
            await bridge.open()
        else:
            bridge.use(*times)
        self._asked = True
        return bridge.access


def serve(orders: Orders, ready: t.Callable[[], None]) -> None:
    """Be the process: serve until the end. Raises OSError."""
    if orders.run is not None:
        runs.join(orders.run)
    asyncio.run(Server(orders).run(ready))
