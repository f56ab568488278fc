# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import resource as limits
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, TransferFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._image import prepare as module
from ansible_collections.outofband.chr.plugins.plugin_utils._image import unpack
from ansible_collections.outofband.chr.plugins.plugin_utils._image.checksum import Checksum
from ansible_collections.outofband.chr.plugins.plugin_utils._image.download import Trust
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._image.prepare import FORMATS, Cache, Prepared, Recipe
from ansible_collections.outofband.chr.plugins.plugin_utils._image.tools import qemu_img
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import locked
from ansible_collections.outofband.chr.tests.lab.chr_image import X86_64, build_chr_image, pack, write_tables
from ansible_collections.outofband.chr.tests.lab.missing import need_program
from ansible_collections.outofband.chr.tests.lab.web import Resource

MIB = 1024 * 1024


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", lambda line: None)


@pytest.fixture
def prepare(cache):
    def run(recipe, seconds=60.0):
        return cache.prepare(recipe, Trust(), Deadline(seconds))

    return run


@pytest.fixture
def recipe(archive):
    return Recipe(archive, None, "qcow2", version="7.22")


def varied(recipe, **changes):
    return dataclasses.replace(recipe, **changes)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left(cache):
    return sorted(one.name for one in (cache.folder / "images").iterdir() if not one.name.endswith(".lock"))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_disk_of_the_source(prepare, recipe, published, name):
    prepared = prepare(varied(recipe, format=name))
    image = inspect(prepared.path)
    assert image.format == name.removesuffix("-stream")
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", image.format, published, prepared.path], check=True)
    assert prepared.virtual_size == image.virtual_size == 128 * MIB
    assert (prepared.size, prepared.sha256) == (prepared.path.stat().st_size, sha256(prepared.path))
    assert prepared.source_sha256 == sha256(recipe.source)
    assert (prepared.architecture, prepared.bios, prepared.cached) == ("x86_64", True, False)


@pytest.mark.parametrize(
    ("name", "kind"), [("vmdk", "monolithicSparse"), ("vmdk-stream", "streamOptimized")], ids=lambda value: value
)
def test_vmware_gets_the_kind_of_vmdk_that_it_wants(prepare, recipe, name, kind):
    path = prepare(varied(recipe, format=name)).path
    about = json.loads(qemu_img("info", "--output=json", str(path)))
    assert about["format-specific"]["data"]["create-type"] == kind


@pytest.mark.parametrize("name", ["raw", "qcow2"])
def test_the_disk_grows_and_keeps_what_is_on_it(prepare, recipe, published, name):
    prepared = prepare(varied(recipe, format=name, size=256 * MIB))
    assert prepared.virtual_size == inspect(prepared.path).virtual_size == 256 * MIB
    # compare takes a longer image for the same if the rest is zeros
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", name, published, prepared.path], check=True)
    assert prepared.path.stat().st_blocks * 512 < 128 * MIB


def test_a_disk_is_never_made_smaller(prepare, cache, tmp_path):
    large = build_chr_image(tmp_path / "large")
    os.truncate(large, 256 * MIB)
    with pytest.raises(
        InvalidInput,
        match="size is 134217728 bytes, but the disk in .*large has 268435456. A disk is never made smaller",
    ):
        prepare(Recipe(large, None, "raw", size=128 * MIB))
    assert left(cache) == []


@pytest.mark.parametrize("size", [0, 127 * MIB, 128 * MIB + 512])
def test_a_size_that_no_router_has_is_refused(archive, size):
    with pytest.raises(InvalidInput, match="at least 128 MiB"):
        Recipe(archive, None, "raw", size=size)


def test_a_small_disk_that_is_whole_is_taken_if_it_is_made_large_enough(prepare, tmp_path):
    small = tmp_path / "small"
    small.write_bytes(b"")
    os.truncate(small, 64 * MIB)
    write_tables(small, X86_64[:1], boot_code=b"\xfa")
    with pytest.raises(InvalidInput, match="has 67108864 bytes, but a CHR needs at least 128 MiB. .*give size"):
        prepare(Recipe(small, None, "raw"))
    assert prepare(Recipe(small, None, "raw", size=128 * MIB)).virtual_size == 128 * MIB


