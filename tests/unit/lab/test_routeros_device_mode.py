# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's device-mode: an update blocks, and counts only if the power is cut meanwhile."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros import Router

UPDATE = "/system device-mode update container=yes"


def begun(router):
    """The router, whose update waits; the outcomes of its runs."""
    outcomes = []
    threading.Thread(target=lambda: outcomes.append(router.run(UPDATE)), daemon=True).start()
    deadline = time.monotonic() + 20
    while router.device_mode_update is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return outcomes


def container(router):
    return router.run(":put [/system device-mode get container]").output.strip() == b"true"


@pytest.mark.parametrize(
    ("event", "counts"),
    [
        (Router.lose_power, True),
        (Router.reset, True),
        (Router.reboot, False),
        (lambda router: router.run("/system reboot"), False),
        (lambda router: router.run(UPDATE), False),
    ],
    ids=["power", "reset", "reboot", "own reboot", "second update"],
)
def test_an_update_counts_if_the_power_is_cut_while_it_waits(event, counts):
    router = Router()
    outcomes = begun(router)
    event(router)
    deadline = time.monotonic() + 20
    while not outcomes and time.monotonic() < deadline:
        time.sleep(0.01)
    assert b"please activate by turning power off" in outcomes[0].output
    assert container(router) is counts


@pytest.mark.parametrize(
    "wrong", ["mode=none", "container=maybe", "container=yes activation-timeout=1s", "nothing=yes"]
)
def test_what_cannot_be_is_refused(wrong):
    router = Router()
    assert router.run(f"/system device-mode update {wrong}").exitcode == -1
    assert router.device_mode_update is None
