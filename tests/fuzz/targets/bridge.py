# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge of the RouterOS API: clients on one side, what a router prints on the other."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t
from unittest import mock

from ansible_collections.outofband.chr.plugins.plugin_utils._bridge.session import Session
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api import query, script, sentence, trap, value
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.command import Command, command, tag_of

from ..target import target, text

_WORDS = (
    *(
        b"/ip/address/print",
        b"/system/identity/set",
        b"/interface/add",
        b"/ip/address/get",
        b"/find",
        b"\0",
        b"=.id=*1",
    ),
    *(b"=name=x", b"=.proplist=name,.id", b"?name=ether1", b"?#", b"1.", b"&", b"|", b"!", b"?>mtu=9", b".tag=1"),
    *(b"=count-only=", b"/ping", b"=count=1", b"=password=s3cr3t"),
)
_PRINTED = (
    *(
        b"@\r\n",
        b"name,str 6:ether1\r\n",
        b"mtu,num 4:1500\r\n",
        b".id,id 2:*1\r\n",
        b"ret,str 2:*1\r\n",
        b"after 2:*1\n",
    ),
    *(b"uptime,time 8:00:00:01\r\n", b"address;ip 7:1.2.3.4\n", b"x,array 4:,a,b\n", b"\r\n", b"@"),
)


@target(b"\x80", b"\xc0", b"\xe0", b"\xf0", b"\xff", b"\x7f", b"\0")
def api_lengths(data: bytes) -> None:
    """A length that was written is read as the same, and has at most four further bytes."""
    number = int.from_bytes(data[:4], "big")
    written = sentence.length(number)
    assert sentence.further_bytes(written[0]) == len(written) - 1
    assert sentence.size(written[0], written[1:]) == number
    for first in data[:1]:
        with contextlib.suppress(ValueError):
            further = sentence.further_bytes(first)
            assert sentence.size(first, b"\xff" * further) < 2**32


@target(*_WORDS)
def api_command(data: bytes) -> None:
    """Any sentence is a command, whose script has every value in quotes, or a Trap."""
    words = [word for word in data.split(b"\0") if word][:50]
    if not words:
        return
    tag_of(words)
    with contextlib.suppress(trap.Trap):
        found = command(words)
        planned = script.plan(found)
        source = planned.source(0, 3) if isinstance(planned, script.Print) else planned.source
        source.encode()
        item = {b"name": value.Value(b"str", b"ether1"), b"mtu": value.Value(b"num", b"1500")}
        query.wanted(found.queries, item)
        if isinstance(planned, script.Print):
            planned.answer([item])


@target(*_PRINTED)
def api_answer(data: bytes) -> None:
    """Whatever a router prints, it is an answer of the API, a ValueError or Unsteady."""
    for words in ([b"/ip/address/print"], [b"/ip/address/add"], [b"/interface/monitor", b"=once="]):
        planned = script.plan(command(words))
        with contextlib.suppress(ValueError, script.Unsteady):
            if isinstance(planned, script.Print):
                reader = planned.reader()
                half = len(data) // 2
                found = [*reader(data[:half], None), *reader(data[half:], None)]
                answer = planned.answer(found)
            else:
                answer = planned.answer(data)
            assert answer[-1][0] == b"!done"
            assert b"".join(map(sentence.encode, answer)).endswith(b"\0")


@target(
    b"failure: ",
    b"bad command name x",
    b"expected end of command",
    b" (line 1 column 5)",
    b" (6)",
    b"(",
    b";",
    b"9" * 30,
)
def api_trap(data: bytes) -> None:
    """Whatever a failed script printed, it is a trap with a short message."""
    found = trap.from_output(data, "/ip address add x=1\n:put 1\n", "add")
    assert len(str(found)) <= 2000
    assert found.words()[0] == b"!trap"


_LOGIN = sentence.encode([b"/login", b"=name=u", b"=password=p"])


@target(_LOGIN, *(sentence.encode([one]) for one in _WORDS if one != b"\0"), b"\x05", b"\xe0", b"\xff", b"\0")
def api_session(data: bytes) -> None:
    """Whatever a client sends, its session ends, and nothing is done before the right login."""
    asyncio.run(_serve(data))


async def _serve(data: bytes) -> None:
    reader, writer = asyncio.StreamReader(), mock.MagicMock()
    writer.drain = _nothing
    performed: list[Command] = []

    async def perform(one: Command) -> list[list[bytes]]:
        performed.append(one)
        return [[b"!done"]]

    reader.feed_data(data)
    reader.feed_eof()
    await Session(reader, writer, perform).serve("u", "p")
    if performed:
        assert b"=name=u" in data
        assert b"=password=p" in data
    for call in writer.write.call_args_list:
        assert text(call.args[0]).endswith("\0")


async def _nothing(*_arguments: t.Any) -> None:
    pass
