# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab installs at a boot what lies among the files, as RouterOS does, and nothing else."""

from __future__ import annotations

import time

import pytest

from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.packages import npk

STATUS = ":put [/system package update get status]"


@pytest.fixture
def router():
    one = Router(version="7.20")
    one.package_switches.seconds = 0.01
    one.offers = {"stable": "7.22.1"}
    one.power = []
    one.on_power = one.power.append
    return one


def put(router, command):
    outcome = router.run(command)
    assert outcome.exitcode == 0, outcome.output
    return outcome.output.decode().strip()


def test_install_downloads_all_packages_and_reboots_by_itself_or_not(router):
    router.packages.installed["container"] = "7.20"
    router.package_switches.install_reboots = False
    assert "Downloaded, please reboot" in put(router, "/system package update install")
    assert router.power == []
    router.package_switches.install_reboots = True
    router.run("/system package update install")
    assert router.power == ["reboot"]
    assert router.version == "7.20"
    router.reboot()
    assert router.packages.installed == {"routeros": "7.22.1", "container": "7.22.1"}
    assert (router.version, router.files) == ("7.22.1", {})
    assert put(router, ":put [/system resource get version]") == "7.22.1 (stable)"


def test_a_check_without_a_way_to_the_server_is_text_and_no_error(router):
    router.offers = None
    assert "ERROR: could not resolve dns name" in put(router, "/system package update check-for-updates")
    router.offers = {"stable": "7.20"}
    put(router, "/system package update check-for-updates")
    assert put(router, STATUS) == "System is already up to date"


def test_once_does_not_wait_and_a_cancelled_download_brings_nothing(router):
    router.package_switches.seconds = 0.1
    put(router, "/system package update download once\n/system package update cancel")
    time.sleep(0.2)
    assert (router.files, put(router, STATUS)) == ({}, "")


@pytest.mark.parametrize("change", ["architecture", "limited", "older", "damaged"])
def test_what_routeros_does_not_install_stays_and_is_in_the_log(router, change):
    content = npk("routeros", "7.19" if change == "older" else "7.22.1")
    router.write_file("routeros.npk", content[:-1] if change == "damaged" else content)
    router.architecture = "arm64" if change == "architecture" else "x86_64"
    router.license.limited_upgrades = change == "limited"
    router.reboot()
    assert (router.version, set(router.files)) == ("7.20", {"routeros.npk"})
    assert any("can not install routeros.npk" in entry.message for entry in router.log)


def test_an_older_version_is_installed_after_downgrade_only(router):
    router.write_file("routeros-7.19.npk", npk("routeros", "7.19"))
    put(router, "/system package downgrade")
    assert router.power == ["reboot"]
    router.reboot()
    assert (router.version, router.files) == ("7.19", {})


def test_a_package_is_uninstalled_at_the_boot_unless_that_is_taken_back(router):
    router.packages.installed |= {"container": "7.20", "dude": "7.20"}
    put(router, "/system package uninstall container,dude\n/system package unschedule dude")
    router.reboot()
    assert set(router.packages.installed) == {"routeros", "dude"}
    assert "can not uninstall routeros" in router.run("/system package uninstall routeros").output.decode()


def test_a_package_of_another_version_is_disabled(router):
    router.packages.installed["container"] = "7.20"
    router.write_file("routeros-7.22.1.npk", npk("routeros", "7.22.1"))
    router.reboot()
    assert put(router, ":put [/system package get container disabled]") == "true"
