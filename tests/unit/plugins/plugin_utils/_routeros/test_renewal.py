# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The renew command run by simulated routers, and every answer told apart."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core import masking
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.renewal import (
    Renewal,
    renew_script,
    renewal_outcome,
)
from ansible_collections.outofband.chr.tests.lab.accounts import EXPIRED, AccountServer
from ansible_collections.outofband.chr.tests.lab.routeros import Router

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def renewed(server, account, password, level="p1", duration=30, change=None):
    router = Router(accounts=server)
    if change:
        change(router)
    outcome = router.run(renew_script(account, password, level, duration))
    return renewal_outcome(outcome.output)


@given(words, words)
@example("me@example.com", "".join(map(chr, range(1, 0x180))))
@example('"; /system shutdown; "', "$[/system shutdown]\\")
@example("done", "\r\n  status: done\r\n")
def test_any_account_and_password_reach_the_account_server(account, password):
    server = AccountServer()
    # RouterOS is byte-oriented: what arrives are the bytes of UTF-8.
    server.add_account(account, password)
    assert renewed(server, account, password).kind is Renewal.DONE
    assert renewed(server, account, password + "x").kind is Renewal.UNAUTHORIZED
    assert [contact.account for contact in server.log] == [account] * 2


def test_every_answer_of_the_account_server():
    server = AccountServer()
    server.add_account("me", "secret", trials=1)
    assert renewed(server, "me", "secret").kind is Renewal.DONE
    assert renewed(server, "me", "secret").kind is Renewal.TOO_MANY_TRIALS
    server.reachable = False
    assert renewed(server, "me", "secret", duration=1).kind is Renewal.CONNECTING
    server.reachable, server.delay = True, 1.5
    assert renewed(server, "me", "secret", duration=1).kind is Renewal.RENEWING


@pytest.mark.parametrize("sections", ["all", "last"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_form_of_the_output(sections, newline):
    server = AccountServer()
    router = Router(accounts=server, output_newline=newline)
    router.license_switches.renew_sections = sections
    script = renew_script("me", "wr0ng", "p1", 5)
    for source in (script, f":put [{script} as-value]"):
        assert renewal_outcome(router.run(source).output).kind is Renewal.UNAUTHORIZED


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (b"  status: done\r\n  \r\n", Renewal.DONE),
        (b"  status: connecting   \r\n\r\n  status: renewing     \r\n\r\n  status: done         \r\n", Renewal.DONE),
        (b".section=0;status=connecting;.section=1;status=renewing\r\n", Renewal.RENEWING),
        (b"status: connecting\r\n", Renewal.CONNECTING),
        (
            b'[{".section":"0","status":"connecting"},{".section":"1","status":"renewing"},'
            b'{".section":"2","status":"ERROR: Unauthorized"}]',
            Renewal.UNAUTHORIZED,
        ),
        (
            b".section: 0\r\n  status: renewing\r\n.section: 1\r\n  status: ERROR: Unauthorized\r\n",
            Renewal.UNAUTHORIZED,
        ),
        (b"  status: ERROR: Licensing Error: too many trial licences\r\n", Renewal.TOO_MANY_TRIALS),
        (f"  status: {EXPIRED}\r\n".encode(), Renewal.EXPIRED),
        (b"  status: ERROR: no route to host\r\n", Renewal.UNREACHABLE),
        # The manual names both hosts.
        (b"  status: ERROR: could not resolve licence.mikrotik.com\r\n", Renewal.UNREACHABLE),
        (b"  status: ERROR: could not resolve license.mikrotik.com\r\n", Renewal.UNREACHABLE),
        (b"  status: renewing\r\n  status: ERROR: connection timed out\r\n", Renewal.RENEWING),
        (b"  status: renewing\r\n  status: connecting\r\n", Renewal.RENEWING),
        (b"  status: ERROR: already renewed\r\n", Renewal.ALREADY_RENEWED),
        (b"missing value(s) of argument(s) account\r\n", Renewal.MISSING_ARGUMENT),
        (b"missing =account=\r\n", Renewal.MISSING_ARGUMENT),
        (b"  status: ERROR: Licensing Error: out of cheese\r\n", Renewal.FAILED),
        (b"not enough permissions (9)\r\n", Renewal.FAILED),
        (b"\x1b[A\x1b[K  status: renewing\r\x1b[A  status: done\r\n", Renewal.DONE),
        (b"  status: \r\n", Renewal.FAILED),
        (b"\r\n", Renewal.SILENT),
        (b"", Renewal.SILENT),
    ],
)
def test_published_and_likely_answers(output, kind):
    outcome = renewal_outcome(output)
    assert outcome.kind is kind
    assert outcome.text


def test_an_unknown_error_is_kept():
    assert renewal_outcome(b"  status: ERROR: out of cheese\r\n").text == "ERROR: out of cheese"


@given(
    words,
    words,
    st.sampled_from(["{}", "  status: ERROR: bad account {}\r\n", "cannot login {} with {}", 'x "{}"\r\n']),
)
@example("a", "ERROR", "  status: ERROR: bad account {}\r\n")
@example("me", "two\rlines", "  status: ERROR: bad account {1}\r\n")
@example("me", "status", "  status: ERROR: {1}\r\n")
def test_no_secret_is_echoed(account, password, text):
    pattern = text.replace("{}", "{0}", 1).replace("{}", "{1}")
    secrets = (f"K{account}K", f"K{password}K")
    masking.forget()
    masking.protect(*secrets)
    assert "K" not in renewal_outcome(pattern.format(*secrets).encode()).text
    assert "K" not in renewal_outcome(pattern.format(*map(quote, secrets)).encode()).text


@given(st.binary(max_size=100), st.lists(words, max_size=2))
def test_any_output_has_an_outcome(output, secrets):
    masking.forget()
    masking.protect(*secrets)
    outcome = renewal_outcome(output)
    assert isinstance(outcome.kind, Renewal)
    assert not any(ord(letter) < 32 for letter in outcome.text.replace("\t", ""))


@pytest.mark.parametrize(("account", "password"), [("", "x"), ("x", "")])
def test_nothing_is_asked_without_credentials(account, password):
    with pytest.raises(ValueError, match="account and the password"):
        renew_script(account, password, "p1", 10)


@pytest.mark.parametrize("output", [b"\n" * 65_000, b"status: a" + b" " * 65_000 + b"b", b";" + b" " * 65_000])
def test_an_output_of_blanks_is_judged_at_once(output):
    began = time.process_time()
    renewal_outcome(output)
    assert time.process_time() - began < 1
