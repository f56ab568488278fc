# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk that is written in a rescue system: a loop device of this machine, through a real sshd."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd

MIB = 1 << 20
SIZE = 48 * MIB


class Disk:
    """A loop device on a file."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(exist_ok=True)
        self.backing = folder / "disk"
        self.backing.touch()
        os.truncate(self.backing, size)
        made = subprocess.run(["losetup", "--find", "--show", self.backing], check=True, capture_output=True, text=True)
        self.path = made.stdout.strip()

    def detach(self) -> None:
        subprocess.run(["losetup", "--detach", self.path], check=True)

    def read(self, size: int) -> bytes:
        subprocess.run(["blockdev", "--flushbufs", self.path], check=True)
        with Path(self.path).open("rb") as device:
            return device.read(size)

    def write(self, data: bytes) -> None:
        with Path(self.path).open("r+b", buffering=0) as device:
            device.write(data)
            os.fsync(device.fileno())


@pytest.fixture(scope="module", autouse=True)
def root() -> None:
    """Loop devices take root."""
    if os.geteuid() != 0:
        raise Missing("only root can make loop devices")


@pytest.fixture
def disk(tmp_path: Path) -> t.Iterator[Disk]:
    made = Disk(tmp_path, SIZE + 8 * MIB)
    yield made
    made.detach()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that begins like a disk."""
    path = tmp_path_factory.mktemp("image") / "chr.img"
    data = bytearray(random.Random(7).randbytes(SIZE))
    data[510:512] = b"\x55\xaa"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def machine(sshd: Sshd) -> dict[str, str]:
    return sshd.variables


def write(disk: Disk, image: Path, **arguments: t.Any) -> dict[str, t.Any]:
    return {"outofband.chr.rescue_disk": {"image": str(image), "device": disk.path, **arguments}}


def results(run: t.Any) -> list[dict[str, t.Any]]:
    return [line["result"] for line in run.lines]


def result(run: t.Any) -> dict[str, t.Any]:
    (only,) = results(run)
    return only


def test_a_blank_disk_gets_the_image_and_a_second_run_changes_nothing(playbook, machine, disk, image) -> None:
    dry = playbook([write(disk, image)], {"chr1": machine}, "--check")
    assert result(dry)["changed"]
    assert not any(disk.read(MIB))

    first = playbook([write(disk, image), write(disk, image)], {"chr1": machine}, "--diff")
    assert [one["changed"] for one in results(first)] == [True, False]
    expected = image.read_bytes()
    assert disk.read(len(expected)) == expected
    assert results(first)[0]["image"] == hashlib.sha256(expected).hexdigest()
    assert not any(disk.read(SIZE + 8 * MIB)[SIZE:])


def test_what_is_on_the_disk_is_overwritten_only_when_that_was_said(playbook, machine, disk, image) -> None:
    disk.write(b"somebody's files" * 1000)
    refused = playbook([write(disk, image)], {"chr1": machine})
    assert "Set overwrite: true to destroy" in result(refused)["msg"]
    assert disk.read(16) == b"somebody's files"
    assert result(playbook([write(disk, image, overwrite=True)], {"chr1": machine}))["changed"]
    assert disk.read(SIZE) == image.read_bytes()


def test_a_write_that_was_killed_leaves_nothing_bootable_and_the_next_run_finishes(
    playbook, machine, disk, image
) -> None:
    disk.write(b"somebody's files" * 1000)
    running = playbook.start([write(disk, image, overwrite=True)], {"chr1": machine})
    deadline = time.monotonic() + 60
    while any(disk.read(MIB)) or not any(disk.read(3 * MIB)[MIB:]):  # its first blocks have arrived
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.01)
    playbook.kill(running)
    time.sleep(1)  # the far side sees its end
    half = disk.read(SIZE)
    assert not any(half[:MIB])
    assert half != image.read_bytes()
    assert result(playbook([write(disk, image)], {"chr1": machine}))["changed"]
    assert disk.read(SIZE) == image.read_bytes()


def test_a_disk_in_use_is_not_written(playbook, machine, disk, image, tmp_path) -> None:
    subprocess.run(["mkfs.ext4", "-q", disk.path], check=True)
    (tmp_path / "mnt").mkdir()
    subprocess.run(["mount", disk.path, tmp_path / "mnt"], check=True)
    try:
        refused = playbook([write(disk, image, overwrite=True)], {"chr1": machine})
    finally:
        subprocess.run(["umount", tmp_path / "mnt"], check=True)
    assert f"mounted at {tmp_path}/mnt" in result(refused)["msg"]
    assert "rescue system" in result(refused)["msg"]


def test_what_cannot_be_written_is_refused(playbook, machine, disk, image, tmp_path) -> None:
    """An image larger than the disk, what is no disk, and the disks of the controller itself."""
    small = Disk(tmp_path / "small", 32 * MIB)
    wrong = {
        "small": (small.path, machine, f"only {32 * MIB}"),
        "nothing": ("/dev/nosuchdisk", machine, "is not a disk: no block device"),
        "file": ("/etc/passwd", machine, "not a path below /dev"),
        "null": ("/dev/null", machine, "is not a disk"),
        "controller": (disk.path, {}, "chr_ssh_host is not set"),
    }
    task = {"outofband.chr.rescue_disk": {"image": str(image), "device": "{{ device }}"}}
    try:
        run = playbook([task], {name: {**host, "device": path} for name, (path, host, _said) in wrong.items()})
    finally:
        small.detach()
    said = {line["host"]: line["result"]["msg"] for line in run.lines}
    assert {name: words in said[name] for name, (_path, _host, words) in wrong.items()} == dict.fromkeys(wrong, True), (
        said
    )
    assert not any(disk.read(MIB))
