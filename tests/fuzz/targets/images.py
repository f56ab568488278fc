# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are taken for images of disks."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._image import inspect, ova, partitions, unpack

from ..target import target

_SMALL = 1024 * 1024


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _on_a_file(data: bytes, read: Callable[[Path], object]) -> None:
    """Let *read* have a file with *data*: it returns, or raises InvalidInput."""
    path = Path(_folder().name, "image")
    path.write_bytes(data)
    with contextlib.suppress(InvalidInput):
        read(path)


@target(
    b"QFI\xfb",
    b"KDMV",
    b"vhdxfile",
    b"PK\x03\x04",
    b"ustar",
    b"<html>",
    b"<title>",
    b"</title>",
    b"\x55\xaa",
    b"\0" * 64,
)
def image_format(data: bytes) -> None:
    """Any file has a format, or InvalidInput says what it is instead."""

    def read(path: Path) -> None:
        inspect.format_of(inspect.read_head(path), "it")

    _on_a_file(data, read)
    title = inspect.web_page(data[: inspect.HEAD])
    assert title is None or len(title) < 200


@target(
    b"KDMV\x01\0\0\0",
    b"\x01\0\0\0\0\0\0\0",
    b"\0" * 8,
    b'createType="monolithicSparse"\n',
    b"parentFileNameHint",
    b"\t",
)
def image_header(data: bytes) -> None:
    """A header of VMDK or QCOW2 is that of a single file, or InvalidInput."""
    _on_a_file(data.ljust(inspect.SECTOR, b"\0"), inspect._check_vmdk)
    _on_a_file(data, inspect._check_qcow2)


@target(b"\x55\xaa", b"EFI PART", b"\xee", b"\0" * 15, b"\x80\x01\x01\0\x83", b"BOOTX64.EFI", b"\xff\xff\xff\xff")
def image_partitions(data: bytes) -> None:
    """Any disk is read with partitions that are within it, or it is InvalidInput."""

    def read(path: Path) -> None:
        disk = partitions.read_disk(path, "it", Deadline(10.0))
        assert disk.partitions
        assert all(0 <= one.start < one.end <= disk.size for one in disk.partitions)

    mbr, rest = data[:64].ljust(64, b"\0"), data[64:]
    _on_a_file(bytes(446) + mbr + b"\x55\xaa" + rest.ljust(4096, b"\0"), read)


@target(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\x14\0", b"\x08\0", b"\0" * 8, b"\xff\xff\xff\xff", b"chr.img")
def image_in_zip(data: bytes) -> None:
    """Any archive holds one image of a permitted size, or it is InvalidInput."""

    def read(path: Path) -> None:
        target_file = path.with_name("unpacked")
        unpack.unpack(path, target_file, "it", Deadline(10.0), _SMALL)
        assert target_file.stat().st_size <= _SMALL

    _on_a_file(data, read)


@target(
    b"chr.vmdk",
    b"chr.mf",
    b"ustar\x0000",
    b"\0" * 64,
    b"0000644\0",
    b"00000001000\0",
    b"L",
    b"x",
    b"30 GNU.sparse.map=0,1\n",
)
def image_in_ova(data: bytes) -> None:
    """Any archive holds one disk with the checksum of its manifest, or it is InvalidInput."""

    def read(path: Path) -> None:
        assert ova.extract_disk(path, Path(_folder().name)).stat().st_size <= len(data)

    _on_a_file(data, read)
