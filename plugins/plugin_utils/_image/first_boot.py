# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Puts a script for the first boot of RouterOS into a raw disk, without mounting the disk.

Many users report that RouterOS 6 and 7 run ``/rw/autorun.scr`` on the second partition at the first
boot. The vendor does not document it.
"""

from __future__ import annotations

import struct
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, NotPossible

from .files import storing
from .partitions import Disk, Partition
from .tools import program, run_limited

FOLDER, NAME = "/rw", "autorun.scr"
_SECONDS = 60.0
# The superblock (see the ext4 documentation of Linux): its offset in the file system, its length,
# and the offsets of little-endian fields in it.
_SUPERBLOCK, _LENGTH = 1024, 1024
_MAGIC_AT, _STATE_AT, _INCOMPATIBLE_AT = 0x38, 0x3A, 0x60
_MAGIC, _CLEAN, _NEEDS_RECOVERY = 0xEF53, 0x1, 0x4


def debugfs_program() -> str:
    """Return the path of debugfs. Raises NotPossible if it is not installed."""
    return program("debugfs", "e2fsprogs", "e2fsprogs")


def place(disk: Disk, script: bytes, what: str) -> None:
    """Place *script* so that it runs at the first boot of *disk*; messages call the disk *what*.

    The folder of the disk's file must have no other file. Raises InvalidInput for a disk whose
    router has already run, NotPossible for a disk without the folder that RouterOS looks into, and
    ChrError when the script was not written.
    """
    partition = _partition(disk, what)
    folder = disk.path.parent
    source, commands, back = folder / "script", folder / "commands", folder / "back"
    with storing(source):
        source.write_bytes(script)
        # "write" does not replace a file, and copies the mode of its source.
        commands.write_text(f"cd {FOLDER}\nrm {NAME}\nwrite {source.name} {NAME}\nsif {NAME} mode 0100644\n")
    said = _debugfs(disk, partition, "-w", "-f", commands.name)
    _debugfs(disk, partition, "-R", f"dump {FOLDER}/{NAME} {back.name}")
    if not back.exists() or back.read_bytes() != script:
        raise ChrError(
            f"The first-boot script was not completely written to {what}: debugfs said "
            f"{said or 'nothing'!r}. The image was not prepared. Is there room for the script in "
            "its file system?"
        )


def _partition(disk: Disk, what: str) -> Partition:
    """Find the partition whose file system has the folder. Raises InvalidInput, NotPossible."""
    found = False
    with disk.path.open("rb") as file:
        for partition in disk.partitions:
            file.seek(partition.start + _SUPERBLOCK)
            block = file.read(_LENGTH)
            if len(block) < _LENGTH or _field(block, "H", _MAGIC_AT) != _MAGIC:
                continue
            found = True
            if "Type: directory" not in _debugfs(disk, partition, "-R", f"stat {FOLDER}"):
                continue
            if _field(block, "I", _INCOMPATIBLE_AT) & _NEEDS_RECOVERY or not _field(block, "H", _STATE_AT) & _CLEAN:
                raise InvalidInput(
                    f"{what} was not shut down cleanly, so a router has already run from it, and "
                    "its first boot is over. Take a fresh image, or leave out the first-boot "
                    "script."
                )
            return partition
    missing = f"no {FOLDER} in its file systems" if found else "no ext2, ext3 or ext4 file system"
    raise NotPossible(
        f"{what} has {missing}, where RouterOS looks for a first-boot script. Leave it out, and run "
        "the script with outofband.chr.script when the router is up."
    )


def _field(block: bytes, kind: t.Literal["H", "I"], offset: int) -> int:
    return int(struct.unpack_from(f"<{kind}", block, offset)[0])


def _debugfs(disk: Disk, partition: Partition, *arguments: str) -> str:
    """Run debugfs and return what it prints; its exit status is 0 even if it failed.

    It runs in the folder of *disk*, so that no path needs quotes. Raises ChrError.
    """
    command = [debugfs_program(), *arguments, f"{disk.path.name}?offset={partition.start}"]
    done = run_limited(command, seconds=_SECONDS, writes=disk.size, folder=disk.path.parent)
    lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    return " ".join(line for line in lines if not line.startswith("debugfs")).strip()
