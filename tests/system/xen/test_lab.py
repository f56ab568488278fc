# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Xen host of the lab is a real one where it matters: permissions, quotas and watches are
oxenstored's own."""

from __future__ import annotations

import base64
import time

import pytest

from ansible_collections.outofband.chr.tests.lab.xen.wire import StoreError

SCRIPT = "vm-data/provision/script"


def encoded(source: bytes) -> str:
    return base64.b64encode(source).decode()


def until(condition, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < end
        time.sleep(0.002)
    return seen


def test_a_script_is_run_and_its_output_comes_back(xen):
    one = xen.domain("a")
    until(lambda: f"{SCRIPT}/status" in one.vm_data())
    xen.store.write(f"{one.path}/{SCRIPT}", encoded(b":put 1"))
    assert until(lambda: one.vm_data().get(f"{SCRIPT}/otuput")) == encoded(b"1\r\n")
    assert until(lambda: one.vm_data()[f"{SCRIPT}/status"] == "ready")


def test_a_value_has_2048_bytes(xen):
    one = xen.domain("b")
    xen.store.write(f"{one.path}/x", "x" * 2048)
    with pytest.raises(StoreError, match="E2BIG"):
        xen.store.write(f"{one.path}/x", "x" * 2049)


def test_after_a_live_set_the_guest_reads_and_cannot_write(xen):
    one = xen.domain("c", announces=False)
    time.sleep(0.2)
    one.set_live({SCRIPT: encoded(b":put 1")})
    until(lambda: one.log)
    time.sleep(0.05)
    assert xen.store.permissions(f"{one.path}/{SCRIPT}") == ["n0", f"r{one.domid}"]
    assert set(one.vm_data()) == {"vm-data", "vm-data/provision", SCRIPT}


def test_what_is_there_at_boot_runs_and_what_was_there_comes_back(xen):
    one = xen.halted("d")
    one.data = {SCRIPT: encoded(b":put 1"), "other/x": "1"}
    one.start()
    until(lambda: one.vm_data().get(f"{SCRIPT}/otuput"))
    before = one.domid
    one.reboot()
    assert one.domid != before
    until(lambda: len(one.log) == 2)


def test_each_write_is_an_event_and_a_removal_too(xen):
    """So a script that follows a removal at once is run twice by tools that look at each event."""
    one = xen.domain("e", delay=0.05)
    until(lambda: f"{SCRIPT}/status" in one.vm_data())
    xen.store.write(f"{one.path}/{SCRIPT}", encoded(b":put 1"))
    until(lambda: one.vm_data().get(f"{SCRIPT}/otuput"))
    xen.store.remove(f"{one.path}/{SCRIPT}")
    xen.store.write(f"{one.path}/{SCRIPT}", encoded(b":put 2"))
    until(lambda: one.log == [":put 1", ":put 2", ":put 2"])


def test_the_guest_of_one_domain_cannot_reach_another(xen):
    one, other = xen.domain("f"), xen.domain("g")
    with pytest.raises(StoreError, match="EACCES"):
        one.guest.store.write(f"{other.path}/vm-data/x", "1")
