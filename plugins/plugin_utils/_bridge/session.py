# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One client of an endpoint, from its login to its end."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import hmac
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api import sentence
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.command import Command, command, tag_of
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.script import Sentence
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.trap import INTERRUPTED, OF_API, Trap

from .router import GONE

_LOGIN = 5.0  # seconds for the login
_WHOLE = 5.0  # seconds for the rest of a sentence that has begun
_TAKEN = 60.0  # seconds for the client to take an answer
_MOST_WORDS = 4096  # of a sentence
_LARGEST = 1024 * 1024  # bytes of a sentence
_MOST_WAITING = 1024  # commands that wait
_LOGIN_WORD = b"/login"
_INTERRUPTED = [Trap("interrupted", INTERRUPTED).words(), [b"!done"]]
_INTERRUPTED_ON_THE_ROUTER = [
    Trap("interrupted: if it had begun on the router, it goes on there, and its answer is lost", INTERRUPTED).words(),
    [b"!done"],
]

Perform = t.Callable[[Command], t.Awaitable[list[Sentence]]]


class _Malformed(Exception):
    """What came is not a sentence of the API."""


class Session:
    """A client. *perform* carries out a command, and raises Trap."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, perform: Perform) -> None:
        self._reader = reader
        self._writer = writer
        self._perform = perform
        self._waiting: collections.deque[list[bytes]] = collections.deque()
        self._arrived = asyncio.Event()
        self._running: tuple[list[bytes], asyncio.Task[list[Sentence]]] | None = None

    async def serve(self, username: str, password: str) -> None:
        """Serve the client until it leaves, or until it is cancelled."""
        try:
            async with asyncio.timeout(_LOGIN):
                entered = await self._login(username, password)
            if entered:
                await self._commands()
        except _Malformed as error:
            self._send([[b"!fatal", str(error).encode()]])
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._writer.transport.set_write_buffer_limits(0)  # so drain waits for the last byte
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._writer.drain()
            self._writer.transport.abort()

    async def _login(self, username: str, password: str) -> bool:
        """Take the first sentence, and return whether it is the login."""
        words = await self._sentence(await self._reader.readexactly(1), first_word=_LOGIN_WORD)
        given = dict(word[1:].partition(b"=")[::2] for word in words[1:] if word.startswith(b"="))
        right = (
            hmac.compare_digest(given.get(b"name", b""), username.encode()),
            hmac.compare_digest(given.get(b"password", b""), password.encode()),
        )
        tag = tag_of(words)
        if not all(right):
            self._send([Trap("invalid user name or password (6)", OF_API).words(), [b"!done"]], tag)
            return False
        self._send([[b"!done"]], tag)
        return True

    async def _commands(self) -> None:
        """Read commands, and carry them out one after the other."""
        worker = asyncio.create_task(self._work())
        worker.add_done_callback(lambda _done: self._reader.feed_eof())
        try:
            while True:
                words = await self._sentence(await self._reader.readexactly(1))
                if not words:
                    continue
                if words[0] == b"/quit":
                    self._send([[b"!fatal", b"session terminated on request"]])
                    return
                # Reading goes on while commands wait, so the end of the client is seen.
                if words[0] == b"/cancel":
                    self._cancel(words)
                elif len(self._waiting) < _MOST_WAITING:
                    self._waiting.append(words)
                    self._arrived.set()
                    continue
                else:
                    self._send([Trap("too many commands wait", OF_API).words(), [b"!done"]], tag_of(words))
                await self._drain()
        finally:
            worker.cancel()  # what has begun on the router goes on, what waits is not begun
            with contextlib.suppress(asyncio.CancelledError):
                await worker

    async def _work(self) -> None:
        """Carry out what arrives, until the router goes down or the client does not read."""
        while True:
            await self._arrived.wait()
            while self._waiting:
                words = self._waiting.popleft()
                task = asyncio.create_task(self._answer(words))
                self._running = words, task
                try:
                    await asyncio.wait([task])
                finally:
                    task.cancel()  # if the client has left; it does nothing to a task that is done
                answer = _INTERRUPTED_ON_THE_ROUTER if task.cancelled() else task.result()
                self._running = None
                self._send(answer, tag_of(words))
                if answer[-1][0] == GONE:
                    return
                await self._drain()
            self._arrived.clear()

    async def _answer(self, words: list[bytes]) -> list[Sentence]:
        try:
            return await self._perform(command(words))
        except Trap as trap:
            return [trap.words(), [b"!done"]]

    def _cancel(self, words: list[bytes]) -> None:
        """Take back the commands with the tag that is named, or all."""
        tag = next((word.removeprefix(b"=tag=") for word in words if word.startswith(b"=tag=")), None)
        for one in [one for one in self._waiting if tag in (None, tag_of(one))]:
            self._waiting.remove(one)
            self._send(_INTERRUPTED, tag_of(one))
        if self._running and tag in (None, tag_of(self._running[0])):
            self._running[1].cancel()
        self._send([[b"!done"]], tag_of(words))

    async def _sentence(self, first: bytes, first_word: bytes | None = None) -> list[bytes]:
        """Return the words of the sentence that begins with the byte *first*.

        Raises _Malformed for one that is too long, or does not begin with *first_word*.
        """
        words: list[bytes] = []
        total = 0
        async with asyncio.timeout(_WHOLE):
            while True:
                try:
                    further = sentence.further_bytes(first[0])
                except ValueError as error:
                    raise _Malformed(str(error)) from None
                size = sentence.size(first[0], await self._reader.readexactly(further))
                total += size
                if size == 0:
                    return words
                if first_word is not None and not words and size != len(first_word):
                    raise _Malformed("not logged in")
                if total > _LARGEST or len(words) >= _MOST_WORDS:
                    raise _Malformed(f"a sentence has at most {_MOST_WORDS} words and {_LARGEST} bytes")
                words.append(await self._reader.readexactly(size))
                if first_word is not None and words[0] != first_word:
                    raise _Malformed("not logged in")
                first = await self._reader.readexactly(1)

    def _send(self, answer: list[Sentence], tag: bytes | None = None) -> None:
        mark = [] if tag is None else [b".tag=" + tag]
        with contextlib.suppress(OSError):
            self._writer.write(b"".join(sentence.encode([*one, *mark]) for one in answer))

    async def _drain(self) -> None:
        async with asyncio.timeout(_TAKEN):
            await self._writer.drain()
