# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a disk image that boots the lab's router under a BIOS, laid out as the image of a CHR.

128 MiB, with a GPT and a hybrid MBR; partition 1 (32 MiB) has the type of an EFI system partition
and is none: it holds an ext2 with kernel and initramfs; partition 2 (94 MiB) is the router's, an
ext4 with a folder ``rw``, in which ``autorun.scr`` is run at the first boot. The boot sector
(``boot.S``) loads the kernel.

The disk may be a virtio or an IDE disk, or a SATA one where the kernel knows AHCI (Debian's kernel
for clouds does not). Nothing is installed and no root rights or loop devices are needed: see
``image.py``, whose kernel and initramfs these are.
"""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..missing import need_program
from ..routeros.accounts import ENVIRONMENT
from .guest import DEFAULT_PORT, command_line
from .image import GuestImage, ImageError, _locked, _prune, _run, _scratch

SIZE = 134217728
"""Bytes, as the image of a CHR."""
SECTOR = 512


@dataclass(frozen=True)
class _Partition:
    name: str
    first: int
    """Sector."""
    sectors: int
    gpt_type: str
    mbr_type: int
    active: bool = False


_BOOT = _Partition("RouterOS Boot", 2048, 32 * 2048, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", 0xEF, active=True)
_ROUTER = _Partition("RouterOS", 34 * 2048 - 2048, 94 * 2048, "0fc63daf-8483-4772-8e79-3d69d8477de4", 0x83)
_ENTRIES, _ENTRY = 128, 128
_ENTRY_SECTORS = _ENTRIES * _ENTRY // SECTOR
_CODE = 440
"""Bytes of the boot sector that are not the partition table's."""
_BLOCK = 4096
_WORDS_SECTOR = 2 + _ENTRY_SECTORS
"""The kernel's command line, behind the partition table; and where the boot sector reads it to:"""
_WORDS_AT = 0x9E000
_WORDS_SECTORS = 4


def build_disk(
    cache: Path,
    image: GuestImage,
    target: Path,
    *,
    settings: Mapping[str, str] | None = None,
    accounts: str | None = None,
    autorun: str | None = None,
    port: str = DEFAULT_PORT,
) -> Path:
    """Write the disk to *target*, a raw and sparse file; *target*.

    Args:
        cache: as for ``build_image``, for what takes time.
        settings: of the router, as those of ``QemuGuest``.
        accounts: where the router finds its account server: ``tcp:10.0.2.2:PORT`` is a port of the
            machine that runs QEMU, where the first card is on QEMU's user network.
        autorun: RouterOS source for the first boot.
        port: the agent's virtio-serial port.

    Raises:
        Missing: a tool is not installed.
        ImageError: a tool failed.
        ValueError: a malformed or too long setting.

    Takes 0.5 s, and the first time with an image a second more.
    """
    words = command_line([port], settings or {}, ["labdisk", *([f"{ENVIRONMENT}={accounts}"] if accounts else [])])
    cache = cache.resolve()
    with _locked(cache):
        initramfs = _packed(cache, image).read_bytes()
    kernel = _Kernel.of(image.kernel.read_bytes(), len(initramfs))
    with tempfile.TemporaryDirectory(prefix="chr-disk-") as name:
        folder = Path(name)
        boot, router = folder / "boot", folder / "router" / "rw"
        boot.mkdir()
        router.mkdir(parents=True)
        (boot / "vmlinuz").write_bytes(kernel.data)
        (boot / "initramfs").write_bytes(initramfs)
        if autorun is not None:
            (router / "autorun.scr").write_text(autorun, "utf-8")
        with target.open("wb") as disk:
            disk.truncate(SIZE)
        _make_file_system(target, "ext2", boot, _BOOT)
        _make_file_system(target, "ext4", router.parent, _ROUTER)
        pieces = _runs(target, "vmlinuz")
        reads = [
            *_reads(pieces, 0, kernel.first_sectors, 0x90000),
            *_reads(pieces, kernel.first_sectors, _BOOT.sectors, 0x100000),
            *_reads(_runs(target, "initramfs"), 0, _BOOT.sectors, kernel.initramfs_at),
            (_WORDS_SECTOR, _WORDS_SECTORS, _WORDS_AT),
        ]
        sector = _boot_sector(folder, reads)
    with target.open("r+b") as disk:
        disk.write(sector)
        _write_gpt(disk.fileno())
        os.pwrite(disk.fileno(), words.encode() + b"\0", _WORDS_SECTOR * SECTOR)
    return target


# --- boot loader ----------------------------------------------------------------------------------


def _packed(cache: Path, image: GuestImage) -> Path:
    """The initramfs, compressed, so that it finds room beside the kernel."""
    packed = cache / f"packed-{image.key}.gz"
    if not packed.is_file():
        with _scratch(cache) as folder:
            new = folder / "packed.gz"
            new.write_bytes(gzip.compress(image.initramfs.read_bytes(), 6, mtime=0))
            new.replace(packed)
    _prune(cache, "packed-*.gz", 6, packed)
    return packed


