# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What RouterOS's tools do for VMware besides scripts: the time, power scripts, and what they
report, as a playbook sees it."""

from __future__ import annotations

import threading
import time
import typing as t
from datetime import datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware import guest as vmware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.guest import VmwareGuest
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import Vcenter
from ansible_collections.outofband.chr.tests.system.vmware.test_guest import hosts, note, script

INFO = {"name": "info", "outofband.chr.guest_info": None}
BREAKS = ':put \\"before\\"; :error \\"no luck\\"'
SLOW = ":delay 20s"


def add(vcenter: Vcenter, name: str, power_script: str, source: str) -> None:
    """Give a router a power script."""
    done = vcenter.router(name).run(f'/system script add name={power_script} source="{source}"')
    assert done.exitcode == 0, done.output


def call(one: VmwareGuest, method: str, **arguments: t.Any) -> None:
    """Somebody else than the collection uses the VM."""
    vsphere = one._vsphere
    vsphere.call(method, lambda: getattr(vsphere.object("VirtualMachine", one._moid), method)(**arguments))


# -- time ------------------------------------------------------------------------------------------


def test_guest_info_shows_whether_the_router_gets_the_hosts_time(vcenter, playbook):
    """Manual 7.1, enabled in the hypervisor: it is a setting of the VM, and guest_info shows it as
    time_sync."""
    vc = vcenter("synced", "free")
    vc.change("synced", config__tools__syncTimeWithHost="true")
    vc.change("free", config__tools__syncTimeWithHost="false")
    for name in ("synced", "free"):
        vc.router(name).clock.shift(-3600)
    vc.ask("report")
    run = playbook([INFO], hosts(vc, "synced", "free"))
    assert run.rc == 0, run.output
    for name in ("synced", "free"):
        behind = time.time() - vc.router(name).clock.now().timestamp() > 60
        assert run.of("info", name)["result"]["time_sync"] is not behind


def test_a_router_that_is_ahead_stays_ahead_and_results_have_the_controllers_times(vcenter, playbook):
    """Manual 7.1, never back: start, end and delta of a script are the controller's, whatever the
    router's clock says."""
    vc = vcenter("chr1")
    vc.change("chr1", config__tools__syncTimeWithHost="true")
    router = vc.router("chr1")
    router.clock.shift(3600)
    vc.ask("report")
    began = time.time()
    run = playbook([script(":delay 500ms")], hosts(vc, "chr1"))
    result = run.of("go")["result"]
    assert router.clock.now().timestamp() - time.time() > 3000
    assert began < datetime.fromisoformat(result["start"]).timestamp() < time.time()
    assert result["delta"] < "0:00:30"


def test_a_clock_that_is_set_during_a_script_does_not_make_its_error_a_time_out(vcenter, vmware_guest):
    """Manual 7.1, forward jump: a job's times come from the router, which the host may set in
    between."""
    vc = vcenter("chr1")
    router = vc.router("chr1")
    threading.Timer(0.4, router.clock.shift, [3600]).start()
    result = vmware_guest(vc, "chr1").run(b':delay 1; :error "broken"', 10)
    assert (result.rc, result.timed_out) == (-1, False)


# -- power scripts ---------------------------------------------------------------------------------

OFF = {"name": "off", "outofband.chr.power": {"state": "shutdown", "method": "agent", "timeout": 60}}


