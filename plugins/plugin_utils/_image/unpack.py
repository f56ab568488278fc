# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Unpacks the image from an untrusted ZIP archive; names in the archive are never used as paths."""

from __future__ import annotations

import contextlib
import lzma
import struct
import typing as t
import zipfile
import zlib
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line

from .files import pour
from .inspect import HEAD, format_of

LARGEST = 4 * 1024**3
"""The largest size of a disk, in bytes, if no size is requested. Published images have 128 MiB."""
_MOST_MEMBERS = 32
_ENCRYPTED = 0x1
# What zipfile raises for archives that are damaged or made up. An OSError is one of reading.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, MemoryError, IndexError, struct.error),
)


def unpack(archive: Path, target: Path, what: str, deadline: Deadline, largest: int = LARGEST) -> None:
    """Write the one image in *archive* to *target*; messages call the archive *what*.

    Raises InvalidInput for an archive without an image, with several, with one that is larger than
    *largest* bytes, and for a damaged one; ChrError if *target* cannot be written, TimedOut at
    *deadline*.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            member = _image(opened, what)
            check_size(member.file_size, what, largest)
            # Reading stops at the size that the archive declares, and compares the checksum.
            with opened.open(member) as source:
                size = pour(source, target, deadline, member.file_size + 1)
            if size != member.file_size:
                raise InvalidInput(
                    f"{what} is damaged: its image has {size} bytes, but the archive declares {member.file_size}."
                )
    except _DAMAGED as error:
        raise InvalidInput(
            f"{what} is a damaged ZIP archive ({line(str(error))}). Get it again, and compare its checksum."
        ) from None


def check_size(size: int, what: str, largest: int) -> None:
    """Raise InvalidInput if *size*, in bytes, is larger than the disk of a router should be."""
    if size > largest:
        raise InvalidInput(
            f"{what} would become {size} bytes, but without a larger size the limit is {largest}. If this is the right file, "
            "give size, as large as the disk or larger."
        )


def _image(archive: zipfile.ZipFile, what: str) -> zipfile.ZipInfo:
    """Find the one member that begins like an image. Raises InvalidInput."""
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) > _MOST_MEMBERS:
        raise InvalidInput(f"{what} has {len(members)} files; the archive of a CHR has one.")
    images = []
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise InvalidInput(f"{what} is encrypted. Unpack it yourself and give the image itself as src.")
        try:
            with archive.open(member) as source:
                head = source.read(HEAD)
        except NotImplementedError as error:
            raise InvalidInput(
                f"{what} cannot be unpacked ({error}). Unpack it yourself and give the image itself as src."
            ) from None
        with contextlib.suppress(InvalidInput):
            format_of(head, what)
            images.append(member)
    if len(images) != 1:
        raise InvalidInput(f"{what} has {_count(images)} among its {len(members)} files; exactly one is needed.")
    return images[0]


def _count(images: t.Sequence[object]) -> str:
    return f"{len(images)} disk images" if images else "no disk image"
