# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is taken from an OVA, and what is not."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._image.ova import extract_disk, is_ova

DISK = b"KDMV" + bytes(5000)


def ova(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "chr.ova"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["SHA1", "SHA256", "SHA512"])
def test_the_disk_is_taken_when_the_manifest_agrees(tmp_path, kind):
    digest = hashlib.new(kind.lower(), DISK).hexdigest()
    path = ova(tmp_path, {"a.ovf": b"<x/>", "a.mf": f"{kind}(a.vmdk)= {digest}\n".encode(), "a.vmdk": DISK})
    assert is_ova(path)
    assert extract_disk(path, tmp_path).read_bytes() == DISK


def test_no_name_in_it_becomes_a_path(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    disk = extract_disk(ova(tmp_path, {"../../evil.vmdk": DISK}), inside)
    assert disk.parent == inside
    assert not list(tmp_path.parent.glob("evil*")) and not list(tmp_path.glob("evil*"))


def test_another_checksum_than_the_manifests_is_refused(tmp_path):
    path = ova(tmp_path, {"a.mf": b"SHA256(a.vmdk)= 00\n", "a.vmdk": DISK})
    with pytest.raises(InvalidInput, match="its manifest says 00"):
        extract_disk(path, tmp_path)


@pytest.mark.parametrize("members", [{"a.ovf": b"<x/>"}, {"a.vmdk": DISK, "b.vmdk": DISK}])
def test_it_must_have_one_disk(tmp_path, members):
    with pytest.raises(InvalidInput, match="a CHR has one"):
        extract_disk(ova(tmp_path, members), tmp_path)


@pytest.mark.parametrize("size", [600, 2048])
def test_a_part_of_one_is_refused(tmp_path, size):
    path = ova(tmp_path, {"a.vmdk": DISK})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InvalidInput, match="Download|downloaded"):
        extract_disk(path, tmp_path)


def test_what_is_no_tar_is_no_ova(tmp_path):
    (tmp_path / "chr.vmdk").write_bytes(DISK)
    assert not is_ova(tmp_path / "chr.vmdk") and not is_ova(tmp_path / "nothing")


def test_an_ova_that_makes_no_sense_is_refused(tmp_path):
    path = ova(tmp_path, {"a.vmdk": DISK})
    data = bytearray(path.read_bytes())
    data[124:136] = b"\x80" + b"\xff" * 11  # the size, in base 256
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="The OVA .* (cannot be read|has 0 disks|ends in the middle)"):
        extract_disk(path, tmp_path)


def test_an_archive_of_nothing_but_long_names_is_refused(tmp_path):
    header = tarfile.TarInfo("x")
    header.type = tarfile.GNUTYPE_LONGNAME
    (tmp_path / "chr.ova").write_bytes(header.tobuf() * 5000)
    with pytest.raises(InvalidInput, match="cannot be read"):
        extract_disk(tmp_path / "chr.ova", tmp_path)


def test_an_archive_that_leads_back_into_itself_is_refused(tmp_path):
    header = bytearray(tarfile.TarInfo("x").tobuf(format=tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # the size is -512, so that the next file is this one
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "chr.ova").write_bytes(tarfile.TarInfo("first").tobuf() + bytes(header) + bytes(1024))
    # Python 3.14 ends the archive there by itself.
    told = "cannot be read" if sys.version_info < (3, 14) else "has 0 disks"
    with pytest.raises(InvalidInput, match=told):
        extract_disk(tmp_path / "chr.ova", tmp_path)
