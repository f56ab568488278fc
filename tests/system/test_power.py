# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module power through the hypervisor: one playbook on every hypervisor that lists its VMs.

QEMU and xl, whose VMs the modules qemu_vm and xl_vm make, are in their own folders.
"""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import switching
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NotPermitted,
    NotPossible,
    VmBusy,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox

KINDS = ("proxmox", "libvirt", "vmware", "xenapi")
READY = "{{ 'agent' if chr_backend == 'xenapi' else 'ready' }}"


def power(title, state, **options):
    return {"name": title, "outofband.chr.power": {"state": state, "timeout": 120, **options}}


TASKS = [
    {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 120}},
    {**power("would stop", "stopped"), "check_mode": True},
    power("stop", "stopped"),
    power("stop again", "stopped"),
    {**power("reset off", "reset"), "ignore_errors": True},
    {**power("would start", "started"), "check_mode": True},
    power("start", "started", wait=READY),
    power("start again", "started"),
    power("reset", "reset"),
    {"name": "facts", "outofband.chr.facts": {"gather_subset": ["default"]}},
    power("reboot", "rebooted", wait=READY),
    power("leave", "stopped"),
]


def test_a_machine_is_stopped_started_and_reset_on_every_hypervisor(playbook):
    hosts = {}
    missing = {}
    with contextlib.ExitStack() as running:
        for kind in KINDS:
            try:
                hosts |= running.enter_context(hypervisor(kind, [f"chr-{kind}"], cache()))
            except Missing as error:
                missing[kind] = str(error)
        run = playbook(TASKS, hosts, "--forks=4", "--diff", strategy="free")
        assert run.rc == 0, run.output
        for name in hosts:
            changed = {task for host, task in run.changed() if host == name}
            assert changed == {"would stop", "stop", "would start", "start", "reset", "reboot", "leave"}, run.output
            assert run.of("stop", name)["result"]["method"] == "hypervisor"
            assert run.of("stop", name)["result"]["diff"] == {"before": "started\n", "after": "stopped\n"}
            assert "because its machine is off" in run.of("reset off", name)["result"]["msg"]
            assert not run.of("reset", name)["result"].get("warnings")
    if missing:
        raise Missing(", ".join(f"{kind}: {reason}" for kind, reason in missing.items()))


# -- libvirt ---------------------------------------------------------------------------------------


def test_a_machine_that_was_turned_on_is_a_change_although_its_router_is_not_reached(playbook, short_path):
    pve = LabProxmox(short_path)
    vm = pve.add(100, "chr1", running=False)
    vm.lab.switches.delimiter = False  # nobody answers there
    start = {"name": "start", "outofband.chr.power": {"state": "started", "timeout": 2}}
    with pve:
        run = playbook([start], {"chr1": {**pve.variables(), "chr_connect_timeout": 1}})
        assert vm.running
    told = run.of("start")
    assert (told["status"], told["result"]["changed"]) == ("unreachable", True), run.output
    assert told["result"]["msg"].endswith("See 'Unreachable' in the troubleshooting guide.")


def test_a_paused_domain_and_a_transient_one_that_is_gone(libvirtd):
    libvirtd.define("paused")
    libvirtd.virsh("start", "paused")
    options = {"libvirt_uri": libvirtd.uri}
    switch = open_guest(options_for("libvirt", "paused", 10.0, **options)).power()
    libvirtd.virsh("suspend", "paused")
    assert switch.is_on()
    with pytest.raises(NotPossible, match="is paused, so it was not turned on or off.*virsh resume"):
        switch.check()
    libvirtd.virsh("resume", "paused")
    switch.check()
    with pytest.raises(NotPossible, match="it was not started: .*already running"):
        switch.start(Deadline(10))
    libvirtd.virsh("undefine", "paused")  # it is transient now
    switch.stop(Deadline(10))
    assert not switch.is_on()
    switch.check()


# -- VMware ----------------------------------------------------------------------------------------


def test_a_task_of_somebody_else_is_waited_for(vcenter, vmware_guest):
    vc = vcenter("chr1")
    one = vmware_guest(vc, "chr1")
    vc.fault("PowerOffVM_Task", "TaskInProgress", 2)
    switching.order(one, one.power(), "stopped", Deadline(60))
    assert not one.power().is_on()


def test_what_vmware_cannot_turn_on_or_off(vcenter, vmware_guest):
    vc = vcenter("chr1")
    switch = vmware_guest(vc, "chr1").power()
    vc.change("chr1", runtime__powerState="suspended")
    assert switch.is_on()
    with pytest.raises(NotPossible, match="was not turned on or off: VMware says suspended"):
        switch.check()
    vc.change("chr1", runtime__powerState="poweredOn")
    switch.check()
    with pytest.raises(NotPossible, match="did not switch on 'chr1': InvalidPowerState"):
        switch.start(Deadline(10))
    vc.fault("PowerOffVM_Task", "NoPermission")
    with pytest.raises(NotPermitted, match="may not switch off 'chr1' .*the privilege .* is missing"):
        switch.stop(Deadline(10))
    vc.fault("ResetVM_Task", "TaskInProgress")
    with pytest.raises(VmBusy, match="did not reset 'chr1': something else is busy with it"):
        switch.reset(Deadline(10))
    vc.change("chr1", config__template="true")
    with pytest.raises(VmNotFound, match="is a template"):
        switch.check()
