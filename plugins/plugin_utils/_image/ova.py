# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Extraction of the disk from an OVA.

An OVA is a tar archive with a VM's description, its disks, and their checksums (DMTF DSP0243). The
description is not used: what a CHR needs is known, and it may ask for EFI or another disk bus.
Names in the archive are never used as paths.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line

_MANIFEST = 1024**2  # largest size in bytes
_DAMAGED = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, MemoryError, RecursionError)
_LINE = re.compile(r"(SHA1|SHA256|SHA512) ?\((.+)\) ?= ?([0-9a-fA-F]+)")


def is_ova(path: Path) -> bool:
    """Whether *path* begins like a tar archive; False for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(262)[257:] == b"ustar"
    except OSError:
        return False


def extract_disk(path: Path, folder: Path) -> Path:
    """Extract the one disk of the OVA *path* to *folder*, and return its path.

    Raises InvalidInput.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = [one for one in _forward(archive) if one.isfile() and not one.issparse()]
            disks = [one for one in members if one.name.lower().endswith(".vmdk")]
            if len(disks) != 1:
                raise InvalidInput(f"The OVA {path} has {len(disks)} disks (*.vmdk), but a CHR has one.")
            expected = _expected(archive, members, disks[0].name)
            target = folder / f"{path.stem}.vmdk"
            with t.cast("t.IO[bytes]", archive.extractfile(disks[0])) as source, target.open("wb") as dest:
                shutil.copyfileobj(source, dest, 1024**2)
    except _DAMAGED as error:
        raise InvalidInput(f"The OVA {path} cannot be read: {line(str(error))}. Was it downloaded whole?") from None
    if target.stat().st_size != disks[0].size:
        raise InvalidInput(f"The OVA {path} ends in the middle of its disk. Download it again.")
    if expected:
        kind, value = expected
        with target.open("rb") as written:
            found = hashlib.file_digest(written, kind).hexdigest()
        if found != value:
            raise InvalidInput(
                f"The disk in the OVA {path} has the {kind} {found}, and its manifest says {value}. Download it again."
            )
    return target


def _forward(archive: tarfile.TarFile) -> t.Iterator[tarfile.TarInfo]:
    """The members of *archive*. Older versions of Python go back by a negative size, without end.

    Raises ReadError.
    """
    for one in archive:
        if one.size < 0:
            raise tarfile.ReadError("a file in it has a negative size")
        yield one


def _expected(archive: tarfile.TarFile, members: list[tarfile.TarInfo], disk: str) -> tuple[str, str] | None:
    """Return (algorithm, digest) of the disk from the manifest, or None."""
    manifest = next((one for one in members if one.name.lower().endswith(".mf") and one.size <= _MANIFEST), None)
    if manifest is None:
        return None
    with t.cast("t.IO[bytes]", archive.extractfile(manifest)) as source:
        lines = source.read().decode("utf-8", "replace").splitlines()
    found = next((line for line in map(_LINE.fullmatch, map(str.strip, lines)) if line and line[2] == disk), None)
    return (found[1].lower(), found[3].lower()) if found else None
