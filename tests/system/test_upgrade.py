# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routers are brought to a version of RouterOS, whole or as they were."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.routeros.packages import npk
from ansible_collections.outofband.chr.tests.lab.routeros.values import text
from ansible_collections.outofband.chr.tests.lab.web import Resource, WebServer

OLD, NEW = "7.20.8", "7.22.1"


def prepare(one):
    """Let a router have an old version, and have been up for a minute."""
    one.become(OLD)
    one.clock.shift(60)
    one.offers = {"stable": NEW, "long-term": "7.21.4"}
    one.run("/system scheduler add name=nightly")


@pytest.fixture
def router(lab):
    """Make a router with an old version."""

    def make(name):
        one = lab(name)
        prepare(one.router)
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
    for at, (told, (change, options)) in enumerate(REFUSED.items()):
        one = router(f"chr{at}")
        if change:
            change(one.router)
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


@pytest.mark.parametrize("on_missing", ["fail", pytest.param("warn", marks=pytest.mark.slow)])
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


@pytest.fixture
def pve(short_path):
    with LabProxmox(short_path) as cluster:
        yield cluster


@pytest.mark.parametrize("rollback", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_router_that_fails_after_its_upgrade_goes_back_to_the_snapshot_if_that_is_asked_for(pve, playbook, rollback):
    vm = pve.add(101, "chr1", boot_seconds=0.3, accepts_null_path=True, close_answers=True, write_modes=("w", "wb"))
    prepare(vm.router)
    vm.router.package_switches.lost_at_upgrade = ("system scheduler",)
    tasks = [task(version=NEW, packages=given(playbook.folder), snapshot="before", rollback=rollback, timeout=10)]
    run = playbook(tasks, {"chr1": pve.variables()})
    assert run.rc == 2
    told = result(run)["msg"]
    assert f"is back with RouterOS {NEW}, but without the export's menu(s) /system scheduler" in told
    if rollback:
        assert f"It was rolled back to the snapshot 'before', and has RouterOS {OLD} again." in told
        assert (vm.router.version, vm.router.files, vm.snapshots) == (OLD, {}, {})
        assert [text(item.value("name")) for item in vm.router.items("system scheduler")] == ["nightly"]
        assert vm.running
    else:
        assert "The snapshot 'before' of before is kept." in told
        assert (vm.router.version, list(vm.snapshots)) == (NEW, ["before"])
    assert pve.invalid == []


def test_a_failure_before_the_reboot_removes_the_snapshot_so_that_the_next_run_can_take_it(pve, playbook):
    vm = pve.add(101, "chr1", accepts_null_path=True)
    prepare(vm.router)
    vm.router.package_switches.download_size = 61 * 1024 * 1024
    run = playbook([task(version=NEW, snapshot="before", rollback=True)], {"chr1": pve.variables()})
    assert "ERROR: not enough disk space" in result(run)["msg"]
    assert "The snapshot 'before' was removed again." in result(run)["msg"]
    assert (vm.router.version, vm.snapshots) == (OLD, {})


@pytest.mark.slow
def test_interfaces_that_come_after_the_agent_are_waited_for(chr1, playbook):
    chr1.router.cards_after = 3.0
    assert result(run_ok(playbook([task(version=NEW, timeout=20)], hosts(chr1))))["changed"]


@pytest.mark.slow
def test_a_snapshot_of_an_earlier_run_is_not_overwritten(pve, playbook):
    vm = pve.add(101, "chr1", accepts_null_path=True)
    prepare(vm.router)
    vm.snapshots["before"] = {"snaptime": 1, "vmstate": 0}
    run = playbook([task(version=NEW, snapshot="before")], {"chr1": pve.variables()})
    assert "it has a snapshot 'before' already" in result(run)["msg"]
    assert (result(run)["changed"], vm.router.version) == (False, OLD)


@pytest.mark.slow
def test_routers_without_output_or_files_are_upgraded_by_their_own_update_and_say_what_is_not_possible(playbook):
    routers = {}
    packages = given(playbook.folder)
    with contextlib.ExitStack() as running:
        kinds = ("vmware", "xenstore", "xenapi")
        hosts = {}
        for kind in kinds:
            hosts |= running.enter_context(hypervisor(kind, [kind], cache(), routers))
        for one in routers.values():
            prepare(one)
        tasks = [
            {**task("packages", version=NEW, packages=packages), "ignore_errors": True},
            {**task("backup", version=NEW, backup_dest="kept"), "when": "inventory_hostname == 'vmware'"},
            {**task("upgrade", version=NEW, timeout=60), "ignore_errors": True},
            {**task("again", version=NEW), "when": "inventory_hostname != 'xenapi'"},
        ]
        tasks[1]["ignore_errors"] = True
        run = run_ok(playbook(tasks, hosts, "--forks=3", strategy="free"))
    for kind in ("vmware", "xenstore"):
        assert "the router downloads them itself" in result(run, "packages", kind)["msg"]
        assert result(run, "upgrade", kind)["changed"], run.output
        assert not result(run, "again", kind)["changed"]
        assert (routers[kind].version, routers[kind].globals) == (NEW, {})
    assert "carries neither files nor the output" in result(run, "backup", "vmware")["msg"]
    assert "its menus are not compared" in " ".join(result(run, "upgrade", "vmware")["warnings"])
    assert "runs a script in 'xenapi' only when it boots" in result(run, "upgrade", "xenapi")["msg"]
    assert routers["xenapi"].version == OLD
    assert {tuple(one.files) for one in routers.values()} == {()}


def test_a_run_that_was_killed_after_the_upload_is_continued_by_the_next_one(chr1, playbook):
    tasks = [task(version=NEW, packages=given(playbook.folder), timeout=20)]
    chr1.router.reboot()  # so that the run waits before it reboots the router
    process = playbook.start(tasks, hosts(chr1))
    deadline = time.monotonic() + 60
    while not chr1.router.files.get("routeros-7.22.1.npk") and time.monotonic() < deadline:
        time.sleep(0.01)
    playbook.kill(process)
    assert (chr1.router.version, set(chr1.router.files)) == (OLD, {"routeros-7.22.1.npk"})
    assert result(run_ok(playbook(tasks, hosts(chr1))))["changed"]
    assert (chr1.router.version, chr1.router.files) == (NEW, {})


def test_vmware_goes_back_to_the_one_snapshot_of_that_name(vcenter, vmware_guest):
    vc = vcenter("chr1")
    snapshots = vmware_guest(vc, "chr1").snapshots()
    for name in ("first", "second"):
        snapshots.create(name, "", False, Deadline(20))
    vc.change("chr1", runtime__powerState="poweredOff")
    snapshots.revert("first", Deadline(20))
    assert vc.counts()["RevertToSnapshot_Task"] == 1
    assert not vmware_guest(vc, "chr1").power().is_on()
    with pytest.raises(InvalidInput, match="has 0 snapshots named 'third', so it did not go back"):
        snapshots.revert("third", Deadline(20))


@pytest.mark.slow
def test_a_router_on_vmware_is_turned_off_for_the_way_back_and_on_again(vcenter, playbook):
    vc = vcenter("chr1")
    router = vc.router("chr1")
    prepare(router)
    router.package_switches.refused_at_boot = True
    router.run("/system note set note=kept")
    disk = router.disk()
    router.run("/system note set note=lost")
    ended = threading.Event()

    def revert():  # vcsim has no disks
        while not vc.counts().get("RevertToSnapshot_Task") and not ended.wait(0.1):
            pass
        router.put_back(disk)

    threading.Thread(target=revert).start()
    try:
        tasks = [task(version=NEW, snapshot="before", rollback=True, timeout=15)]
        run = playbook(tasks, {"chr1": vc.variables()})
    finally:
        ended.set()
    assert f"is back with RouterOS {OLD} instead of {NEW}" in result(run)["msg"], run.output
    assert f"It was rolled back to the snapshot 'before', and has RouterOS {OLD} again." in result(run)["msg"]
    calls = ("PowerOffVM_Task", "RevertToSnapshot_Task", "PowerOnVM_Task", "RemoveSnapshot_Task")
    assert [vc.counts()[call] for call in calls] == [1, 1, 1, 1]
    assert router.run(":put [/system note get note]").output.strip() == b"kept"


@pytest.mark.slow
def test_a_router_that_does_not_come_back_is_unreachable_and_the_error_says_what_it_was_told(chr1, playbook):
    chr1.switches.boot_seconds = 60
    run = playbook([task(version=NEW, packages=given(playbook.folder), timeout=4)], hosts(chr1))
    told = result(run)
    assert run.rc == 4
    assert (told["changed"], told["before"], told["version"]) == (True, OLD, NEW)
    assert f"'chr1' was told to reboot for RouterOS {NEW}, but is not back after 4 s" in told["msg"]
    assert "The file 'routeros-7.22.1.npk' may still be on the router. Remove it there." in told["msg"]
