# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest behind a QGA channel, against the lab, with every disputed behaviour in each
position."""

from __future__ import annotations

import base64
import http.server
import io
import itertools
import json
import os
import re
import socket
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    FileMissing,
    InvalidInput,
    NotAnAgent,
    OutcomeUnknown,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options, open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import Address
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga import guest as qga_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.relay import Relay
from ansible_collections.outofband.chr.tests.lab.routeros import File, Outcome, Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches

POSITIONS = [
    {},
    {"close_answers": True},
    {"numbers_as_strings": True},
    {"delimiter": False},
    {"newline": False, "delimiter": False},
    {"client_delimiter": "error"},
    {"client_delimiter": "garbage"},
    {"output_newline": "\n"},
    {"status_once": False},
    {"dribble": 7},
    {"max_write": 1000},
]


SLOW = {
    "test_a_router_that_reboots_in_the_job_has_forgotten_it_and_that_is_said",
    "test_100_mb_work_in_bounded_memory",
    "test_a_long_wait_leaves_the_channel_to_others",
}
"""Run with one position of the switch."""


def pytest_generate_tests(metafunc):
    """Whether a CHR sends 0xFF before the reply to a sync is disputed, so all is tried with and
    without it."""
    if "delimiter" in metafunc.fixturenames:
        positions = [True] if metafunc.function.__name__ in SLOW else [True, False]
        metafunc.parametrize("delimiter", positions, ids=["0xFF" if one else "no 0xFF" for one in positions])


@pytest.fixture
def start(tmp_path, delimiter):
    """Start a lab router with some switches; (router, guest)."""
    running = []

    def one(connect_timeout: float = 3.0, exec_mode: str = "auto", **switches):
        behaviour = Switches(**{"delimiter": delimiter, **switches})
        router = Router(output_newline=behaviour.output_newline)
        lab = LabRouter(router, f"unix:{tmp_path / f'{len(running)}.sock'}", behaviour).start()
        running.append(lab)
        return lab, guest(lab.address, connect_timeout, exec_mode)

    yield one
    for lab in running:
        lab.stop()


def guest(address: object, connect_timeout: float = 3.0, exec_mode: str = "auto"):
    return open_guest(
        options_for("qemu", "chr1", connect_timeout, exec_mode, Path("/nonexistent"), socket=str(address))
    )


def record(lab):
    """What reaches the agent from now on."""
    wire = []
    answer = lab.agent.answer

    def recorded(request):
        wire.append(json.loads(request))
        return answer(request)

    lab.agent.answer = recorded
    return wire


# -- scripts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("switches", POSITIONS, ids=str)
def test_scripts_and_files_work_in_every_position_of_every_switch(start, switches):
    lab, chr1 = start(**switches)
    result = chr1.run(b':put "hello"\n:put [/system identity get name]', 5)
    assert (result.rc, result.output.replace(b"\r\n", b"\n")) == (0, b"hello\nMikroTik\n")
    assert result.exec_mode == "inline"
    content = os.urandom(5000)
    assert chr1.put(io.BytesIO(content), "x.bin") == 5000
    assert lab.router.files["x.bin"].data == content
    back = io.BytesIO()
    assert chr1.get("x.bin", back) == 5000
    assert back.getvalue() == content
    failed = chr1.run(b':put "before"\n:error "no luck"', 5)
    assert failed.rc == -1
    assert failed.output.replace(b"\r\n", b"\n").startswith(b"before\n")
    assert b"no luck" in failed.output
    assert chr1.report().agent_version == "2.10.50"


@pytest.mark.parametrize("source", [b":put 1", b':error "no luck"', b"/no such menu"], ids=["good", "error", "syntax"])
def test_a_script_is_sent_as_input_data_and_nothing_else(start, source):
    """Manual 9, input-data, capture-output, args and env: the text in base64, the output wanted, no
    path, arg or env."""
    lab, chr1 = start()
    wire = record(lab)
    chr1.run(source, 5)
    (sent,) = [one["arguments"] for one in wire if one["execute"] == "guest-exec"]
    assert sent.keys() == {"input-data", "capture-output"}
    assert base64.b64decode(sent["input-data"]) == source + b"\n"
    assert sent["capture-output"] is True


@pytest.mark.parametrize(
    ("source", "rc", "output"),
    [
        (b':put "all right"', 0, b"all right\r\n"),
        (b":local x 1", 0, b""),
        (b':put a; :error "no luck"', -1, b"no luck"),
    ],
    ids=["output", "none", "error"],
)
def test_the_end_of_a_script_is_its_exit_code_and_its_output(start, source, rc, output):
    """Manual 9, exitcode 0, exitcode -1, out-data: success or an error of the script, and what it
    printed, decoded."""
    _lab, chr1 = start()
    result = chr1.run(source, 5)
    assert (result.rc, result.timed_out) == (rc, False)
    assert output in result.output


def test_what_the_manual_says_is_never_set_changes_no_result(start):
    """Manual 9, signal and err-data: not used by RouterOS; an agent that has them all the same is
    read by its exit code."""
    lab, chr1 = start()
    lab.agent._guest_exec_status = lambda pid: {
        "exited": True,
        "exitcode": 0,
        "signal": 0,
        "out-data": base64.b64encode(b"out").decode(),
        "err-data": base64.b64encode(b"err").decode(),
    }
    result = chr1.run(b":put out", 5)
    assert (result.rc, result.output) == (0, b"out")


def test_the_agent_lists_its_commands(start):
    """Manual 9, guest-info: the commands that can be used; one that is off is not called one of
    them."""
    lab, chr1 = start()
    known = lab.agent._guest_info()
    known["supported_commands"].append({"name": "guest-off", "enabled": False})
    lab.agent._guest_info = lambda: known
    commands = chr1.report().agent_commands
    assert "guest-exec" in commands
    assert "guest-off" not in commands


def test_interfaces_come_from_the_agent_without_a_script(start):
    """Manual 9, guest-network-get-interfaces: names, hardware addresses and addresses."""
    lab, chr1 = start()
    lab.router.run("/ip address add address=192.0.2.7/25 interface=ether1")
    (ether1,) = [one for one in chr1.report().interfaces if one.name == "ether1"]
    assert ether1.mac_address.count(":") == 5
    assert Address("192.0.2.7", 25, "ipv4") in ether1.addresses
    assert "guest-exec" not in lab.agent.log


def test_output_bytes_that_are_not_utf8_survive(start):
    _lab, chr1 = start()
    assert chr1.run(b':put "caf\\E9 \\FF\\00"', 5).output == b"caf\xe9 \xff\0\r\n"


def test_a_script_that_outlives_its_time_is_reported_with_its_job_and_not_lost_on_the_router(start):
    """Manual 9, no time limit: none is stated, so the script goes on after we stop waiting, and its
    job is named."""
    lab, chr1 = start()
    result = chr1.run(b':delay 700ms\n/system note set note="done"', 0.2)
    assert (result.rc, result.timed_out) == (None, True)
    assert int(result.job) > 0
    time.sleep(1)
    assert lab.router.run(":put [/system note get note]").output == b"done\r\n"


def test_the_agents_own_time_limit_is_told_from_an_error(start):
    """Manual 9, exitcode 1: the script timed out."""
    _lab, chr1 = start(job_limit=0.2)
    result = chr1.run(b':put "a"\n:delay 5', 3)
    assert (result.rc, result.timed_out) == (1, True)


def test_a_20_ms_script_is_seen_within_25_ms_and_5_percent_of_its_end(start):
    """The agent notes when the job ended; the best of five, as the machine is
    noisy."""
    lab, chr1 = start()
    original = lab.agent._guest_exec
    jobs = []

    def noted(**arguments):
        reply = original(**arguments)
        jobs.append(lab.agent._jobs[reply["pid"]])
        return reply

    lab.agent._guest_exec = noted
    late = []
    for _attempt in range(5):
        chr1.run(b":delay 20ms", 5)
        late.append(time.monotonic() - jobs[-1].ended)
    assert min(late) <= 0.025 + 0.05 * 0.02


def test_a_long_wait_leaves_the_channel_to_others(start, monkeypatch):
    monkeypatch.setattr(qga_guest, "_HOLD", 0.05)
    lab, chr1 = start()
    seen = []
    worker = threading.Thread(target=lambda: seen.append(chr1.run(b":delay 3", 10)))
    worker.start()
    time.sleep(1.2)
    other = guest(lab.address, 1.0)
    other.ping()
    worker.join()
    assert seen[0].rc == 0


@pytest.mark.parametrize("size", [1, 255 * 1024])
def test_scripts_up_to_the_limit_arrive(start, size):
    _lab, chr1 = start()
    source = b":put 1\n" + b"#" + b"x" * (size - 1)
    assert chr1.run(source, 10).rc == 0


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b":put 1\0", "NUL byte at offset 6"),
        (b":put \xe9", "byte 0xE9 at offset 5"),
        (b"#" * 1_048_576, "1048576 bytes"),
    ],
    ids=["empty", "blank", "nul", "latin-1", "1 MB"],
)
def test_what_cannot_be_a_script_is_refused_before_anything_is_sent(start, source, says):
    lab, chr1 = start()
    with pytest.raises(InvalidInput, match=says):
        chr1.run(source, 5)
    assert lab.agent.log == []


# -- the report ------------------------------------------------------------------------------------


def test_a_question_that_the_agent_refuses_costs_only_its_answer(start):
    _lab, chr1 = start(commands_off=("guest-get-host-name",))
    report = chr1.report()
    assert "guest-get-host-name" in report.agent_commands
    assert (report.host_name, report.os["id"], report.unreadable) == (None, "routeros", ())


def test_an_answer_that_cannot_be_read_is_named_and_costs_only_itself(start, monkeypatch):
    lab, chr1 = start()
    monkeypatch.setattr(lab.agent, "_guest_get_time", lambda: "soon")
    report = chr1.report()
    assert (report.time, report.os["id"], report.unreadable) == (None, "routeros", ("guest-get-time",))


# -- script files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path_mode", ["works", "refused"])
def test_auto_runs_a_file_whether_or_not_the_agent_takes_paths(start, path_mode):
    lab, chr1 = start(path_mode=path_mode)
    lab.router.files['a "b"$x.rsc'] = File(b':put "from file"')
    result = chr1.wait(chr1.start_file('a "b"$x.rsc'), 5)
    assert result.rc == 0
    assert result.output.startswith(b"from file\r\n")
    assert result.exec_mode == "import"


def test_path_mode_can_be_forced(start):
    """Manual 9, path: that file is executed."""
    lab, chr1 = start(exec_mode="path", path_mode="works")
    lab.router.files["x.rsc"] = File(b':put "by path"')
    result = chr1.wait(chr1.start_file("x.rsc"), 5)
    assert (result.output, result.exec_mode) == (b"by path\r\n", "path")


def test_path_mode_on_an_agent_that_refuses_it_says_so(start):
    lab, chr1 = start(exec_mode="path")
    lab.router.files["x.rsc"] = File(b":put 1")
    with pytest.raises(ChrError, match="refused guest-exec: .*path"):
        chr1.start_file("x.rsc")


# -- an agent in trouble ---------------------------------------------------------------------------


def test_an_agent_that_dies_at_exec_leaves_the_outcome_unknown_and_the_script_is_not_sent_again(start):
    lab, chr1 = start(hang_up_on=("guest-exec",))
    with pytest.raises(OutcomeUnknown, match="not sent again"):
        chr1.run(b":put 1", 5)
    assert lab.agent.log.count("guest-exec") == 1


def test_an_agent_that_dies_in_the_job_leaves_the_outcome_unknown(start):
    lab, chr1 = start(connect_timeout=0.5)
    threading.Timer(0.3, lab.stop).start()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="may have ended, may have run in part"):
        chr1.run(b":delay 60", 90)
    assert time.monotonic() - began < 45
    assert lab.agent.log.count("guest-exec") == 1


def test_a_router_that_reboots_in_the_job_has_forgotten_it_and_that_is_said(start):
    lab, chr1 = start(connect_timeout=8)
    threading.Timer(0.3, lambda: lab.router.on_power("reboot")).start()
    with pytest.raises(OutcomeUnknown, match="no longer knows the job"):
        chr1.run(b":delay 30", 60)
    assert lab.agent.log.count("guest-exec") == 1


def test_a_busy_socket_is_waited_for(start):
    lab, chr1 = start()
    holder = socket.socket(socket.AF_UNIX)
    holder.connect(lab.address)
    threading.Timer(0.6, holder.close).start()
    began = time.monotonic()
    assert chr1.run(b":put 1", 5).rc == 0
    assert time.monotonic() - began >= 0.5


def test_a_socket_that_stays_busy_ends_with_the_deadline(start):
    lab, chr1 = start(connect_timeout=1.0)
    with socket.socket(socket.AF_UNIX) as holder:
        holder.connect(lab.address)
        with pytest.raises(Unreachable, match="another program"):
            chr1.ping()


def test_twenty_clients_of_one_socket_all_get_their_own_answers(start):
    lab, _chr1 = start()
    answers = {}

    def one(number: int) -> None:
        answers[number] = guest(lab.address, 20).run(f":put {number}".encode(), 20).output

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"{number}\r\n".encode() for number in range(20)}


def test_an_agent_that_comes_up_late_is_waited_for(tmp_path):
    lab = LabRouter(Router(), f"unix:{tmp_path / 'late.sock'}")
    threading.Timer(0.5, lab.start).start()
    guest(tmp_path / "late.sock", 5).ping()
    lab.stop()


# -- bad addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("/dev/null", InvalidInput, "/dev/null is not a socket"),
        ("/nowhere/at/all.sock", Unreachable, "no such file"),
        ("relative.sock", InvalidInput, "relative.sock"),
        ("tcp://127.0.0.1", InvalidInput, "tcp://127.0.0.1"),
        ("tcp://127.0.0.1:99999", InvalidInput, "99999"),
        ("udp://127.0.0.1:1", InvalidInput, "udp"),
        ("/" + "x" * 200, InvalidInput, "too long"),
        ("tcp://127.0.0.1:1", Unreachable, "refused"),
        ("", InvalidInput, "chr_socket is not set"),
        ("/a\0b", InvalidInput, "NUL"),
        ("tcp://.x:1", InvalidInput, "host name in .* is not valid"),
    ],
)
def test_a_socket_that_cannot_be_is_named_within_the_timeout(address, error, says):
    began = time.monotonic()
    with pytest.raises(error, match=says):
        guest(address, 1.0).ping()
    assert time.monotonic() - began < 20


def test_an_http_server_is_no_agent():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(NotAnAgent, match="not a guest agent: it said"):
            guest(f"tcp://127.0.0.1:{server.server_port}", 3.0).ping()
    finally:
        server.shutdown()
        server.server_close()


def test_an_unknown_backend_is_named():
    with pytest.raises(InvalidInput, match="'bhyve'.*qemu"):
        from_options({"backend": "bhyve", "vm": "chr1"})


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dir/x.rsc", "/etc/passwd", "..", "", " ", "flash\\x", "a\nb", "a\0b"])
def test_a_file_name_the_agent_would_not_serve_is_refused_before_anything_is_sent(start, name):
    lab, chr1 = start()
    with pytest.raises(InvalidInput):
        chr1.put(io.BytesIO(b"x"), name)
    with pytest.raises(InvalidInput):
        chr1.get(name, io.BytesIO())
    assert lab.agent.log == []


@pytest.mark.parametrize("size", [0, 1, 48 * 1024 - 1, 48 * 1024, 48 * 1024 + 1, 3_000_000])
def test_files_of_any_size_arrive_whole(start, size):
    """Manual 9, guest-file: files go both ways between host and guest."""
    lab, chr1 = start()
    content = os.urandom(size)
    chr1.put(io.BytesIO(content), "x.bin")
    assert lab.router.files["x.bin"].data == content
    back = io.BytesIO()
    chr1.get("x.bin", back)
    assert back.getvalue() == content


def test_a_file_that_is_refused_for_another_reason_is_not_called_missing(start):
    lab, chr1 = start(handles=0)
    lab.router.files["x.txt"] = File(b"x")
    with pytest.raises(TransferFailed, match="too many open files"):
        chr1.get("x.txt", io.BytesIO())


def test_one_short_write_does_not_make_the_rest_slow(start):
    lab, chr1 = start()
    original = lab.agent._guest_file_write
    calls = itertools.count()

    def hiccup(handle, buf_b64, count):
        lab.switches.max_write = 1 if next(calls) == 0 else 0
        return original(handle, buf_b64, count)

    lab.agent._guest_file_write = hiccup
    chr1.put(io.BytesIO(bytes(2_000_000)), "x.bin")
    assert len(lab.router.files["x.bin"].data) == 2_000_000
    assert next(calls) < 120


def test_a_file_without_end_is_not_read_for_ever(start):
    lab, chr1 = start()
    lab.router.files["x.txt"] = File(b"x" * 3_000)
    original = lab.agent._guest_file_read

    def endless(handle, count):
        return {**original(handle, count), "buf-b64": "QUJD", "count": 3, "eof": False}

    lab.agent._guest_file_read = endless
    with pytest.raises(TransferFailed, match="3000 bytes"):
        chr1.get("x.txt", io.BytesIO())


def endless(lab, answer):
    """Let the agent send *answer* for ever, of a file whose size nobody knows."""
    lab.router.files["x.txt"] = File(b"x")
    lab.agent._guest_file_read = lambda handle, count: {"buf-b64": answer, "count": 3, "eof": False}


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"size": 100_000}, "more than 100000 bytes (max_size)"),
        ({"seconds": 0.3}, "was not moved within 0.3 s (timeout)"),
    ],
    ids=["size", "time"],
)
def test_a_guest_cannot_fill_the_controller_or_hold_a_task_for_ever(start, monkeypatch, limit, words):
    lab, chr1 = start()
    endless(lab, "QUJD")
    monkeypatch.setattr(chr1, "_look_up", lambda agent, name: None)
    target = io.BytesIO()
    with pytest.raises(TransferFailed, match=re.escape(words)):
        chr1.get("x.txt", target, TransferLimit(**limit))
    assert target.tell() <= 100_000
    assert lab.agent._handles == {}


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"size": 2_999}, "has 3000 bytes, and max_size is 2999"),
        ({"room": lambda: 2_999}, "only 2999 are free on the controller"),
    ],
    ids=["size", "room"],
)
def test_a_file_that_is_too_large_is_not_begun(start, limit, words):
    lab, chr1 = start()
    lab.router.files["x.txt"] = File(b"x" * 3_000)
    target = io.BytesIO()
    with pytest.raises(TransferFailed, match=words):
        chr1.get("x.txt", target, TransferLimit(**limit))
    assert target.getvalue() == b""


def test_an_agent_that_takes_one_byte_at_a_time_does_not_hold_a_task_for_ever(start):
    lab, chr1 = start(max_write=1)
    with pytest.raises(TransferFailed, match=r"was not moved within 0.3 s \(timeout\).* was removed from the router"):
        chr1.put(io.BytesIO(bytes(1_000_000)), "x.bin", TransferLimit(seconds=0.3))
    assert "x.bin" not in lab.router.files


@pytest.mark.parametrize("status", [{"exited": True, "signal": 9}, {"exited": True, "exitcode": 0.9}, ["x"], None])
def test_a_status_without_an_exit_code_is_no_success(start, status):
    lab, chr1 = start()
    lab.agent._guest_exec_status = lambda pid: status
    with pytest.raises(OutcomeUnknown):
        chr1.run(b":put 1", 5)


@pytest.mark.parametrize("reply", [None, [], "x", {"pid": None}, {"pid": "x"}, {"pid": 1.5}, 7])
def test_a_hostile_answer_to_exec_is_an_unknown_outcome(start, reply):
    lab, chr1 = start()
    lab.agent._guest_exec = lambda **arguments: reply
    with pytest.raises(OutcomeUnknown):
        chr1.run(b":put 1", 5)


def test_a_missing_file_is_told(start):
    _lab, chr1 = start()
    with pytest.raises(FileMissing, match=r"'nosuch.txt'"):
        chr1.get("nosuch.txt", io.BytesIO())


def test_an_agent_that_takes_nothing_leaves_no_half_file(start):
    lab, chr1 = start()
    original = lab.agent._guest_file_write
    count = itertools.count()

    def full_disk(handle, buf_b64, count_=None, **rest):
        if next(count) == 0:
            return original(handle, buf_b64)
        return {"count": 0}

    lab.agent._guest_file_write = lambda **arguments: full_disk(arguments["handle"], arguments["buf_b64"])
    with pytest.raises(TransferFailed, match="removed from the router"):
        chr1.put(io.BytesIO(b"x" * 200_000), "x.bin")
    assert "x.bin" not in lab.router.files
    assert lab.agent._handles == {}


def test_an_agent_that_writes_other_bytes_is_caught(start):
    lab, chr1 = start()
    original = lab.agent._guest_file_close

    def shorten(handle):
        lab.agent._handles[handle].data[-10:] = b""
        return original(handle)

    lab.agent._guest_file_close = shorten
    with pytest.raises(TransferFailed, match="removed from the router"):
        chr1.put(io.BytesIO(b"x" * 1000), "x.bin")
    assert "x.bin" not in lab.router.files


def test_a_failed_write_does_not_leak_the_agents_handles(start):
    lab, chr1 = start(handles=2)
    lab.agent._guest_file_write = lambda **arguments: {"count": 0}
    for _unused in range(5):
        with pytest.raises(TransferFailed):
            chr1.put(io.BytesIO(b"x"), "x.bin")
    assert lab.agent._handles == {}


def test_a_mode_the_agent_does_not_take_changes_nothing(start):
    lab, chr1 = start(write_modes=("wb",))
    lab.router.files["x.bin"] = File(b"old")
    with pytest.raises(TransferFailed, match="not touched"):
        chr1.put(io.BytesIO(b"new"), "x.bin")
    assert lab.router.files["x.bin"].data == b"old"


def test_100_mb_work_in_bounded_memory(start):
    """The controller's share only, so the lab counts the bytes and keeps none."""
    lab, chr1 = start()
    size = 100_000_000
    lab.agent._guest_file_write = lambda **arguments: {"count": arguments["count"]}
    lab.agent._guest_file_close = lambda **arguments: {}
    lab.router.run = lambda source, **more: Outcome(0, f"1\r\n{size}\r\n".encode())

    class Zeros:
        left = size

        def read(self, count):
            count = min(count, self.left)
            self.left -= count
            return bytes(count)

    class Count:
        total = 0

        def write(self, data):
            self.total += len(data)

    sent = itertools.count()

    def read(handle, count):
        left = max(0, size - next(sent) * 500_000)
        data = bytes(min(500_000, left, count))
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": not data}

    lab.agent._guest_file_read = read
    lab.router.files["x.bin"] = File(b"")
    back = Count()
    tracemalloc.start()
    try:
        assert chr1.put(Zeros(), "x.bin") == size
        lab.agent._guest_file_read = lambda handle, count: read(handle, 500_000)
        assert chr1.get("x.bin", back) == size
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert back.total == size
    assert peak < 32 << 20


# -- power -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [True, False])
def test_shutdown_is_taken_with_or_without_a_reply(start, answers):
    lab, chr1 = start(connect_timeout=0.5, shutdown_answers=answers)
    chr1.shutdown("powerdown")
    time.sleep(0.3)
    with pytest.raises(Unreachable):
        chr1.ping()
    assert lab.agent.log.count("guest-shutdown") == 1


def test_a_look_up_that_is_lost_is_repeated_and_a_lost_result_is_told_with_the_first_reason(start, tmp_path):
    """An agent gives a result once, so the second question about the same job is refused."""
    lab, _direct = start(close_answers=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "relay.sock"))
    with Relay(listener, lab.address, b'"guest-exec-status"', times=2) as relay:
        chr1 = guest(tmp_path / "relay.sock")
        assert chr1.put(io.BytesIO(b"content"), "x.txt") == 7
        assert lab.router.files["x.txt"].data == b"content"
        relay._times = 1
        assert chr1.read("1 + 1", 5) == b"2"
        relay._times = 1
        job = chr1.start(b":put 1")
        time.sleep(0.2)
        with pytest.raises(OutcomeUnknown, match="no longer knows the job.*an answer that was lost.*did not answer"):
            chr1.wait(job, 5)
