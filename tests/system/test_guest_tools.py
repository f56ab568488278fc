# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role guest_tools and the module vmware_tools as playbooks use them, against the vCenter
simulator and the lab's agents."""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import Vcenter
from ansible_collections.outofband.chr.tests.lab.workstation.machine import WorkstationMachine, router_of

BACKUP = ':log info "freezing: $[/system clock get time]"\n/system note set note="frozen \\"?\\""'
ROLE = [{"name": "role", "ansible.builtin.include_role": {"name": "outofband.chr.guest_tools"}}]


def settings(vcenter: Vcenter, vmware_guest: t.Callable[..., t.Any], name: str) -> tuple[t.Any, dict[str, str]]:
    """config.tools and the keys of a VM, as another client sees them."""
    one = vmware_guest(vcenter, name)
    state = one._vsphere.properties(vcenter.vm(name)["moid"], ["config.tools", "config.extraConfig"])
    return state["config.tools"], {option.key: option.value for option in state["config.extraConfig"]}


def scripts(vcenter: Vcenter, name: str) -> dict[str, str]:
    """Names and sources of the scripts of a router."""
    router = vcenter.router(name)
    run = router.run(":foreach i in=[/system script find] do={:put [/system script get $i name]}")
    assert run.exitcode == 0, run.output
    return {
        one: router.run(f":put [/system script get {one} source]").output.decode().replace("\r\n", "\n").rstrip("\n")
        for one in run.output.decode().split()
    }


def test_everything_that_the_manual_names_is_set_once(vcenter, playbook, vmware_guest):
    """Second run unchanged; what is not named stays."""
    vc = vcenter("chr1", "other")
    wanted = {
        "guest_tools_time_sync": True,
        "guest_tools_power_scripts": {"before_shutdown": False},
        "guest_tools_statistics": True,
        "guest_tools_exclude_nics": ["pppoe*", "vlan*"],
        "guest_tools_primary_nics": ["ether1"],
        "guest_tools_low_priority_nics": ["ether[34]"],
        "guest_tools_scripts": [{"name": "freeze", "source": BACKUP}, {"name": "thaw", "source": ":put 1"}],
    }
    hosts = {"chr1": vc.variables()}
    checked = playbook(ROLE, hosts, "--check", "--diff", vars=wanted)
    assert checked.rc == 0, checked.output
    assert "time_sync: True" in checked.output
    assert scripts(vc, "chr1") == {}
    assert settings(vc, vmware_guest, "chr1")[0].syncTimeWithHost is None

    run = playbook(ROLE, hosts, vars=wanted)
    assert run.rc == 0, run.output
    tools, keys = settings(vc, vmware_guest, "chr1")
    assert (tools.syncTimeWithHost, tools.beforeGuestShutdown, tools.afterPowerOn) == (True, False, True)
    assert {key: value for key, value in keys.items() if key.startswith("guestinfo.")} == {
        "guestinfo.disable-perfmon": "FALSE",
        "guestinfo.exclude-nics": "pppoe*,vlan*",
        "guestinfo.primary-nics": "ether1",
        "guestinfo.low-priority-nics": "ether[34]",
    }
    assert scripts(vc, "chr1") == {"freeze": BACKUP, "thaw": ":put 1"}
    assert settings(vc, vmware_guest, "other")[0].syncTimeWithHost is None

    again = playbook(ROLE, hosts, vars=wanted)
    assert (again.rc, again.changed()) == (0, set()), again.output
    less = {"guest_tools_exclude_nics": [], "guest_tools_scripts": [{"name": "freeze", "state": "absent"}]}
    run = playbook(ROLE, hosts, vars=less)
    assert run.rc == 0, run.output
    tools, keys = settings(vc, vmware_guest, "chr1")
    assert (tools.syncTimeWithHost, keys.get("guestinfo.exclude-nics", "")) == (True, "")
    assert scripts(vc, "chr1") == {"thaw": ":put 1"}