@pytest.mark.parametrize("kind", ["raw", "qcow2", "vmdk", "vdi", "vhdx"])
def test_an_image_of_any_format_is_taken_without_an_archive(prepare, published, tmp_path, kind):
    source = tmp_path / "source"
    qemu_img("convert", "-f", "raw", "-O", kind, str(published), str(source))
    before = sha256(source)
    prepared = prepare(Recipe(source, None, "qcow2", script=b"/"))
    raw = tmp_path / "raw"
    qemu_img("convert", "-O", "raw", str(prepared.path), str(raw))
    subprocess.run([need_program("e2fsck"), "-fn", f"{raw}?offset={X86_64[1].start * 512}"], check=True)
    assert sha256(source) == before


def test_an_archive_of_another_format_is_taken(prepare, published, tmp_path):
    vmdk = tmp_path / "chr.vmdk"
    qemu_img("convert", "-f", "raw", "-O", "vmdk", str(published), str(vmdk))
    prepared = prepare(Recipe(pack(vmdk, tmp_path / "zip"), None, "raw"))
    assert prepared.sha256 == sha256(published)


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_a_disk_larger_than_a_routers_is_refused_unless_size_says_it(
    prepare, cache, tmp_path, kind, wrapped, published
):
    bomb = tmp_path / "bomb"
    if kind == "qcow2":
        qemu_img("create", "-f", "qcow2", str(bomb), "1T")
    elif wrapped:
        return  # an archive says the size of its file; see test_unpack.py
    else:
        subprocess.run(["cp", "--sparse=always", published, bomb], check=True)
        os.truncate(bomb, 2**40)
    recipe = Recipe(pack(bomb, tmp_path / "zip") if wrapped else bomb, None, "raw")
    with pytest.raises(InvalidInput, match="would become 1099511627776 bytes, but without a larger size the limit is"):
        prepare(recipe)
    with pytest.raises(InvalidInput, match="would become 1099511627776 bytes"):
        prepare(varied(recipe, size=8 * 1024 * MIB))
    assert unpack.LARGEST < 2**40
    assert list(cache.folder.rglob("*.raw*")) == [one for one in cache.folder.rglob("*.lock") if ".raw" in one.name]


def test_a_large_disk_is_taken_when_size_says_so(prepare, published, tmp_path):
    large = tmp_path / "large"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", str(published), str(large))
    subprocess.run(["qemu-img", "resize", "-q", large, "5G"], check=True)
    assert prepare(Recipe(large, None, "qcow2", size=5 * 1024 * MIB)).virtual_size == 5 * 1024 * MIB


def test_an_image_for_arm64_is_refused(prepare, cache, tmp_path):
    with pytest.raises(
        InvalidInput, match="arm.zip is for arm64. A CHR VM of this collection is x86_64: use the image without arm64"
    ):
        prepare(
            Recipe(pack(build_chr_image(tmp_path / "disk", architecture="arm64"), tmp_path / "arm.zip"), None, "raw")
        )
    assert left(cache) == []


def test_an_image_that_does_not_say_for_which_machine_it_is_is_taken(prepare, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"")
    os.truncate(disk, 128 * MIB)
    write_tables(disk, X86_64)
    prepared = prepare(Recipe(disk, None, "raw"))
    assert (prepared.architecture, prepared.bios) == ("unknown", False)


def test_an_image_that_is_cut_short_is_refused_in_an_archive_too(prepare, cache, published, tmp_path):
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("chr.img", published.read_bytes()[: 40 * MIB])
    with pytest.raises(InvalidInput, match="The file in .*/zip is cut short"):
        prepare(Recipe(tmp_path / "zip", None, "raw"))
    assert left(cache) == []


def test_the_same_again_comes_from_the_cache(prepare, recipe):
    first = prepare(recipe)
    written = first.path.stat().st_mtime_ns
    assert prepare(recipe) == varied(first, cached=True)
    assert first.path.stat().st_mtime_ns == written


