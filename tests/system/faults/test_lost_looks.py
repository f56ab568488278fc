# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answer about a job can be lost for longer than its script may take."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.tests.faults import work
from ansible_collections.outofband.chr.tests.faults.cell import answer
from ansible_collections.outofband.chr.tests.faults.columns import COLUMNS


@pytest.mark.parametrize("backend", ["qemu", "vmware"])
def test_a_job_is_looked_at_once_more_after_an_answer_that_was_lost_for_longer_than_its_time(
    backend, short_path, monkeypatch
):
    monkeypatch.setattr(work, "SCRIPT_TIMEOUT", 3.0)  # the script takes 2 s, and the lost answer is waited for longer
    column = COLUMNS[backend]()
    own = short_path / "cell"
    own.mkdir()
    with column.running(short_path, 1), column.cell(own) as cell:
        outcome, what, runs = answer("look", "silence")(cell)
        cell.judge(work.DONE, outcome, what, runs)
