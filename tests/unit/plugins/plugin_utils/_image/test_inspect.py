# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
import subprocess

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._image import inspect as module
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._image.tools import qemu_img, run_limited


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx"])
def test_a_format_is_known_by_its_first_bytes(tmp_path, published, kind):
    path = tmp_path / "without-ending"
    qemu_img("convert", "-f", "raw", "-O", kind, str(published), str(path))
    image = inspect(path)
    assert (image.format, image.virtual_size) == (kind, 128 * 1024 * 1024)


def test_a_raw_disk_needs_no_qemu_img(published, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert inspect(published).format == "raw"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"<html><head><title>404 Not Found</title>", r"a web page \('404 Not Found'\)"),
        (b"PK\x03\x04", "a ZIP archive: let outofband.chr.image"),
        (b"\x1f\x8b\x08", "gzip: unpack it"),
        (b"\xfd7zXZ\0", "xz: unpack it"),
        (b"# Disk DescriptorFile\n", "a VMDK image of one file"),
        ((bytes(510) + b"\x55\xaa").ljust(0x8001, b"\0") + b"CD001", "a CD to install from"),
        (b"chr.ovf".ljust(257, b"\0") + b"ustar", "perhaps an OVA: unpack it"),
        (b"anything" * 100, "it does not begin like a disk"),
    ],
)
def test_what_is_no_image_is_called_what_it_is(tmp_path, content, words):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        inspect(path)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        inspect(tmp_path / "none")


@pytest.mark.parametrize(
    "evil",
    [
        ["qcow2", "-b", "secret", "-F", "raw", "evil"],
        ["qcow2", "-o", "data_file=secret,data_file_raw=on", "evil", "1M"],
        ["vmdk", "-b", "base.vmdk", "-F", "vmdk", "evil"],
    ],
)
def test_an_image_that_would_read_other_files_is_refused(tmp_path, evil):
    (tmp_path / "secret").write_bytes(bytes(1024 * 1024))
    for arguments in (["vmdk", "base.vmdk", "1M"], evil):
        subprocess.run(["qemu-img", "create", "-q", "-f", *arguments], cwd=tmp_path, check=True)
    with pytest.raises(InvalidInput, match="a part of an image: the rest is in another file"):
        inspect(tmp_path / "evil")


def descriptor_of(target, kind="monolithicFlat"):
    """The text by which a VMDK takes its data from the file *target*."""
    return (
        f'# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="{kind}"\n'
        f'RW 8 FLAT "{target}" 0\nddb.adapterType = "ide"\n'
    ).encode()


def vmdk(path, capacity, descriptor, **header):
    """A VMDK of one file with an embedded descriptor."""
    first, sectors = header.get("first", 1), header.get("sectors", 20)
    fields = struct.pack("<4sIIQQQQIQQQB", b"KDMV", 1, 3, capacity, 128, first, sectors, 512, 21, 22, 128, 0)
    path.write_bytes(fields.ljust(512, b"\0") + descriptor.ljust(sectors * 512, b"\0") + bytes(64 * 1024))
    return path


@pytest.mark.parametrize(
    ("capacity", "kind"), [(0, "monolithicFlat"), (0, "monolithicSparse"), (8, "monolithicFlat"), (8, "vmfs")]
)
def test_a_vmdk_that_takes_its_data_from_another_file_never_reaches_qemu_img(tmp_path, monkeypatch, capacity, kind):
    """qemu-img would put a file of the controller into the image."""
    secret = tmp_path / "shadow"
    secret.write_bytes(b"root:$6$secret".ljust(4096, b"\0"))
    monkeypatch.setenv("PATH", "/nowhere")
    path = vmdk(tmp_path / "evil", capacity, descriptor_of(secret, kind))
    with pytest.raises(InvalidInput, match="a part of an image: the rest is in another file"):
        inspect(path)


def test_an_image_whose_data_qemu_img_finds_elsewhere_is_refused(tmp_path, monkeypatch):
    """Whatever the header says: qemu-img is asked from which files it would read."""
    secret = tmp_path / "shadow"
    secret.write_bytes(b"root:$6$secret".ljust(4096, b"\0"))
    path = vmdk(tmp_path / "evil", 0, descriptor_of(secret))
    monkeypatch.setattr(module, "_check_vmdk", lambda path: None)
    with pytest.raises(InvalidInput, match="a part of an image: the rest is in another file"):
        inspect(path)


@pytest.mark.parametrize(
    "content",
    [
        b"KDMV" + bytes(20),
        b"QFI\xfb" + struct.pack(">I", 3) + bytes(40),
        b"KDMV" + struct.pack("<IIQQQQ", 1, 3, 8, 128, 2**63, 20).ljust(508, b"\0"),
        b"KDMV" + struct.pack("<IIQQQQ", 1, 3, 8, 128, 1, 2**62).ljust(508, b"\0"),
        b"vhdxfile" + bytes(70_000),
        bytes(0x40) + b"\x7f\x10\xda\xbe" + bytes(1000),
    ],
)
def test_a_damaged_image_is_refused(tmp_path, content):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="is damaged|qemu-img info failed"):
        inspect(path)


def test_a_program_that_writes_or_takes_too_much_is_stopped(tmp_path):
    """With a file of zeros that qemu-img would write in full."""
    target = tmp_path / "target"
    with pytest.raises(InvalidInput, match="qemu-img create failed"):
        qemu_img("create", "-f", "raw", "-o", "preallocation=full", str(target), "4M", writes=1024 * 1024)
    assert target.stat().st_size <= 1024 * 1024
    shell = run_limited(["sh", "-c", "ulimit -v; ulimit -t; ulimit -f"], seconds=7.2, writes=512_000)
    assert shell.stdout.split() == [b"4194304", b"9", b"1000"]


def test_a_missing_program_is_named_with_its_packages(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        NotPossible, match=r"qemu-img is needed .*install qemu-utils \(Debian, Ubuntu\) or qemu-img \(Fedora, RHEL\)"
    ):
        qemu_img("info")


def test_a_program_that_takes_too_long_is_stopped(published):
    with pytest.raises(NotPossible, match="did not end within 0 s"):
        qemu_img("info", str(published), seconds=0)
