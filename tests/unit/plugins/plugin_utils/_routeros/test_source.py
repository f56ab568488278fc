# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every script of a user goes through one door."""

from __future__ import annotations

import codecs

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.capabilities import Capabilities
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.source import script

TEXT = ':put "\u0436\u00e9"\n'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TEXT, TEXT.encode()),
        (TEXT.encode(), TEXT.encode()),
        (codecs.BOM_UTF8 + TEXT.encode(), TEXT.encode()),
        ("\ufeff" + TEXT, TEXT.encode()),
        ([":put 1", ":put 2"], b":put 1\n:put 2"),
        ([], b""),
        ("", b""),
    ],
)
def test_text_is_taken_in_every_form_without_a_mark(given, expected):
    assert script(given) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (TEXT.encode("utf-16"), "source is encoded in UTF-16. Save it as UTF-8"),
        (TEXT.encode("utf-32"), "source is encoded in UTF-32"),
        (":put 1\n".encode("utf-16-le"), "UTF-16, without a byte order mark"),
        (":put 1\n".encode("utf-16-be"), "UTF-16, without a byte order mark"),
        (b":put \0 1", "source has a NUL byte at offset 5: RouterOS source is text"),
        (":put \0 1", "source has a NUL byte at offset 5"),
        (b":put \xe9", r"source is not valid UTF-8: byte 0xE9 at offset 5. .*such as \\E9"),
        (":put \ud800", "source is not valid UTF-8 at character 5"),
        ({":put": 1}, "source must be text or a list of lines. Put it in quotes"),
        (True, "must be text or a list of lines"),
        (5, "must be text or a list of lines"),
        ([":put 1", 2], "source is a list whose item 2 is not text"),
        ([":put 1", [":put 2"]], "source is a list whose item 2 is not text"),
    ],
)
def test_anything_else_is_refused_by_its_name(given, words):
    with pytest.raises(InvalidInput, match=words):
        script(given, "source")


@pytest.mark.parametrize("source", [b"\0", b"\xe9", TEXT.encode("utf-16"), b" \n"])
def test_a_backend_checks_what_reaches_it_in_another_way(source):
    with pytest.raises(InvalidInput):
        check_source(source, Capabilities(output=True, files=True, max_script=100))
