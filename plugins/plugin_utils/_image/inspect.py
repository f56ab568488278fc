# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a disk image on the controller is: its format by its first bytes, and the size of the disk in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import typing as t
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, NotPossible

from . import checksum
from .known import Known

Format = t.Literal["raw", "qcow2", "vmdk", "vdi", "vhdx"]
HEAD = 0x8006
"""Bytes of a file that say what it is."""
_SECONDS = 60
# (offset, bytes) that name a format; a raw disk has none of them and ends its first sector with 55 AA.
_MAGIC: dict[Format, tuple[int, bytes]] = {
    "qcow2": (0, b"QFI\xfb"),
    "vmdk": (0, b"KDMV"),
    "vhdx": (0, b"vhdxfile"),
    "vdi": (0x40, b"\x7f\x10\xda\xbe"),
}
_ZIP = b"PK\x03\x04"
# What people have in place of an image: where it says so, with which bytes, and what they should do about it.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0x8001, b"CD001", "It is a CD to install from: take the image of a Cloud Hosted Router (CHR), not the ISO one."),
    (257, b"ustar", "It is a tar archive, perhaps an OVA: unpack it, and give the disk in it."),
    (0, _ZIP, "It is a ZIP archive: let outofband.chr.image make an image of it."),
    (0, b"PK\x05\x06", "It is an empty ZIP archive."),
    (0, b"\x1f\x8b", "It is compressed with gzip: unpack it."),
    (0, b"\xfd7zXZ", "It is compressed with xz: unpack it."),
    (
        0,
        b"# Disk DescriptorFile",
        "It describes a VMDK image whose data is in another file: give a VMDK image of one file.",
    ),
)


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
        """Of the file, in hex. Reads the whole file the first time, unless it is in the cache of prepared images."""
        return (Known(self.path).read() or {}).get("sha256") or checksum.sha256(self.path)


def inspect(path: Path) -> Image:
    """The image in *path*. Raises InvalidInput for what is none, NotPossible where qemu-img is needed and missing."""
    kind = format_of(read_head(path), repr(str(path)))
    return Image(path, kind, path.stat().st_size if kind == "raw" else _virtual_size(path, kind))


def read_head(path: Path) -> bytes:
    """The first bytes of *path*. Raises InvalidInput."""
    try:
        with path.open("rb") as source:
            return source.read(HEAD)
    except OSError as error:
        raise InvalidInput(f"The image {str(path)!r} cannot be read: {error.strerror}.") from None


def is_zip(head: bytes) -> bool:
    return head.startswith(_ZIP)


def format_of(head: bytes, what: str) -> Format:
    """The format of a file that begins with *head*; *what* names it in messages. Raises InvalidInput with what it is instead."""
    for kind, (offset, magic) in _MAGIC.items():
        if head[offset : offset + len(magic)] == magic:
            return kind
    for offset, magic, text in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            raise InvalidInput(f"{what} is no disk image. {text}")
    if head[510:512] == b"\x55\xaa":
        return "raw"
    if not head:
        raise InvalidInput(f"{what} is no disk image: it is empty.")
    if (title := web_page(head)) is not None:
        raise InvalidInput(f"{what} is no disk image but a web page{title}, perhaps the error page of a server.")
    raise InvalidInput(
        f"{what} is no disk image: it begins neither like a disk (no boot signature) nor like {', '.join(_MAGIC)}."
    )


def web_page(head: bytes) -> str | None:
    """None for what does not begin like HTML; else its title as it fits into a sentence: `` ('404 Not Found')``."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not re.match(r"<(!doctype\s+html|html|head|\?xml)\b", text, re.IGNORECASE):
        return None
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    words = "".join(letter for letter in title[1].strip() if letter.isprintable())[:80] if title else ""
    return f" ({words!r})" if words else ""


def _virtual_size(path: Path, kind: Format) -> int:
    """Raises InvalidInput for an image that needs other files: it may be anybody's, and they would be read with our rights."""
    if kind == "qcow2":  # before qemu-img sees it, which may already open them
        head = read_head(path)
        backing = int.from_bytes(head[8:16], "big")
        external = int.from_bytes(head[4:8], "big") >= 3 and head[79] & 0x04
        if backing or external:
            raise InvalidInput(
                f"{str(path)!r} is a part of an image: the rest is in another file. Merge them with qemu-img convert."
            )
    answer = json.loads(qemu_img("info", "--output=json", "-f", kind, str(path)))
    if "backing-filename" in answer:
        raise InvalidInput(
            f"{str(path)!r} is a part of an image: the rest is in another file. Merge them with qemu-img convert."
        )
    return int(answer["virtual-size"])


def program(name: str, debian: str, others: str) -> str:
    """The path of a program of the controller; *debian* and *others* (Fedora, RHEL) are its packages. Raises NotPossible."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")  # where Debian keeps those for root
    if not found:
        raise NotPossible(
            f"{name} is needed on the controller and is not on PATH: install {debian} (Debian, Ubuntu) or {others} (Fedora, RHEL)."
        )
    return found


def qemu_img(*arguments: str, seconds: float = _SECONDS) -> bytes:
    """What ``qemu-img`` prints. Raises NotPossible without it, InvalidInput with its words when it fails."""
    command = [program("qemu-img", "qemu-utils", "qemu-img"), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise NotPossible(f"qemu-img {arguments[0]} did not end within {seconds:g} s and was stopped.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("qemu-img: ")
        raise InvalidInput(f"qemu-img {arguments[0]} failed: {said or f'exit code {done.returncode}'}.")
    return done.stdout
