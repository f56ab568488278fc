# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands from the words of a sentence. Whatever a client sends, RouterOS gets names and quoted
text."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.command import command
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.script import Order, plan
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.api.trap import Trap
from ansible_collections.outofband.chr.tests.lab.routeros import Router

HOSTILE = b'x"; /system reboot; [:put 1] $(1) \\ \n\r\0 \xff {'


def order(*words: str | bytes) -> Order:
    planned = plan(command([word if isinstance(word, bytes) else word.encode() for word in words]))
    assert isinstance(planned, Order)
    return planned


def test_no_word_of_a_client_is_run():
    router = Router()
    made = order("/ip/firewall/address-list/add", "=list=a", b"=address=" + HOSTILE, b"=comment=" + HOSTILE)
    assert router.run(made.source).exitcode == 0
    (item,) = router.items("ip firewall address-list")
    assert item.value("comment") == HOSTILE.decode("latin-1")
    assert router.run(order("/interface/set", b"=.id=" + HOSTILE, "=comment=x").source).output == b"no such item\r\n"


@pytest.mark.parametrize(
    "words",
    [
        [b"/ip/address/print; /system reboot"],
        [b"/ip/address/Print"],
        [b"/ip//address/print"],
        [b"/ip/address/print\n"],
        [b"/put", b"=message=x"],
        [b"/global", b"=name=x"],
        [b"/error", b"=message=x"],
        [b"/ip/address/set", b"=a b=1"],
        [b"/ip/address/set", b"=a[1]=1"],
        [b"/ip/address/set", b"=.id=*1", b"=.x=1"],
        [b"/ip/address/unset", b"=.id=*1", b"=value-name=a b"],
        [b"/ip/address/set", b"=.id=*1,", b"=comment=x"],
        [b"/ip/address/set", b"=.id=", b"=comment=x"],
        [b"/ip/address/set", b"comment=x"],
        [b"/ip/address/remove", b"?comment=x"],
    ],
)
def test_what_the_api_does_not_have_is_a_trap(words):
    with pytest.raises(Trap):
        plan(command(words))


def test_values_of_names_like_password_count_as_secret():
    words = [b"/user/add", b"=name=n", b"=password=p", b"=comment="]
    assert command(words).secrets == [b"p"]
    assert command([b"/ip/ipsec/identity/add", b"=secret=s", b"=peer=p"]).secrets == [b"s"]
    assert command([b"/interface/wireguard/add", b"=private-key=k"]).secrets == [b"k"]
    assert command([b"/ip/address/add", b"=address=192.0.2.1/24"]).secrets == []


@pytest.mark.parametrize("bound", ["once", "count=3", "duration=2s"])
def test_a_command_that_is_told_when_to_end_is_run_and_its_sections_are_read(bound):
    made = order("/interface/monitor-traffic", "=interface=ether1", f"={bound}" + ("" if "=" in bound else "="))
    assert "/interface monitor-traffic" in made.source
    assert " as-value]" in made.source
    sections = made.answer(b"@\r\nname,str 6:ether1\r\nrx,num 1:5\r\n@\r\nname,str 6:ether1\r\n")
    assert sections == [[b"!re", b"=name=ether1", b"=rx=5"], [b"!re", b"=name=ether1"], [b"!done"]]
