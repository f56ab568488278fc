# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack of queries, by the rules of the API's manual. Clients judge it in tests/system/api."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.query import check, names, wanted
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.trap import Trap
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.value import Value

ITEM = {
    b"name": Value(b"str", b"a=b"),
    b"on": Value(b"bool", b"true"),
    b"number": Value(b"num", b"9"),
    b"ip": Value(b"ip", b"10.0.0.9"),
    b"time": Value(b"time", b"1h30m"),
    b".id": Value(b"id", b"*A"),
}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], True),
        (["?name=a=b"], True),
        (["?=name=a=b"], True),
        (["?name=a"], False),
        (["?name"], True),
        (["?-name"], False),
        (["?none"], False),
        (["?-none"], True),
        (["?none="], False),
        (["?on=yes"], True),
        (["?on=false"], False),
        (["?number=09"], True),
        (["?>number=10"], False),
        (["?<number=10"], True),
        (["?>number=8"], True),
        (["?<none=1"], False),
        (["?<ip=10.0.0.10"], True),
        (["?time=90m"], True),
        (["?>time=89m59s"], True),
        (["?.id=*a"], True),
        (["?name=x", "?on=yes"], False),
        (["?name=x", "?on=yes", "?#|"], True),
        (["?name=x", "?#!"], True),
        (["?name=x", "?on=yes", "?#!"], False),
        (["?name=x", "?on=yes", "?#0"], True),
        (["?name=x", "?on=yes", "?#1"], False),
        (["?name=x", "?on=yes", "?#7"], True),
        (["?on=yes", "?#.&"], True),
        (["?name=x", "?#.!|"], True),
        (["?name=x", "?#0.!|"], True),
        (["?#!"], False),
    ],
)
def test_an_item_is_wanted_if_no_false_value_is_left_on_the_stack(words, answer):
    queries = [word.encode() for word in words]
    check(queries)
    assert wanted(queries, ITEM) is answer


@pytest.mark.parametrize("word", ["?", "?=", "?#x", "?<a", "?>a", "?-a=b", "?=a"])
def test_a_word_that_is_no_query_is_a_trap(word):
    with pytest.raises(Trap, match="invalid query word"):
        check([word.encode()])


def test_a_query_that_grows_without_a_bound_is_a_trap():
    with pytest.raises(Trap, match="too large a stack"):
        wanted([b"?#" + b"." * 20_000], ITEM)


def test_the_properties_of_queries_are_known():
    assert names([b"?a=1", b"?-b", b"?#|", b"?>c=1", b"?=d=x"]) == {b"a", b"b", b"c", b"d"}


def test_a_query_word_is_checked_in_no_time():
    """The process that checks it serves all routers."""
    with pytest.raises(Trap, match="invalid query word"):
        check([b"?#" + b"1" * 40 + b"x"])
    with pytest.raises(Trap, match="invalid query word"):
        check([b"?#" + b"1" * 100_000 + b"x"])


def test_a_client_cannot_hold_up_the_bridge_with_a_query():
    with pytest.raises(Trap, match="invalid query word"):
        check([b"?#" + b"1." * 500 + b"x"])
