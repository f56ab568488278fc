# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work on many things at once has a bound, stops when told, and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.side_by_side import in_order, side_by_side


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_everything_is_done_once_and_never_more_than_allowed_at_once(concurrency):
    busy, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.002)
        with lock:
            busy -= 1
        return number * 2

    assert sorted(side_by_side(range(30), work, concurrency)) == [(number, number * 2) for number in range(30)]
    assert most <= concurrency
    assert concurrency == 1 or most > 1


def test_what_is_fast_is_not_kept_waiting_by_what_is_slow():
    release = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            assert release.wait(10)

    order = []
    for number, _result in side_by_side(range(20), work, 2):
        order.append(number)
        if len(order) == 19:
            release.set()
    assert order == [*range(1, 20), 0]


def test_what_has_begun_is_finished_after_no_more_is_to_be_begun():
    begun: list[int] = []
    finished: list[int] = []
    all_begun = threading.Barrier(4)

    def items():
        number = 0
        while not finished:
            begun.append(number)
            yield number
            number += 1

    def work(number: int) -> None:
        all_begun.wait(10)

    for number, _result in side_by_side(items(), work, 4):
        finished.append(number)
    assert sorted(finished) == begun == [0, 1, 2, 3]


def test_items_are_taken_only_when_a_thread_is_free():
    taken: list[int] = []
    release = threading.Event()

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    running = side_by_side(items(), lambda _number: release.wait(10), 5)
    threading.Timer(0.05, release.set).start()
    next(running)
    assert len(taken) <= 5
    running.close()


def test_results_come_in_the_order_of_the_items():
    assert in_order([0.03, 0.0, 0.01], lambda seconds: (time.sleep(seconds), seconds)[1], 3) == [0.03, 0.0, 0.01]


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(side_by_side([1, 0], lambda number: 1 / number, 2))


def test_threads_end_with_the_work():
    before = threading.active_count()
    list(side_by_side(range(100), str, 20))
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before  # those of other tests may end meanwhile


@pytest.mark.parametrize("main_thread", ["sig.SIG_UNBLOCK", "sig.SIG_BLOCK"])
def test_a_process_that_is_interrupted_does_not_wait_for_the_work(main_thread):
    """Also when its main thread begins to wait without having noticed the signal.

    This is so if another thread gets the signal.
    """
    code = (
        "import signal as sig, time\n"
        "from ansible_collections.outofband.chr.plugins.plugin_utils._core.side_by_side import side_by_side\n"
        "def work(number):\n"
        "    sig.pthread_sigmask(sig.SIG_UNBLOCK, [sig.SIGINT])\n"
        "    print(number, flush=True)\n"
        "    time.sleep(60)\n"
        f"sig.pthread_sigmask({main_thread}, [sig.SIGINT])\n"
        "list(side_by_side(range(9), work, 1))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "0\n"
        process.send_signal(signal.SIGINT)
        _output, complaint = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in complaint
