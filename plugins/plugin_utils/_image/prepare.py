# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Converts a published image to a platform's format, and caches the result.

The cache has two folders. ``downloads`` holds the downloaded files; the key of each is its
checksum, or its URL if the checksum is waived. ``images`` holds the images that were made; the key
of each is the sha256 of its source and all requested properties. Each file has its metadata in a
sidecar file, which is written last: a file without it, or with another size or time, is not used.
Hosts that want the same image wait for the first of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, TransferFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import locked

from . import first_boot
from .checksum import Checksum, sha256
from .download import Download, Trust, check_url, shown
from .files import pour, storing
from .inspect import format_of, inspect, is_zip, read_head
from .known import Known
from .partitions import MIB, SMALLEST, Disk, read_disk
from .tools import program, qemu_img
from .unpack import LARGEST, check_size, unpack

_LAYOUT = 1
"""A part of the key of an image, increased when images are made in another way."""
_TABLES = 64 * MIB


@dataclass(frozen=True)
class Output:
    """A format of images."""

    suffix: str
    convert: tuple[str, ...]
    """Arguments of qemu-img convert; empty for a raw disk, which is not converted."""


FORMATS = {
    "raw": Output("raw", ()),
    "qcow2": Output("qcow2", ("-O", "qcow2")),
    "vmdk": Output("vmdk", ("-O", "vmdk", "-o", "subformat=monolithicSparse")),
    "vmdk-stream": Output("vmdk", ("-O", "vmdk", "-o", "subformat=streamOptimized")),
    "vdi": Output("vdi", ("-O", "vdi")),
    "vhdx": Output("vhdx", ("-O", "vhdx", "-o", "subformat=dynamic")),
}


@dataclass(frozen=True)
class Recipe:
    """The requested image and its source."""

    source: str | Path
    """A URL, or a file of the controller."""
    checksum: Checksum | None
    """The checksum of the source; None if it is not checked."""
    format: str
    """A key of FORMATS."""
    size: int | None = None
    """The size of the disk in bytes; None keeps that of the source."""
    script: bytes = b""
    """The script for the first boot; empty if there is none."""
    version: str | None = None
    """The version of RouterOS, only for the name of the file."""

    def __post_init__(self) -> None:
        """Raise InvalidInput, or NotPossible if a program is missing that will be needed."""
        if isinstance(self.source, str):
            check_url(self.source)
        if self.size is not None and (self.size < SMALLEST or self.size % MIB):
            raise InvalidInput(
                f"size is {self.size} bytes: the disk of a CHR must have at least {SMALLEST // MIB} MiB, and a whole number of MiB."
            )
        if FORMATS[self.format].convert:
            program("qemu-img", "qemu-utils", "qemu-img")
        if self.script:
            first_boot.debugfs_program()

    @property
    def what(self) -> str:
        """The source, for messages."""
        return shown(self.source) if isinstance(self.source, str) else str(self.source)

    @property
    def largest(self) -> int:
        """The largest size that the disk of the source may have, in bytes."""
        return max(LARGEST, self.size or 0)

    @property
    def sha256(self) -> str | None:
        """The sha256 of the source, if that is the checksum."""
        return self.checksum.digest if self.checksum and self.checksum.algorithm == "sha256" else None

    def name(self, source: str) -> str:
        """Return the file name of the image made from the source with this sha256."""
        wanted = [_LAYOUT, source, self.format, self.size, hashlib.sha256(self.script).hexdigest()]
        key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
        label = re.sub(r"[^A-Za-z0-9.]+", "-", self.version or "image")
        return f"chr-{label}-{key[:32]}.{FORMATS[self.format].suffix}"


@dataclass(frozen=True)
class Prepared:
    """An image in the cache."""

    path: Path
    sha256: str
    size: int
    """The size of the file in bytes."""
    virtual_size: int
    """The size of the disk in bytes."""
    source_sha256: str
    architecture: str
    bios: bool
    cached: bool
    """Whether an earlier run has made it."""