def test_the_poweroff_script_runs_before_the_router_goes_down(vcenter, playbook):
    """Manual 7.2, poweroff: it runs before the power-off, and power returns when the VM is off."""
    vc = vcenter("chr1")
    add(vc, "chr1", "poweroff", "/system note set note=saved")
    run = playbook([OFF], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    assert note(vc, "chr1") == "saved"


def test_a_power_script_that_fails_is_told_at_once_and_a_repeat_goes_through(vcenter, playbook):
    """Manual 7.2, failure and repeat: the task fails long before its timeout, names the script, its
    log and what to do."""
    bad = [f"{state}-{why}" for state in ("shutdown", "rebooted") for why in ("error", "slow")]
    vc = vcenter(*bad, "shutdown-good", power_limit=1, boot=1)
    for name in bad:
        vc.router(name).booted_at = vc.router(name).clock.now().replace(year=2020)
        add(vc, name, "poweroff", SLOW if name.endswith("slow") else BREAKS)
    power = {"state": "{{ inventory_hostname.split('-')[0] }}", "method": "agent", "timeout": 120}
    task = {"name": "go", "outofband.chr.power": power}
    began = time.monotonic()
    run = playbook([task], hosts(vc, *bad, "shutdown-good"))
    assert time.monotonic() - began < 110
    assert run.of("go", "shutdown-good")["status"] == "ok"
    for name in bad:
        assert run.of("go", name)["status"] == "failed"
        said = run.of("go", name)["result"]["msg"]
        for part in (
            name,
            "VMware says",
            "'poweroff'",
            "30 s",
            "'poweroff-script.log'",
            "Repeat the task",
            "method: script",
        ):
            assert part in said
    again = playbook([task], hosts(vc, *bad))
    assert again.rc == 0, again.output


def test_what_a_failed_power_script_printed_is_in_its_log(vcenter, playbook):
    """Manual 7.2, log: poweroff-script.log on the router, as the error says."""
    vc = vcenter("chr1")
    add(vc, "chr1", "poweroff", BREAKS)
    said = playbook([OFF], hosts(vc, "chr1")).of("off")["result"]["msg"]
    (name,) = [word.strip("'") for word in said.split() if word.endswith(".log'")]
    assert b"no luck" in vc.router("chr1").files[name].data


def test_a_power_operation_that_leaves_no_event_is_given_up_after_its_time(vcenter, vmware_guest, monkeypatch):
    """Manual 7.2, 30 seconds: without an event, a router that still runs after a minute was stopped
    by its script."""
    monkeypatch.setattr(vmware, "_POWER", 1.5)
    vc = vcenter("chr1", events=False)
    add(vc, "chr1", "poweroff", BREAKS)
    one = vmware_guest(vc, "chr1")
    one.shutdown("powerdown")
    assert one.why_it_stays_up() is None
    time.sleep(1.6)
    assert "still run after 2 s" in str(one.why_it_stays_up())


def test_a_power_operation_that_is_refused_at_once_says_so(vcenter, playbook):
    vc = vcenter("denied", "odd")
    vc.fault("ShutdownGuest", "GuestPermissionDenied", name="denied")
    vc.fault("ShutdownGuest", "strange", name="odd")
    run = playbook([OFF], hosts(vc, "denied", "odd"))
    assert [run.of("off", name)["status"] for name in ("denied", "odd")] == ["failed", "failed"]
    assert "policies" in run.of("off", "denied")["result"]["msg"]
    assert "SystemError: strange. RouterOS first runs its script 'poweroff'" in run.of("off", "odd")["result"]["msg"]


def test_scripts_that_are_switched_off_are_shown_and_do_not_run(vcenter, playbook):
    """Manual 7.2, switches: what the hypervisor lets the tools run is in guest_info as
    power_scripts."""
    vc = vcenter("chr1")
    add(vc, "chr1", "poweroff", BREAKS)
    vc.change("chr1", config__tools__beforeGuestShutdown="false", config__tools__afterPowerOn="true")
    run = playbook([INFO, OFF], hosts(vc, "chr1"))
    assert run.rc == 0, run.output
    scripts = run.of("info")["result"]["power_scripts"]
    assert (scripts["before_shutdown"], scripts["after_power_on"]) == (False, True)


def test_a_router_that_comes_up_has_run_its_script_soon_after_it_is_there(vcenter, playbook, vmware_guest):
    """Manual 7.2, poweron and resume: they run after the operation, so what they do is waited for
    with a condition."""
    kinds = {"poweron": "poweredOff", "resume": "suspended"}
    vc = vcenter(*kinds, boot=1)
    for kind, state in kinds.items():
        add(vc, kind, kind, ":delay 500ms; /system note set note=awake")
        vc.change(kind, runtime__powerState=state)
        threading.Timer(0.5, call, [vmware_guest(vc, kind), "PowerOnVM_Task"]).start()
    tasks = [
        {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 30}},
        {
            **script(":put 1", only_if='[/system note get note] = "awake"'),
            "register": "one",
            "until": "one is changed",
            "retries": 20,
            "delay": 0.2,
        },
    ]
    run = playbook(tasks, hosts(vc, *kinds))
    assert run.rc == 0, run.output
    assert run.changed() == {("poweron", "go"), ("resume", "go")}


