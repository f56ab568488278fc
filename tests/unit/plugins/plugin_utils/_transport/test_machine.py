# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a machine are written whole, and not over what another run has made."""

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.tests.lab.options import options_for


@pytest.fixture
def machine() -> Machine:
    return Machine(options_for("qemu", "chr1", socket="/nonexistent"))


@pytest.mark.parametrize("old", ["", "one\n", "one\n\n", "two\n", "$(id)\n"])
def test_a_file_is_rewritten_only_if_it_still_has_the_expected_text(machine, tmp_path, old):
    file = tmp_path / "notes"
    file.write_text("one\n")
    if old == "one\n":
        machine.write("new\n", str(file), old=old)
        assert file.read_text() == "new\n"
    else:
        with pytest.raises(ChrError, match="was removed or rewritten by somebody else"):
            machine.write("new\n", str(file), old=old)
        assert file.read_text() == "one\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_gone_is_not_made_again(machine, tmp_path):
    with pytest.raises(ChrError, match="was removed or rewritten by somebody else"):
        machine.write("new\n", str(tmp_path / "notes"), old="one\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_arrives_whole_with_its_checksum_or_not_at_all(machine, tmp_path):
    source, dest = tmp_path / "image", tmp_path / "there" / "disk"
    source.write_bytes(b"disk" * 1000)
    dest.parent.mkdir()
    with pytest.raises(ChrError, match="arrived with the sha256"):
        machine.put(source, "0" * 64, str(dest))
    assert list(dest.parent.iterdir()) == []
    machine.put(source, hashlib.sha256(source.read_bytes()).hexdigest(), str(dest))
    assert dest.read_bytes() == source.read_bytes()
    assert list(dest.parent.iterdir()) == [dest]
