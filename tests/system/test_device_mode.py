# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook device_mode: an update that waits for the power to be cut, through the hypervisor.

The routers and their Proxmox VE are the lab's.
"""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox

PLAYBOOK = "outofband.chr.device_mode"
SETTINGS = {"device_mode_settings": {"container": True, "mode": "home"}, "device_mode_wait": 4}
BEGIN = "Let RouterOS begin the update, which waits for the power to be cut"


@pytest.fixture
def pve(short_path):
    with LabProxmox(short_path) as cluster:
        yield cluster


def hosts(pve, **more):
    return {vm.name: pve.variables(chr_connect_timeout=20, **SETTINGS, **more) for vm in pve.vms.values()}


def mode(vm):
    shown = vm.router.run(":put ([/system device-mode get mode] . [/system device-mode get container])")
    return shown.output.decode().strip()


def orders(pve):
    return [path.rpartition("/")[2] for method, path, _values in pve.log if method == "POST" and "/status/" in path]


def test_the_mode_is_changed_once_and_the_machine_is_turned_off_and_on(pve, playbook):
    vm = pve.add(100, "chr1", accepts_null_path=True)
    pve.add(101, "chr2", accepts_null_path=True).router.settings["system device-mode"] = {
        "mode": "home",
        "container": True,
    }
    vm.router.reset_confirms = False
    would = playbook(PLAYBOOK, hosts(pve), "--check")
    assert would.rc == 0, would.output
    assert would.changed() == {("chr1", BEGIN)}
    assert mode(vm) == "advancedfalse"
    run = playbook(PLAYBOOK, hosts(pve))
    assert run.rc == 0, run.output
    assert mode(vm) == "hometrue"
    assert orders(pve) == ["stop", "start"]
    again = playbook(PLAYBOOK, hosts(pve))
    assert again.rc == 0, again.output
    assert again.changed() == set()


@pytest.mark.parametrize("confirms", [True, False])
def test_a_reset_can_be_taken_and_one_that_is_not_enough_is_told(pve, playbook, confirms):
    vm = pve.add(100, "chr1", accepts_null_path=True)
    vm.router.reset_confirms = confirms
    run = playbook(PLAYBOOK, hosts(pve, device_mode_confirm="reset"))
    assert orders(pve) == ["reset"]
    if confirms:
        assert run.rc == 0, run.output
        assert mode(vm) == "hometrue"
    else:
        assert run.rc != 0
        assert "try the other device_mode_confirm" in run.output
        assert mode(vm) == "advancedfalse"


def test_what_cannot_be_is_refused_before_anything_is_sent(pve, playbook):
    pve.add(100, "chr1")
    for wrong in ({"device_mode_settings": {"x; /system reboot": True}}, {"chr_backend": "xenapi"}):
        run = playbook(PLAYBOOK, {"chr1": hosts(pve)["chr1"] | wrong})
        assert run.rc != 0
        assert (
            "Set device_mode_settings to" in run.output
            or "cannot run a script in a router that then waits" in run.output
        )
    assert orders(pve) == []
    assert not any("agent" in path for _method, path, _values in pve.log)