def test_a_suspended_router_is_told_from_one_that_is_off(vcenter, playbook, vmware_guest):
    """Manual 7.2, suspend: the script runs before; afterwards the host is unreachable, and the
    error says to resume it."""
    vc = vcenter("chr1", "chr2")
    add(vc, "chr1", "suspend", "/system note set note=asleep")
    call(vmware_guest(vc, "chr1"), "StandbyGuest")
    time.sleep(0.5)
    run = playbook([script(":put 1")], hosts(vc, "chr1", "chr2"))
    assert note(vc, "chr1") == "asleep"
    assert run.of("go", "chr2")["status"] == "ok"
    assert run.of("go", "chr1")["status"] == "unreachable"
    assert "VMware says suspended. Resume it." in run.of("go", "chr1")["result"]["msg"]


# -- what the tools report -------------------------------------------------------------------------


def test_guest_info_is_what_the_tools_reported_last_and_says_how_old_that_can_be(vcenter, playbook):
    """Manual 7.4, every 30 seconds: max_age says so, and what is newer is not in guest_info yet."""
    vc = vcenter("chr1")
    vc.ask("report")
    vc.router("chr1").run("/system identity set name=renamed; /ip address add address=192.0.2.9/24 interface=ether1")
    old = playbook([INFO], hosts(vc, "chr1")).of("info")["result"]
    vc.ask("report")
    new = playbook([INFO], hosts(vc, "chr1")).of("info")["result"]
    assert (old["host_name"], new["host_name"]) == ("chr1", "renamed")
    assert old["max_age"] == new["max_age"] == 30
    assert [one["address"] for one in old["interfaces"][0]["addresses"]] == ["10.0.2.15"]
    assert new["interfaces"][0]["addresses"][1] == {"address": "192.0.2.9", "prefix": 24, "family": "ipv4"}


ORDERS = {
    "none": ({}, ["ether1", "ether2", "ether3", "ether4"]),
    "exclude": ({"exclude_nics": "ether2,ether4"}, ["ether1", "ether3"]),
    "primary": ({"primary_nics": "ether3"}, ["ether3", "ether1", "ether2", "ether4"]),
    "low": ({"low_priority_nics": "ether[12]"}, ["ether3", "ether4", "ether1", "ether2"]),
    "every": (
        {"exclude_nics": "*4", "primary_nics": "ether2", "low_priority_nics": "ether1"},
        ["ether2", "ether3", "ether1"],
    ),
}


def test_interfaces_come_in_the_order_that_the_vms_keys_ask_for(vcenter, playbook):
    """Manual 7.4, exclude-nics, primary-nics, low-priority-nics: guest_info keeps the order of the
    report, patterns and all."""
    vc = vcenter(*ORDERS)
    for name, (keys, _expected) in ORDERS.items():
        vc.routers.interfaces[name] = ("ether1", "ether2", "ether3", "ether4")
        if keys:
            vc.change(name, **{f"guestinfo__{key}": value for key, value in keys.items()})
    vc.ask("report")
    run = playbook([INFO], hosts(vc, *ORDERS))
    assert run.rc == 0, run.output
    for name, (_keys, expected) in ORDERS.items():
        assert [one["name"] for one in run.of("info", name)["result"]["interfaces"]] == expected


def test_the_routers_memory_is_known_with_and_without_guest_statistics(vcenter, playbook):
    """Manual 7.4, disable-perfmon: statistics of the memory are off unless asked for; a script
    reads it without them."""
    vc = vcenter("unset", "on", "off")
    vc.change("on", guestinfo__disable_perfmon="FALSE")
    vc.change("off", guestinfo__disable_perfmon="TRUE")
    task = script(":put 1", only_if="[/system resource get free-memory] > 1")
    run = playbook([task], hosts(vc, "unset", "on", "off"))
    assert run.rc == 0, run.output
    assert run.changed() == {("unset", "go"), ("on", "go"), ("off", "go")}
