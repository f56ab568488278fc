# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the controller are replaced whole, and what a killed run has left goes with the next."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.local_file import remove_leftovers, replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(dest, ready):
    with replacing(dest) as target:
        target.write(b"half")
        target.flush()
        ready.set()
        signal.pause()


def test_what_a_killed_run_has_left_beside_dest_is_cleared_by_the_next(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    killed = context.Process(target=write, args=(tmp_path / "config.rsc", ready))
    killed.start()
    assert ready.wait(20)
    (left,) = names(tmp_path)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [left]  # it is still being written
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    (tmp_path / ".outofband.settings").write_text("a file of the user")
    with replacing(tmp_path / "other.rsc") as target:
        target.write(b"whole")
    assert names(tmp_path) == [".outofband.settings", "other.rsc"]


def test_tasks_side_by_side_never_remove_what_another_one_writes(tmp_path):
    failed = []

    def work(number):
        try:
            for turn in range(40):
                with replacing(tmp_path / str(number)) as target:
                    target.write(str(turn).encode())
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {path.read_text() for path in tmp_path.iterdir()} == {"39"}
    assert len(names(tmp_path)) == 8


def test_an_error_leaves_nothing_and_keeps_what_was_there(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(ValueError, match="no"), replacing(tmp_path / "x") as target:
        target.write(b"new")
        raise ValueError("no")
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"
