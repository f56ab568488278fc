# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A script that RouterOS runs when it boots for the first time, put into a raw disk without mounting it.

That RouterOS does so with ``/rw/autorun.scr`` of its second partition was seen by many, on RouterOS 6 and 7. The vendor does not
document it.
"""

from __future__ import annotations

import struct
import subprocess
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError, InvalidInput, NotPossible

from .files import storing
from .inspect import program
from .partitions import Disk, Partition

FOLDER, NAME = "/rw", "autorun.scr"
_SECONDS = 60
# In the superblock (ext4 documentation of Linux): its place in the file system, its length, and little-endian fields in it.
_SUPERBLOCK, _LENGTH = 1024, 1024
_MAGIC_AT, _STATE_AT, _INCOMPATIBLE_AT = 0x38, 0x3A, 0x60
_MAGIC, _CLEAN, _NEEDS_RECOVERY = 0xEF53, 0x1, 0x4


def debugfs_program() -> str:
    """The path of debugfs. Raises NotPossible."""
    return program("debugfs", "e2fsprogs", "e2fsprogs")


def place(disk: Disk, script: bytes, what: str) -> None:
    """Have *script* run at the first boot of *disk*, in whose folder there must be nothing else; *what* names it in messages.

    Raises InvalidInput for a disk whose router has already run, NotPossible for one without the folder that RouterOS looks into,
    GuestError when the script did not get there.
    """
    partition = _partition(disk, what)
    folder = disk.path.parent
    source, commands, back = folder / "script", folder / "commands", folder / "back"
    with storing(source):
        source.write_bytes(script)
        # write does not replace, and gives the file the mode of its source
        commands.write_text(f"cd {FOLDER}\nrm {NAME}\nwrite {source.name} {NAME}\nsif {NAME} mode 0100644\n")
    said = _debugfs(disk, partition, "-w", "-f", commands.name)
    _debugfs(disk, partition, "-R", f"dump {FOLDER}/{NAME} {back.name}")
    if not back.exists() or back.read_bytes() != script:
        raise GuestError(
            f"The first-boot script did not get whole into {what}: debugfs said {said or 'nothing'!r}. The image was not prepared. "
            "Is there room for the script in its file system?"
        )


def _partition(disk: Disk, what: str) -> Partition:
    """The one whose file system has the folder."""
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
                    f"{what} was not shut down cleanly, so a router has already run from it, and its first boot is over. Take a "
                    "fresh image, or leave out the first-boot script."
                )
            return partition
    missing = f"no {FOLDER} in its file systems" if found else "no ext2, ext3 or ext4 file system"
    raise NotPossible(
        f"{what} has {missing}, where RouterOS looks for a first-boot script. Leave it out, and run the script with "
        "outofband.chr.script when the router is up."
    )


def _field(block: bytes, kind: t.Literal["H", "I"], offset: int) -> int:
    return int(struct.unpack_from(f"<{kind}", block, offset)[0])


def _debugfs(disk: Disk, partition: Partition, *arguments: str) -> str:
    """What it says; it ends with 0 whatever happened. Runs in the folder of *disk*, so that no path needs quotes."""
    command = [debugfs_program(), *arguments, f"{disk.path.name}?offset={partition.start}"]
    try:
        done = subprocess.run(
            command, cwd=disk.path.parent, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise GuestError(f"debugfs did not end within {_SECONDS} s and was stopped.") from None
    lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    return " ".join(line for line in lines if not line.startswith("debugfs")).strip()
