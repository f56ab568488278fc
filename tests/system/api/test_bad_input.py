# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes that no client of the API sends. Each ends in a trap or a closed connection in bounded
time, and the next client is served."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
import typing as t

import librouteros
import pytest
from librouteros.exceptions import TrapError

from ansible_collections.outofband.chr.tests.system.api.conftest import IDENTITY, Endpoint

LIMIT = 20.0
"""Seconds after which a connection must have been closed."""


@pytest.fixture(autouse=True)
def next_client_is_served(endpoint: Endpoint) -> t.Iterator[None]:
    """At once after each test."""
    yield
    start = time.monotonic()
    assert identity(endpoint) == IDENTITY
    assert time.monotonic() - start < 5


def identity(endpoint: Endpoint) -> str:
    api = librouteros.connect(endpoint.hostname, endpoint.username, endpoint.password, port=endpoint.port, timeout=10)
    with contextlib.closing(api):
        return str(next(iter(api.path("system", "identity")))["name"])


def word(content: bytes) -> bytes:
    assert len(content) < 0x80
    return bytes([len(content)]) + content


def login(endpoint: Endpoint) -> bytes:
    """The sentence, as bytes."""
    words = (b"/login", b"=name=" + endpoint.username.encode(), b"=password=" + endpoint.password.encode())
    return b"".join(map(word, words)) + b"\0"


def connection(endpoint: Endpoint, logged_in: bool) -> socket.socket:
    client = socket.create_connection((endpoint.hostname, endpoint.port), timeout=LIMIT)
    if logged_in:
        client.sendall(login(endpoint))
        assert client.recv(100) == word(b"!done") + b"\0"
    return client


def rest(client: socket.socket) -> bytes:
    """What comes until the connection is closed, which must be in time."""
    end = time.monotonic() + LIMIT
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := client.recv(65536):
            found += data
            assert time.monotonic() < end
    return found


@pytest.mark.parametrize(
    ("name", "password"),
    [(None, "wrong"), (None, ""), ("nobody", None), ("", ""), ("admin", ""), (None, "p" * 5000)],
    ids=["wrong", "empty", "nobody", "no name", "admin", "long"],
)
def test_a_wrong_login(endpoint: Endpoint, name: str | None, password: str | None) -> None:
    endpoint.router.run("/user set admin password=x")
    user = endpoint.username if name is None else name
    secret = endpoint.password if password is None else password
    with pytest.raises(TrapError, match="invalid user name or password"):
        librouteros.connect(endpoint.hostname, user, secret, port=endpoint.port, timeout=LIMIT)


def test_a_client_that_speaks_tls(endpoint: Endpoint) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connection(endpoint, False) as client, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(client)


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_client_that_speaks_http(endpoint: Endpoint, logged_in: bool) -> None:
    with connection(endpoint, logged_in) as client:
        client.sendall(b"GET /rest/system/identity HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
        assert IDENTITY.encode() not in rest(client)


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize("goes", [True, False], ids=["then it goes", "then it waits"])
def test_half_a_sentence(endpoint: Endpoint, logged_in: bool, goes: bool) -> None:
    with connection(endpoint, logged_in) as client:
        client.sendall(word(b"/system/identity/set") + word(b"=name=half"))
        if goes:
            client.shutdown(socket.SHUT_WR)
        rest(client)
    assert endpoint.router.identity == IDENTITY


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize(
    "prefix",
    [b"\xf0\x80\x00\x00\x00", b"\xf0\xff\xff\xff\xff", b"\xef\xff\xff\xff", b"\xff\xff\xff\xff\xff", b"\xf8abcd"],
    ids=["2 GiB", "4 GiB", "256 MiB", "control byte", "reserved"],
)
def test_a_length_that_nobody_can_mean(endpoint: Endpoint, logged_in: bool, prefix: bytes) -> None:
    with connection(endpoint, logged_in) as client:
        client.sendall(prefix + b"/system/identity/set")
        assert IDENTITY.encode() not in rest(client)


def test_a_million_words(endpoint: Endpoint) -> None:
    with connection(endpoint, True) as client:

        def send() -> None:
            with contextlib.suppress(OSError):  # the other side need not read it all
                client.sendall(word(b"/system/identity/print") + word(b"=a=b") * 1_000_000 + b"\0")

        sender = threading.Thread(target=send)
        sender.start()
        found = b""
        with contextlib.suppress(ConnectionError):
            while b"!trap" not in found and (data := client.recv(65536)):
                found += data
        assert IDENTITY.encode() not in found
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        sender.join(LIMIT)
        assert not sender.is_alive()


def test_a_client_that_leaves_in_the_middle_of_an_answer(endpoint: Endpoint) -> None:
    lines = "".join(f"add list=many address=10.{at // 250}.{at % 250}.1 comment={'c' * 200}\n" for at in range(2000))
    endpoint.router.run("/ip firewall address-list\n" + lines)
    with connection(endpoint, True) as client:
        client.sendall((word(b"/ip/firewall/address-list/print") + b"\0") * 3)
        assert client.recv(5).startswith(word(b"!re")[:1])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end


def test_a_client_that_does_not_read_its_answer(endpoint: Endpoint) -> None:
    lines = "".join(f"add list=many address=10.{at // 250}.{at % 250}.1 comment={'c' * 200}\n" for at in range(2000))
    endpoint.router.run("/ip firewall address-list\n" + lines)
    with connection(endpoint, True) as client:
        client.sendall((word(b"/ip/firewall/address-list/print") + b"\0") * 30)
        time.sleep(0.5)
        assert identity(endpoint) == IDENTITY


@pytest.mark.parametrize(
    "command",
    [
        b"/system/routerboard/print",
        b"/ip/hotspot/user/print",
        b"/nonsense",
        b"//",
        b"/",
        b"print",
        b"/ip/address/print; /system/reboot",
        b"/ip address/print",
        b"/ip/address/../identity/print",
        b"/IP/ADDRESS/PRINT",
        b"/ip/\xff\xfe/print",
        b"/put",
    ],
)
def test_a_menu_or_command_that_the_router_lacks(endpoint: Endpoint, command: bytes) -> None:
    with connection(endpoint, True) as client:
        client.sendall(word(command) + b"\0")
        found = b""
        while not found.endswith(word(b"!done") + b"\0"):
            found += client.recv(1000)
        assert found.startswith(word(b"!trap"))
        assert b"=message=no such command" in found


def test_sentences_without_a_word(endpoint: Endpoint) -> None:
    with connection(endpoint, True) as client:
        client.sendall(b"\0" * 1000 + word(b"/system/identity/print") + b"\0")
        assert client.recv(100).startswith(word(b"!re") + word(b"=name=" + IDENTITY.encode()))


def test_many_clients_that_say_nothing(endpoint: Endpoint) -> None:
    with contextlib.ExitStack() as opened:
        for _unused in range(50):
            opened.enter_context(connection(endpoint, False))
        assert identity(endpoint) == IDENTITY
