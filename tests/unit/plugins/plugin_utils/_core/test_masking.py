# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""No secret is shown, however others repeat it."""

from __future__ import annotations

import base64
import html
import json
import threading
import time
import typing as t
import urllib.parse
import xml.sax.saxutils

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core import masking
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import MASK, masked, masked_data, protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, line, message
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote

PASSWORDS = (
    "ZqLICplainpassword-1234567890-abcdefghijklmnop",
    'with"quote',
    "back\\slash",
    "dollar$and[bracket]&amp;",
    "p\u00e4ssw\u00f6rd\u20ac",
    "with space and+plus",
    "<xml/>'&\"",
    "line\nend\ttab",
    "a/b+c=d?e",
)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ENCODINGS: dict[str, t.Callable[[str], str]] = {
    "plain": str,
    "url": lambda text: urllib.parse.quote(text, safe=""),
    "path": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "lower url": lambda text: urllib.parse.quote(text, safe="").replace("%2F", "%2f").replace("%C3", "%c3"),
    "json": json.dumps,
    "json of utf-8": lambda text: json.dumps(text, ensure_ascii=False).replace("/", "\\/"),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "xml": xml.sax.saxutils.quoteattr,
    "html": html.escape,
    "xml in xml": lambda text: html.escape(html.escape(text)),
    "routeros": quote,
    "lower routeros": lambda text: quote(text).lower() if text.islower() else quote(text),
    "routeros in python": lambda text: repr(quote(text)),
    "routeros in json": lambda text: json.dumps(quote(text)),
    "python": repr,
    "bytes": lambda text: repr(text.encode()),
    "latin-1": lambda text: text.encode().decode("latin-1"),
    "not shown": lambda text: text.encode("ascii", "replace").decode(),
    "hex": lambda text: text.encode().hex(),
    "upper hex": lambda text: text.encode().hex().upper(),
    "base64": in_base64,
    "base64 of a script": lambda text: in_base64(f'/system license renew password={text} level="p1"'),
    "base64 in url": lambda text: urllib.parse.quote(in_base64(f"ab{text}"), safe=""),
    "url-safe base64": lambda text: base64.urlsafe_b64encode(f"a{text}".encode()).decode(),
}


@pytest.fixture(autouse=True)
def nothing_known() -> t.Iterator[None]:
    masking.forget()
    yield
    masking.forget()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_secret_is_masked_in_every_encoding(password, encoding):
    protect(password)
    said = ENCODINGS[encoding](password)
    assert masked(f"before {said} after") != f"before {said} after"
    shown = masked(f"before {said} after")
    assert shown.startswith("before ") and shown.endswith(" after")
    assert MASK in shown
    for part in (password[:6], password[-6:]):
        assert part not in shown


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=6, max_size=20),
    st.sampled_from(sorted(ENCODINGS)),
)
def test_any_secret_is_masked_in_every_encoding(password, encoding):
    assume(set(password) != {"?"})
    masking.forget()
    protect(password)
    assert MASK in masked(f"<{ENCODINGS[encoding](password)}>")


@pytest.mark.parametrize("password", ['!"$%&/', "\\\\\\!!\\\\", "пароль-пароль", "密码密码密码密码密码密码密码密码"])
@pytest.mark.parametrize("run", ["\\", "?", "\ufffd", "!", "\\!", "%5C", "&amp;"])
def test_a_long_run_of_escapes_or_placeholders_does_not_hold_up_the_masking(password, run):
    protect(password)
    began = time.process_time()
    masked(f"{run * (100_000 // len(run))}{password}")
    assert time.process_time() - began < 1


def test_words_of_others_are_masked_before_they_are_cut():
    """What is left of a secret at a cut cannot be recognised any more."""
    protect(PASSWORDS[0])
    for said in (f"{'x' * 60} {PASSWORDS[0]}", f"{PASSWORDS[0]} {'x' * 480}"):
        for shown in (excerpt(said), excerpt(said.encode()), message(said), message(said.encode()), line(said, 80)):
            assert "ZqLIC" not in shown and "mnop" not in shown
            assert len(shown) <= 505


def test_a_short_secret_is_masked_where_it_stands_alone():
    protect("pass")
    assert masked("passes=pass&password%3Dpass&x") == f"passes={MASK}&password%3D{MASK}&x"


def test_a_short_secret_does_not_blot_out_the_message():
    protect("a", "17")
    assert masked("a camel at 17:17, 1700 or a17, says a") == f"{MASK} camel at {MASK}:{MASK}, 1700 or a17, says {MASK}"


def test_data_keeps_words_that_are_a_short_secret():
    protect("admin", "long-s3cret")
    data = {"users": ["admin", "long-s3cret"], "size": 5, "long-s3cret": None}
    assert masked_data(data) == {"users": ["admin", MASK], "size": 5, MASK: None}
    assert masked("login of admin") == f"login of {MASK}"


def test_nothing_is_masked_without_a_secret():
    protect(None, "")
    assert masked("") == ""
    assert masked_data([None, True, "text"]) == [None, True, "text"]


def test_a_large_output_is_searched_quickly():
    protect(*PASSWORDS)
    output = "/ip address add address=192.0.2.1/24 interface=ether1\n" * 80_000
    began = time.process_time()
    assert masked_data(output) == output
    assert time.process_time() - began < 10


def test_data_with_one_of_a_thousand_secrets_are_searched_quickly():
    secrets = [f"secret-number-{number}-of-a-router" for number in range(1000)]
    protect(*secrets)
    data = [{"stdout": "x" * 200, "lines": ["y" * 40] * 30, secrets[7]: {b"odd key": secrets[9]}}]
    plain = {"stdout": "x" * 200, "lines": ["y" * 40] * 30}
    assert masked_data(data) == [{**plain, MASK: {b"odd key": MASK}}]
    masked_data(plain)
    began = time.process_time()
    for _unused in range(20):
        assert masked_data(plain) is plain
    assert time.process_time() - began < 1.0


def test_secrets_may_become_known_while_others_are_masked():
    stop = threading.Event()
    failed: list[Exception] = []

    def mask() -> None:
        while not stop.is_set():
            try:
                masked("nothing of it")
            except Exception as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=mask) for _unused in range(4)]
    for one in threads:
        one.start()
    for number in range(500):
        protect(f"another-secret-{number}")
    stop.set()
    for one in threads:
        one.join()
    assert not failed
    assert masked("another-secret-499") == MASK


def test_a_secret_that_is_not_utf8_is_masked_as_it_is_sent():
    password = b"pa\xdfwort".decode("utf-8", "surrogateescape")
    protect(password)
    assert masked(f"<{quote(password)}>") == f'<"{MASK}">'
