# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What xenstored and its commands may say; that they say it is tested with the real ones in
tests/system/xen/test_guest.py."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import steps, survey
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import store_by_commands as commands
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import store_by_socket as wire
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.store import (
    Domain,
    StoreChange,
    StoreLost,
    StoreRefused,
)
from ansible_collections.outofband.chr.tests.fuzz.targets.xen import Stream, message, xenstore_commands


def reply(kind: int, request: int, payload: bytes, length: int | None = None) -> bytes:
    return struct.pack("=IIII", kind, request, 0, len(payload) if length is None else length) + payload


@pytest.fixture
def peer():
    """A connection, and the end of it that plays xenstored."""
    ours, theirs = socket.socketpair()
    connection = wire.StoreConnection(ours)
    yield connection, theirs
    connection.close()
    theirs.close()


def test_replies_may_come_in_pieces_and_events_between_them(peer):
    connection, theirs = peer
    event = reply(wire.EVENT, 0, b"/a/b\0token\0")
    theirs.sendall(event + reply(wire.READ, 1, b"one") + event + reply(wire.ERROR, 2, b"ENOENT\0") + event[:20])
    first, second = connection.ask_all([(wire.READ, ("/a",)), (wire.READ, ("/b",))])
    assert first == b"one"
    assert isinstance(second, StoreRefused)
    assert str(second) == "ENOENT"
    assert connection.events(0.0) == ["/a/b", "/a/b"]
    theirs.sendall(event[20:])
    assert connection.events(1.0) == ["/a/b"]
    assert connection.events(0.0) == []


def test_values_are_sent_as_they_are_and_paths_are_ended(peer):
    connection, theirs = peer
    theirs.sendall(reply(wire.WRITE, 1, b"OK\0") + reply(wire.READ, 2, b"\xc3\xa9\xff"))
    connection.ask(wire.WRITE, "/a", "é\udcff")
    assert wire._value(connection.ask(wire.READ, "/a")) == "é\udcff"
    sent = theirs.recv(4096)
    assert sent[:16] == struct.pack("=IIII", wire.WRITE, 1, 0, 6)
    assert sent[16:22] == b"/a\0\xc3\xa9\xff"
    assert sent[38:] == b"/a\0"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "connection was closed"),
        (reply(wire.READ, 1, b"x", 5)[:10], "connection was closed"),
        (reply(wire.READ, 1, b"", 4097), "does not speak"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak"),
        (reply(wire.READ, 7, b"x"), "another request"),
    ],
)
def test_what_is_no_reply_is_a_lost_connection(peer, answer, says):
    connection, theirs = peer
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(StoreLost, match=says):
        connection.ask(wire.READ, "/a")


def test_silence_has_an_end(peer):
    with pytest.raises(StoreLost, match="no reply within 0.1"):
        peer[0].ask(wire.READ, "/a", timeout=0.1)


def test_the_list_of_the_commands_is_read_whatever_the_values_are():
    listed = (
        '/local/domain/3/vm-data = ""   (n3)\n'
        '/local/domain/3/vm-data/a = "x = \\"y\\" (n0)" . . .  (n0,r3,b12)\n'
        '/local/domain/3/name = "chr \\xc3\\xa9 \\\\x41 \\"1\\"\\n"\n'
        "xenstore-ls: something else\n"
    )
    assert list(commands._lines(listed)) == [
        ("/local/domain/3/vm-data", "", ("n3",)),
        ("/local/domain/3/vm-data/a", 'x = "y" (n0)', ("n0", "r3", "b12")),
        ("/local/domain/3/name", 'chr é \\x41 "1"\n', ("",)),
    ]


def test_nothing_in_a_domain_or_a_change_is_shell():
    domain = Domain(3, "x", "/vm/$(reboot)")
    script = commands._changing(domain, [StoreChange("a'; reboot", "`reboot`")], True, ["';reboot;'", ""])
    run = os.popen(f"sh -n <<'END'\n{script}\nEND\n")
    assert run.close() is None
    assert "'/vm/$(reboot)'" in script
    assert "'`reboot`'" in script


@pytest.mark.parametrize(
    ("permissions", "writable"),
    [
        (("n3",), True),
        (("n0", "r3"), False),
        (("n0", "w3"), True),
        (("n0", "r1", "b3"), True),
        (("b0",), True),
        (("w0", "r3"), False),
        (("r0",), False),
        (("n33",), False),
    ],
)
def test_who_may_write_a_node(permissions, writable):
    assert steps._writable(permissions, 3) is writable


@pytest.mark.parametrize(
    ("reported", "addresses"),
    [
        ({"attr/eth0/ip": "192.0.2.1"}, ["192.0.2.1"]),
        ({"attr/eth0/ip": "192.0.2.1", "attr/vif/0/ipv4/0": "192.0.2.1"}, ["192.0.2.1"]),
        (
            {"attr/vif/0/ipv4/0": "192.0.2.1", "attr/vif/0/ipv4/1": "192.0.2.2", "attr/vif/0/ipv6/0": "fe80::1"},
            ["192.0.2.1", "192.0.2.2", "fe80::1"],
        ),
        ({"attr/eth0/ip": ""}, []),
    ],
)
def test_the_addresses_that_the_tools_report(reported, addresses):
    """Manual 8, first address: an older host shows only the first one of an interface."""
    found = survey.from_tools({**reported, "device/vif/0/mac": "00:16:3e:00:00:01"}, {}).interfaces
    assert [one.address for nic in found for one in nic.addresses] == addresses


def test_a_transaction_without_a_number_is_a_lost_connection():
    for answer in (b"x", b"-1", b"9" * 20, b""):
        store = wire.WireStore(wire.StoreConnection(Stream(message(wire.START, answer))))
        with pytest.raises(StoreLost, match="began a transaction"):
            store.change(Domain(3, "chr1", ""), [], unless_busy=False)


def test_a_guest_that_changes_its_nodes_all_the_time_does_not_hold_up_a_look():
    event = message(wire.EVENT, b"/local/domain/3/x\0token\0")
    assert 0 < len(wire.StoreConnection(Stream(event * 5000)).events(1.0)) <= 1000


@pytest.mark.parametrize("output", [b"", b"x\n", b"done\nstatus changes: 3\n\x1d", b"status changes: " + b"3" * 5000])
def test_an_odd_answer_of_dom0s_commands_is_no_untyped_error(output):
    xenstore_commands(output)
