# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""outofband.chr.image in whole runs of ansible-playbook: a real web server, qemu-img and
debugfs."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.tests.lab.chr_image import X86_64, build_chr_image, pack
from ansible_collections.outofband.chr.tests.lab.missing import need_program
from ansible_collections.outofband.chr.tests.lab.web import Resource, WebServer

MODULE = "outofband.chr.image"
SECRET = "s3cret-of-the-script"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as it is published; some MB of it cannot be compressed."""
    folder = tmp_path_factory.mktemp("image")
    disk = build_chr_image(folder / "chr-7.22.img", files={"var/pdb/system/image": os.urandom(8_000_000)})
    return pack(disk, folder / "chr-7.22.img.zip")


@pytest.fixture
def web(archive: Path) -> t.Iterator[WebServer]:
    with WebServer() as server:
        server["/7.22/chr-7.22.img.zip"] = Resource(archive.read_bytes())
        yield server


@pytest.fixture
def task(web: WebServer, archive: Path, tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    """A task that gets the archive from the web; None takes an option away."""

    def make(**options: t.Any) -> dict[str, t.Any]:
        arguments = {
            "version": "7.22",
            "url": f"{web.url}/{{version}}/chr-{{version}}.{{format}}.zip",
            "checksum": f"sha256:{sha256(archive)}",
            "format": "qcow2",
            "cache": str(tmp_path / "cache"),
            **options,
        }
        return {"name": "image", MODULE: {key: value for key, value in arguments.items() if value is not None}}

    return make


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def script_in(raw: Path) -> bytes:
    command = [need_program("debugfs"), "-R", "cat /rw/autorun.scr", f"{raw}?offset={X86_64[1].start * 512}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_an_image_is_planned_then_prepared_once_and_then_known(playbook, task, web, archive):
    wanted = task(size="256M")
    tasks = [
        {**wanted, "name": "planned", "check_mode": True},
        {**wanted, "name": "made"},
        {**wanted, "name": "again"},
        {**wanted, "name": "known", "check_mode": True},
    ]
    run = playbook(tasks, {"chr1": {}})
    assert run.rc == 0, run.output
    planned, made, again, known = (run.of(one["name"])["result"] for one in tasks)
    path = Path(made["path"])
    assert made["changed"] and not made["cached"]
    assert (made["format"], made["version"], made["architecture"]) == ("qcow2", "7.22", "x86_64")
    assert made["virtual_size"] == inspect(path).virtual_size == 256 * 1024 * 1024
    assert (made["sha256"], made["size"]) == (sha256(path), path.stat().st_size)
    assert made["source_sha256"] == sha256(archive)
    assert planned["changed"] and not planned["cached"]
    assert "would have been made from http://127.0.0.1" in planned["msg"]
    assert planned["path"] == made["path"]
    assert "sha256" not in planned
    assert again == known == {**made, "cached": True, "changed": False}
    assert len(web["/7.22/chr-7.22.img.zip"].asked) == 1


def test_check_mode_downloads_nothing_and_makes_no_folder(playbook, task, web, tmp_path):
    planned = playbook([task()], {"chr1": {}}, "--check")
    assert planned.rc == 0, planned.output
    assert not (tmp_path / "cache").exists()
    assert web["/7.22/chr-7.22.img.zip"].asked == []


def test_many_hosts_at_once_download_and_make_it_once(playbook, task, web, tmp_path):
    hosts = {f"chr{number:02}": {} for number in range(20)}
    run = playbook([task(checksum="waived")], hosts, "--forks", "20")
    assert run.rc == 0, run.output
    results = [line["result"] for line in run.lines]
    assert len(results) == 20
    assert len({one["path"] for one in results}) == 1
    assert [one["changed"] for one in results].count(True) == 1
    assert len(web["/7.22/chr-7.22.img.zip"].asked) == 1
    made = [one for one in (tmp_path / "cache" / "images").iterdir() if not one.name.endswith((".lock", ".json"))]
    assert made == [Path(results[0]["path"])]


def test_a_run_that_was_killed_goes_on_where_it_was(playbook, task, web, tmp_path):
    resource = web["/7.22/chr-7.22.img.zip"]
    resource.stall_after = 4_000_000
    process = playbook.start([task()], {"chr1": {}})
    try:
        assert resource.stalled.wait(120)
        while sum(one.stat().st_size for one in (tmp_path / "cache").glob("downloads/*.part")) < 4_000_000:
            time.sleep(0.01)
    finally:
        playbook.kill(process)
    assert not list((tmp_path / "cache" / "images").glob("*.json"))
    resource.stall_after = None
    run = playbook([task()], {"chr1": {}})
    assert run.rc == 0, run.output
    assert resource.asked[-1]["Range"] == "bytes=4000000-"
    assert resource.sent == len(resource.body)


def test_a_script_is_in_the_image_and_nowhere_else(playbook, task, tmp_path):
    text = f'/user set admin password="{SECRET}"\n'
    (tmp_path / "files").mkdir()
    vaulted = tmp_path / "files" / "first.rsc"
    vaulted.write_text(f":put {SECRET}\r\n", newline="")
    (tmp_path / "password").write_text("x")
    encrypt = [Path(sys.executable).parent / "ansible-vault", "encrypt", "--vault-password-file", "password", vaulted]
    subprocess.run(encrypt, cwd=tmp_path, check=True)
    # The folders tell the images apart: no_log hides their paths.
    tasks = [
        task(format="raw", first_boot=text, cache=str(tmp_path / "text")),
        task(format="raw", first_boot_src="first.rsc", cache=str(tmp_path / "file")),
        {**task(version="7.99", checksum="waived", first_boot=text), "ignore_errors": True},
    ]
    run = playbook(
        [{**one, "no_log": True} for one in tasks], {"chr1": {}}, "-vvvv", "--vault-password-file", "password"
    )
    assert run.rc == 0, run.output
    assert SECRET not in run.output
    assert "chr-7.99.img" not in run.output
    for folder, script in (("text", text), ("file", f":put {SECRET}\r\n")):
        (path,) = (tmp_path / folder / "images").glob("*.raw")
        assert script_in(path) == script.encode()
        assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()
    (tmp_path / "play.yml").unlink()
    assert not any(SECRET.encode() in one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())


BAD: dict[str, tuple[dict[str, t.Any], str]] = {
    "no version": ({"version": None}, "version is missing, but url needs it"),
    "a version that is none": ({"version": "../../x"}, "is not a valid version of RouterOS"),
    "a version without quotes": ({"version": 7.2}, "version is the number 7.2: write the version in quotes"),
    "a script that is none": ({"first_boot": {"a": 1}}, "first_boot must be text or a list of lines"),
    "a script in UTF-16": ({"first_boot_src": "utf16.rsc"}, "first_boot_src 'utf16.rsc' is encoded in UTF-16"),
    "a script that is too long": ({"first_boot": "#" * 300_000}, "The first-boot script has 300000 bytes"),
    "no checksum": ({"checksum": None}, "checksum is missing. .*With 'waived', the file is not checked"),
    "a checksum that is none": ({"checksum": "none"}, "checksum 'none' is not 'waived', and not an algorithm"),
    "another checksum": ({"checksum": "sha1:" + "0" * 40}, "has the checksum sha1:.*, not sha1:0000.*It was removed"),
    "a version that is not there": (
        {"version": "7.99"},
        "chr-7.99.img.zip answered 404 Not Found. The server does not have this file",
    ),
    "a size that is none": ({"size": "large"}, "size 'large' is not a valid size, such as '1G'"),
    "a size that is too small": ({"size": "64M"}, "at least 128 MiB"),
    "a file that is not there": ({"src": "none.img", "url": None}, "src 'none.img' was not found on the controller"),
    "a URL as src": ({"src": "http://host/x", "url": None}, "a URL must be given as url"),
    "two sources": ({"src": "x"}, "mutually exclusive: url\\|src"),
    "two scripts": ({"first_boot": "x", "first_boot_src": "y"}, "mutually exclusive: first_boot\\|first_boot_src"),
    "a time that is none": ({"timeout": 0}, "timeout is 0: it must be a number of seconds above 0"),
    "another scheme": ({"url": "file:///etc/passwd"}, "is not a valid http or https URL"),
}


def test_bad_input_is_told_and_leaves_nothing(playbook, task, tmp_path):
    (tmp_path / "utf16.rsc").write_bytes(":put 1".encode("utf-16"))
    tasks = [{**task(**options), "name": name, "ignore_errors": True} for name, (options, _words) in BAD.items()]
    run = playbook(tasks, {"chr1": {}})
    assert run.rc == 0, run.output
    for name, (_options, words) in BAD.items():
        line = run.of(name)
        assert line["status"] == "failed"
        assert re.search(words, line["result"]["msg"]), (name, line["result"]["msg"])
    left = [one.name for one in (tmp_path / "cache").rglob("*") if one.is_file() and one.suffix != ".lock"]
    assert left == []


def test_the_role_refuses_a_version_without_quotes_on_every_platform(playbook):
    """Also on the rescue platform, where no requirements of a VM are checked."""
    role = {"name": "role", "ansible.builtin.include_role": {"name": "outofband.chr.image_import"}}
    hosts = {
        platform: {"image_import_platform": platform, "image_import_version": 7.2, "image_import_checksum": "waived"}
        for platform in ("rescue", "qemu", "xl")
    }
    hosts["rescue"]["image_import_rescue_device"] = "/dev/vda"
    run = playbook([role], hosts)
    for host in hosts:
        last = [line for line in run.lines if line["host"] == host][-1]
        assert (last["status"], "in quotes: 7.20 without them becomes 7.2" in last["result"]["msg"]) == ("failed", True)


def test_a_local_image_needs_no_checksum_and_one_for_uefi_is_warned_about(playbook, task, tmp_path):
    disk = build_chr_image(tmp_path / "uefi.img")
    with disk.open("r+b") as file:
        file.write(bytes(440))
    run = playbook([task(src="uefi.img", url=None, checksum=None, version=None)], {"chr1": {}})
    assert run.rc == 0, run.output
    result = run.of("image")["result"]
    assert Path(result["path"]).name.startswith("chr-image-")
    assert "has no boot code for a BIOS" in "".join(result["warnings"])
