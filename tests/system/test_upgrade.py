# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routers are brought to a version of RouterOS, whole or as they were."""

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros.packages import npk
from ansible_collections.outofband.chr.tests.lab.web import Resource, WebServer

OLD, NEW = "7.20.8", "7.22.1"


@pytest.fixture
def router(lab):
    """Make a router with an old version that has been up for a minute."""

    def make(name):
        one = lab(name)
        one.router.become(OLD)
        one.router.clock.shift(60)
        one.router.offers = {"stable": NEW, "long-term": "7.21.4"}
        one.router.run("/system scheduler add name=nightly")
        return one

    return make


@pytest.fixture
def chr1(router):
    return router("chr1")


def hosts(*routers):
    return {one.router.identity: {"chr_socket": str(one.address)} for one in routers}


def task(name="upgrade", **options):
    return {"name": name, "outofband.chr.upgrade": {"timeout": 3, **options}}


def given(folder, *names, version=NEW, **settings):
    """Packages on the controller, with their checksums."""
    found = []
    for name in names or ("routeros",):
        content = npk(name, version, **settings)
        (folder / f"{name}-{version}.npk").write_bytes(content)
        found.append({"src": f"{name}-{version}.npk", "checksum": f"sha256:{hashlib.sha256(content).hexdigest()}"})
    return found


def result(run, name="upgrade", host=None):
    return run.of(name, host)["result"]


def run_ok(run):
    assert run.rc == 0, run.output
    return run


def test_packages_of_the_controller_reach_a_router_without_any_ip_path(chr1, playbook):
    chr1.router.offers = None
    tasks = [task(version=NEW, packages=given(playbook.folder), backup_dest="kept")]
    check = run_ok(playbook(tasks, hosts(chr1), "--check", "--diff"))
    assert result(check)["changed"] and f"-RouterOS {OLD}\n+RouterOS {NEW}" in check.output
    assert (chr1.router.version, chr1.router.files) == (OLD, {})
    done = result(run_ok(playbook(tasks, hosts(chr1))))
    assert (done["changed"], done["before"], done["version"], done["source"]) == (True, OLD, NEW, "controller")
    assert chr1.router.version == NEW
    assert (playbook.folder / "kept" / "chr1.rsc").read_text().startswith("# system id")
    again = result(run_ok(playbook(tasks, hosts(chr1))))
    assert (again["changed"], again["before"]) == (False, NEW)
    assert chr1.router.files == {}


def test_the_controller_looks_up_the_newest_version_and_the_router_installs_it(chr1, playbook):
    with WebServer() as web:
        web["/NEWESTa7.long-term"] = Resource(b"7.21.4 1774276515\n")
        tasks = [task(channel="long-term", newest_url=f"{web.url}/NEWESTa7.{{channel}}")]
        done = result(run_ok(playbook(tasks, hosts(chr1))))
        assert (done["changed"], done["version"], done["source"]) == (True, "7.21.4", "router")
        assert chr1.router.version == "7.21.4"
        assert not result(run_ok(playbook(tasks, hosts(chr1))))["changed"]
    assert chr1.router.files == {}


def limit(router):
    router.license.level, router.license.limited_upgrades = "p1", True


def leave_package(router):
    router.write_file("dude-7.20.npk", npk("dude", "7.20"))


def has_container(router):
    router.packages.installed["container"] = OLD


REFUSED = {
    "has limited upgrades": (limit, {"version": NEW}),
    "is older than the installed": (None, {"version": "7.19"}),
    "does not go back to 7.19. Give packages": (None, {"version": "7.19", "downgrade": True}),
    "Set major: true": (None, {"version": "6.49.18", "downgrade": True}),
    "bytes free, and 33554432 are needed": (lambda router: setattr(router, "free_space", 4_000_000), {"version": NEW}),
    "has 1 other package file(s)": (leave_package, {"version": NEW}),
    "takes no snapshots": (None, {"version": NEW, "snapshot": "before"}),
    "rollback: true needs a snapshot": (None, {"version": NEW, "rollback": True}),
    "(channel stable) found version '7.22.1', not 7.22": (None, {"version": "7.22"}),
    "(channel testing) found version '7.20.8', not 7.22.1": (None, {"version": NEW, "channel": "testing"}),
    "the package(s) container, which are not in packages": (has_container, {"version": NEW, "packages": ["routeros"]}),
    "has version 7.22.1, not 7.23": (None, {"version": "7.23", "packages": ["routeros"]}),
    "is for arm64, and the router is": (None, {"version": NEW, "packages": ["arm64"]}),
    "it is damaged or not whole": (None, {"version": NEW, "packages": ["cut"]}),
    "has the checksum sha256:": (None, {"version": NEW, "packages": ["wrong"]}),
}


