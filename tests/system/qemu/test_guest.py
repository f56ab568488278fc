# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real QEMU with the lab as the agent inside its guest: virtio-serial, unix and TCP chardevs,
booting and rebooting."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import OutcomeUnknown, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.qemu.guest import QemuGuest

BOOT = 90


def router(address: str, connect_timeout: float = BOOT):
    return open_guest(options_for("qemu", "chr1", connect_timeout, "auto", Path("/nonexistent"), socket=address))


@pytest.fixture(scope="module")
def machine(image, tmp_path_factory):
    """One VM for the tests that leave it as it was: unix socket for the agent, TCP for the second
    channel."""
    folder = tmp_path_factory.mktemp("vm")
    with QemuGuest(
        image,
        name="chr1",
        directory=folder,
        agent=f"unix:{folder}/a.sock",
        provision_agent="tcp:127.0.0.1:0",
        settings={"identity": "chr1"},
    ) as vm:
        router(f"{folder}/a.sock").ping()
        yield vm


def address_of(agent_address: str) -> str:
    kind, _unused, where = agent_address.partition(":")
    return where if kind == "unix" else f"tcp://{where}"


def test_a_guest_that_has_not_booted_yet_is_waited_for(image, tmp_path):
    """Over TCP; the wait begins before QEMU's firmware has even started."""
    with QemuGuest(
        image, name="chr2", directory=tmp_path, agent="tcp:127.0.0.1:0", settings={"identity": "late"}
    ) as vm:
        address = address_of(vm.agent_address)
        with pytest.raises(Unreachable, match="no answer"):
            router(address, 0.5).ping()
        assert router(address).run(b":put [/system identity get name]", 30).output == b"late\r\n"


@pytest.mark.parametrize("channel", ["agent_address", "provision_address"])
def test_scripts_run_over_both_kinds_of_chardev(machine, channel):
    chr1 = router(address_of(getattr(machine, channel)))
    result = chr1.run(b":put [/system identity get name]", 30)
    assert (result.rc, result.output) == (0, b"chr1\r\n")


def test_a_megabyte_survives_the_virtio_ring_both_ways(machine):
    chr1 = router(address_of(machine.agent_address))
    content = os.urandom(1_000_000)
    assert chr1.put(io.BytesIO(content), "x.bin") == len(content)
    back = io.BytesIO()
    chr1.get("x.bin", back)
    assert back.getvalue() == content


def test_a_second_client_waits_for_the_first(machine):
    address = address_of(machine.agent_address)
    holder = socket.socket(socket.AF_UNIX)
    holder.connect(address)
    with pytest.raises(Unreachable, match="another program"):
        router(address, 1.0).ping()
    threading.Timer(1.0, holder.close).start()
    router(address).ping()


def test_what_a_killed_client_left_behind_is_not_taken_for_an_answer(machine):
    """A half request, and replies that nobody has read."""
    address = address_of(machine.agent_address)
    for left in (
        b'{"execute":"guest-info"}\n' * 3,
        b'{"execute":"guest-exec","arguments":{"input-data":"OnB1',
        b"\xff\xff{",
    ):
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(address)
            rude.sendall(left)
            time.sleep(0.2)
        assert router(address).run(b':put "mine"', 30).output == b"mine\r\n"


def test_a_paused_guest_ends_with_the_deadline(machine):
    address = address_of(machine.agent_address)
    machine.pause()
    try:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="within 2 s"):
            router(address, 2.0).ping()
        assert time.monotonic() - began < 20
    finally:
        machine.cont()
    router(address).ping()


def test_a_guest_that_is_reset_in_a_job_has_an_unknown_outcome_and_is_there_again(machine):
    chr1 = router(address_of(machine.agent_address))
    threading.Timer(1.0, machine.system_reset).start()
    with pytest.raises(OutcomeUnknown, match="not run again"):
        chr1.run(b":delay 300", 200)
    chr1.ping()


def test_a_reboot_by_script_comes_back(machine):
    chr1 = router(address_of(machine.agent_address))
    job = chr1.start(b"/system reboot")
    assert job.exec_mode == "inline"
    time.sleep(0.5)
    chr1.ping()
    # What the lab holds in memory is gone: it really was another boot.
    assert int(chr1.start(b":put 1").id) == 101


def test_shutdown_ends_qemu(image, tmp_path):
    with QemuGuest(image, name="chr3", directory=tmp_path, agent=f"unix:{tmp_path}/a.sock") as vm:
        chr3 = router(f"{tmp_path}/a.sock")
        chr3.ping()
        chr3.shutdown("powerdown")
        vm.wait_exit(30)
        with pytest.raises(Unreachable, match="refused|no such file"):
            router(f"{tmp_path}/a.sock", 1.0).ping()
