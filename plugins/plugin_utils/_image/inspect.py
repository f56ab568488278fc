# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a disk image on the controller is: its format by its first bytes, and the size of the disk in it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import typing as t
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, NotPossible

Format = t.Literal["raw", "qcow2", "vmdk", "vdi", "vhdx"]
_SECONDS = 60
# (offset, bytes) that name a format; a raw disk has none of them and ends its first sector with 55 AA.
_MAGIC: dict[Format, tuple[int, bytes]] = {
    "qcow2": (0, b"QFI\xfb"),
    "vmdk": (0, b"KDMV"),
    "vhdx": (0, b"vhdxfile"),
    "vdi": (0x40, b"\x7f\x10\xda\xbe"),
}


@dataclass(frozen=True)
class Image:
    """A disk image in a file of the controller. Sizes are in bytes."""

    path: Path
    format: Format
    virtual_size: int
    """Of the disk that the guest sees."""

    @property
    def size(self) -> int:
        """Of the file."""
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Of the file, in hex. Reads the whole file the first time."""
        with self.path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()


def inspect(path: Path) -> Image:
    """The image in *path*. Raises InvalidInput for what is none, NotPossible where qemu-img is needed and missing."""
    try:
        with path.open("rb") as source:
            head = source.read(512)
    except OSError as error:
        raise InvalidInput(f"The image {str(path)!r} cannot be read: {error.strerror}.") from None
    for kind, (offset, magic) in _MAGIC.items():
        if head[offset : offset + len(magic)] == magic:
            return Image(path, kind, _virtual_size(path, kind))
    if head[510:512] != b"\x55\xaa":
        raise InvalidInput(
            f"{str(path)!r} is no disk image: it begins neither like a disk (no boot signature) nor like {', '.join(_MAGIC)}."
        )
    return Image(path, "raw", path.stat().st_size)


def _virtual_size(path: Path, kind: Format) -> int:
    answer = json.loads(qemu_img("info", "--output=json", "-f", kind, str(path)))
    return int(answer["virtual-size"])


def qemu_img(*arguments: str, seconds: float = _SECONDS) -> bytes:
    """What ``qemu-img`` prints. Raises NotPossible without it, InvalidInput with its words when it fails."""
    program = shutil.which("qemu-img")
    if not program:
        raise NotPossible(
            f"qemu-img is needed on the controller for this ({arguments[0]}) and is not on PATH: install qemu-utils (Debian, "
            "Ubuntu) or qemu-img (Fedora, RHEL)."
        )
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise NotPossible(f"qemu-img {arguments[0]} did not end within {seconds:g} s and was stopped.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("qemu-img: ")
        raise InvalidInput(f"qemu-img {arguments[0]} failed: {said or f'exit code {done.returncode}'}.")
    return done.stdout
