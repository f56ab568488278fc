# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of hostile APIs end, within a time and a size, with an error of the collection."""

from __future__ import annotations

import contextlib
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Https, Interrupted
from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate
from ansible_collections.outofband.chr.tests.lab.rude import RudeServer, Speech, rude

LIMIT = 3_000_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "pem"
    make_certificate(path, "IP:127.0.0.1", "DNS:localhost")
    return path


@contextlib.contextmanager
def talking(certificate: Path, speak: Speech) -> t.Iterator[tuple[RudeServer, t.Callable[..., t.Any]]]:
    """A server, and a function that makes one request to it."""
    with RudeServer(speak, certificate) as server:
        how: dict[str, t.Any] = {"validate_certs": True, "ca_path": f"{certificate}.crt", "authority": "", "keep": 2.0}
        https = Https("the API", ("127.0.0.1", server.port), **how)

        def ask(patience: float = 0.5, headers: dict[str, str] | None = None, **more: t.Any) -> t.Any:
            return https.exchange("GET /", "GET", "/", None, headers or {}, Deadline(5), patience, limit=LIMIT, **more)

        yield server, ask


@pytest.mark.parametrize("how", ["header", "interim", "interim without end", "body", "chunk"])
def test_an_answer_that_never_ends_ends_with_the_time(certificate, how):
    """The time counts for the whole answer, not for each byte of it."""
    with talking(certificate, rude(how, paces=0.02)) as (_server, ask):
        began = time.monotonic()
        with pytest.raises(Interrupted, match="did not answer GET / to its end: no answer within 0.5 s"):
            ask()
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("how", ["interim", "endless", "endless chunks", "huge length"])
def test_an_answer_that_is_too_large_is_not_read(certificate, how):
    with talking(certificate, rude(how)) as (server, ask):
        with pytest.raises(Interrupted, match="its answer is too large|did not answer"):
            ask(patience=20)
        assert server.sent < 8 * LIMIT  # with what is in the buffers of the sockets


@pytest.mark.parametrize(
    ("how", "words"), [("huge chunk", "in the middle"), ("negative chunk", "not valid"), ("short", "in the middle")]
)
def test_a_length_that_is_not_true_is_a_broken_answer(certificate, how, words):
    with talking(certificate, rude(how)) as (_server, ask), pytest.raises(Interrupted, match=words):
        ask()


@pytest.mark.parametrize("how", ["endless", "endless chunks"])
def test_a_transfer_has_as_much_time_as_it_needs_and_a_limit(certificate, how):
    taken = []
    with talking(certificate, rude(how, paces=0.15, block=bytes(300_000))) as (_server, ask):
        began = time.monotonic()
        with pytest.raises(Interrupted, match="its answer is too large"):
            ask(patience=0.6, into=taken.append)
    assert 1 < time.monotonic() - began < 10
    assert LIMIT - 600_000 < sum(map(len, taken)) <= LIMIT


def test_a_header_that_http_does_not_allow_is_refused_without_its_value(certificate):
    with talking(certificate, rude("short")) as (_server, ask):
        for value in ("t1cket\r\nX: y", "t1cket\u20ac"):
            with pytest.raises(InvalidInput, match="has a character that HTTP does not allow") as caught:
                ask(headers={"Cookie": value})
            assert "t1cket" not in str(caught.value)
