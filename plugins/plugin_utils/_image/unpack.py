# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The image out of a ZIP archive that somebody else made: nothing in it is believed, and its names are not used."""

from __future__ import annotations

import contextlib
import typing as t
import zipfile
import zlib
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput

from .files import pour
from .inspect import HEAD, format_of

LARGEST = 4 * 1024**3
"""Bytes of an image in an archive. Published ones have 128 MiB."""
_MOST_MEMBERS = 32
_ENCRYPTED = 0x1


def unpack(archive: Path, target: Path, what: str) -> None:
    """Write the one image in *archive* to *target*; *what* names the archive in messages.

    Raises InvalidInput for an archive without an image, with several, with one that is larger than LARGEST, and for a damaged one;
    GuestError where *target* cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            member = _image(opened, what)
            check_size(member.file_size, what)
            with opened.open(member) as source:  # ends after the size that the archive says, and compares its checksum
                size = pour(source, target)
            if size != member.file_size:
                raise InvalidInput(
                    f"{what} is damaged: its image has {size} bytes, not the {member.file_size} that it says."
                )
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InvalidInput(
            f"{what} is a damaged ZIP archive ({error}). Get it again, and compare its checksum."
        ) from None


def check_size(size: int, what: str) -> None:
    """Raises InvalidInput for more than an image in an archive may have."""
    if size > LARGEST:
        raise InvalidInput(
            f"{what} would become {size} bytes, and an image in an archive may have {LARGEST}. If it is right, unpack it yourself "
            "and give the image itself as src."
        )


def _image(archive: zipfile.ZipFile, what: str) -> zipfile.ZipInfo:
    """The member that begins like an image."""
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
