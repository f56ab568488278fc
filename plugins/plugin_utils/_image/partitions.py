# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What is on a raw disk: its partitions, and for which machine it boots.

The published image of a CHR has an MBR and a GPT that name the same partitions. A BIOS machine goes by those of the MBR, and they
are right; those of the GPT overlap since RouterOS 7.15. So the GPT counts only where the MBR has nothing but the protective entry.
"""

from __future__ import annotations

import mmap
import struct
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput

SECTOR = 512
MIB = 1024 * 1024
SMALLEST = 128 * MIB
"""Bytes that the disk of a CHR has at least, by the vendor's manual."""

_PROTECTIVE = 0xEE
_MOST_ENTRIES = 128
_BOOT_CODE = slice(0, 440)
# The program that UEFI starts from a disk (UEFI specification, 3.5.1.1), as an ext directory has its name and as a FAT one does.
_EFI_PROGRAMS = {"arm64": (b"BOOTAA64.EFI", b"BOOTAA64EFI"), "x86_64": (b"BOOTX64.EFI", b"BOOTX64 EFI")}


@dataclass(frozen=True)
class Partition:
    """In bytes."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Disk:
    """A raw disk that is whole."""

    path: Path
    size: int
    """In bytes."""
    partitions: tuple[Partition, ...]
    architecture: str
    """``x86_64``, ``arm64``, or ``unknown`` where nothing on the disk says."""
    bios: bool
    """Whether it has boot code for a BIOS."""


def read_disk(path: Path, what: str) -> Disk:
    """The raw disk in *path*, which messages call *what*. Raises InvalidInput for one that is no router's, or is cut short."""
    size = path.stat().st_size
    with path.open("rb") as file:
        mbr = file.read(SECTOR)
        if len(mbr) < SECTOR or mbr[510:] != b"\x55\xaa":
            raise InvalidInput(f"{what} is no disk image: its first sector has no boot signature.")
        partitions = _of_mbr(mbr) or _of_gpt(file)
        if not partitions:
            raise InvalidInput(f"{what} is a disk without partitions; the image of a CHR has two.")
        end = max(one.end for one in partitions)
        if end > size:
            raise InvalidInput(
                f"{what} is cut short: its partitions go to byte {end}, and it ends at byte {size}. Get it again, and compare its "
                "checksum with that of a whole one."
            )
        bios = any(mbr[_BOOT_CODE])
        return Disk(path, size, partitions, _architecture(file, partitions[0], bios), bios)


def _of_mbr(mbr: bytes) -> tuple[Partition, ...]:
    entries = struct.iter_unpack("<B3sB3sII", mbr[446:510])
    return tuple(
        Partition(start * SECTOR, count * SECTOR)
        for _status, _first, kind, _last, start, count in entries
        if kind not in (0, _PROTECTIVE) and count
    )


def _of_gpt(disk: t.BinaryIO) -> tuple[Partition, ...]:
    disk.seek(SECTOR)
    header = disk.read(SECTOR)
    if len(header) < SECTOR or header[:8] != b"EFI PART":
        return ()
    table, count, length = struct.unpack_from("<QII", header, 72)
    if not 56 <= length <= SECTOR:
        return ()
    disk.seek(table * SECTOR)
    found = []
    for _index in range(min(count, _MOST_ENTRIES)):
        entry = disk.read(length)
        if len(entry) < length:
            break
        kind, _id, first, last = struct.unpack_from("<16s16sQQ", entry)
        if any(kind) and last >= first:
            found.append(Partition(first * SECTOR, (last - first + 1) * SECTOR))
    return tuple(found)


def _architecture(disk: t.BinaryIO, boot: Partition, bios: bool) -> str:
    """For which machine the *boot* partition has a program.

    arm64 boots only through UEFI, which starts the program of a certain name. A disk that has the one for x86_64, or has boot code
    for a BIOS and no such program at all, boots on x86_64.
    """
    page = mmap.ALLOCATIONGRANULARITY
    begin = boot.start // page * page
    with mmap.mmap(disk.fileno(), boot.end - begin, access=mmap.ACCESS_READ, offset=begin) as content:
        programs = {
            name for name, spellings in _EFI_PROGRAMS.items() if any(content.find(one) >= 0 for one in spellings)
        }
    if programs == {"arm64"}:
        return "arm64"
    return "x86_64" if programs or bios else "unknown"