def test_everything_that_is_asked_for_makes_another_image(prepare, recipe):
    recipes = [
        recipe,
        varied(recipe, size=256 * MIB),
        varied(recipe, format="vmdk"),
        varied(recipe, format="vmdk-stream"),
        varied(recipe, script=b"/a"),
        varied(recipe, script=b"/b"),
    ]
    assert len({one.name("source") for one in recipes} | {recipe.name("another source")}) == len(recipes) + 1
    assert not prepare(recipes[-1]).cached
    assert not prepare(recipes[-2]).cached


def test_the_same_content_is_the_same_whatever_its_file_is_called(prepare, recipe, tmp_path):
    first = prepare(recipe)
    copy = tmp_path / "other name"
    copy.write_bytes(recipe.source.read_bytes())
    assert prepare(varied(recipe, source=copy)).cached
    assert first.path.name.startswith("chr-7.22-")


def test_only_the_owner_reads_what_is_prepared(prepare, recipe, cache):
    before = os.umask(0)
    try:
        for name in ("raw", "qcow2"):
            prepare(varied(recipe, format=name, script=b"secret"))
    finally:
        os.umask(before)
    modes = {one.stat().st_mode & 0o777 for one in (cache.folder / "images").iterdir()}
    assert modes == {0o600}
    assert (cache.folder / "images").stat().st_mode & 0o777 == 0o700
    assert not any(b"secret" in one.read_bytes() for one in (cache.folder / "images").glob("*.json"))


@pytest.mark.parametrize("change", ["content", "length", "gone"])
def test_an_image_that_somebody_changed_is_made_anew(prepare, recipe, change):
    first = prepare(recipe)
    if change == "content":
        with first.path.open("r+b") as file:
            file.write(b"booted")
    elif change == "length":
        os.truncate(first.path, 1000)
    else:
        first.path.unlink()
    second = prepare(recipe)
    assert not second.cached
    assert sha256(second.path) == second.sha256
    assert inspect(second.path).virtual_size == 128 * MIB


def test_the_sha256_of_a_prepared_image_is_known_without_reading_it(prepare, recipe, monkeypatch):
    prepared = prepare(recipe)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert inspect(prepared.path).sha256 == prepared.sha256


def test_what_is_planned_is_what_is_made(prepare, recipe, cache):
    planned = cache.planned(recipe)
    assert not cache.folder.exists()
    prepared = prepare(recipe)
    assert planned == prepared.path
    assert cache.planned(recipe) == varied(prepared, cached=True)


def test_a_download_is_made_once_for_all_formats(prepare, web, archive, cache):
    web["/chr.zip"] = Resource(archive.read_bytes())
    recipe = Recipe(f"{web.url}/chr.zip", Checksum("sha256", sha256(archive)), "qcow2")
    assert cache.planned(recipe).name == prepare(recipe).path.name
    assert not prepare(varied(recipe, format="vmdk")).cached
    assert prepare(recipe).cached
    assert len(web["/chr.zip"].asked) == 1


@pytest.mark.parametrize("algorithm", ["md5", None])
def test_a_download_that_is_known_by_something_else_is_made_once_too(prepare, web, archive, cache, algorithm):
    web["/chr.zip"] = Resource(archive.read_bytes())
    checksum = Checksum(algorithm, hashlib.new(algorithm, archive.read_bytes()).hexdigest()) if algorithm else None
    recipe = Recipe(f"{web.url}/chr.zip", checksum, "qcow2")
    assert cache.planned(recipe) is None
    prepared = prepare(recipe)
    assert prepared.source_sha256 == sha256(archive)
    assert cache.planned(recipe) == varied(prepared, cached=True)
    assert not prepare(varied(recipe, format="vmdk")).cached
    assert len(web["/chr.zip"].asked) == 1


def test_what_came_without_a_checksum_and_is_no_image_is_downloaded_anew(prepare, web, archive):
    web["/chr.zip"] = Resource(b'{"error": "try later"}')
    recipe = Recipe(f"{web.url}/chr.zip", None, "qcow2")
    with pytest.raises(InvalidInput, match="chr.zip is not a disk image"):
        prepare(recipe)
    web["/chr.zip"] = Resource(archive.read_bytes())
    assert prepare(recipe).source_sha256 == sha256(archive)


