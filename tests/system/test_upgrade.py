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
def chr1(lab):
    one = lab("chr1")
    one.router.become(OLD)
    one.router.packages.installed["routeros"] = OLD
    one.router.clock.shift(60)
    one.router.offers = {"stable": NEW, "long-term": "7.21.4"}
    one.router.run("/ip dns set servers=192.0.2.1")
    return one


def hosts(*routers):
    return {one.router.identity: {"chr_socket": str(one.address)} for one in routers}


def task(name="upgrade", **options):
    return {"name": name, "outofband.chr.upgrade": {"timeout": 5, **options}}


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
