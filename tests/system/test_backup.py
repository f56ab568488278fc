# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports and backups come to the controller whole, only if something changed, and load again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros import File, Router
from ansible_collections.outofband.chr.tests.lab.routeros import backup as lab_backup
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter

PASSWORD = "b4ckup-s3cret"
USER = "/user add name=op group=full password=op-s3cret"
SECRET = '/ppp secret add name=p password="ppp-s3cret"'
DIGEST = re.compile(r"chr1-\d{8}T\d{6}Z-[0-9a-f]{16}\.backup")


def hosts(*routers):
    return {router.router.identity: {"chr_socket": str(router.address)} for router in routers}


def task(name="backup", **options):
    return {"name": name, "outofband.chr.backup": {"dest": "kept", **options}}


def seen(folder):
    """Everything that a second run must leave as it is."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode & 0o777, path.stat().st_ino)
        for path in folder.iterdir()
    }


def run_ok(run):
    assert run.rc == 0, run.output
    return run


def result(run, name="backup", host=None):
    return run.of(name, host)["result"]


def test_a_second_run_on_an_unchanged_router_leaves_no_difference(lab, playbook):
    chr1 = lab("chr1")
    chr1.router.files_late = 0.3
    tasks = [task(binary=True, password=PASSWORD)]
    first = result(run_ok(playbook(tasks, hosts(chr1))))
    kept = playbook.folder / "kept"
    assert first["changed"] and first["export_changed"] and first["binary_changed"]
    before = seen(kept)
    export, binary = sorted(before, key=lambda name: name.endswith(".backup"))
    assert export == "chr1.rsc" and DIGEST.fullmatch(binary) and first["binary"] == str(kept / binary)
    assert {mode for _content, _time, mode, _inode in before.values()} == {0o600}
    text = before[export][0].decode()
    assert text.startswith("# system id = ") and "\r" not in text and "by RouterOS" not in text
    assert lab_backup.unpack(before[binary][0], PASSWORD)["identity"] == "chr1"
    chr1.router.clock.shift(3600)
    again = result(run_ok(playbook(tasks, hosts(chr1))))
    assert (again["changed"], again["binary"]) == (False, first["binary"])
    assert seen(kept) == before
    assert chr1.router.files == {}


def test_a_change_is_predicted_shown_and_kept_and_keep_removes_older_backups_of_this_host_only(lab, playbook):
    chr1 = lab("chr1")
    kept = playbook.folder / "kept"
    kept.mkdir()
    digest = "0123456789abcdef"
    old = [f"chr1-202601{day:02d}T000000Z-{digest}.backup" for day in range(1, 5)]
    others = [f"chr10-20250101T000000Z-{digest}.backup", "chr1-mine.backup", f"chr1-2-20250101T000000Z-{digest}.backup"]
    for name in (*old, *others):
        (kept / name).write_bytes(b"old")
    (kept / "chr1.rsc").write_text("# system id = none\n")
    before = seen(kept)
    tasks = [task(binary=True, encrypt=False, keep=3)]
    check = run_ok(playbook(tasks, hosts(chr1), "--check", "--diff"))
    assert result(check)["changed"] and result(check)["binary_changed"]
    assert result(check)["removed"] == [str(kept / name) for name in old[:2]]
    assert "-# system id = none\n+# system id = " in check.output
    assert seen(kept) == before
    done = result(run_ok(playbook(tasks, hosts(chr1))))
    left = {path.name for path in kept.iterdir()}
    assert left == {"chr1.rsc", *old[2:], *others, Path(done["binary"]).name}
    fewer = result(run_ok(playbook([task(binary=True, encrypt=False, keep=1)], hosts(chr1))))
    assert (fewer["changed"], fewer["export_changed"], fewer["binary"]) == (True, False, done["binary"])
    assert {path.name for path in kept.iterdir()} == {"chr1.rsc", *others, Path(done["binary"]).name}


@pytest.mark.slow
def test_a_backup_is_made_again_when_the_newest_is_older_than_max_age(lab, playbook):
    chr1 = lab("chr1")
    kept = playbook.folder / "kept"
    first = result(run_ok(playbook([task(binary=True, encrypt=False, max_age=1)], hosts(chr1))))
    (name,) = DIGEST.findall(first["binary"])
    (kept / name).rename(kept / re.sub(r"-\d{8}T", "-20260101T", name))
    unlimited = result(run_ok(playbook([task(binary=True, encrypt=False)], hosts(chr1))))
    assert not unlimited["changed"]
    again = result(run_ok(playbook([task(binary=True, encrypt=False, max_age=1)], hosts(chr1))))
    assert (again["export_changed"], again["binary_changed"]) == (False, True)


@pytest.mark.parametrize("version", ["7.22", pytest.param("6.49.18", marks=pytest.mark.slow)])
def test_secrets_are_exported_by_choice_only_and_never_shown(short_path, playbook, version):
    both = [task("plain"), task("sensitive", show_sensitive=True)]
    with LabRouter(Router(identity="chr1", version=version), f"unix:{short_path}/chr1.sock") as chr1:
        assert chr1.router.run(SECRET).exitcode == 0
        run = run_ok(playbook(both, hosts(chr1), "--diff", "-vvv"))
    kept = playbook.folder / "kept"
    assert "ppp-s3cret" not in (kept / "chr1.rsc").read_text()
    assert "ppp-s3cret" in (kept / "chr1.sensitive.rsc").read_text()
    assert "ppp-s3cret" not in run.output
    assert "+add name=p" in run.output


@pytest.mark.parametrize(
    "options", [pytest.param({}, marks=pytest.mark.slow), {"binary": True, "password": PASSWORD}], ids=str
)
def test_an_export_that_is_not_whole_is_refused_and_the_last_one_stays(lab, playbook, options):
    chr1 = lab("chr1")
    run_ok(playbook([task(**options)], hosts(chr1)))
    before = seen(playbook.folder / "kept")
    chr1.router.run("/system note set note=x")
    chr1.router.export_errors = ('#error exporting "/interface/wifi" (timeout)', "#interrupted")
    run = playbook([task(**options)], hosts(chr1))
    assert run.rc == 2
    assert "it lacks /interface/wifi (timeout) and it was interrupted" in result(run)["msg"]
    assert not result(run)["changed"]
    assert seen(playbook.folder / "kept") == before
    assert chr1.router.files == {}


def test_the_password_is_in_no_output_and_a_failed_backup_leaves_nothing_anywhere(lab, playbook):
    chr1 = lab("chr1")
    run = playbook([task(binary=True, password=PASSWORD, max_size="3K")], hosts(chr1), "-vvvv")
    assert run.rc == 2
    assert "max_size is 3072" in result(run)["msg"]
    assert PASSWORD not in run.output
    assert list((playbook.folder / "kept").iterdir()) == []
    assert chr1.router.files == {}


REFUSED = {
    "dest is missing": {"dest": None},
    "Give the password to encrypt it with": {"binary": True},
    "not both": {"binary": True, "encrypt": False, "password": PASSWORD},
    "password is empty": {"binary": True, "password": ""},
    "Set binary: true": {"keep": 3},
    "keep is 0": {"binary": True, "encrypt": False, "keep": 0},
    "max_age is -1": {"binary": True, "encrypt": False, "max_age": -1},
    "src is missing": {"state": "restored"},
    "with its users and passwords, and the router would reboot": {"state": "restored", "src": "x.backup"},
}


def test_what_cannot_be_right_is_refused_before_the_router_is_asked(lab, playbook):
    (playbook.folder / "x.backup").write_bytes(b"x")
    chr1 = lab("chr1")
    chr1.stop()
    tasks = [{**task(text, **options), "ignore_errors": True} for text, options in REFUSED.items()]
    run = run_ok(playbook(tasks, hosts(chr1)))
    for text in REFUSED:
        assert text in result(run, text)["msg"]
    assert not (playbook.folder / "kept").exists()


def restore(**options):
    return {
        "name": "restore",
        "outofband.chr.backup": {"state": "restored", "confirm": True, "password": PASSWORD, **options},
    }


@pytest.fixture
def saved(lab, playbook):
    """A router, and a backup of it before it was broken."""
    chr1 = lab("chr1", boot_seconds=0.5)
    chr1.router.clock.shift(60)
    chr1.router.run(USER)
    (playbook.folder / "chr1.backup").write_bytes(lab_backup.pack(chr1.router, PASSWORD))
    chr1.router.run("/user remove op\n/system note set note=broken")
    return chr1, "chr1.backup"


def users(one):
    return {item.value("name") for item in one.router.items("user")}


def test_a_backup_is_loaded_and_the_router_is_back_with_its_identity_and_users(saved, playbook):
    chr1, binary = saved
    check = result(run_ok(playbook([restore(src=binary)], hosts(chr1), "--check")), "restore")
    assert check["changed"] and "op" not in users(chr1)
    run = run_ok(playbook([restore(src=binary)], hosts(chr1), "-vvvv"))
    assert PASSWORD not in run.output
    done = result(run, "restore")
    assert done["changed"] and done["after"] == done["before"]
    assert done["after"] == {"identity": "chr1", "system_id": chr1.router.system_id}
    assert "op" in users(chr1)
    assert chr1.router.files == {}


@pytest.mark.parametrize("fails", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_wrong_password_is_not_a_success_whether_or_not_routeros_fails_the_script(saved, playbook, fails):
    chr1, binary = saved
    chr1.router.load_error_fails = fails
    run = playbook([restore(src=binary, password="another", timeout=2)], hosts(chr1))
    assert run.rc == 2
    assert "wrong password" in result(run, "restore")["msg"]
    assert "op" not in users(chr1)
    assert chr1.router.files == {}


def test_a_router_that_comes_back_as_another_one_fails_unless_that_identity_is_asked_for(saved, playbook):
    chr1, binary = saved
    chr1.router.run("/system identity set name=MikroTik")
    named = {"chr1": {"chr_socket": str(chr1.address)}}
    run = playbook([restore(src=binary)], named)
    assert run.rc == 2
    assert "identity 'chr1' instead of 'MikroTik'" in result(run, "restore")["msg"]
    assert result(run, "restore")["changed"]
    chr1.router.run("/system identity set name=MikroTik")
    assert result(run_ok(playbook([restore(src=binary, identity="chr1")], named)), "restore")["changed"]


def test_a_router_that_is_not_back_after_a_backup_was_loaded_was_changed(saved, playbook):
    chr1, binary = saved
    chr1.switches.boot_seconds = 60.0
    run = playbook([restore(src=binary, timeout=2)], {"chr1": {**hosts(chr1)["chr1"], "chr_connect_timeout": 1}})
    line = run.of("restore")
    assert (line["status"], line["result"]["changed"]) == ("unreachable", True), run.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switch", "told"),
    [
        ({"load_reboots": False}, "so it did not reboot. RouterOS said: System configuration restored"),
        ({"load_asks": True}, "It may wait for an answer that cannot be given"),
    ],
    ids=str,
)
def test_a_load_without_a_reboot_is_not_a_success(saved, playbook, switch, told):
    chr1, binary = saved
    vars(chr1.router).update(switch)
    run = playbook([restore(src=binary, timeout=2)], hosts(chr1))
    assert run.rc == 2
    assert told in result(run, "restore")["msg"]
    assert chr1.router.files == {}


def test_the_playbook_goes_on_where_routers_fail_and_names_them_at_the_end(lab, playbook):
    good, bad, gone = lab("good"), lab("bad"), lab("gone")
    bad.router.export_errors = ("#interrupted",)
    gone.stop()
    inventory = {**hosts(good, bad, gone), "other": {"ansible_connection": "local"}}
    dest = f"backup_dest={playbook.folder}/kept"
    run = playbook("outofband.chr.backup", inventory, "-e", dest)
    assert run.rc == 2
    assert [path.name for path in (playbook.folder / "kept").iterdir()] == ["good.rsc"]
    (failed,) = [line for line in run.lines if line["task"] == "Fail if a router was not backed up"]
    head, *named = failed["result"]["msg"]
    assert [one.partition(": ")[0] for one in named] == ["bad", "gone"]
    assert "interrupted" in named[0]
    bad.router.export_errors = ()
    gone.start()
    tasks = run_ok(playbook("outofband.chr.backup", inventory, "-e", dest))
    assert "Routers: 3. Exports that changed: 2. New binary backups: 0. Not backed up: 0." in tasks.output
    again = run_ok(playbook("outofband.chr.backup", inventory, "-e", dest))
    assert again.changed() == set()


def test_a_file_of_a_run_that_was_killed_is_not_taken_for_the_export(lab, playbook):
    chr1 = lab("chr1")
    chr1.router.files["outofband-backup.rsc"] = File(b"old")
    chr1.router.files_late = 0.5
    run_ok(playbook([task()], hosts(chr1)))
    assert (playbook.folder / "kept" / "chr1.rsc").read_text().startswith("# system id")
    assert chr1.router.files == {}


@pytest.mark.parametrize("backend", ["vmware", "xenapi"])
def test_a_backend_that_cannot_says_so_at_once_and_what_is_possible(playbook, backend):
    """Nothing listens at the address."""
    (playbook.folder / "x.backup").write_bytes(b"x")
    host = {"chr_backend": backend, "chr_api_host": "127.0.0.1", "chr_api_port": 1, "chr_api_user": "u"}
    tasks = [task(), restore(src="x.backup")]
    run = playbook([{**one, "ignore_errors": True} for one in tasks], {"chr1": {**host, "chr_api_password": "p"}})
    assert "Let the router send its export itself" in result(run)["msg"]
    assert f"Backend {backend} moves no binary files" in result(run, "restore")["msg"]


def test_on_xen_an_export_comes_in_pieces_and_what_is_too_large_is_told(playbook):
    rules = "".join(f"/ip firewall filter add chain=input action=accept comment=rule{n:03d}\n" for n in range(80))
    tasks = [
        {"name": "rules", "outofband.chr.script": {"source": rules}},
        task(),
        task("again"),
        {**task("binary", binary=True, encrypt=False), "ignore_errors": True},
        {
            "name": "large",
            "outofband.chr.script": {"source": f":for n from=1 to=2500 do={{ {rules.splitlines()[0]} }}"},
        },
        {**task("too large"), "ignore_errors": True},
        {"name": "files", "outofband.chr.script": {"source": ":put [:len [/file find]]"}},
    ]
    with hypervisor("xenstore", ["chr1"], cache()) as one:
        run = run_ok(playbook(tasks, one))
    kept = (playbook.folder / "kept" / "chr1.rsc").read_text()
    assert re.findall("comment=rule([0-9]+)", kept) == [f"{n:03d}" for n in range(80)]
    assert not result(run, "again")["changed"]
    assert "moves no files" in result(run, "binary")["msg"]
    assert "carries files of at most 61440 bytes" in result(run, "too large")["msg"]
    assert result(run, "files")["stdout"] == "0"
