# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sentences as such: tags, several commands at once, /cancel, /quit."""

from __future__ import annotations

import contextlib
import socket
import time
import typing as t

import pytest
from librouteros.connections import SocketTransport
from librouteros.exceptions import FatalError
from librouteros.protocol import ApiProtocol

from ansible_collections.outofband.chr.tests.system.api.conftest import Endpoint

LISTS = "/ip/firewall/address-list"
Sentence = tuple[str, ...]


@contextlib.contextmanager
def session(endpoint: Endpoint, log_in: bool = True) -> t.Iterator[ApiProtocol]:
    """The protocol alone, as librouteros has it."""
    with socket.create_connection((endpoint.hostname, endpoint.port), timeout=30) as connection:
        protocol = ApiProtocol(SocketTransport(connection), "utf-8")
        if log_in:
            protocol.writeSentence("/login", f"=name={endpoint.username}", f"=password={endpoint.password}")
            assert protocol.readSentence() == ("!done", ())
        yield protocol


def replies(protocol: ApiProtocol, commands: int) -> dict[str, list[Sentence]]:
    """The sentences by their tags, until so many commands are done; words without the tag."""
    found: dict[str, list[Sentence]] = {}
    while commands:
        first, words = protocol.readSentence()
        (tag,) = [word for word in words if word.startswith(".tag=")]
        found.setdefault(tag, []).append((first, *(word for word in words if word != tag)))
        commands -= first == "!done"
    return found


def test_answers_have_the_tag_of_their_command(endpoint: Endpoint) -> None:
    with session(endpoint) as protocol:
        protocol.writeSentence(f"{LISTS}/print", "=.proplist=.id", "?list=mgmt", ".tag=one")
        protocol.writeSentence("/ip/nothing/print", ".tag=2")
        protocol.writeSentence(f"{LISTS}/add", "=list=x", "=address=10.9.9.9", ".tag=three")
        assert replies(protocol, 3) == {
            ".tag=one": [("!re", "=.id=*1"), ("!re", "=.id=*2"), ("!done",)],
            ".tag=2": [("!trap", "=message=no such command prefix"), ("!done",)],
            ".tag=three": [("!done", "=ret=*4")],
        }


def test_many_commands_are_carried_out_in_their_order(endpoint: Endpoint) -> None:
    with session(endpoint) as protocol:
        for number in range(50):
            protocol.writeSentence("/system/identity/set", f"=name=name {number}", f".tag={number}")
        protocol.writeSentence("/system/identity/print", ".tag=print")
        found = replies(protocol, 51)
    assert found[".tag=print"] == [("!re", "=name=name 49"), ("!done",)]
    assert endpoint.router.identity == "name 49"


def test_a_client_may_send_much_before_it_reads(endpoint: Endpoint) -> None:
    endpoint.router.run(f'/system note set note="{"n" * 800_000}"')
    with session(endpoint) as protocol:
        for number in range(20):
            protocol.writeSentence("/system/note/print", "=.proplist=note", f".tag={number}")
        for number in range(20):
            protocol.writeSentence("/system/note/set", f"=note={'x' * 50_000}{number}", f".tag=set{number}")
        protocol.writeSentence("/system/note/print", "=.proplist=note", ".tag=last")
        found = replies(protocol, 41)
    assert {len(found[f".tag={number}"][0][1]) for number in range(20)} == {len("=note=") + 800_000}
    assert found[".tag=last"] == [("!re", f"=note={'x' * 50_000}19"), ("!done",)]


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 40000])
def test_words_of_every_length(endpoint: Endpoint, length: int) -> None:
    with session(endpoint) as protocol:
        protocol.writeSentence("/system/note/set", f"=note={'n' * length}")
        assert protocol.readSentence() == ("!done", ())
        protocol.writeSentence("/system/note/print", "=.proplist=note")
        assert protocol.readSentence() == ("!re", (f"=note={'n' * length}",))
        assert protocol.readSentence() == ("!done", ())


def test_a_command_that_takes_long_is_cancelled(endpoint: Endpoint) -> None:
    with session(endpoint) as protocol:
        protocol.writeSentence("/system/script/add", "=name=slow", "=source=:delay 3s", ".tag=1")
        assert list(replies(protocol, 1)) == [".tag=1"]
        start = time.monotonic()
        protocol.writeSentence("/system/script/run", "=.id=slow", ".tag=slow")
        protocol.writeSentence("/cancel", "=tag=slow", ".tag=cancel")
        found = replies(protocol, 2)
        assert found[".tag=cancel"] == [("!done",)]
        (trap, category, message), done = found[".tag=slow"]
        assert (trap, category, done) == ("!trap", "=category=2", ("!done",))
        assert message.startswith("=message=interrupted")  # a guest agent cannot end a script, and the bridge says so
        assert time.monotonic() - start < 2


def test_quit_ends_the_session(endpoint: Endpoint) -> None:
    with session(endpoint) as protocol:
        protocol.writeSentence("/quit")
        with pytest.raises(FatalError, match="session terminated on request"):
            protocol.readSentence()


def test_nothing_is_done_without_a_login(endpoint: Endpoint) -> None:
    with session(endpoint, log_in=False) as protocol:
        protocol.writeSentence("/system/identity/set", "=name=pwned")
        with pytest.raises(FatalError, match="not logged in"):
            protocol.readSentence()
    assert endpoint.router.identity != "pwned"
