# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The partitions of a raw disk, and the machines on which it boots.

The published image of a CHR has an MBR and a GPT for the same partitions. A machine with BIOS uses
the MBR, which is right; the entries of the GPT overlap since RouterOS 7.15. So the GPT is only used
if the MBR has nothing but the protective entry.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, TimedOut

SECTOR = 512
MIB = 1024 * 1024
SMALLEST = 128 * MIB
"""The smallest disk of a CHR in bytes, by the vendor's manual."""

_PROTECTIVE = 0xEE
_MOST_ENTRIES = 128
_BOOT_CODE = slice(0, 440)
# The name of the program that UEFI starts from a disk (UEFI specification, 3.5.1.1), as an ext
# directory and as a FAT directory store it.
_EFI_PROGRAMS = {"arm64": (b"BOOTAA64.EFI", b"BOOTAA64EFI"), "x86_64": (b"BOOTX64.EFI", b"BOOTX64 EFI")}

_WINDOW = 4 * MIB
_NAME = 16  # bytes, more than any of these names


@dataclass(frozen=True)
class Partition:
    """A partition. Its start and size are in bytes."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Disk:
    """A raw disk in a complete file."""

    path: Path
    size: int
    """In bytes."""
    partitions: tuple[Partition, ...]
    architecture: str
    """``x86_64``, ``arm64``, or ``unknown`` if nothing on the disk tells."""
    bios: bool
    """Whether it has boot code for a BIOS."""


def read_disk(path: Path, what: str, deadline: Deadline) -> Disk:
    """Read the partitions of the raw disk in *path*; messages call the disk *what*.

    Raises InvalidInput for a disk that cannot be a router's, and for a truncated one, and TimedOut
    at *deadline*.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        mbr = file.read(SECTOR)
        if len(mbr) < SECTOR or mbr[510:] != b"\x55\xaa":
            raise InvalidInput(f"{what} is not a disk image: its first sector has no boot signature.")
        partitions = _of_mbr(mbr) or _of_gpt(file, size)
        if not partitions:
            raise InvalidInput(f"{what} is a disk without partitions; the image of a CHR has two.")
        end = max(one.end for one in partitions)
        if end > size:
            raise InvalidInput(
                f"{what} is cut short: its partitions go to byte {end}, and it ends at byte {size}. "
                "Get it again, and compare its checksum with that of a whole one."
            )
        bios = any(mbr[_BOOT_CODE])
        return Disk(path, size, partitions, _architecture(file, partitions[0], bios, deadline), bios)


def _of_mbr(mbr: bytes) -> tuple[Partition, ...]:
    entries = struct.iter_unpack("<B3sB3sII", mbr[446:510])
    return tuple(
        Partition(start * SECTOR, count * SECTOR)
        for _status, _first, kind, _last, start, count in entries
        if kind not in (0, _PROTECTIVE) and count
    )


def _of_gpt(disk: t.BinaryIO, size: int) -> tuple[Partition, ...]:
    disk.seek(SECTOR)
    header = disk.read(SECTOR)
    if len(header) < SECTOR or header[:8] != b"EFI PART":
        return ()
    table, count, length = struct.unpack_from("<QII", header, 72)
    if not 56 <= length <= SECTOR or table * SECTOR >= size:
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


def _architecture(disk: t.BinaryIO, boot: Partition, bios: bool, deadline: Deadline) -> str:
    """Return the architecture for which the *boot* partition has a program.

    arm64 boots only through UEFI, which starts a program with a fixed name. A disk boots on x86_64
    if it has the program for x86_64, or if it has boot code for a BIOS and no such program.
    """
    names = {spelling: name for name, spellings in _EFI_PROGRAMS.items() for spelling in spellings}
    programs: set[str] = set()
    disk.seek(boot.start)
    left, before = boot.size, b""
    while left and (block := disk.read(min(_WINDOW, left))):
        if deadline.expired:
            raise TimedOut(f"The first partition was not read to its end within {deadline.seconds:g} s (timeout).")
        left -= len(block)
        window = before + block
        programs |= {name for spelling, name in names.items() if spelling in window}
        before = window[-_NAME:]  # a name can begin in one block and end in the next
    if programs == {"arm64"}:
        return "arm64"
    return "x86_64" if programs or bios else "unknown"
