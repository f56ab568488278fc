# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The session with an agent, against peers that send exactly the bytes of the case."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    NotAnAgent,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.protocol import AgentSession, _error_text
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel, ConnectError

Answer = t.Callable[[dict[str, t.Any]], "list[bytes]"]


def line(value: object) -> bytes:
    return json.dumps({"return": value}).encode() + b"\n"


def obedient(request: dict[str, t.Any]) -> list[bytes]:
    """A healthy agent: sync is echoed behind 0xFF, everything else answers with its own name."""
    if request["execute"] == "guest-sync-delimited":
        return [b"\xff" + line(request["arguments"]["id"])]
    return [line(request["execute"])]


class Peer(Channel):
    """A channel to a thread that answers each request with the pieces that *answer* gives; None
    closes."""

    def __init__(self, answer: Answer = obedient, greeting: bytes = b"") -> None:
        self._answer = answer
        self._greeting = greeting
        self.requests: list[dict[str, t.Any]] = []
        self.connections = 0

    def __str__(self) -> str:
        return "a test peer"

    def connect(self, deadline: Deadline) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.connections += 1
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return ours

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(self._greeting)
            buffer = b""
            while data := connection.recv(65536):
                buffer += data.replace(b"\xff", b"")
                *lines, buffer = buffer.split(b"\n")
                for text in lines:
                    request = json.loads(text)
                    self.requests.append(request)
                    for piece in self._answer(request):
                        if piece is None:
                            return
                        connection.sendall(piece)


def session(peer: Channel, seconds: float = 5.0) -> AgentSession:
    return AgentSession(peer, "chr1", seconds)


# What a former client's exchange may have left in the channel: it ends with the line end or not,
# before the 0xFF comes.
stale = st.lists(
    st.binary(max_size=60)
    | st.sampled_from(
        [line(7), line({"pid": 3}), b'{"return": {"out-data": "QUJD', b'{"error": {"desc": "late"}}\n', b"\xff", b"{"]
    ),
    max_size=5,
).map(b"".join)


@settings(max_examples=60)
@given(greeting=stale, noise=stale, size=st.integers(1, 50))
def test_no_stale_or_half_message_is_ever_taken_for_an_answer(greeting, noise, size):
    def answer(request):
        if request["execute"] == "guest-sync-delimited":
            data = noise + b"\xff" + line(request["arguments"]["id"])
            return [data[at : at + size] for at in range(0, len(data), size)]
        return obedient(request)

    with session(Peer(answer, greeting)) as agent:
        assert agent.execute("guest-ping") == "guest-ping"
        assert agent.execute("guest-info") == "guest-info"


@settings(max_examples=30)
@given(payload=st.text(max_size=2000), size=st.integers(1, 200))
def test_replies_split_in_any_way_arrive_whole(payload, size):
    def answer(request):
        if request["execute"] == "guest-sync-delimited":
            return obedient(request)
        data = line(payload)
        return [data[at : at + size] for at in range(0, len(data), size)]

    with session(Peer(answer)) as agent:
        assert agent.execute("guest-exec-status") == payload


def test_a_reply_of_many_megabytes_arrives():
    payload = "A" * (20 << 20)
    with session(Peer(lambda r: obedient(r) if "sync" in r["execute"] else [line(payload)])) as agent:
        assert agent.execute("guest-file-read") == payload


def test_ids_that_come_back_as_text_are_the_same_ids():
    peer = Peer(lambda r: [b"\xff" + line(str(r["arguments"]["id"]))] if "sync" in r["execute"] else obedient(r))
    with session(peer) as agent:
        assert agent.execute("guest-ping") == "guest-ping"


def test_a_late_reply_is_not_taken_for_the_answer_to_the_next_command():
    late = threading.Event()

    def answer(request):
        if request["execute"] == "slow":
            late.wait(0.3)
            return [line("slow")]
        return obedient(request)

    with session(Peer(answer)) as agent:
        with pytest.raises(OutcomeUnknown, match="did not answer slow"):
            agent.execute("slow", timeout=0.05)
        assert agent.execute("guest-ping") == "guest-ping"


def test_sync_is_repeated_while_a_guest_boots_and_only_the_last_one_counts():
    """Requests sent before the agent is up are queued and answered late, all of them."""
    waiting: list[bytes] = []
    up = time.monotonic() + 1.5

    def answer(request):
        if "sync" not in request["execute"]:
            return obedient(request)
        waiting.extend(obedient(request))
        if time.monotonic() < up:
            return []
        replies, waiting[:] = list(waiting), []
        return replies

    peer = Peer(answer)
    with session(peer) as agent:
        assert agent.execute("guest-ping") == "guest-ping"
    assert [r["execute"] for r in peer.requests].count("guest-sync-delimited") >= 2
    assert peer.connections == 1


