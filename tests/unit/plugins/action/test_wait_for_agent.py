# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A router is ready when the next task can use it, which may be after its agent answers."""

from __future__ import annotations

import threading

import pytest
from ansible.playbook.task import Task

from ansible_collections.outofband.chr.plugins.action.wait_for_agent import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotBoolean,
    NotPossible,
    TimedOut,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder


@pytest.fixture
def start():
    """A router whose cards show some seconds after its agent: ``start(1.5)``."""
    running = []
    with temporary_folder() as folder:

        def one(cards_after=0.0, interfaces=("ether1", "ether2")):
            router = Router(interfaces=interfaces, cards_after=cards_after)
            running.append(LabRouter(router, f"unix:{folder}/{len(running)}.sock").start())
            return running[-1]

        yield one
        for router in running:
            router.stop()


def wait(router, timeout=20.0, **arguments):
    guest = open_guest(options_for("qemu", "chr1", 1.0, "auto", socket=router.address))
    action = ActionModule(Task(), None, None, None, None, None)
    return action.perform(guest, {"timeout": timeout, "until": None, "interfaces": None} | arguments)


@pytest.mark.parametrize(
    "ready",
    [
        {"interfaces": ["ether1", "ether2"]},
        {"interfaces": "ether1"},
        {"interfaces": 2},
        {"interfaces": "2"},
        {"until": "[/interface get ether1 running]"},
        {"interfaces": ["lo"], "until": '[:len [/interface find type="ether"]] = 2'},
    ],
    ids=str,
)
def test_a_router_whose_cards_come_late_is_waited_for(start, ready):
    late = start(cards_after=1.2)
    end = wait(late, **ready)
    assert late.router.uptime >= 1.2
    assert (end["changed"], end["tries"]) == (False, 1)
    assert late.router.run("/ip address add address=192.0.2.1/24 interface=ether1").exitcode == 0


def test_a_router_that_is_ready_is_asked_once(start):
    ready = start()
    wait(ready, interfaces=["ether1"], until="[/interface get ether1 running]")
    assert ready.agent.log.count("guest-exec") == 2


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"interfaces": ["ether1", "ether3"]}, "it has no interface 'ether3'"),
        ({"interfaces": 3}, "fewer than 3 Ethernet interfaces"),
        ({"until": "1 = 2"}, r"until \(1 = 2\) is not true"),
        ({"until": "[/interface get ether9 running]"}, "no such item"),
    ],
    ids=str,
)
def test_what_is_missing_is_named_and_the_host_is_not_called_unreachable(start, asked, says):
    with pytest.raises(TimedOut, match=f"answered, but the router was not ready after 0.7 s: .*{says}"):
        wait(start(), timeout=0.7, **asked)


def test_a_router_that_goes_away_meanwhile_is_waited_for(start):
    router = start(cards_after=1.0)
    threading.Timer(0.3, router.stop).start()
    threading.Timer(1.2, router.start).start()
    wait(router, interfaces=1)
    assert router.router.uptime >= 1.0


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"interfaces": -1}, InvalidInput),
        ({"interfaces": True}, InvalidInput),
        ({"interfaces": ["ether1", 2]}, InvalidInput),
        ({"interfaces": {"a": 1}}, InvalidInput),
        ({"interfaces": [" "]}, InvalidInput),
        ({"until": " "}, InvalidInput),
        ({"until": "1 = 1 \0"}, InvalidInput),
        ({"until": "3"}, NotBoolean),
    ],
    ids=str,
)
def test_what_can_never_become_true_fails_at_once(start, asked, error):
    with pytest.raises(error):
        wait(start(), **asked)


def test_a_backend_that_runs_scripts_at_boots_only_refuses_to_ask(tmp_path):
    options = options_for(
        "xenapi", "chr1", 1.0, "auto", tmp_path, api_host="localhost", api_user="root", api_password="x"
    )
    action = ActionModule(Task(), None, None, None, None, None)
    with pytest.raises(NotPossible, match="only when it boots, so until and interfaces cannot be asked"):
        action.perform(open_guest(options), {"timeout": 1.0, "until": None, "interfaces": 1})
