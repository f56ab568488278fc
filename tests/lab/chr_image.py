# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk with the layout of the published image of a CHR, which does not boot.

It contains nothing of MikroTik.

The layout is the one that https://github.com/vnxme/routeros-internals lists for chr-7.17.2.img and
chr-7.17.2-arm64.img: 128 MiB, an MBR without the protective entry and a GPT beside it that name the
same two partitions, and in the GPT of x86_64 an end that is one sector too far. The first partition
is typed as EFI system partition; on x86_64 it is ext2, on arm64 FAT. The second is ext3 or ext4 and
has ``/rw/autorun.scr``. No root rights and no loop device are needed: mke2fs writes into a file,
and so does qemu-img, which has a FAT (only for arm64).
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .missing import need_program

SECTOR = 512
SECTORS = 128 * 1024 * 1024 // SECTOR

ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


@dataclass(frozen=True)
class Partition:
    """In sectors."""

    start: int
    count: int
    type: uuid.UUID
    name: str
    beyond: int = 0
    """How much too far the GPT says that it goes."""


X86_64 = (
    Partition(34, 65536, ESP, "RouterOS Boot", beyond=1),
    Partition(65570, 192478, LINUX, "RouterOS", beyond=1),
)
ARM64 = (Partition(2048, 67584, ESP, "RouterOS-Boot"), Partition(69632, 188416, LINUX, "RouterOS"))


def build_chr_image(
    path: Path,
    *,
    architecture: str = "x86_64",
    system: str = "ext4",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Make the disk in *path*.

    *files* are added to the second partition, whose file system is *system*.
    """
    partitions = X86_64 if architecture == "x86_64" else ARM64
    with path.open("wb") as disk:
        disk.truncate(SECTORS * SECTOR)
    boot, routeros = partitions
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "boot"
        if architecture == "x86_64":
            _write(tree, {"EFI/BOOT/BOOTX64.EFI": b"MZ" + bytes(510), "map": bytes(512)})
            _make_ext(path, boot, "ext2", tree)
        else:
            _write(tree, {"EFI/BOOT/BOOTAA64.EFI": b"MZ" + bytes(510)})
            _make_fat(path, boot, tree)
        tree = Path(folder) / "routeros"
        _write(
            tree,
            {"rw/REBOOT": b"", "rw/autorun.scr": b"\n\n", "var/pdb/system/image": os.urandom(4096), **(files or {})},
        )
        _make_ext(path, routeros, system, tree)
    write_tables(path, partitions, boot_code=b"\xfa\x31\xc0\x8e\xd0" if architecture == "x86_64" else b"")
    return path


def write_tables(path: Path, partitions: Sequence[Partition], *, boot_code: bytes = b"") -> None:
    """Write the MBR with *boot_code* and both copies of the GPT to the disk in *path*."""
    sectors = path.stat().st_size // SECTOR
    first, last = 34, sectors - 34
    mbr = bytearray(SECTOR)
    mbr[: len(boot_code)] = boot_code
    entries = bytearray(128 * 128)
    for index, one in enumerate(partitions):
        # status, CHS, type, CHS, start, count; CHS as for a disk that is too large for it
        mbr[446 + 16 * index : 462 + 16 * index] = struct.pack(
            "<B3sB3sII", 0x80 if index == 0 else 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", one.start, one.count
        )
        entries[128 * index : 128 * index + 128] = struct.pack(
            "<16s16sQQQ72s",
            one.type.bytes_le,
            uuid.uuid4().bytes_le,
            one.start,
            one.start + one.count - 1 + one.beyond,
            0,
            one.name.encode("utf-16-le"),
        )
    mbr[510:] = b"\x55\xaa"
    disk = uuid.uuid4().bytes_le
    with path.open("r+b") as file:
        file.write(mbr)
        for here, there, table in ((1, sectors - 1, 2), (sectors - 1, 1, sectors - 33)):
            fields = (here, there, first, last, disk, table, 128, 128, zlib.crc32(entries))
            header = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, *fields)
            header = header[:16] + struct.pack("<I", zlib.crc32(header)) + header[20:]
            file.seek(here * SECTOR)
            file.write(header)
            file.seek(table * SECTOR)
            file.write(entries)


def pack(image: Path, archive: Path, name: str | None = None) -> Path:
    """The image in a ZIP archive, as it is published."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        target.write(image, name or image.name)
    return archive


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _make_ext(disk: Path, partition: Partition, kind: str, tree: Path) -> None:
    offset = f"offset={partition.start * SECTOR},root_owner=0:0"
    command = [
        need_program("mke2fs"),
        "-q",
        "-F",
        "-t",
        kind,
        "-b",
        "4096",
        "-L",
        partition.name,
        "-d",
        str(tree),
        "-E",
        offset,
    ]
    subprocess.run([*command, str(disk), f"{partition.count * SECTOR // 1024}k"], check=True, capture_output=True)


def _make_fat(disk: Path, partition: Partition, tree: Path) -> None:
    """A FAT of the size of a floppy disk: larger ones come with a partition table of their own."""
    fat = tree.with_suffix(".fat")
    subprocess.run(
        ["qemu-img", "convert", "-O", "raw", f"fat:floppy:{tree}", str(fat)], check=True, capture_output=True
    )
    with disk.open("r+b") as file:
        file.seek(partition.start * SECTOR)
        file.write(fat.read_bytes())
