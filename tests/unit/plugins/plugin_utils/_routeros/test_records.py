# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data out of a router whole, whatever the values are."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import records
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.tests.lab.routeros import Router


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=40))
def test_no_value_can_be_taken_for_a_key_or_a_record(comment):
    router = Router()
    tricky = f"{comment}\r\n@\r\nname 4:evil"
    router.run(f"/interface bridge add name=b comment={quote(tricky)}")
    found = records.parse(router.run(records.listing("/interface bridge")).output)
    assert len(found) == 1
    assert found[0]["name"] == "b"
    assert found[0]["comment"].replace("\n", "\r\n") == tricky


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("version", ["6.49.10", "7.22"])
def test_listings_and_properties_of_old_and_new_routers(version, newline):
    router = Router(version=version, output_newline=newline, interfaces=("ether1", "ether2"))
    names = [one["name"] for one in records.parse(router.run(records.listing("/interface")).output)]
    assert names[:2] == ["ether1", "ether2"]
    (resource,) = records.parse(router.run(records.properties("/system resource", ("version", "uptime"))).output)
    assert resource["version"].startswith(version)


def test_a_property_that_a_router_cannot_give_is_left_out():
    output = Router().run(records.properties("/interface", ("name",))).output
    assert records.parse(output) == [{}]


@pytest.mark.parametrize("cut", range(1, 30))
def test_output_that_was_cut_short_is_an_error_or_fewer_records_never_a_wrong_value(cut):
    whole = b"@\r\nname 6:ether1\r\nmtu 4:1500\r\n"
    try:
        (record,) = records.parse(whole[:cut])
    except ValueError:
        return
    assert record.items() <= {"name": "ether1", "mtu": "1500"}.items()


@pytest.mark.parametrize("output", [b"garbage", b"name 3:abc\n", b"@\nname 99999999999:x\n", b"@\nname -1:x\n"])
def test_output_of_another_form_is_an_error(output):
    with pytest.raises(ValueError):  # noqa: PT011
        records.parse(output)


@given(st.binary(max_size=80))
def test_any_output_ends_in_records_or_an_error(output):
    with contextlib.suppress(ValueError):
        assert isinstance(records.parse(output), list)


def test_a_menu_is_read_in_pages_that_shrink_until_they_fit():
    router = Router(interfaces=tuple(f"ether{number}" for number in range(1, 8)))
    sizes = []

    def run(script: str) -> bytes:
        output = router.run(script).output
        sizes.append(len(output))
        if len(output) > 500:
            raise records.Cut
        return output

    found = records.items("/interface", run, 4)
    assert [item["name"] for item in found] == [
        item["name"] for item in records.items("/interface", lambda s: router.run(s).output)
    ]
    assert max(sizes) > 500 > sizes[-1]


def test_an_item_that_does_not_fit_alone_is_an_error():
    def run(script: str) -> bytes:
        raise records.Cut

    with pytest.raises(records.Cut):
        records.items("/interface", run, 4)


@pytest.mark.parametrize(
    "output",
    [b"@\n" + b"a 250000:\n" * 50_000, b"@\na 5:" + b"\n" * 300_000 + b"!", b"@\n" + b"a 9:\r\n\r\n" * 40_000],
    ids=["lengths that do not fit", "empty lines", "line ends in values"],
)
def test_an_output_with_wrong_lengths_is_read_in_a_time_that_fits_its_size(output):
    began = time.process_time()
    records.parse_bytes(output, lenient=True)
    assert time.process_time() - began < 3