def test_a_closed_channel_is_opened_again_before_the_command_is_sent():
    count = iter(range(100))

    def answer(request):
        return [None] if next(count) == 0 else obedient(request)

    peer = Peer(answer)
    with session(peer) as agent:
        assert agent.execute("guest-ping") == "guest-ping"
    assert peer.connections == 2


def test_a_command_is_never_sent_twice():
    def answer(request):
        return [None] if request["execute"] == "guest-exec" else obedient(request)

    peer = Peer(answer)
    with session(peer) as agent, pytest.raises(OutcomeUnknown, match="closed"):
        agent.execute("guest-exec")
    assert [r["execute"] for r in peer.requests].count("guest-exec") == 1


def test_an_agent_that_never_answers_close_costs_no_waiting():
    def answer(request):
        return [] if request["execute"] == "guest-file-close" else obedient(request)

    with session(Peer(answer)) as agent:
        began = time.monotonic()
        agent.close_file(1, ("guest-ping", {}))
        assert time.monotonic() - began < 4
        assert agent.execute("guest-ping") == "guest-ping"


def test_an_agent_that_answers_close_is_understood_too():
    with session(Peer()) as agent:
        agent.close_file(1, ("guest-ping", {}))
        assert agent.execute("guest-ping") == "guest-ping"


def test_a_refused_close_is_told():
    def answer(request):
        if request["execute"] == "guest-file-close":
            return [b'{"error": {"class": "GenericError", "desc": "no such handle"}}\n']
        return obedient(request)

    with session(Peer(answer)) as agent, pytest.raises(AgentRefused, match="no such handle"):
        agent.close_file(1, ("guest-ping", {}))


def test_an_error_reply_carries_the_agents_words_and_no_control_characters():
    def answer(request):
        if "sync" in request["execute"]:
            return obedient(request)
        return [json.dumps({"error": {"class": "GenericError", "desc": "no \x1b[31msuch"}}).encode() + b"\n"]

    with session(Peer(answer)) as agent, pytest.raises(AgentRefused) as caught:
        agent.execute("guest-exec")
    assert "\x1b" not in str(caught.value)
    assert "such" in str(caught.value)


@pytest.mark.parametrize(
    "greeting",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"<!DOCTYPE HTML>\n<html>", b"SSH-2.0-OpenSSH_9.2\r\n"],
)
def test_a_server_that_is_no_agent_is_named_at_once(greeting):
    began = time.monotonic()
    with (
        pytest.raises(NotAnAgent, match=re.escape("not a guest agent: it said")),
        session(Peer(lambda r: [], greeting)) as agent,
    ):
        agent.execute("guest-ping")
    assert time.monotonic() - began < 20


def test_silence_ends_with_the_deadline_and_says_what_was_tried():
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught, session(Peer(lambda r: []), 1.2) as agent:
        agent.execute("guest-ping")
    assert 1.0 < time.monotonic() - began < 20
    assert "'chr1'" in str(caught.value)
    assert "a test peer" in str(caught.value)
    assert "within 1.2 s" in str(caught.value)


def test_nothing_listening_ends_with_the_deadline_and_says_so():
    class Nowhere(Peer):
        def connect(self, deadline):
            raise ConnectError("connection refused")

    began = time.monotonic()
    with pytest.raises(Unreachable, match="connection refused"), session(Nowhere(), 0.5) as agent:
        agent.execute("guest-ping")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("flood", [b"no JSON at all ", b'{"event": "NOISE"}\n'])
def test_a_peer_that_never_stops_talking_cannot_hold_a_task(flood):
    class Flood(Peer):
        def _serve(self, connection):
            with connection, contextlib.suppress(OSError):
                while True:
                    connection.sendall(flood * 1000)

    began = time.monotonic()
    with pytest.raises((Unreachable, OutcomeUnknown)), session(Flood(), 1.0) as agent:
        agent.execute("guest-ping")
    assert time.monotonic() - began < 20


def test_a_flood_after_the_sync_cannot_hold_a_task_either():
    def answer(request):
        return obedient(request) if "sync" in request["execute"] else [b'{"event": "NOISE"}\n' * 1000] * 100_000

    began = time.monotonic()
    with session(Peer(answer), 5.0) as agent, pytest.raises(OutcomeUnknown):
        agent.execute("guest-ping", timeout=1.0)
    assert time.monotonic() - began < 20


def test_qemus_monitor_is_told_from_an_agent():
    greeting = b'{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\n'
    with pytest.raises(NotAnAgent, match="QMP"), session(Peer(lambda r: [], greeting)) as agent:
        agent.execute("guest-ping")


@pytest.mark.parametrize("error", [{"desc": "\ud800\x1b[2J"}, {"desc": []}, {"class": "\udcff"}, {}, "x", None, 7])
def test_any_error_of_an_agent_can_be_shown(error):
    shown = _error_text(error)
    assert shown.encode() and shown.isprintable()
