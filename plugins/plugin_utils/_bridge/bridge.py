# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The endpoint of one router: a port of this machine, its credentials, and its clients."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import socket
import threading
import time
import typing as t
from concurrent.futures import Executor

from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.command import Command
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.script import Sentence
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.trap import GENERAL, Trap

from .router import ApiRouter
from .session import Session

_LOOPBACK = "127.0.0.1"
_MOST_CLIENTS = 256


@dataclasses.dataclass(frozen=True)
class Access:
    """Where a client finds a router, and its login."""

    hostname: str
    port: int
    username: str
    password: str = dataclasses.field(repr=False)


class Bridge:
    """The endpoint of the router that *options* name. Times are in seconds. Raises OSError."""

    def __init__(self, options: GuestOptions, timeout: float, idle_timeout: float, threads: Executor) -> None:
        self.options = options
        self._router = ApiRouter(options, timeout)
        self._idle_timeout = idle_timeout
        self._threads = threads
        self._one_at_a_time = asyncio.Lock()
        self._clients: set[asyncio.Task[None]] = set()
        self._commands = 0
        self._used = time.monotonic()
        self._server: asyncio.Server | None = None
        self._listener = socket.create_server((_LOOPBACK, 0))
        self.access = Access(_LOOPBACK, self._listener.getsockname()[1], "bridge", secrets.token_urlsafe(24))
        protect(self.access.password)

    async def open(self) -> None:
        """Begin to serve clients."""
        self._server = await asyncio.start_server(self._accept, sock=self._listener)

    @property
    def patience(self) -> float:
        """The seconds in which a command on the router ends, if its hypervisor keeps to them."""
        return self._router.timeout + self.options.connect_timeout

    def use(self, timeout: float, idle_timeout: float) -> None:
        """Take the times of a task that uses the endpoint again."""
        self._router.timeout, self._idle_timeout = timeout, idle_timeout
        self._used = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether no client has sent anything for so long that the endpoint is to be closed."""
        busy = self._commands or self._one_at_a_time.locked()
        return not busy and time.monotonic() - self._used > self._idle_timeout

    async def close(self) -> None:
        """Leave the port and the clients. A command that runs on the router ends there first."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        async with self._one_at_a_time:
            pass

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closed = self._server is None or not self._server.is_serving()
        if closed or len(self._clients) >= _MOST_CLIENTS:
            writer.close()
            return
        client = t.cast("asyncio.Task[None]", asyncio.current_task())
        self._clients.add(client)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                session = Session(reader, writer, self._perform)
                await session.serve(self.access.username, self.access.password)
        finally:
            self._clients.discard(client)

    async def _perform(self, command: Command) -> list[Sentence]:
        """Carry out *command* when those before it are done. Raises Trap.

        One that waits is not begun if its client leaves. A script that has begun is not
        interrupted.
        """
        self._commands += 1
        left = threading.Event()
        try:
            await self._one_at_a_time.acquire()
            return await asyncio.shield(asyncio.create_task(self._run(command, left)))
        finally:
            left.set()
            self._commands -= 1
            self._used = time.monotonic()

    async def _run(self, command: Command, left: threading.Event) -> list[Sentence]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._router.answer, command, left.is_set)
        except Trap:
            raise
        except Exception as error:  # a fault of the collection, or of a library that it uses
            raise Trap(f"The bridge failed in an unexpected way ({type(error).__name__}: {error})", GENERAL) from error
        finally:
            self._one_at_a_time.release()
