# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A disk image as a platform wants it, made of a published one, once for each content.

The cache has two folders. ``downloads`` has files as they came; one is known by its checksum, or by its URL where that is waived.
``images`` has what was made of them; one is known by the sha256 of its source and everything that was asked for. Beside each file
lies what is known of it, written last: a file without it, or with another size or time than it says, counts for nothing. Hosts that
want the same wait for the first of them.
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

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    GuestError,
    InvalidInput,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.private import locked

from . import first_boot
from .checksum import Checksum, sha256
from .download import Download, Trust, check_url, shown
from .files import not_written, pour, storing
from .inspect import format_of, inspect, is_zip, program, qemu_img, read_head
from .known import Known
from .partitions import MIB, SMALLEST, Disk, read_disk
from .unpack import check_size, unpack

_LAYOUT = 1
"""Part of what an image is known by: grows when an image is made in another way."""


@dataclass(frozen=True)
class Output:
    """A format that an image can be made in."""

    suffix: str
    convert: tuple[str, ...]
    """Arguments of qemu-img convert; none for a raw disk, which needs no qemu-img."""


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
    """The image that is wanted, and of what."""

    source: str | Path
    """A URL, or a file of the controller."""
    checksum: Checksum | None
    """Of the source; None: it is believed as it is."""
    format: str
    """A key of FORMATS."""
    size: int | None = None
    """Bytes of the disk; None: those of the source."""
    script: bytes = b""
    """For the first boot; empty: none."""
    version: str | None = None
    """Only for the name."""

    def __post_init__(self) -> None:
        """Raises InvalidInput, and NotPossible without a program that will be needed."""
        if isinstance(self.source, str):
            check_url(self.source)
        if self.size is not None and (self.size < SMALLEST or self.size % MIB):
            raise InvalidInput(
                f"size is {self.size} bytes: the disk of a CHR has at least {SMALLEST // MIB} MiB, and here whole MiB."
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
    def sha256(self) -> str | None:
        """Of the source, if that is the checksum."""
        return self.checksum.digest if self.checksum and self.checksum.algorithm == "sha256" else None

    def name(self, source: str) -> str:
        """Of the file that is made when the source has this sha256."""
        wanted = [_LAYOUT, source, self.format, self.size, hashlib.sha256(self.script).hexdigest()]
        key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
        label = re.sub(r"[^A-Za-z0-9.]+", "-", self.version or "image")
        return f"chr-{label}-{key[:32]}.{FORMATS[self.format].suffix}"


@dataclass(frozen=True)
class Prepared:
    """An image that is there."""

    path: Path
    sha256: str
    size: int
    """Of the file, in bytes."""
    virtual_size: int
    """Of the disk, in bytes."""
    source_sha256: str
    architecture: str
    bios: bool
    cached: bool
    """Whether it was there before."""


class Cache:
    """Prepared images and their sources, below one *folder*. Messages about long work go to *say*."""

    def __init__(self, folder: Path, say: t.Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say

    def planned(self, recipe: Recipe) -> Prepared | Path | None:
        """The image if it is there, else its path, or None where that needs the source. Changes nothing."""
        source = self._source_sha256(recipe)
        if source is None:
            return None
        entry = self._entry(recipe, source)
        return self._found(entry) or entry.path

    def prepare(self, recipe: Recipe, trust: Trust, deadline: Deadline) -> Prepared:
        """The image, made if it is not there. Raises GuestError; then nothing is left but, maybe, the beginning of a download."""
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
            except InvalidInput:
                if recipe.checksum is None and isinstance(recipe.source, str):
                    self._download(recipe).forget()  # the server may have something better the next time
                raise

    def _source_sha256(self, recipe: Recipe) -> str | None:
        """Of the source, where it is known without a download. Raises InvalidInput for a local file with another checksum."""
        if isinstance(recipe.source, Path):
            return _local_sha256(recipe.source, recipe.checksum)
        if recipe.sha256:
            return recipe.sha256
        about = self._download(recipe).read()
        return about["sha256"] if about else None

    def _downloaded(self, recipe: Recipe, trust: Trust, deadline: Deadline) -> tuple[Path, str]:
        """The downloaded source and its sha256."""
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
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
        try:
            with storing(work):
                work.mkdir(mode=0o700)
            disk = _raw_disk(source, work, recipe.what, deadline)
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
                    f"Another host or run has been making {entry.path} for {deadline.seconds:g} s (timeout). Look at what it does, "
                    "or run this again later."
                ) from None
            except OSError as error:
                raise not_written(entry.path, error) from None
            yield

    def _make_folders(self) -> None:
        for folder in (self.folder / "downloads", self.folder / "images"):
            with storing(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                owner = folder.stat().st_uid
            if owner != os.geteuid():
                raise GuestError(
                    f"{folder} belongs to another user, who could change images in it. Choose another folder with cache."
                )


def _prepared(path: Path, about: dict[str, t.Any], *, cached: bool) -> Prepared:
    known = {name: about[name] for name in ("sha256", "virtual_size", "source_sha256", "architecture", "bios")}
    return Prepared(path=path, size=path.stat().st_size, cached=cached, **known)


def _local_sha256(path: Path, checksum: Checksum | None) -> str:
    try:
        found = sha256(path)
        wrong = checksum and (found if checksum.algorithm == "sha256" else checksum.of(path)) != checksum.digest
    except OSError as error:
        raise InvalidInput(f"src {str(path)!r} cannot be read: {error.strerror or error}.") from None
    if wrong:
        raise InvalidInput(f"src {str(path)!r} does not have the checksum {checksum}; its sha256 is {found}.")
    return found


def _raw_disk(source: Path, work: Path, what: str, deadline: Deadline) -> Disk:
    """The disk in *source*, which is an archive or an image, as a file of *work* that nobody else has."""
    raw = work / "disk.raw"
    if is_zip(read_head(source)):
        unpack(source, raw, what)
        source = raw
        what = f"The file in {what}"
    kind = format_of(read_head(source), what)
    if kind != "raw":
        image = inspect(source)  # refuses one that would make qemu-img read other files
        if source == raw:
            check_size(image.virtual_size, what)
        converted = work / "converted.raw"
        qemu_img("convert", "-f", kind, "-O", "raw", str(source), str(converted), seconds=deadline.remaining)
        with storing(raw):
            converted.replace(raw)
    elif source != raw:
        with source.open("rb") as file:
            pour(file, raw)
    return read_disk(raw, what)


def _check(disk: Disk, recipe: Recipe) -> None:
    """Raises InvalidInput for a disk that no router of ours can boot from, or that cannot be made as large as is asked for."""
    if disk.architecture == "arm64":
        raise InvalidInput(
            f"{recipe.what} is for arm64. These VMs are x86_64 ones: take the image without arm64 in its name."
        )
    if recipe.size is not None and recipe.size < disk.size:
        raise InvalidInput(
            f"size is {recipe.size} bytes, and the disk in {recipe.what} has {disk.size}. A disk is never made smaller: leave "
            "out size, or give a larger one."
        )
    if recipe.size is None and disk.size < SMALLEST:
        raise InvalidInput(
            f"The disk in {recipe.what} has {disk.size} bytes, and a CHR needs at least {SMALLEST // MIB} MiB. If the image is "
            "whole, give size."
        )


def _converted(raw: Path, name: str, deadline: Deadline) -> Path:
    """The image in another format, beside it."""
    arguments = FORMATS[name].convert
    if not arguments:
        return raw
    made = raw.with_name(f"made.{FORMATS[name].suffix}")
    qemu_img("convert", "-f", "raw", *arguments, str(raw), str(made), seconds=deadline.remaining)
    return made