@dataclass(frozen=True)
class _Kernel:
    """Make a kernel for the boot sector to load.

    See "The Linux/x86 Boot Protocol" of the kernel's documentation, version 2.10 or newer.
    """

    data: bytes
    """With what a loader has to say written into its header."""
    first_sectors: int
    """The length of the part that begins at 0x90000, in sectors; the rest begins at 0x100000."""
    initramfs_at: int

    @classmethod
    def of(cls, image: bytes, initramfs_size: int) -> _Kernel:
        data = bytearray(image)
        (preferred, needed) = struct.unpack_from("<QI", data, 0x258)
        initramfs_at = -(-(preferred + needed) // 0x100000) * 0x100000  # the kernel unpacks itself to what is below
        data[0x210] = 0xFF  # an unknown loader
        data[0x211] |= 0x80  # there is a heap, up to:
        struct.pack_into("<H", data, 0x224, 0xE000 - 0x200)
        struct.pack_into("<II", data, 0x218, initramfs_at, initramfs_size)
        struct.pack_into("<I", data, 0x228, _WORDS_AT)
        return cls(bytes(data), data[0x1F1] + 1, initramfs_at)


def _boot_sector(folder: Path, runs: Sequence[tuple[int, int, int]]) -> bytes:
    """Make the boot sector and the hybrid MBR in it.

    The arguments say what it reads: the first sector, the number of sectors, and the address.
    """
    source = Path(__file__).with_name("boot.S")
    _run(["as", "--32", "-o", "boot.o", str(source)], "assembling the boot sector", cwd=folder)
    link = ["ld", "-m", "elf_i386", "-Ttext=0x7c00", "-e", "start", "--oformat=binary", "-o", "boot.bin", "boot.o"]
    _run(link, "assembling the boot sector", cwd=folder)
    code = (folder / "boot.bin").read_bytes() + b"".join(struct.pack("<III", *run) for run in runs) + bytes(4)
    if len(code) > _CODE:
        raise ImageError(f"kernel and initramfs are in {len(runs)} pieces on the disk, too many for the boot sector")
    sector = code.ljust(_CODE, b"\0") + struct.pack("<IH", 0x43485221, 0)
    rows = [(0x80 if row.active else 0, row.mbr_type, row.first, row.sectors) for row in (_BOOT, _ROUTER)]
    for active, kind, first, count in (*rows, (0, 0xEE, 1, _BOOT.first - 1), (0, 0, 0, 0)):
        beyond = b"\xfe\xff\xff" if kind else bytes(3)  # for a BIOS that counts in cylinders
        sector += bytes([active]) + beyond + bytes([kind]) + beyond + struct.pack("<II", first, count)
    return sector + b"\x55\xaa"


def _runs(disk: Path, name: str) -> list[tuple[int, int]]:
    """Where a file of the first partition is: first sectors on the disk, and how many."""
    blocks = _run(
        [need_program("debugfs"), "-R", f"blocks /{name}", f"{disk}?offset={_BOOT.first * SECTOR}"],
        "looking for the kernel",
    )
    runs: list[tuple[int, int]] = []
    for block in map(int, blocks.split()):
        sector = _BOOT.first + block * _BLOCK // SECTOR
        if runs and sum(runs[-1]) == sector:
            runs[-1] = (runs[-1][0], runs[-1][1] + _BLOCK // SECTOR)
        else:
            runs.append((sector, _BLOCK // SECTOR))
    return runs


def _reads(runs: Sequence[tuple[int, int]], skip: int, count: int, address: int) -> Iterator[tuple[int, int, int]]:
    """What to read for *count* sectors of a file, without its first *skip*, to *address*."""
    for first, sectors in runs:
        here = min(max(sectors - skip, 0), count)
        if here:
            yield first + skip, here, address
            address += here * SECTOR
            count -= here
        skip = max(skip - sectors, 0)


# --- partition table ------------------------------------------------------------------------------


def _write_gpt(disk: int) -> None:
    """Both partition tables, of the UEFI specification."""
    entries = bytearray(_ENTRIES * _ENTRY)
    for number, row in enumerate((_BOOT, _ROUTER)):
        entry = uuid.UUID(row.gpt_type).bytes_le + uuid.uuid4().bytes_le
        entry += struct.pack("<QQQ", row.first, row.first + row.sectors - 1, 0) + row.name.encode("utf-16-le")
        struct.pack_into(f"{_ENTRY}s", entries, number * _ENTRY, entry)
    identity = uuid.uuid4().bytes_le
    last = SIZE // SECTOR - 1
    for here, other, at in ((1, last, 2), (last, 1, last - _ENTRY_SECTORS)):
        usable = (2 + _ENTRY_SECTORS, last - _ENTRY_SECTORS - 1)
        fields = (
            b"EFI PART",
            0x10000,
            92,
            0,
            0,
            here,
            other,
            *usable,
            identity,
            at,
            _ENTRIES,
            _ENTRY,
            zlib.crc32(entries),
        )
        header = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", *fields))
        struct.pack_into("<I", header, 16, zlib.crc32(header))
        os.pwrite(disk, header, here * SECTOR)
        os.pwrite(disk, entries, at * SECTOR)


# --- file systems ---------------------------------------------------------------------------------


def _make_file_system(disk: Path, kind: str, content: Path, place: _Partition) -> None:
    # Extents, so that a file has no blocks but those of its content.
    options = ["-q", "-F", "-t", kind, "-O", "extent", "-m", "0", "-b", str(_BLOCK), "-d", str(content)]
    options += ["-E", f"offset={place.first * SECTOR},root_owner=0:0", str(disk), f"{place.sectors // 2}k"]
    _run([need_program("mke2fs"), *options], f"making the {kind} of the disk")
