# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""RouterOS's error texts, as a script prints them and as its API has them."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core import masking
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.trap import Trap, from_output

SOURCE = ':put "@"\n:local v [/ip address add adress="192.0.2.1/24" interface="ether1"]\n'


@pytest.mark.parametrize(
    ("printed", "message", "category"),
    [
        ("failure: already have such address", "failure: already have such address", 4),
        ("failure: already have such address (/ip/address/add; line 2)", "failure: already have such address", 4),
        ("no such item (4)", "no such item", 0),
        ("no such item", "no such item", 0),
        ("input does not match any value of interface", "input does not match any value of interface", 1),
        ("invalid value for argument address (line 2 column 30)", "invalid value for argument address", 1),
        ("expected end of command (line 2 column 27)", "unknown parameter adress", None),
        ("bad command name address (line 2 column 15)", "no such command prefix", None),
        ("bad command name add (line 2 column 23)", "no such command", None),
        ("syntax error (line 99 column 99)", "syntax error", None),
        ("expected end of command (line 99 column 99)", "expected end of command", None),
        ("not enough permissions (9)", "not enough permissions", None),
        ("", "failure: RouterOS gave no reason", 4),
    ],
)
def test_the_message_is_that_of_the_api(printed, message, category):
    trap = from_output(f"@\r\n{printed}\r\n".encode() if printed else b"", SOURCE, "add")
    assert (str(trap), trap.category) == (message, category)


def test_the_sentence_has_the_category_where_it_is_known():
    assert Trap("x", 0).words() == [b"!trap", b"=category=0", b"=message=x"]
    assert Trap("x").words() == [b"!trap", b"=message=x"]


def test_no_secret_and_nothing_that_a_terminal_obeys_is_told():
    masking.protect("hunter2hunter2")
    try:
        trap = from_output(b'invalid value "hunter2hunter2"\x1b[2J', SOURCE, "add")
    finally:
        masking.forget()
    assert str(trap) == f'invalid value "{masking.MASK}"?[2J'


def test_a_name_in_a_menu_without_names_is_of_no_item():
    source = ':local id [/ip address find where name="0"]\n/ip address set $id comment=" find where name="\n'
    assert str(from_output(b"expected end of command (line 1 column 32)", source, "set")) == "no such item"
    assert str(from_output(b"expected end of command (line 2 column 21)", source, "set")) == "unknown parameter comment"


def test_an_error_text_of_any_length_is_read_in_no_time():
    assert len(str(from_output(b"failure: " + b" " * 300_000 + b"x", SOURCE, "add"))) <= 2000


def test_a_place_that_no_script_has_is_a_part_of_the_message():
    message = f"bad command name x (line 1 column {'9' * 30})"
    assert str(from_output(message.encode(), ":put 1\n", "print")) == message
