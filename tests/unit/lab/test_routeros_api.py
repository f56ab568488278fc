# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API service of a router: its framing, its queries, and its switches."""

from __future__ import annotations

import contextlib
import io
import socket
import time

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.api import ApiService, ApiSwitches
from ansible_collections.outofband.chr.tests.lab.routeros.api_words import (
    MAX_SENTENCE,
    BadSentence,
    encoded,
    fits,
    parsed,
    read_sentence,
)
from ansible_collections.outofband.chr.tests.lab.routeros.values import Array, Time, Value

# The manual's table of length prefixes.
PREFIXES = [
    (0x7F, "7f"),
    (0x80, "8080"),
    (0x3FFF, "bfff"),
    (0x4000, "c04000"),
    (0xFFFF0, "cffff0"),
]
ITEM: dict[str, Value] = {
    "name": "a",
    "size": 20,
    "off": False,
    "wait": Time.of(60),
    "list": Array(["x", "y"]),
    "empty": "",
}


@pytest.mark.parametrize(("length", "prefix"), PREFIXES)
def test_length_prefixes(length: int, prefix: str) -> None:
    sentence = encoded(["x" * length])
    assert sentence == bytes.fromhex(prefix) + b"x" * length + b"\0"
    assert read_sentence(io.BytesIO(sentence).read) == ["x" * length]


@pytest.mark.parametrize("start", ["f1", "ff", "f880000000", "e0ffffff", "f0ffffffff"])
def test_what_is_too_long_is_refused_before_it_is_read(start: str) -> None:
    with pytest.raises(BadSentence):
        read_sentence(io.BytesIO(bytes.fromhex(start)).read)


def test_many_words_are_refused() -> None:
    with pytest.raises(BadSentence):
        read_sentence(io.BytesIO(b"\1x" * MAX_SENTENCE).read)


def test_words() -> None:
    words = ["/a/set", "=x=1=2", "=y", "=!z=", "?name=a", "?#!", "=.proplist=a,b", ".tag=t", "odd"]
    sentence = parsed(words)
    assert sentence.arguments == {"x": "1=2", "y": "", "z": None}
    assert (sentence.queries, sentence.proplist) == (["name=a", "#!"], ["a", "b"])
    assert (sentence.tag, sentence.unknown) == ("t", "odd")


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        ("", True),
        ("name", True),
        ("nothing", False),
        ("-nothing", True),
        ("-name", False),
        ("name=a", True),
        ("=name=a", True),
        ("name=b", False),
        ("size=20", True),
        ("<size=100", True),
        (">size=100", False),
        (">wait=30s", True),
        ("<wait=30s", False),
        ("wait=1m", True),
        ("off=no", True),
        ("off=true", False),
        ("list=x,y", True),
        ("empty=", True),
        (">nothing=1", False),
        ("nothing=", False),
        ("name=b #!", True),
        ("name=b size=20 #|", True),
        ("name=b size=20 #&", False),
        ("name=b size=20 #&!", True),
        ("name=a name=b #1", True),  # all are replaced with the one below the top
        ("name=a name=b #0", False),
        ("name=b name=a #0", True),
        ("name=b size=20 #0.|", False),  # a copy of the top; the first one stays
        ("name=b #.!|", True),
        ("#9", True),  # below the stack everything is true
        ("#!", False),
    ],
)
def test_queries_on_a_stack(queries: str, expected: bool) -> None:
    assert fits(queries.split(), ITEM.get) is expected


def asked(switches: ApiSwitches, *words: str) -> bytes:
    with ApiService(Router(), switches) as service, socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(encoded(["/login", "=name=admin", "=password="]) + encoded([*words]) + encoded(["/quit"]))
        found = b""
        while data := client.recv(65536):
            found += data
        login, end = encoded(["!done"]), encoded(["!fatal", "session terminated on request"])
        assert found.startswith(login)
        assert found.endswith(end)
        return found[len(login) : -len(end)]


def test_empty_lists_are_told_when_it_is_switched_on() -> None:
    assert asked(ApiSwitches(), "/ip/pool/print") == encoded(["!done"])
    assert asked(ApiSwitches(sends_empty=True), "/ip/pool/print") == encoded(["!empty"]) + encoded(["!done"])


def test_two_traps_for_a_menu_that_is_missing() -> None:
    traps = [["!trap", "=message=no such command or directory (routerboard)"]]
    traps += [["!trap", "=message=no such command prefix"], ["!done"]]
    assert asked(ApiSwitches(two_traps=True), "/system/routerboard/print") == b"".join(map(encoded, traps))


def test_a_session_ends_with_a_reboot() -> None:
    router = Router()
    with ApiService(router) as service, socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(encoded(["/login", "=name=admin", "=password="]))
        assert client.recv(100) == encoded(["!done"])
        router.clock.shift(60)
        router.reboot()
        client.sendall(encoded(["/system/identity/set", "=name=late"]))
        assert client.recv(100) == b""
    assert router.identity == "MikroTik"


def test_nothing_more_is_done_for_a_client_that_does_not_read() -> None:
    router = Router()
    router.settings["system note"] = {"note": "n" * 4_000_000}
    switches = ApiSwitches(send_seconds=0.3)
    with ApiService(router, switches) as service, socket.create_connection(("127.0.0.1", service.port)) as client:
        client.settimeout(5)
        client.sendall(encoded(["/login", "=name=admin", "=password="]))
        client.sendall(encoded(["/system/note/print"]) * 3 + encoded(["/system/identity/set", "=name=late"]))
        time.sleep(1.5)
        with contextlib.suppress(ConnectionError):
            while client.recv(1 << 20):
                pass
    assert router.identity == "MikroTik"
