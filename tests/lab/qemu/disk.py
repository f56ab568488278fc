# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a disk image that boots the lab's router under a BIOS, laid out as the image of a CHR.

128 MiB, with a GPT and a hybrid MBR; partition 1 (32 MiB) has the type of an EFI system partition and is none: it holds an ext2
with kernel and initramfs; partition 2 (94 MiB) is the router's, an ext4 with a folder ``rw``, in which ``autorun.scr`` is run at
the first boot. GRUB stands in the boot sector and between the partition table and partition 1.

The disk may be a virtio or an IDE disk, or a SATA one where the kernel knows AHCI (Debian's kernel for clouds does not).
Nothing is installed and no root rights or loop devices are needed: see ``image.py``, whose kernel and initramfs these are.
"""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import tempfile
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path

from .guest import DEFAULT_PORT, command_line
from .image import GuestImage, ImageError, _depends, _locked, _prune, _run, _scratch, _unpack

SIZE = 134217728
"""Bytes, as the image of a CHR."""
SECTOR = 512
ACCOUNTS = "OUTOFBAND_LAB_ACCOUNTS"

_SECTORS = SIZE // SECTOR
_FIRST = 2048
_BOOT_SECTORS = 32 * 1024 * 2
_ROUTER_SECTORS = 94 * 1024 * 2
_PARTITIONS = (
    # name, first sector, sectors, type in the GPT, type in the MBR
    ("RouterOS Boot", _FIRST, _BOOT_SECTORS, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", 0xEF),
    ("RouterOS", _FIRST + _BOOT_SECTORS, _ROUTER_SECTORS, "0fc63daf-8483-4772-8e79-3d69d8477de4", 0x83),
)
_ENTRIES, _ENTRY = 128, 128
_ENTRY_SECTORS = _ENTRIES * _ENTRY // SECTOR
_CORE = 2 + _ENTRY_SECTORS
"""The sector at which GRUB begins, behind the partition table."""

# A kernel word with a value and no dot becomes an environment variable of process 1.
_WORDS = "labdisk"
_GRUB_MODULES = ("biosdisk", "part_gpt", "ext2", "linux")


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
        accounts: where the router finds its account server: ``tcp:10.0.2.2:PORT`` is a port of the machine that runs QEMU,
            where the first card is on QEMU's user network.
        autorun: RouterOS source for the first boot.
        port: the agent's virtio-serial port.

    Raises:
        ImageError: a package could not be had, or a tool is missing or failed.
        ValueError: a malformed or too long setting.

    Takes 0.5 s; the first time with an image a second more, and the first time in a cache a download of 4 MB.
    """
    words = command_line([port], settings or {}, [_WORDS, *([f"{ACCOUNTS}={accounts}"] if accounts else [])])
    cache = cache.resolve()
    with _locked(cache):
        grub = _grub(cache)
        packed = _packed(cache, image)
    with tempfile.TemporaryDirectory(prefix="chr-disk-") as name:
        folder = Path(name)
        boot, router = folder / "boot", folder / "router"
        boot.mkdir()
        shutil.copyfile(image.kernel, boot / "vmlinuz")
        shutil.copyfile(packed, boot / "initramfs")
        (router / "rw").mkdir(parents=True)
        if autorun is not None:
            (router / "rw" / "autorun.scr").write_text(autorun, "utf-8")
        core = _core(grub, folder, words)
        with target.open("wb") as disk:
            disk.truncate(SIZE)
            _write_boot_sector(disk.fileno(), (grub / "boot.img").read_bytes())
            _write_core(disk.fileno(), core)
            _write_gpt(disk.fileno())
        _make_file_system(target, "ext2", boot, _PARTITIONS[0])
        _make_file_system(target, "ext4", router, _PARTITIONS[1])
    return target


# --- what is kept in the cache --------------------------------------------------------------------


def _grub(cache: Path) -> Path:
    """GRUB's files for BIOS machines, with ``grub-mkimage`` and the library that it needs."""
    kept = cache / "grub-1"
    if not kept.is_dir():
        with _scratch(cache) as folder:
            libraries = [name for name in _depends(folder, "grub-common") if name.startswith("libdevmapper")]
            root = _unpack(folder, ["grub-pc-bin", "grub-common", *libraries])
            made = root / "usr/lib/grub/i386-pc"
            shutil.copy(root / "usr/bin/grub-mkimage", made)
            for library in list(root.rglob("lib/**/libdevmapper.so.*")):
                shutil.copy(library, made)
            made.rename(kept)
    return kept


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


# --- boot loader ----------------------------------------------------------------------------------


def _core(grub: Path, folder: Path, words: str) -> bytes:
    """GRUB's second part, with the commands that boot; its first sector knows where the others are."""
    config = folder / "grub.cfg"
    quoted = words.replace("\\", "\\\\").replace("$", "\\$").replace('"', '\\"')
    config.write_text(f"linux /vmlinuz {quoted}\ninitrd /initramfs\nboot\n", "utf-8")
    command = [str(grub / "grub-mkimage"), "-d", str(grub), "-O", "i386-pc", "-p", "(,gpt1)/", "-c", str(config)]
    command += ["-o", str(folder / "core.img"), *_GRUB_MODULES]
    _run(["env", f"LD_LIBRARY_PATH={grub}", *command], "making GRUB's core image")
    core = bytearray((folder / "core.img").read_bytes())
    core += bytes(-len(core) % SECTOR)
    sectors = len(core) // SECTOR
    if _CORE + sectors > _FIRST:
        raise ImageError(f"GRUB's core image of {len(core)} bytes does not fit before the first partition")
    # The only block list, at the end of the first sector: where the second one is, how many there are, and the segment to load to.
    struct.pack_into("<QHH", core, SECTOR - 12, _CORE + 1, sectors - 1, 0x820)
    return bytes(core)


def _write_boot_sector(disk: int, code: bytes) -> None:
    """GRUB's boot sector with its place of the core image, and the hybrid MBR."""
    sector = bytearray(code[:440].ljust(SECTOR, b"\0"))
    struct.pack_into("<Q", sector, 0x5C, _CORE)
    sector[0x66:0x68] = b"\x90\x90"  # do not jump over the check whether the BIOS's drive number makes sense
    struct.pack_into("<I", sector, 440, 0x43485221)
    rows = [
        (0x80 * (number == 0), kind, first, count) for number, (_n, first, count, _t, kind) in enumerate(_PARTITIONS)
    ]
    rows.append((0, 0xEE, 1, _FIRST - 1))
    for number, (active, kind, first, count) in enumerate(rows):
        beyond = b"\xfe\xff\xff"  # for a BIOS that counts in cylinders
        entry = bytes([active]) + beyond + bytes([kind]) + beyond + struct.pack("<II", first, count)
        sector[446 + 16 * number : 462 + 16 * number] = entry
    sector[510:512] = b"\x55\xaa"
    os.pwrite(disk, sector, 0)


def _write_core(disk: int, core: bytes) -> None:
    os.pwrite(disk, core, _CORE * SECTOR)


def _write_gpt(disk: int) -> None:
    """Both partition tables, of the UEFI specification."""
    entries = bytearray(_ENTRIES * _ENTRY)
    for number, (name, first, count, kind, _mbr) in enumerate(_PARTITIONS):
        entry = uuid.UUID(kind).bytes_le + uuid.uuid4().bytes_le + struct.pack("<QQQ", first, first + count - 1, 0)
        entries[number * _ENTRY : (number + 1) * _ENTRY] = (entry + name.encode("utf-16-le")).ljust(_ENTRY, b"\0")
    identity = uuid.uuid4().bytes_le
    last = _SECTORS - 1
    for here, other, at in ((1, last, 2), (last, 1, last - _ENTRY_SECTORS)):
        usable = (_CORE, last - _ENTRY_SECTORS - 1)
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


def _make_file_system(disk: Path, kind: str, content: Path, partition: tuple[str, int, int, str, int]) -> None:
    _name, first, count, _type, _mbr = partition
    program = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise ImageError("the program mke2fs is not installed (package e2fsprogs)")
    options = [
        "-q",
        "-F",
        "-t",
        kind,
        "-m",
        "0",
        "-b",
        "4096",
        "-O",
        "extent",
        "-E",
        f"offset={first * SECTOR},root_owner=0:0",
        "-d",
        str(content),
    ]
    _run([program, *options, str(disk), f"{count // 2}k"], f"making the {kind} of the disk")
