# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._image import first_boot
from ansible_collections.outofband.chr.plugins.plugin_utils._image.partitions import read_disk
from ansible_collections.outofband.chr.tests.lab.chr_image import X86_64, Partition, build_chr_image, write_tables
from ansible_collections.outofband.chr.tests.lab.missing import need_program

SCRIPT = '/system identity set name="n\u00e9w"\r\n:put \\$x\n'.encode()


def inside(path, *request, start=X86_64[1].start):
    command = [need_program("debugfs"), "-R", " ".join(request), f"{path}?offset={start * 512}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def sound(path, start=X86_64[1].start):
    return (
        subprocess.run(
            [need_program("e2fsck"), "-fn", f"{path}?offset={start * 512}"], capture_output=True, check=False
        ).returncode
        == 0
    )


@pytest.fixture
def place(tmp_path):
    """Put a script into a copy of a disk, in a folder whose name is awkward."""

    def run(source, script=SCRIPT):
        folder = tmp_path / "wi?th offset=1 'and\" spaces"
        folder.mkdir()
        path = folder / "disk.raw"
        subprocess.run(["cp", "--sparse=always", source, path], check=True)
        first_boot.place(read_disk(path, "it", Deadline(60)), script, "it")
        # where debugfs can be asked by its path
        return path.rename(tmp_path / "placed.raw")

    return run


@pytest.mark.parametrize("system", ["ext3", "ext4"])
def test_the_script_is_where_routeros_looks_for_it(place, tmp_path, system):
    path = place(build_chr_image(tmp_path / "image", system=system))
    assert inside(path, "cat", "/rw/autorun.scr") == SCRIPT
    assert sound(path)
    assert b"Mode:  0644" in inside(path, "stat", "/rw/autorun.scr")
    assert b"REBOOT" in inside(path, "ls", "/rw")


def test_nothing_else_of_the_disk_is_touched(place, published):
    path = place(published)
    begin, end = X86_64[1].start * 512, (X86_64[1].start + X86_64[1].count) * 512
    before, after = published.read_bytes(), path.read_bytes()
    assert before[:begin] == after[:begin]
    assert before[end:] == after[end:]


def test_a_long_script_gets_there_whole(place, published):
    script = os.urandom(300_000)
    path = place(published, script)
    assert inside(path, "cat", "/rw/autorun.scr") == script
    assert sound(path)


def test_the_partition_is_found_wherever_it_begins(place, tmp_path):
    source = tmp_path / "disk"
    source.write_bytes(b"")
    os.truncate(source, 128 * 1024 * 1024)
    moved = Partition(100_001, 100_000, X86_64[1].type, "RouterOS")
    write_tables(source, (X86_64[0], moved))
    (tmp_path / "tree" / "rw").mkdir(parents=True)
    offset = f"offset={moved.start * 512}"
    subprocess.run(
        [need_program("mke2fs"), "-q", "-F", "-t", "ext4", "-d", tmp_path / "tree", "-E", offset, source, "50000k"],
        check=True,
    )
    assert inside(place(source), "cat", "/rw/autorun.scr", start=moved.start) == SCRIPT


def test_a_disk_that_a_router_has_run_from_is_refused(place, image):
    # what the kernel sets when it mounts the file system: the journal is to be replayed
    subprocess.run(
        [need_program("debugfs"), "-w", "-R", "feature needs_recovery", f"{image}?offset={X86_64[1].start * 512}"],
        check=True,
        capture_output=True,
    )
    with pytest.raises(InvalidInput, match="a router has already run from it"):
        place(image)


def test_a_disk_without_the_folder_is_refused(place, tmp_path):
    path = build_chr_image(tmp_path / "image")
    subprocess.run(
        [need_program("debugfs"), "-w", "-f", "-", f"{path}?offset={X86_64[1].start * 512}"],
        input=b"rm /rw/REBOOT\nrm /rw/autorun.scr\nrmdir /rw\n",
        check=True,
        capture_output=True,
    )
    with pytest.raises(NotPossible, match="has no /rw in its file systems, .*outofband.chr.script"):
        place(path)


def test_a_disk_without_a_file_system_is_refused(place, image):
    with image.open("r+b") as file:
        for partition in X86_64:
            file.seek(partition.start * 512)
            file.write(bytes(4096))
    with pytest.raises(NotPossible, match="has no ext2, ext3 or ext4 file system"):
        place(image)


def test_a_script_for_which_there_is_no_room_is_told_without_showing_it(place, published):
    with pytest.raises(ChrError, match="was not completely written to it: debugfs said .*Is there room") as failed:
        place(published, b"secret" * 20_000_000)
    assert "secretsecret" not in str(failed.value)


def test_a_missing_program_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr(first_boot.program.__globals__["shutil"], "which", lambda *_arguments, **_more: None)
    with pytest.raises(NotPossible, match=r"debugfs is needed .*install e2fsprogs"):
        first_boot.debugfs_program()
