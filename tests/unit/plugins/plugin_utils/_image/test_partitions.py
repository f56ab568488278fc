# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, TimedOut
from ansible_collections.outofband.chr.plugins.plugin_utils._image import partitions as module
from ansible_collections.outofband.chr.plugins.plugin_utils._image.partitions import SECTOR, read_disk
from ansible_collections.outofband.chr.tests.lab.chr_image import ARM64, X86_64, build_chr_image, write_tables


def soon() -> Deadline:
    return Deadline(60)


def change(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def test_the_partitions_of_a_published_image_are_found(published):
    disk = read_disk(published, "it", soon())
    assert disk.size == 128 * 1024 * 1024
    assert [(one.start // SECTOR, one.size // SECTOR) for one in disk.partitions] == [(34, 65536), (65570, 192478)]
    assert disk.architecture == "x86_64"
    assert disk.bios


def test_an_image_for_arm64_is_known_by_what_uefi_would_start(tmp_path):
    disk = read_disk(build_chr_image(tmp_path / "disk", architecture="arm64"), "it", soon())
    assert [one.start // SECTOR for one in disk.partitions] == [one.start for one in ARM64]
    assert disk.architecture == "arm64"


def test_an_image_that_boots_arm64_is_for_arm64_even_with_code_in_its_first_sector(tmp_path):
    path = build_chr_image(tmp_path / "disk", architecture="arm64")
    change(path, 0, b"\xeb\x3c")
    assert read_disk(path, "it", soon()).architecture == "arm64"


def test_an_image_for_uefi_on_x86_64_is_for_x86_64_without_bios(image):
    change(image, 0, bytes(440))
    disk = read_disk(image, "it", soon())
    assert disk.architecture == "x86_64"
    assert not disk.bios


def test_the_machine_of_an_image_that_does_not_say_is_unknown(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"")
    os.truncate(path, 128 * 1024 * 1024)
    write_tables(path, X86_64)
    assert read_disk(path, "it", soon()).architecture == "unknown"


def test_boot_code_without_any_program_of_uefi_is_for_x86_64(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"")
    os.truncate(path, 128 * 1024 * 1024)
    write_tables(path, X86_64, boot_code=b"\xfa\x31\xc0")
    assert read_disk(path, "it", soon()).architecture == "x86_64"


def test_the_gpt_counts_where_the_mbr_only_protects_it(image):
    change(image, 446, struct.pack("<B3sB3sII", 0, b"", 0xEE, b"", 1, 0xFFFFFFFF) + bytes(48))
    disk = read_disk(image, "it", soon())
    assert [one.start // SECTOR for one in disk.partitions] == [34, 65570]
    assert disk.partitions[0].size // SECTOR == 65537  # as the GPT says, which overlaps


@pytest.mark.parametrize("size", [512, 1024, 40 * 1024 * 1024, 258048 * 512 - 1])
def test_an_image_that_is_cut_short_is_refused(image, size):
    os.truncate(image, size)
    with pytest.raises(
        InvalidInput, match=r"The image is cut short: its partitions go to byte 132120576, and it ends at byte"
    ):
        read_disk(image, "The image", soon())


def test_a_disk_without_partitions_is_refused(image):
    change(image, 446, bytes(64))
    change(image, 512, bytes(512))
    with pytest.raises(InvalidInput, match="a disk without partitions"):
        read_disk(image, "it", soon())


@pytest.mark.parametrize("content", [b"", b"short", bytes(512)])
def test_what_has_no_boot_signature_is_refused(tmp_path, content):
    path = tmp_path / "disk"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="no boot signature"):
        read_disk(path, "it", soon())


@settings(max_examples=50)
@given(st.binary(min_size=64, max_size=64), st.binary(min_size=80, max_size=92), st.binary(max_size=1024))
def test_a_disk_with_garbage_in_its_tables_is_read_or_refused(tmp_path_factory, mbr, gpt, entries):
    path = tmp_path_factory.mktemp("disk") / "disk"
    path.write_bytes(
        (bytes(446) + mbr + b"\x55\xaa") + (b"EFI PART" + gpt).ljust(512, b"\0") + entries.ljust(4096, b"\0")
    )
    try:
        disk = read_disk(path, "it", soon())
    except InvalidInput:
        return
    assert disk.partitions
    assert all(one.end <= disk.size for one in disk.partitions)


def test_a_table_beyond_the_end_of_the_disk_is_not_read(image):
    change(image, 446, struct.pack("<B3sB3sII", 0, b"", 0xEE, b"", 1, 0xFFFFFFFF) + bytes(48))
    change(image, SECTOR + 72, struct.pack("<Q", 2**63))
    with pytest.raises(InvalidInput, match="a disk without partitions"):
        read_disk(image, "it", soon())


def test_a_name_across_two_blocks_is_found_and_the_search_ends_with_the_time(image, monkeypatch):
    monkeypatch.setattr(module, "_WINDOW", 700)
    assert read_disk(image, "it", soon()).architecture == "x86_64"
    with pytest.raises(TimedOut, match="was not read to its end within 0 s"):
        read_disk(image, "it", Deadline(0))
