# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users, keys and services: what the scripts do on a router of the lab."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import first_login
from ansible_collections.outofband.chr.tests.lab.routeros import Router


def public(kind: str, seed: int = 1) -> str:
    data = struct.pack(">I", len(kind)) + kind.encode() + bytes([seed]) * 40
    return f"{kind} {base64.b64encode(data).decode()}"


def is_true(router: Router, expression: str) -> bool:
    answer = router.run(f":put ({expression})")
    assert answer.exitcode == 0, answer.output
    return answer.output.strip() == b"true"


@pytest.mark.parametrize(
    ("text", "comment"),
    [
        (public("ssh-ed25519"), ""),
        (public("ssh-rsa") + " ops@example.com\n", "ops@example.com"),
        (public("ecdsa-sha2-nistp256") + "\tops  at work", "ops-at-work"),
        (public("sk-ssh-ed25519@openssh.com") + " ключ", "ключ"),
    ],
)
def test_a_key_is_recognized_by_the_hash_in_its_comment(text, comment):
    key = first_login.parse_key(text)
    assert key.name == "-".join(filter(None, [comment, key.digest]))
    assert first_login.parse_key(key.line).digest == key.digest
    assert len(key.line.split()) == 3
    other = first_login.parse_key(public("ssh-ed25519", 9))
    for version in ("7.9.2", "7.22.1"):
        router = Router(version=version)
        assert router.run(first_login.add_key("admin", key)).exitcode == 0
        assert is_true(router, first_login.has_key("admin", key))
        assert not is_true(router, first_login.has_key("admin", other))
        assert not is_true(router, first_login.has_key("ops", key))


@pytest.mark.parametrize(
    "text",
    [
        *("", "ssh-dss", "ssh-ed25519 QUFB", public("ssh-ed25519").replace("ssh-ed25519", "ssh-rsa")),
        *(public("ssh-ed25519") + " a\n" + public("ssh-rsa"), "command=x " + public("ssh-rsa"), "ssh-rsa ж"),
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_what_is_not_one_public_key_is_refused_and_not_quoted(text):
    with pytest.raises(InvalidInput) as error:
        first_login.parse_key(text)
    assert not text or text not in str(error.value)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40))
def test_every_password_arrives_as_it_is(password):
    router = Router()
    assert router.run(first_login.set_password("admin", password, marked=False)).exitcode == 0
    assert router.check_login("admin", password)
    assert is_true(router, first_login.is_marked("admin"))
    assert router.run(first_login.add_user('o"ps$', "full", password, marked=True)).exitcode == 0
    assert router.check_login('o"ps$', password)


def test_dynamic_entries_of_services_are_left():
    """New versions list connections among the services; these cannot be disabled."""
    router = Router()
    menu = router.behaviour("ip service")
    menu.table(router).new({"name": "ssh", "disabled": False}, dynamic=True)
    assert router.run(first_login.close_others(["telnet"])).exitcode == 0
    assert is_true(router, first_login.others_are_closed(["telnet"]))
    assert not is_true(router, first_login.is_closed("telnet"))
    assert is_true(router, first_login.is_closed("ssh"))
