# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, TimedOut
from ansible_collections.outofband.chr.plugins.plugin_utils._image.unpack import unpack


def soon() -> Deadline:
    return Deadline(60)


DISK = bytes(510) + b"\x55\xaa" + b"partitions" * 1000


def packed(path, *members, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # the same name twice
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "archive", tmp_path / "out" / "disk"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_image_comes_out_as_it_was_put_in(paths, method):
    archive, target = paths
    unpack(packed(archive, ("chr-7.22.img", DISK), method=method), target, "it", soon())
    assert target.read_bytes() == DISK


def test_holes_of_an_image_take_no_space(paths):
    archive, target = paths
    disk = DISK.ljust(16 * 1024 * 1024, b"\0")
    unpack(packed(archive, ("disk", disk)), target, "it", soon())
    assert target.read_bytes() == disk
    assert target.stat().st_blocks * 512 < 4 * 1024 * 1024


@pytest.mark.parametrize(
    "name", ["../../evil.img", "/etc/cron.d/evil", "C:\\evil.img", "a/b/c.img", "x" * 300, "no-ending"]
)
def test_the_name_in_the_archive_is_not_used(paths, name):
    archive, target = paths
    unpack(packed(archive, (name, DISK)), target, "it", soon())
    assert target.read_bytes() == DISK
    assert sorted(str(one.relative_to(archive.parent)) for one in archive.parent.rglob("*")) == [
        "archive",
        "out",
        "out/disk",
    ]


def test_what_is_no_image_is_passed_over(paths):
    archive, target = paths
    unpack(
        packed(archive, ("README.txt", b"text"), ("folder/", b""), ("chr.img", DISK), ("._chr.img", b"\0\5\x16\7")),
        target,
        "it",
        soon(),
    )
    assert target.read_bytes() == DISK


@pytest.mark.parametrize(
    ("members", "count"),
    [
        ([], "no disk image among its 0"),
        ([("a", b"text")], "no disk image among its 1"),
        ([("a", DISK), ("a", DISK)], "2 disk images"),
    ],
)
def test_exactly_one_image_is_needed(paths, members, count):
    archive, target = paths
    with pytest.raises(InvalidInput, match=count):
        unpack(packed(archive, *members), target, "it", soon())


def test_an_archive_of_many_files_is_refused(paths):
    archive, target = paths
    with pytest.raises(InvalidInput, match="has 100 files"):
        unpack(packed(archive, *((str(number), DISK) for number in range(100))), target, "it", soon())


def test_a_bomb_that_says_its_size_is_refused_before_it_is_unpacked(paths):
    archive, target = paths
    packed(archive, ("bomb", DISK.ljust(1024 * 1024 + 1, b"\0")))
    with pytest.raises(
        InvalidInput, match="would become 1048577 bytes, but without a larger size the limit is 1048576"
    ):
        unpack(archive, target, "it", soon(), 1024 * 1024)
    assert not target.exists()


def lying(path, content, size):
    """An archive whose one member says that it has *size* bytes."""
    packed(path, ("disk", content))
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(magic) + offset, size)
    path.write_bytes(data)
    return path


def test_a_bomb_that_says_it_is_small_does_not_get_larger_than_that(paths):
    archive, target = paths
    lying(archive, DISK.ljust(16 * 1024 * 1024, b"\0"), 1024 * 1024)
    with pytest.raises(InvalidInput, match="damaged ZIP archive"):
        unpack(archive, target, "it", soon())
    assert not target.exists() or target.stat().st_size <= 1024 * 1024


def test_an_image_that_is_smaller_than_the_archive_says_is_refused(paths):
    archive, target = paths
    with pytest.raises(InvalidInput, match="damaged"):
        unpack(lying(archive, DISK, len(DISK) + 1000), target, "it", soon())


def test_an_encrypted_archive_is_refused(paths):
    archive, target = paths
    packed(archive, ("disk", DISK))
    data = bytearray(archive.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1
    archive.write_bytes(data)
    with pytest.raises(InvalidInput, match="is encrypted. Unpack it yourself"):
        unpack(archive, target, "it", soon())


def test_a_method_that_is_not_known_is_refused(paths):
    archive, target = paths
    packed(archive, ("disk", DISK))
    data = bytearray(archive.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", data, data.index(magic) + offset, 97)
    archive.write_bytes(data)
    with pytest.raises(InvalidInput, match="cannot be unpacked .*Unpack it yourself"):
        unpack(archive, target, "it", soon())


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8, 0.99])
def test_an_archive_that_is_cut_short_is_refused(paths, where):
    archive, target = paths
    whole = packed(archive, ("disk", DISK)).read_bytes()
    archive.write_bytes(whole[: int(len(whole) * where)])
    with pytest.raises(InvalidInput, match="damaged ZIP archive"):
        unpack(archive, target, "it", soon())


def test_an_archive_with_a_changed_byte_is_refused(paths):
    archive, target = paths
    whole = packed(archive, ("disk", DISK), method=zipfile.ZIP_STORED).read_bytes()
    archive.write_bytes(whole.replace(b"partitions", b"partitionS", 1))
    with pytest.raises(InvalidInput, match="damaged ZIP archive"):
        unpack(archive, target, "it", soon())


def test_garbage_in_the_compressed_data_is_refused(paths):
    archive, target = paths
    data = bytearray(packed(archive, ("disk", DISK)).read_bytes())
    with io.BytesIO(bytes(data)) as source, zipfile.ZipFile(source) as opened:
        begin = opened.infolist()[0].header_offset + 30 + len("disk")
    data[begin : begin + 4] = b"\xff\xff\xff\xff"
    archive.write_bytes(data)
    with pytest.raises(zlib.error), zipfile.ZipFile(archive) as opened:
        opened.read("disk")
    with pytest.raises(InvalidInput, match="damaged ZIP archive"):
        unpack(archive, target, "it", soon())


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_garbage_in_any_compression_is_a_damaged_archive(paths, method):
    archive, target = paths
    data = bytearray(packed(archive, ("disk", DISK), method=method).read_bytes())
    begin = 30 + len("disk") + 9
    data[begin : begin + 40] = b"\xff" * 40
    archive.write_bytes(data)
    with pytest.raises(InvalidInput, match="damaged ZIP archive"):
        unpack(archive, target, "it", soon())


@pytest.mark.parametrize(
    ("offsets", "value"),
    [
        ({b"PK\x01\x02": 6}, b"\xff\xff"),  # the version that is needed to extract
        ({b"PK\x05\x06": 16}, b"\xff\xff\xff\x7f"),  # the offset of the directory
        ({b"PK\x01\x02": 42}, b"\xff\xff\xff\x7f"),  # the offset of the file
        ({b"PK\x01\x02": 46, b"PK\x03\x04": 30}, b"\xff"),  # the name, which is said to be UTF-8
    ],
    ids=["version", "directory", "offset", "name"],
)
def test_a_header_that_makes_no_sense_is_a_damaged_archive(paths, offsets, value):
    archive, target = paths
    data = bytearray(packed(archive, ("d\u00efsk", DISK)).read_bytes())
    for magic, offset in offsets.items():
        begin = data.index(magic) + offset
        data[begin : begin + len(value)] = value
    archive.write_bytes(data)
    with pytest.raises(InvalidInput, match="damaged ZIP archive|cannot be unpacked"):
        unpack(archive, target, "it", soon())


def test_unpacking_ends_with_the_time(paths):
    archive, target = paths
    with pytest.raises(TimedOut, match="was not written within 0 s"):
        unpack(packed(archive, ("disk", DISK)), target, "it", Deadline(0))