def test_any_failure_lets_a_file_without_a_checksum_be_downloaded_anew(prepare, web, archive, monkeypatch):
    web["/chr.zip"] = Resource(archive.read_bytes())
    recipe = Recipe(f"{web.url}/chr.zip", None, "raw")

    def fail(*arguments):
        raise OverflowError

    with monkeypatch.context() as patched, pytest.raises(OverflowError):
        patched.setattr(module, "read_disk", fail)
        prepare(recipe)
    prepare(recipe)
    assert len(web["/chr.zip"].asked) == 2


def test_a_prepared_image_outlives_its_download(prepare, web, archive, cache):
    web["/chr.zip"] = Resource(archive.read_bytes())
    recipe = Recipe(f"{web.url}/chr.zip", Checksum("sha256", sha256(archive)), "qcow2")
    prepare(recipe)
    for one in (cache.folder / "downloads").iterdir():
        one.unlink()
    assert prepare(recipe).cached


def test_a_local_file_with_another_checksum_is_refused(prepare, recipe):
    with pytest.raises(
        InvalidInput, match=rf"does not have the checksum md5:0+; its sha256 is {sha256(recipe.source)}"
    ):
        prepare(varied(recipe, checksum=Checksum("md5", "0" * 32)))


def test_a_run_that_was_killed_while_it_made_an_image_leaves_nothing_that_counts(prepare, recipe, cache, tmp_path):
    slow = tmp_path / "bin" / "qemu-img"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\nfor made; do :; done\necho half > "$made"\nexec sleep 600\n')
    slow.chmod(0o755)
    program = (
        f"import sys; from pathlib import Path; from {module.__name__} import *\n"
        "Cache(Path(sys.argv[1]), print).prepare(Recipe(Path(sys.argv[2]), None, 'qcow2', script=b'secret', version='7.22'),"
        " Trust(), Deadline(60))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", program, str(cache.folder), str(recipe.source)]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        while not list(cache.folder.glob("images/*.work/made.qcow2")):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    (work,) = cache.folder.glob("images/*.work")
    assert work.stat().st_mode & 0o777 == 0o700
    wanted = varied(recipe, format="qcow2", script=b"secret")
    assert not isinstance(cache.planned(wanted), Prepared)
    prepared = prepare(wanted)
    assert not prepared.cached
    assert inspect(prepared.path).virtual_size == 128 * MIB
    assert left(cache) == [prepared.path.name, f"{prepared.path.name}.json"]


@pytest.mark.parametrize("limit", [1 * MIB, 100 * MIB])
def test_a_full_disk_leaves_nothing(prepare, cache, published, tmp_path, limit):
    """At first unpacking does not fit, then what is made."""
    source = published
    if limit == 100 * MIB:  # a source that fits, and a raw disk that does not
        source = tmp_path / "vmdk"
        qemu_img("convert", "-f", "raw", "-O", "vmdk", str(published), str(source))
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(ChrError, match=r"disk.raw cannot be written: .*Free space there|qemu-img convert failed"):
            prepare(Recipe(source, None, "raw"))
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    assert left(cache) == []


def test_a_folder_that_cannot_be_made_is_told(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ChrError, match="file/downloads cannot be written: Not a directory. Check cache"):
        Cache(tmp_path / "file", print).prepare(recipe, Trust(), Deadline(60))


def test_a_folder_of_another_user_is_refused(prepare, recipe, cache, monkeypatch):
    (cache.folder / "downloads").mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: (cache.folder / "downloads").stat().st_uid + 1)
    with pytest.raises(ChrError, match="downloads belongs to another user, who could change images in it"):
        prepare(recipe)


def test_waiting_for_another_run_ends(prepare, recipe, cache):
    path = cache.planned(recipe)
    with (
        locked(path.with_name(f"{path.name}.lock"), Deadline(1)),
        pytest.raises(TransferFailed, match=r"Another host or run has been making .* for 0.3 s \(timeout\)"),
    ):
        prepare(recipe, seconds=0.3)