def test_a_script_that_is_in_place_runs_when_a_snapshot_is_taken(vcenter, playbook):
    """In the lab, as the vendor's manual says it; where RouterOS looks for its scripts is not
    documented."""
    vc = vcenter("chr1")
    tasks = [*ROLE, {"name": "snapshot", "outofband.chr.snapshot": {"name": "one"}}]
    run = playbook(
        tasks, {"chr1": vc.variables()}, vars={"guest_tools_scripts": [{"name": "freeze", "source": BACKUP}]}
    )
    assert run.rc == 0, run.output
    assert vc.router("chr1").run(":put [/system note get note]").output.decode().strip() == 'frozen "?"'


def test_a_script_that_fails_or_takes_too_long_is_not_put_in_place(vcenter, playbook):
    """Limits of the manual, sections 7.2 and 7.3; here a shorter one."""
    cases = {
        "fails": (':error "no disk"', lambda result: result["rc"] == -1),
        "long": (":delay 200s", lambda result: "within 2 s" in result["msg"]),
    }
    vc = vcenter(*cases)
    hosts = {
        name: vc.variables(
            guest_tools_scripts=[{"name": "poweroff", "source": source}],
            guest_tools_try_scripts=True,
        )
        for name, (source, _right) in cases.items()
    }
    began = time.monotonic()
    run = playbook([{**ROLE[0], "vars": {"guest_tools_limits": {"poweroff": 2}}}], hosts)
    assert time.monotonic() - began < 150
    for name, (_source, right) in cases.items():
        (result,) = [line["result"] for line in run.lines if line["host"] == name and line["status"] == "failed"]
        assert right(result), result
        assert scripts(vc, name) == {}


def test_a_missing_privilege_and_a_bad_pattern_are_told_and_nothing_is_set(vcenter, playbook, vmware_guest):
    vc = vcenter("denied", "odd")
    vc.fault("ReconfigVM_Task", "NoPermission", name="denied")
    hosts = {
        "denied": vc.variables(guest_tools_time_sync=True),
        "odd": vc.variables(guest_tools_time_sync=True, guest_tools_exclude_nics=["a,b"]),
    }
    run = playbook(ROLE, hosts)
    set_ = "outofband.chr.guest_tools : Set what VMware allows the tools to do"
    said = run.of(set_, "denied")["result"]["msg"]
    assert "may not change the tools' settings of 'denied'" in said
    assert "the privilege VirtualMachine" in said
    assert "'a,b' is not a valid pattern" in run.of(set_, "odd")["result"]["msg"]
    assert settings(vc, vmware_guest, "odd")[0].syncTimeWithHost is None


def test_elsewhere_the_agent_is_asked_whether_it_can_freeze(lab, playbook):
    """The settings of VMware are ignored by the role, so that one group can hold routers of several
    hypervisors."""
    hosts = {"chr1": {"chr_socket": lab("chr1").address.removeprefix("unix:")}}
    module = {"name": "set", "outofband.chr.vmware_tools": {"time_sync": True}}
    run = playbook([*ROLE, module], hosts, vars={"guest_tools_time_sync": True})
    freeze = "outofband.chr.guest_tools : Check that the agent can freeze file systems for a snapshot"
    assert run.of(freeze)["status"] == "ok"
    assert "only VMware" in run.of("set")["result"]["msg"]
    assert run.changed() == set()


def test_on_workstation_the_scripts_are_put_in_place_and_elsewhere_there_is_nothing(short_path, playbook, monkeypatch):
    machine = WorkstationMachine(short_path)
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(machine.home))
    vmx = machine.add("chr1")
    wanted = {"guest_tools_scripts": [{"name": "poweroff", "source": ":put 1"}]}
    with machine.routers() as routers:
        for changed in (True, False):
            run = playbook(ROLE, {"chr1": {"chr_backend": "vmrun"}}, vars=wanted)
            assert run.rc == 0, run.output
            assert bool(run.changed()) is changed
        router = router_of(routers, vmx)
        assert router.run(":put [/system script get poweroff source]").output.strip() == b":put 1"
    refused = playbook(ROLE, {"chr1": {"chr_backend": "virtualbox"}})
    assert "Backend virtualbox has no channel to the guest tools" in " ".join(refused.output.split())
