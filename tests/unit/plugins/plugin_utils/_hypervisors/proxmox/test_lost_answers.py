# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What backend proxmox does when answers are lost, late or another client's."""

from __future__ import annotations

import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import OutcomeUnknown, Unreachable

NAME = b":put [/system identity get name]"
SHORT_LIVED = ["595 Network is unreachable", "596 Broken pipe", "599 Too many redirections", "reset", "cut"]


def soon_over(pve, path: str, fault: str, seconds: float = 0.15) -> None:
    pve.faults[path] = fault
    threading.Timer(seconds, pve.faults.clear).start()


@pytest.mark.parametrize("fault", SHORT_LIVED)
def test_a_question_whose_answer_is_lost_is_asked_again(cluster, reach, fault):
    pve = cluster()
    pve.add(100, "chr1", accepts_null_path=True)
    for path in ("/agent/ping", "/cluster/resources", "/status/current", "/agent/exec-status"):
        chr1 = reach(pve, "chr1", connect_timeout=10)
        if path.startswith("/agent"):
            chr1.ping()
        soon_over(pve, path, fault)
        if path == "/agent/exec-status":
            assert chr1.run(NAME, 10).output == b"chr1\r\n"
        elif path == "/status/current":
            assert chr1._vm.machine(lambda vm: vm.status.current.get())["status"] == "running"
        else:
            chr1.ping()


@pytest.mark.parametrize(
    "fault", ["595 Network is unreachable", "596 Broken pipe", "599 Too many redirections", "reset"]
)
def test_a_probe_that_is_lost_is_sent_again(cluster, reach, fault):
    pve = cluster()
    pve.add(100, "chr1", accepts_null_path=True)
    soon_over(pve, "/agent/exec", fault)
    assert reach(pve, "chr1", connect_timeout=10).run(NAME, 10).exec_mode == "json"


@pytest.mark.parametrize("late", ["guest-exec", "guest-exec-status", "guest-ping"])
def test_an_answer_that_reaches_the_next_connection_spoils_no_probe_and_no_question(cluster, reach, late):
    """QEMU gives what an agent says to whoever is connected, and Proxmox VE refuses a wrong id."""
    pve = cluster()
    vm = pve.add(100, "chr1", accepts_null_path=True)
    vm.late = [late]
    assert reach(pve, "chr1", connect_timeout=10).run(NAME, 10).output == b"chr1\r\n"
    assert vm.late == []
    vm.late = [late]
    assert reach(pve, "chr1", connect_timeout=10).condition("1 = 1", 10) is True
    vm.late = ["guest-get-osinfo"]
    assert vm.crossing is False
    assert reach(pve, "chr1", connect_timeout=10).report().host_name == "chr1"


