# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The format of a disk image on the controller, by its first bytes, and the size of its disk."""

from __future__ import annotations

import json
import re
import struct
import typing as t
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line

from . import checksum
from .known import Known
from .tools import qemu_img

Format = t.Literal["raw", "qcow2", "vmdk", "vdi", "vhdx"]
HEAD = 0x8006
"""How many bytes at the beginning of a file tell its format."""
SECTOR = 512
_QCOW2_HEADER = 104  # bytes, with the fields of version 3; also in front of the clusters of version 2
_FAR = 2**32  # the last sector at which the descriptor of a VMDK can be
_LONG = 2048  # sectors of a descriptor
_ONE_FILE = (b"monolithicSparse", b"streamOptimized")  # the kinds of VMDK that are one file
# The offset and the bytes by which a format is known. The first sector of a raw disk ends with
# 55 AA.
_MAGIC: dict[Format, tuple[int, bytes]] = {
    "qcow2": (0, b"QFI\xfb"),
    "vmdk": (0, b"KDMV"),
    "vhdx": (0, b"vhdxfile"),
    "vdi": (0x40, b"\x7f\x10\xda\xbe"),
}
_ZIP = b"PK\x03\x04"
# Files that are mistaken for an image: the offset and the bytes by which each is known, and advice.
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
    """The size of the disk that the guest sees."""

    @property
    def size(self) -> int:
        """The size of the file."""
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """The sha256 of the file, in hex.

        Reads the whole file the first time, unless it is in the cache of prepared images.
        """
        return (Known(self.path).read() or {}).get("sha256") or checksum.sha256(self.path)


def inspect(path: Path) -> Image:
    """Read the format and the sizes of the image in *path*.

    Raises InvalidInput for a file that is not an image or needs other files, NotPossible if
    qemu-img is needed and missing.
    """
    kind = format_of(read_head(path), repr(str(path)))
    return Image(path, kind, path.stat().st_size if kind == "raw" else info(path, kind)["virtual-size"])


def read_head(path: Path) -> bytes:
    """Read the first bytes of *path*. Raises InvalidInput."""
    try:
        with path.open("rb") as source:
            return source.read(HEAD)
    except OSError as error:
        raise InvalidInput(f"The image {str(path)!r} cannot be read: {error.strerror}.") from None


def is_zip(head: bytes) -> bool:
    return head.startswith(_ZIP)


def format_of(head: bytes, what: str) -> Format:
    """Return the format of a file that begins with *head*; messages call it *what*.

    Raises InvalidInput, whose text says what the file is instead.
    """
    for kind, (offset, magic) in _MAGIC.items():
        if head[offset : offset + len(magic)] == magic:
            return kind
    for offset, magic, text in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            raise InvalidInput(f"{what} is not a disk image. {text}")
    if head[510:512] == b"\x55\xaa":
        return "raw"
    if not head:
        raise InvalidInput(f"{what} is not a disk image: it is empty.")
    if (title := web_page(head)) is not None:
        raise InvalidInput(f"{what} is not a disk image but a web page{title}, perhaps the error page of a server.")
    raise InvalidInput(
        f"{what} is not a disk image: it does not begin like a disk (with a boot signature), nor "
        f"like {', '.join(_MAGIC)}."
    )


def web_page(head: bytes) -> str | None:
    """Return the title of a web page for use in a sentence: `` ('404 Not Found')``.

    It is empty for a page without a title, and None for what does not begin like HTML.
    """
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not re.match(r"<(!doctype\s+html|html|head|\?xml)\b", text, re.IGNORECASE):
        return None
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    words = line(title[1], 80) if title else ""
    return f" ({words!r})" if words else ""


def info(path: Path, kind: Format) -> dict[str, t.Any]:
    """Return what ``qemu-img info`` says about the image in *path*, which is not raw.

    Raises InvalidInput for a damaged image, and for one that needs other files: the author of such
    an image would choose which files are read with the rights of this user.
    """
    # Checked first, because qemu-img may open the other files.
    if kind == "qcow2":
        _check_qcow2(path)
    elif kind == "vmdk":
        _check_vmdk(path)
    try:
        about = json.loads(qemu_img("info", "--output=json", "-f", kind, str(path)))
        virtual_size = about["virtual-size"]
        extents = about["format-specific"]["data"]["extents"] if kind == "vmdk" else []
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(f"qemu-img cannot tell what is in the image {str(path)!r}. It is damaged.") from None
    if "backing-filename" in about or [one.get("filename") for one in extents] not in ([], [str(path)]):
        raise _part(path)
    if not isinstance(virtual_size, int) or virtual_size <= 0:
        raise InvalidInput(f"The image {str(path)!r} has a disk of {virtual_size} bytes. It is damaged.")
    return t.cast("dict[str, t.Any]", about)


def _check_qcow2(path: Path) -> None:
    head = read_head(path)
    if len(head) < _QCOW2_HEADER:
        raise _damaged(path)
    version, backing = struct.unpack_from(">IQ", head, 4)
    external = version >= 3 and head[79] & 0x04  # the feature "external data file"
    if backing or external:
        raise _part(path)


def _check_vmdk(path: Path) -> None:
    """Refuse a VMDK whose descriptor names files. qemu-img reads them if the capacity is 0.

    Source: VMware's Virtual Disk Format 5.0, hosted sparse extents.
    """
    capacity, _first, descriptor = vmdk_descriptor(path)
    kind = re.search(rb'^[ \t]*createType[ \t]*=[ \t]*"?([^"\r\n]*)', descriptor, re.MULTILINE)
    if not capacity or (kind and kind[1] not in _ONE_FILE) or b"parentFileNameHint" in descriptor:
        raise _part(path)


def vmdk_descriptor(path: Path) -> tuple[int, int, bytes]:
    """Return what the header of the VMDK in *path* says, and its embedded descriptor.

    It is (capacity in sectors, first sector of the descriptor, descriptor). The descriptor is empty
    if there is none. Raises InvalidInput.
    """
    head = read_head(path)
    if len(head) < SECTOR:
        raise _damaged(path)
    capacity, _grain, first, count = struct.unpack_from("<QQQQ", head, 12)
    if first > _FAR or count > _LONG:
        raise _damaged(path)
    with path.open("rb") as file:
        file.seek(first * SECTOR)
        return capacity, first, file.read(count * SECTOR) if first else b""


def _part(path: Path) -> InvalidInput:
    return InvalidInput(
        f"{str(path)!r} is a part of an image: the rest is in another file. Merge them with qemu-img convert."
    )


def _damaged(path: Path) -> InvalidInput:
    return InvalidInput(f"The image {str(path)!r} is damaged: its header is not valid.")
