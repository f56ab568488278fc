# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs are run with files of the controller; what is wrong with those is told in a sentence."""

from __future__ import annotations

import sys
import tempfile

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.programs import (
    Lost,
    NotStarted,
    execute,
    feed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.ssh import SshMaster


class Unreadable:
    """A source that breaks after its first block."""

    def __init__(self):
        self.blocks = [b"x"]

    def read(self, size=-1):
        if self.blocks:
            return self.blocks.pop()
        raise OSError("Input/output error")


def test_a_temporary_file_that_cannot_be_made_means_that_nothing_was_started(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(NotStarted, match="a temporary file cannot be written: .*No such file"):
        execute(["true"], b"", Deadline(5))


def test_ssh_itself_tells_that_no_temporary_file_can_be_made(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(Unreachable, match="ssh kvm1.example.net failed: a temporary file cannot be written"):
        SshMaster("kvm1.example.net", "", tmp_path).execute(["true"], b"", Deadline(5))


def test_a_source_that_cannot_be_read_leaves_the_end_unseen():
    with pytest.raises(Lost, match="could not be read: Input/output error"):
        feed([sys.executable, "-c", "import sys; sys.stdin.read()"], Unreadable(), 5.0)
