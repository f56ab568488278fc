# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of VMs that tasks share for a few seconds."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import recent_list
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.recent_list import RecentList


class Hypervisor:
    """VMs by id, and how often they were listed."""

    def __init__(self, folder: Path, **names: str) -> None:
        self.names = names
        self.lists = 0
        self.folder = folder
        self.seconds = 0.0
        self.errors: list[Exception] = []

    def listed(self) -> list[tuple[str, str]]:
        self.lists += 1
        time.sleep(self.seconds)
        if self.errors:
            raise self.errors.pop()
        return list(self.names.items())

    def find(self, name: str, user: str = "root") -> list[str]:
        """The ids of the VMs of that name, as a new task finds them."""
        found, _all = RecentList(self.folder, "kind", user).find(
            self.listed,
            lambda rows: [row for row in rows if row[1] == name],
            lambda row: self.names.get(row[0]) == row[1],
        )
        return [row[0] for row in found]


@pytest.fixture
def hypervisor(tmp_path):
    return Hypervisor(tmp_path / "run", a="chr1", b="chr2")


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock of the list forward by some seconds."""
    now = time.time()

    def forward(seconds: float) -> None:
        monkeypatch.setattr(recent_list.time, "time", lambda: now + seconds)

    forward(0)
    return forward


def test_tasks_share_a_list_for_ten_seconds(hypervisor, clock):
    assert hypervisor.find("chr1") == ["a"]
    clock(9.9)
    assert hypervisor.find("chr2") == ["b"]
    assert hypervisor.lists == 1
    clock(10.1)
    assert hypervisor.find("chr2") == ["b"]
    assert hypervisor.lists == 2


def test_a_list_of_the_future_is_not_used(hypervisor, clock):
    hypervisor.find("chr1")
    clock(-1)
    hypervisor.find("chr1")
    assert hypervisor.lists == 2


def test_users_do_not_share_a_list(hypervisor):
    hypervisor.find("chr1")
    hypervisor.find("chr1", user="reader")
    assert hypervisor.lists == 2


def test_a_vm_whose_name_another_one_has_now_is_not_taken(hypervisor):
    hypervisor.find("chr1")
    hypervisor.names = {"a": "chr2", "b": "chr1"}
    assert hypervisor.find("chr1") == ["b"]
    hypervisor.names = {"c": "chr1"}
    assert hypervisor.find("chr1") == ["c"]


def test_no_match_and_several_are_only_believed_of_a_new_list(hypervisor):
    assert hypervisor.find("chr3") == []
    hypervisor.names = {"a": "chr3", "b": "chr3"}
    assert hypervisor.find("chr3") == ["a", "b"]
    hypervisor.names = {"a": "chr1", "b": "chr3"}
    assert hypervisor.find("chr3") == ["b"]
    assert hypervisor.lists == 3


def test_of_tasks_that_begin_at_once_one_asks(hypervisor):
    hypervisor.seconds = 0.5
    with ThreadPoolExecutor(8) as tasks:
        assert list(tasks.map(hypervisor.find, ["chr1", "chr2"] * 4)) == [["a"], ["b"]] * 4
    assert hypervisor.lists == 1


def test_a_task_that_waited_long_for_another_one_asks_itself(hypervisor, monkeypatch):
    monkeypatch.setattr(recent_list, "_WAIT", 0.1)
    hypervisor.seconds = 0.5
    with ThreadPoolExecutor(2) as tasks:
        assert list(tasks.map(hypervisor.find, ["chr1", "chr2"])) == [["a"], ["b"]]
    assert hypervisor.lists == 2


def test_an_error_reaches_its_task_and_the_next_one_asks_again(hypervisor):
    hypervisor.errors = [Unreachable("no answer")]
    with pytest.raises(Unreachable, match="no answer"):
        hypervisor.find("chr1")
    assert hypervisor.find("chr1") == ["a"]


def test_without_a_usable_folder_each_task_asks(hypervisor, tmp_path):
    hypervisor.folder = tmp_path / "file"
    hypervisor.folder.write_text("")
    assert [hypervisor.find("chr1"), hypervisor.find("chr2")] == [["a"], ["b"]]
    assert hypervisor.lists == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"asked": 1e999, "rows": []}', '{"asked": "x", "rows": {}}'])
def test_a_spoilt_file_is_not_believed(hypervisor, content):
    hypervisor.find("chr1")
    (file,) = hypervisor.folder.glob("*.json")
    file.write_text(content)
    assert hypervisor.find("chr1") == ["a"]
    assert hypervisor.lists == 2


def test_only_its_owner_can_read_the_list(hypervisor):
    hypervisor.find("chr1")
    assert {path.stat().st_mode & 0o777 for path in hypervisor.folder.iterdir()} == {0o600}
