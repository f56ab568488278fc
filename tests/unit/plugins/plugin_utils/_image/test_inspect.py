# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect, qemu_img


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
        (b"anything" * 100, "it begins neither like a disk"),
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


def test_a_missing_program_is_named_with_its_packages(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        NotPossible, match=r"qemu-img is needed .*install qemu-utils \(Debian, Ubuntu\) or qemu-img \(Fedora, RHEL\)"
    ):
        qemu_img("info")


def test_a_program_that_takes_too_long_is_stopped(published):
    with pytest.raises(NotPossible, match="did not end within 0 s"):
        qemu_img("info", str(published), seconds=0)