def test_the_script_itself_is_never_sent_again(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", accepts_null_path=True)
    chr1 = reach(pve, "chr1")
    chr1.run(NAME, 5)
    before = sum(one["execute"] == "guest-exec" for one in vm.wire)
    vm.crossing = True
    vm.late = ["guest-exec"]
    with pytest.raises(OutcomeUnknown, match="guest-exec.*not sent again"):
        chr1.run(b"/system note set note=x", 5)
    assert sum(one["execute"] == "guest-exec" for one in vm.wire) == before + 1


def test_a_script_that_never_reached_the_socket_is_sent_when_the_socket_is_free(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", accepts_null_path=True)
    chr1 = reach(pve, "chr1", connect_timeout=10)
    chr1.run(NAME, 5)
    vm.lab.channel.acquire()  # somebody's socat
    threading.Timer(0.8, vm.lab.channel.release).start()
    assert chr1.run(NAME, 5).output == b"chr1\r\n"


def test_a_result_that_went_with_a_lost_answer_is_told_with_the_first_reason(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", accepts_null_path=True)
    chr1 = reach(pve, "chr1")
    job = chr1.start(b':put "8 MB"')
    vm.late = ["guest-exec-status"]
    with pytest.raises(
        OutcomeUnknown, match="no longer knows the job.*an answer that was lost.*came back before: .*got timeout"
    ):
        chr1.wait(job, 5)


def test_a_copy_whose_look_up_is_lost_is_looked_up_again(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", accepts_null_path=True, close_answers=True, write_modes=("w", "wb"))
    chr1 = reach(pve, "chr1", connect_timeout=10)
    chr1.run(NAME, 5)
    vm.late = ["guest-exec-status"]
    assert chr1.put(io.BytesIO(b"content"), "x.txt") == 7
    assert vm.router.files["x.txt"].data == b"content"
    big = os.urandom(40_000)  # three scripts, the last two of which append
    vm.late = ["guest-exec-status"] * 2
    chr1._put_by_script(big, "big.bin")
    assert vm.router.files["big.bin"].data == big


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ((595, "Network is unreachable"), "cannot reach the node of 'chr1'.*node pve1.*595 Network is unreachable"),
        (
            (596, "tls_process_server_certificate: certificate verify failed"),
            "does not trust the certificate of the node",
        ),
    ],
)
def test_a_node_that_is_offline_is_told_with_what_was_said(cluster, reach, error, says):
    pve = cluster()
    pve.add(100, "chr1", accepts_null_path=True)
    chr1 = reach(pve, "chr1", connect_timeout=0.5)
    chr1.run(NAME, 5)
    pve.offline, pve.offline_error = {"pve1"}, error
    for ask in (chr1.ping, lambda: chr1.run(NAME, 5), lambda: chr1._vm.machine(lambda vm: vm.config.get())):
        with pytest.raises(Unreachable, match=f"{says}.*Nothing was sent to the VM"):
            ask()


def test_a_vm_of_which_only_the_number_is_known_is_not_called_missing(cluster, reach):
    pve = cluster()
    pve.add(100, "chr1", "pve2", accepts_null_path=True).made = time.monotonic()
    pve.add(101, "chr2", accepts_null_path=True)
    pve.offline = {"pve2"}
    with pytest.raises(
        Unreachable,
        match=r"Node pve2 did not answer \(595 Network.*names of its VMs 100 are not known.*vmid into chr_vm",
    ):
        reach(pve, "chr1", connect_timeout=0.5).run(NAME, 5)
    assert reach(pve, "chr2").run(NAME, 5).output == b"chr2\r\n"
    with pytest.raises(Unreachable, match="cannot reach the node of '100'"):
        reach(pve, "100", connect_timeout=0.5).ping()
    pve.offline = set()
    assert reach(pve, "chr1").run(NAME, 5).output == b"chr1\r\n"


def test_twenty_copies_side_by_side_survive_workers_that_silent_agents_block(cluster, reach):
    """A file-close without an answer blocks one of three workers, and what it has accepted is
    closed unread."""
    pve = cluster(agent_timeout=0.4)
    pve.connection_seconds = 0.3
    for number in range(20):
        pve.add(100 + number, f"chr{number}", accepts_null_path=True, write_modes=("w", "wb"))

    def copy(number: int) -> int:
        return reach(pve, f"chr{number}", connect_timeout=30).put(io.BytesIO(b"content"), "x.txt")

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(copy, range(20))) == [7] * 20
    assert all(vm.router.files["x.txt"].data == b"content" for vm in pve.vms.values())


def test_where_the_agent_does_not_answer_file_close_the_next_files_go_by_script(cluster, reach, tmp_path):
    pve = cluster()
    vm = pve.add(100, "chr1", accepts_null_path=True, write_modes=("w", "wb"))
    assert reach(pve, "chr1").put(io.BytesIO(b"one"), "1.txt") == 3
    opened = sum(one["execute"] == "guest-file-open" for one in vm.wire)
    assert opened == 1
    for size in (0, 1, 5000, 40_000):
        content = os.urandom(size)
        assert reach(pve, "chr1").put(io.BytesIO(content), "2.bin") == size
        assert vm.router.files["2.bin"].data == content
    assert sum(one["execute"] == "guest-file-open" for one in vm.wire) == opened
    answering = pve.add(101, "chr2", accepts_null_path=True, write_modes=("w", "wb"), close_answers=True)
    for name in ("1.txt", "2.txt"):
        reach(pve, "chr2").put(io.BytesIO(b"one"), name)
    assert sum(one["execute"] == "guest-file-open" for one in answering.wire) == 2
