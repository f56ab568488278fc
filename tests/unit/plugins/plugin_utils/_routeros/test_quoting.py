# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text as RouterOS source, run by the lab's interpreter."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.tests.lab.routeros import Router


@given(st.binary(max_size=60))
@example(bytes(range(1, 256)))
@example(b'"; /system shutdown; "')
@example(b"$[/system shutdown]")
@example(b"\\")
def test_any_bytes_come_back_from_the_router_and_nothing_in_them_is_run(data):
    router = Router(output_newline="")
    outcome = router.run(f":put {quote(data)}")
    assert (outcome.exitcode, outcome.output) == (0, data)


@given(st.text(max_size=40))
def test_text_goes_as_utf8(text):
    assert Router(output_newline="").run(f":put {quote(text)}").output == text.encode("utf-8", "surrogateescape")


def test_plain_text_stays_readable():
    assert quote("backup 2026-01-31.rsc") == '"backup 2026-01-31.rsc"'