def test_what_speaks_against_an_upgrade_is_told_before_anything_is_done(router, playbook):
    files = {
        "routeros": given(playbook.folder)[0],
        "cut": {"src": "dude-7.22.1.npk", "checksum": "waived"},
        "arm64": {"src": "routeros-7.22.1-arm64.npk", "checksum": "waived"},
        "wrong": {"src": "routeros-7.22.1.npk", "checksum": f"sha256:{'0' * 64}"},
    }
    (playbook.folder / "dude-7.22.1.npk").write_bytes(npk("dude", NEW)[:-1])
    (playbook.folder / "routeros-7.22.1-arm64.npk").write_bytes(npk("routeros", NEW, "arm64"))
    tasks, before = [], {}
    for at, (told, (prepare, options)) in enumerate(REFUSED.items()):
        one = router(f"chr{at}")
        if prepare:
            prepare(one.router)
        before[told] = one, set(one.router.files)
        packages = [files[name] for name in options.get("packages", [])]
        tasks.append({**task(told, **{**options, "packages": packages}), "when": f"inventory_hostname == 'chr{at}'"})
    run = playbook(tasks, hosts(*(one for one, _files in before.values())), "--forks=4", strategy="free")
    for told, (one, left) in before.items():
        refused = run.of(told, one.router.identity)
        assert told in refused["result"]["msg"]
        assert not refused["result"]["changed"], told
        assert (one.router.version, set(one.router.files)) == (OLD, left)
        assert one.router.settings.get("system package update", {}).get("channel", "stable") == "stable"


STATUS = {
    "ERROR: not enough disk space": {"download_size": 61 * 1024 * 1024},
    "has not downloaded 7.22.1 within 3 s: its status is 'Ready to go'": {"downloaded": "Ready to go"},
}


def test_a_download_that_does_not_end_well_is_told_with_the_routers_words_and_nothing_is_rebooted(router, playbook):
    for at, (told, switches) in enumerate(STATUS.items()):
        one = router(f"chr{at}")
        vars(one.router.package_switches).update(switches)
        booted = one.router.booted_at
        run = playbook([task(version=NEW)], hosts(one))
        assert told in result(run)["msg"]
        assert f"was not rebooted, and still has RouterOS {OLD}" in result(run)["msg"]
        assert one.router.booted_at == booted


def test_packages_that_the_boot_did_not_install_are_named_as_a_failure_and_removed(chr1, playbook):
    chr1.router.package_switches.refused_at_boot = True
    run = playbook([task(version=NEW, packages=given(playbook.folder), timeout=5)], hosts(chr1))
    assert run.rc == 2
    assert f"is back with RouterOS {OLD} instead of {NEW}" in result(run)["msg"]
    assert result(run)["changed"]
    assert chr1.router.files == {}


@pytest.mark.parametrize("on_missing", ["fail", "warn"])
def test_a_menu_that_is_gone_after_the_upgrade_is_named(chr1, playbook, on_missing):
    chr1.router.package_switches.lost_at_upgrade = ("system scheduler",)
    run = playbook([task(version=NEW, on_missing=on_missing)], hosts(chr1))
    assert (run.rc, result(run)["changed"]) == (2 if on_missing == "fail" else 0, True)
    told = result(run)["msg"] if on_missing == "fail" else " ".join(result(run)["warnings"])
    assert f"is back with RouterOS {NEW}, but without the export's menu(s) /system scheduler" in told


@pytest.mark.parametrize("by_itself", [True, False])
@pytest.mark.slow
def test_a_downgrade_reboots_once_whether_or_not_routeros_does_it_by_itself(chr1, playbook, by_itself):
    chr1.router.package_switches.downgrade_reboots = by_itself
    boots = []
    power = chr1.router.on_power
    chr1.router.on_power = lambda what: (boots.append(what), power(what))
    tasks = [task(version="7.19.4", downgrade=True, packages=given(playbook.folder, version="7.19.4"), timeout=8)]
    assert result(run_ok(playbook(tasks, hosts(chr1))))["changed"]
    assert (chr1.router.version, boots, chr1.router.files) == ("7.19.4", ["reboot"], {})


def test_the_playbook_upgrades_one_router_first_stops_at_a_failure_and_resumes(router, playbook):
    first, second, third, last = (router(f"chr{at}") for at in range(4))
    second.router.package_switches.refused_at_boot = True
    with WebServer() as web:
        web["/stable"] = Resource(b"7.22.1 1774276515\n")
        (playbook.folder / "upgrade.yml").write_text(
            "upgrade_serial: [1, 2, 1]\nupgrade_channel: stable\nupgrade_timeout: 6\n"
            f"upgrade_newest_url: {web.url}/{{channel}}\nupgrade_backup_dest: {playbook.folder}/kept\n"
        )
        arguments = ["-e", "@upgrade.yml"]
        run = playbook("outofband.chr.upgrade", hosts(first, second, third, last), *arguments)
        assert run.rc == 2
        assert [one.router.version for one in (first, second, third, last)] == [NEW, OLD, NEW, OLD]
        assert "Bring the router to the version" not in {one["task"] for one in run.lines if one["host"] == "chr3"}
        assert len(web["/stable"].asked) == 1
        second.router.package_switches.refused_at_boot = False
        run = run_ok(playbook("outofband.chr.upgrade", hosts(first, second, third, last), *arguments))
        assert {host for host, _task in run.changed()} == {"chr1", "chr3"}
        assert {one.router.version for one in (first, second, third, last)} == {NEW}
        assert {path.name for path in (playbook.folder / "kept").iterdir()} == {f"chr{at}.rsc" for at in range(4)}