class Cache:
    """Prepared images and their sources, below one *folder*.

    Messages about long work go to *say*.
    """

    def __init__(self, folder: Path, say: t.Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say

    def planned(self, recipe: Recipe) -> Prepared | Path | None:
        """Return the image if it exists, else the path that it will have. Changes nothing.

        Returns None if the path is not known before the source is downloaded.
        """
        source = self._source_sha256(recipe)
        if source is None:
            return None
        entry = self._entry(recipe, source)
        return self._found(entry) or entry.path

    def prepare(self, recipe: Recipe, trust: Trust, deadline: Deadline) -> Prepared:
        """Return the image, which is made if it does not exist.

        Raises ChrError. At most the beginning of a download is left then.
        """
        source = self._source_sha256(recipe)
        if source and (found := self._found(self._entry(recipe, source))):
            return found
        self._make_folders()
        path = recipe.source
        if source is None or isinstance(path, str):
            path, source = self._downloaded(recipe, trust, deadline)
        entry = self._entry(recipe, source)
        with self._alone(entry, deadline):
            try:
                return self._found(entry) or self._make(recipe, path, source, entry, deadline)
            except Exception:
                if recipe.checksum is None and isinstance(recipe.source, str):
                    # The server may send the right file the next time.
                    self._download(recipe).forget()
                raise

    def _source_sha256(self, recipe: Recipe) -> str | None:
        """Return the sha256 of the source, or None if it is not known without a download.

        Raises InvalidInput for a local file that is too large or has another checksum.
        """
        if isinstance(recipe.source, Path):
            return _local_sha256(recipe.source, recipe)
        if recipe.sha256:
            return recipe.sha256
        about = self._download(recipe).read()
        return about["sha256"] if about else None

    def _downloaded(self, recipe: Recipe, trust: Trust, deadline: Deadline) -> tuple[Path, str]:
        """Return the path of the downloaded source, and its sha256."""
        entry = self._download(recipe)
        with self._alone(entry, deadline):
            about = entry.read()
            if about is None:
                entry.forget()
                url = str(recipe.source)
                Download(url, entry.path, recipe.checksum, trust, deadline, self._say).run()
                about = {"sha256": recipe.sha256 or sha256(entry.path), "url": shown(url)}
                entry.write(about)
        return entry.path, about["sha256"]

    def _make(self, recipe: Recipe, source: Path, source_sha256: str, entry: Known, deadline: Deadline) -> Prepared:
        """Make the image in a folder of its own, and move it to its place."""
        work = entry.path.with_name(f"{entry.path.name}.work")
        entry.forget()
        shutil.rmtree(work, ignore_errors=True)  # left by a run that was killed
        try:
            with storing(work):
                work.mkdir(mode=0o700)
            disk = _raw_disk(source, work, recipe, deadline)
            _check(disk, recipe)
            if recipe.size is not None:
                with storing(disk.path):
                    os.truncate(disk.path, recipe.size)
            if recipe.script:
                first_boot.place(disk, recipe.script, recipe.what)
            made = _converted(disk.path, recipe.format, deadline)
            image = inspect(made)
            with storing(entry.path):
                made.chmod(0o600)
                made.replace(entry.path)
            about = {
                "sha256": sha256(entry.path),
                "virtual_size": image.virtual_size,
                "source_sha256": source_sha256,
                "architecture": disk.architecture,
                "bios": disk.bios,
            }
            entry.write(about)
            return _prepared(entry.path, about, cached=False)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _found(self, entry: Known) -> Prepared | None:
        about = entry.read()
        return _prepared(entry.path, about, cached=True) if about else None

    def _entry(self, recipe: Recipe, source: str) -> Known:
        return Known(self.folder / "images" / recipe.name(source))

    def _download(self, recipe: Recipe) -> Known:
        if recipe.checksum:
            name = f"{recipe.checksum.algorithm}-{recipe.checksum.digest}"
        else:
            without_login = re.sub(r"(?<=//)[^/@]*@", "", str(recipe.source))
            name = f"url-{hashlib.sha256(without_login.encode()).hexdigest()}"
        return Known(self.folder / "downloads" / name)

    @contextlib.contextmanager
    def _alone(self, entry: Known, deadline: Deadline) -> t.Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(entry.path.with_name(f"{entry.path.name}.lock"), deadline))
            except TimeoutError:
                raise TransferFailed(
                    f"Another host or run has been making {entry.path} for {deadline.seconds:g} s "
                    "(timeout). Check what it is doing, or run this again later."
                ) from None
            yield

    def _make_folders(self) -> None:
        for folder in (self.folder / "downloads", self.folder / "images"):
            with storing(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                owner = folder.stat().st_uid
            if owner != os.geteuid():
                raise ChrError(
                    f"{folder} belongs to another user, who could change images in it. Choose "
                    "another folder with cache."
                )


def _prepared(path: Path, about: dict[str, t.Any], *, cached: bool) -> Prepared:
    known = {name: about[name] for name in ("sha256", "virtual_size", "source_sha256", "architecture", "bios")}
    return Prepared(path=path, size=path.stat().st_size, cached=cached, **known)


def _local_sha256(path: Path, recipe: Recipe) -> str:
    checksum = recipe.checksum
    try:
        check_size(path.stat().st_size, recipe.what, recipe.largest)
        found = sha256(path)
        wrong = checksum and (found if checksum.algorithm == "sha256" else checksum.of(path)) != checksum.digest
    except OSError as error:
        raise InvalidInput(f"src {str(path)!r} cannot be read: {error.strerror or error}.") from None
    if wrong:
        raise InvalidInput(f"src {str(path)!r} does not have the checksum {checksum}; its sha256 is {found}.")
    return found


def _raw_disk(source: Path, work: Path, recipe: Recipe, deadline: Deadline) -> Disk:
    """Extract the disk in *source*, an archive or an image, to a file in the folder *work*."""
    raw, what, largest = work / "disk.raw", recipe.what, recipe.largest
    if is_zip(read_head(source)):
        unpack(source, raw, what, deadline, largest)
        source = raw
        what = f"The file in {what}"
    kind = format_of(read_head(source), what)
    if kind != "raw":
        image = inspect(source)  # refuses one that would make qemu-img read other files
        check_size(image.virtual_size, what, largest)
        converted = work / "converted.raw"
        _convert(["-f", kind, "-O", "raw"], source, converted, image.virtual_size, deadline)
        with storing(raw):
            converted.replace(raw)
    elif source != raw:
        with source.open("rb") as file:
            pour(file, raw, deadline, largest)
    return read_disk(raw, what, deadline)


def _convert(arguments: list[str], source: Path, target: Path, size: int, deadline: Deadline) -> None:
    """Convert an image of a disk of *size* bytes with ``qemu-img convert``."""
    # The tables of an image take much less than a twentieth of it.
    writes = size + size // 20 + _TABLES
    qemu_img("convert", *arguments, str(source), str(target), seconds=deadline.remaining, writes=writes)


def _check(disk: Disk, recipe: Recipe) -> None:
    """Raise InvalidInput for a disk that cannot boot, or cannot get the wanted size."""
    if disk.architecture == "arm64":
        raise InvalidInput(
            f"{recipe.what} is for arm64. A CHR VM of this collection is x86_64: use the image without arm64 in its name."
        )
    if recipe.size is not None and recipe.size < disk.size:
        raise InvalidInput(
            f"size is {recipe.size} bytes, but the disk in {recipe.what} has {disk.size}. A disk is "
            "never made smaller: leave out size, or give a larger one."
        )
    if recipe.size is None and disk.size < SMALLEST:
        raise InvalidInput(
            f"The disk in {recipe.what} has {disk.size} bytes, but a CHR needs at least "
            f"{SMALLEST // MIB} MiB. If the image is whole, give size."
        )


def _converted(raw: Path, name: str, deadline: Deadline) -> Path:
    """Convert the image to another format, in the same folder, and return its path."""
    arguments = FORMATS[name].convert
    if not arguments:
        return raw
    made = raw.with_name(f"made.{FORMATS[name].suffix}")
    _convert(["-f", "raw", *arguments], raw, made, raw.stat().st_size, deadline)
    return made
