# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook doctor: each fault is found and named with its cure, and hides no other router.

Nothing is changed on a router.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import typing as t
from datetime import timedelta

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._report.doctor import page as as_page
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.doctor import TITLES, Check, Patient, unexamined
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.chromium import Browser
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.proxmox.server import EVERYTHING, LabProxmox
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.virtualbox import vboxmanage
from ansible_collections.outofband.chr.tests.lab.workstation.machine import WorkstationMachine
from ansible_collections.outofband.chr.tests.lab.xen.host import XenHost
from ansible_collections.outofband.chr.tests.lab.xen.oxenstored import build_xen
from ansible_collections.outofband.chr.tests.lab.xenapi.server import LabPool
from ansible_collections.outofband.chr.tests.system.conftest import Playbook, Run

BROKEN = {"chr_backend": "qemu", "chr_socket": "{{ not_defined }}"}
Faults = dict[str, tuple[dict[str, t.Any], dict[str, str]]]
"""By the name of the host: its variables, and the words of the checks that must be wrong."""


def looked(playbook: Playbook, hosts: dict[str, dict[str, t.Any]], *arguments: str) -> tuple[Run, dict[str, t.Any]]:
    """Run the playbook. Returns what it found of each router, by name."""
    found = playbook.folder / "doctor.json"
    more = {"doctor_step_timeout": 8, "doctor_json": str(found)}
    run = playbook("outofband.chr.doctor", hosts, "-e", json.dumps(more), *arguments)
    return run, {one["name"]: one for one in json.loads(found.read_text())["routers"]}


def wrong(router: dict[str, t.Any]) -> dict[str, str]:
    return {name: check["short"] for name, check in router["checks"].items() if check["state"] == "wrong"}


def assert_each_fault_is_found(playbook: Playbook, faults: Faults, *arguments: str) -> dict[str, t.Any]:
    run, found = looked(playbook, {name: host for name, (host, _wrong) in faults.items()}, *arguments)
    assert run.rc != 0
    assert {name: wrong(found[name]) for name in faults} == {
        name: expected for name, (_host, expected) in faults.items()
    }
    for name, (_host, expected) in faults.items():
        for check in found[name]["checks"].values():
            assert bool(check["cure"]) == (check["state"] in ("wrong", "note"))
        assert (found[name]["state"] == "wrong") == bool(expected)
    table = run.output.partition("\nRouter ")[2].partition("\n\n")[0]
    assert all(any(line.split()[:1] == [name] for line in table.splitlines()) for name in faults), run.output
    return found


def configuration(router: Router) -> tuple[bytes, set[str], dict[str, t.Any]]:
    """What a look must leave as it is."""
    return router.run("/export").output.partition(b"\n")[2], set(router.files), dict(router.globals)


@pytest.mark.parametrize("kinds", [("sockets", "proxmox"), ("vmware", "xenstore", "xenapi")], ids="-".join)
def test_nothing_is_wrong_with_routers_that_are_well_and_nothing_changes_there(playbook, tmp_path, kinds):
    routers: dict[str, Router] = {}
    hosts = {}
    with contextlib.ExitStack() as running:
        for kind in kinds:
            hosts |= running.enter_context(hypervisor(kind, [kind], cache(), routers))
        before = {name: configuration(one) for name, one in routers.items()}
        page = tmp_path / "doctor.html"
        run, found = looked(playbook, hosts, "-e", f"doctor_html={page}", "-e", "{doctor_tasks: [script, snapshot]}")
        assert {name: configuration(one) for name, one in routers.items()} == before
    assert run.rc == 0, run.output
    assert f"Nothing is wrong with {len(hosts)} routers." in run.output.splitlines()
    assert "CHR doctor" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    for name, router in found.items():
        boots = name == "xenapi"
        checks = router["checks"]
        assert {one for one, check in checks.items() if check["state"] != "good"} == (
            {"script", "license", "clock", "cards"} if boots else set()
        )
        assert (checks["script"]["ms"] is None) == boots
        assert router["vm"]
        assert name == "vmware" or router["routeros"].startswith("7.22")


def test_what_only_a_real_router_can_tell_is_asked_without_a_change(playbook, tmp_path, short_path):
    routers: dict[str, Router] = {}
    hosts: dict[str, dict[str, t.Any]] = {"nowhere": {"chr_backend": "qemu", "chr_socket": f"{short_path}/none"}}
    answers = tmp_path / "answers.txt"
    with contextlib.ExitStack() as running:
        for kind in ("sockets", "proxmox", "vmware", "xenstore"):
            hosts |= running.enter_context(hypervisor(kind, [kind], cache(), routers))
        before = {name: configuration(one) for name, one in routers.items()}
        run, _found = looked(
            playbook, {**hosts, "broken": BROKEN}, "-e", f"doctor_questions={answers}", "-e", "chr_connect_timeout=3"
        )
        assert {name: configuration(one) for name, one in routers.items()} == before
    assert run.rc == 2, run.output  # of the two that are wrong, and the doctor says so
    assert "Nothing is wrong with 4 routers" not in run.output
    broken, nowhere, proxmox, sockets, vmware, xenstore = answers.read_text().split("\nRouter ")[1:]
    for one in (sockets, proxmox):
        assert "RouterOS: 7.22 (stable)\n" in one
        assert "as-value has the flag disabled: bool\n" in one
        assert "long line: 65536 of 65536 characters\n" in one
        assert one.rstrip().endswith("end of the questions")
    assert all("no answer" in one for one in (broken, nowhere, vmware, xenstore))
    odd = ["10.0.2.15", "nowhere", *(router.license.system_id for router in routers.values())]
    assert not any(one in answers.read_text() for one in odd)
    assert answers.stat().st_mode & 0o777 == 0o600


def test_each_fault_of_proxmox_is_found(playbook, short_path):
    pve = LabProxmox(short_path)
    names = ("well", "off", "channel", "silent", "expired", "clock", "card", "power", "waiting", "paused")
    vms = {name: pve.add(100 + number, name, accepts_null_path=True) for number, name in enumerate(names)}
    pve.tokens |= {"a@pve!scripts": "s", "a@pve!power": "p"}
    pve.privileges["a@pve!scripts"] = EVERYTHING - {"VM.GuestAgent.Unrestricted"}
    pve.privileges["a@pve!power"] = EVERYTHING - {"VM.PowerMgmt"}
    vms["off"].lab.stop()
    vms["channel"].agent_enabled = False
    vms["waiting"].agent_enabled = False
    vms["waiting"].pending["agent"] = "1"
    for name in ("channel", "silent", "waiting"):
        vms[name].lab._away_until = time.monotonic() + 3600
    license = vms["expired"].router.license
    license.level, license.limited_upgrades = "p1", True
    vms["clock"].router.clock.shift(-7200)
    vms["paused"].qmpstatus = "paused"
    vms["card"].config["net1"] = "virtio=BC:24:11:00:00:01,bridge=vmbr1"
    (short_path / "stuck").mkdir()
    stuck = LabProxmox(short_path / "stuck")
    stuck.add(100, "stuck")
    stuck.faults["/version"] = "hang"
    with pve, stuck:
        reach = pve.variables()
        another = pve.variables(chr_vm="well")
        faults: Faults = {
            "well": (reach, {}),
            "password": (pve.variables(root=True, chr_vm="well", chr_api_password="wr0ng"), {"hypervisor": "login"}),
            "token": ({**another, "chr_api_token_secret": "wr0ng"}, {"hypervisor": "refused"}),
            "certificate": ({**another, "chr_ca_path": None}, {"hypervisor": "certificate"}),
            "nobody": ({**another, "chr_api_port": 1}, {"hypervisor": "wrong"}),
            "stuck": (stuck.variables(), {"hypervisor": "no end"}),
            "privilege": (
                {**another, "chr_api_token_id": "a@pve!scripts", "chr_api_token_secret": "s"},
                {"privileges": "missing"},
            ),
            "power": ({**reach, "chr_api_token_id": "a@pve!power", "chr_api_token_secret": "p"}, {}),
            "meant": (
                {**another, "chr_api_token_id": "a@pve!power", "chr_api_token_secret": "p", "doctor_tasks": ["power"]},
                {"privileges": "missing"},
            ),
            "ssh": ({**another, "chr_ssh_host": "root@127.0.0.1", "chr_ssh_args": "-p 1"}, {}),
            "paused": ({**reach, "doctor_tasks": ["power"]}, {"power": "no switch"}),
            "absent": (reach, {"vm": "not found"}),
            "off": (reach, {"power": "off"}),
            "channel": (reach, {"channel": "missing"}),
            "waiting": (reach, {"channel": "missing"}),
            "silent": (reach, {"agent": "wrong"}),
            "expired": (reach, {"license": "expired"}),
            "clock": (reach, {"clock": "-2 h"}),
            "card": (reach, {"cards": "missing"}),
            "broken": (BROKEN, {"settings": "wrong"}),
        }
        found = assert_each_fault_is_found(playbook, faults)
    assert pve.invalid == []
    assert 8000 <= found["stuck"]["checks"]["hypervisor"]["ms"] < 16000
    assert "the step Hypervisor has not ended" in found["stuck"]["checks"]["vm"]["said"]
    assert "VM.GuestAgent.Unrestricted is missing, for script" in found["privilege"]["checks"]["privileges"]["said"]
    assert found["privilege"]["checks"]["agent"]["said"] == "Not looked at, because of what is wrong under Privileges."
    assert found["power"]["checks"]["privileges"]["state"] == "note"
    assert "VM.PowerMgmt is missing, for power" in found["power"]["checks"]["privileges"]["said"]
    assert found["well"]["checks"]["files"]["short"] == "60 KiB"
    assert found["ssh"]["checks"]["files"]["state"] == "note"
    assert "ssh root@127.0.0.1 failed" in found["ssh"]["checks"]["files"]["said"]
    assert found["meant"]["checks"]["script"]["state"] == "good"
    assert "Resume it" in found["paused"]["checks"]["power"]["said"]
    assert "cold start" in found["waiting"]["checks"]["channel"]["said"]
    assert "BC:24:11:00:00:01" in found["card"]["checks"]["cards"]["said"]
    said = found["broken"]["checks"]["settings"]["said"]
    assert said.startswith("The variable chr_socket cannot be evaluated: ")
    assert "not_defined" in said


def test_each_fault_of_a_socket_is_found_and_nothing_runs_in_another_system(playbook, lab, stock_agent, tmp_path):
    well, silent, clock = lab("well"), lab("silent"), lab("clock")
    silent._away_until = time.monotonic() + 3600
    clock.router.clock.offset += timedelta(hours=3)
    folder, other = stock_agent
    (tmp_path / "file").write_text("")
    faults: Faults = {
        "well": ({"chr_socket": well.address}, {}),
        "off": ({"chr_socket": "/run/no-such.sock"}, {"power": "off"}),
        "file": ({"chr_socket": str(tmp_path / "file")}, {"hypervisor": "variables"}),
        "nowhere": ({"chr_socket": "tcp://no-such-host.invalid:1"}, {"hypervisor": "wrong"}),
        "silent": ({"chr_socket": silent.address}, {"agent": "wrong"}),
        "linux": ({"chr_socket": str(other)}, {"routeros": "other system"}),
        "clock": ({"chr_socket": clock.address}, {"clock": "+3 h"}),
        "without": ({"chr_socket": None}, {"settings": "wrong"}),
        "backend": ({"chr_backend": "nonsense"}, {"settings": "wrong"}),
        "broken": (BROKEN, {"settings": "wrong"}),
        "connection": ({"ansible_connection": "{{ not_defined }}"}, {"settings": "wrong"}),
    }
    found = assert_each_fault_is_found(playbook, faults, "-e", "doctor_hosts=all")
    assert "The variable ansible_connection cannot" in found["connection"]["checks"]["settings"]["said"]
    assert list(folder.iterdir()) == []
    assert found["linux"]["checks"]["script"]["state"] == "skipped"
    assert "/run/no-such.sock" in found["off"]["checks"]["power"]["said"]


def test_the_module_fails_with_what_is_wrong_and_its_cure(playbook, lab):
    well, clock = lab("well"), lab("clock")
    clock.router.clock.shift(-86400)
    tasks = [
        {"name": "look", "outofband.chr.doctor": {}, "ignore_errors": True},
        {"name": "hidden", "outofband.chr.doctor": {}, "ignore_errors": True, "no_log": True},
        {"name": "meant", "outofband.chr.doctor": {"tasks": ["script", "power"]}},
    ]
    run = playbook(tasks, {"well": {"chr_socket": well.address}, "clock": {"chr_socket": clock.address}}, "--check")
    assert run.of("look", "well")["status"] == "ok"
    assert run.of("look", "well")["result"]["doctor"]["checks"]["script"]["state"] == "good"
    failed = run.of("look", "clock")["result"]
    assert run.of("look", "clock")["status"] == "failed"
    assert not failed["changed"]
    assert re.match(r"Something is wrong with clock\. Clock: The clock is 864\d\d s behind", failed["msg"])
    assert "Cure: Set up /system ntp client" in failed["msg"]
    assert "behind" not in str(run.of("hidden", "clock")["result"].get("msg"))
    # A QEMU that qemu_vm did not make cannot be switched.
    assert run.of("meant", "well")["result"]["doctor"]["checks"]["power"]["short"] == "no switch"


def test_each_fault_of_vmware_is_found_and_no_file_is_left(playbook, vcenter):
    names = ("well", "off", "tools", "expired", "clock", "guest")
    vc = vcenter(*names)
    denied = vcenter("well")
    denied.ask("deny", privilege="VirtualMachine.GuestOperations.Execute")
    denied.ask("deny", privilege="VirtualMachine.Interact.Reset")
    vc.change("off", runtime__powerState="poweredOff")
    vc.change("tools", guest__toolsRunningStatus="guestToolsNotRunning")
    license = vc.router("expired").license
    license.level, license.limited_upgrades = "p1", True
    vc.router("clock").clock.shift(7200)
    reach = vc.variables()
    faults: Faults = {
        "well": (reach, {}),
        "password": ({**reach, "chr_vm": "well", "chr_api_password": "wr0ng"}, {"hypervisor": "login"}),
        "certificate": ({**reach, "chr_vm": "well", "chr_ca_path": None}, {"hypervisor": "certificate"}),
        "privilege": (denied.variables(chr_vm="well"), {"privileges": "missing"}),
        "absent": (reach, {"vm": "not found"}),
        "off": (reach, {"power": "off"}),
        "tools": (reach, {"agent": "wrong"}),
        "guest": ({**reach, "chr_guest_password": "wr0ng"}, {"routeros": "login"}),
        "expired": (reach, {"license": "expired"}),
        "clock": (reach, {"clock": "+2 h"}),
    }
    found = assert_each_fault_is_found(playbook, faults)
    said = found["privilege"]["checks"]["privileges"]["said"]
    assert "VirtualMachine.GuestOperations.Execute is missing, for script" in said
    assert "VirtualMachine.Interact.Reset is missing, for power" in said
    assert [name for name in names if vc.router(name).files] == []


def test_each_fault_of_xen_is_found(playbook, short_path):
    with XenHost(build_xen(cache()), short_path / "xen") as xen, LabPool(xen, short_path) as pool:
        pool.users["operator"] = ("op", "vm-operator")
        pool.vm("well", started=True, boot_seconds=0.0)
        pool.vm("off")
        xen.domain("domain")
        xen.domain("silent", watches=False)
        clock = xen.domain("clock")
        clock.router.clock.shift(-3600)
        reach = pool.variables()
        store = {"chr_backend": "xenstore", "chr_socket": str(xen.daemon.socket)}
        faults: Faults = {
            "well": (reach, {}),
            "password": ({**reach, "chr_vm": "well", "chr_api_password": "wr0ng"}, {"hypervisor": "login"}),
            "certificate": ({**reach, "chr_vm": "well", "chr_ca_path": None}, {"hypervisor": "certificate"}),
            "role": (
                {**reach, "chr_vm": "well", "chr_api_user": "operator", "chr_api_password": "op"},
                {"privileges": "missing"},
            ),
            "absent": (reach, {"vm": "not found"}),
            "off": (reach, {"power": "off"}),
            "domain": (store, {}),
            "dom0": ({**store, "chr_vm": "domain", "chr_socket": "/run/no-such.sock"}, {"hypervisor": "wrong"}),
            "gone": (store, {"vm": "wrong"}),
            "silent": (store, {"agent": "wrong"}),
            "clock": (store, {"clock": "-60 min"}),
        }
        found = assert_each_fault_is_found(playbook, faults)
    assert "vm-admin is missing, for script" in found["role"]["checks"]["privileges"]["said"]
    assert "vm-operator" not in found["role"]["checks"]["privileges"]["cure"]


def test_the_page_fits_can_be_filtered_and_loads_nothing(tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "doctor.html"
    good = tuple(Check(name, "good", "ok", "Well.") for name in TITLES)
    routers = [Patient(f"chr{number:03d}", "qemu", "here", "/run/x.sock", "7.22", good) for number in range(300)]
    ill = [unexamined(f"{number}<b>\u202e{'x' * 60}", "y" * 400) for number in range(3)]
    page.write_text(as_page([*routers, *ill]))
    shown = "[...document.querySelectorAll('#routers tbody tr')].filter(row => row.checkVisibility()).length"
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        for width in (1280, 390):
            browser.show(page, width)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate(shown) == 303
        browser.evaluate("document.getElementById('words').value = 'chr00'")
        browser.evaluate("document.getElementById('words').dispatchEvent(new Event('input'))")
        assert browser.evaluate(shown) == 10
        browser.evaluate("document.getElementById('words').value = ''")
        browser.evaluate("document.getElementById('state').selectedIndex = 1")
        browser.evaluate("document.getElementById('state').dispatchEvent(new Event('input'))")
        assert browser.evaluate(shown) == 3
        assert browser.requests == [page.as_uri()]
        assert browser.complaints == []


@pytest.mark.slow
def test_each_fault_of_libvirt_is_found(playbook, libvirtd):
    for name in ("well", "off", "channel"):
        libvirtd.define(name, port=None if name == "channel" else "org.qemu.guest_agent.0")
    for name in ("well", "channel"):
        libvirtd.virsh("start", name)
    reach = {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri}
    playbook([{"outofband.chr.wait_for_agent": {"timeout": 120}}], {"well": reach})
    faults: Faults = {
        "well": (reach, {}),
        "absent": (reach, {"vm": "not found"}),
        "off": (reach, {"power": "off"}),
        "channel": (reach, {"channel": "missing"}),
        "nobody": ({**reach, "chr_libvirt_uri": "qemu:///session?socket=/run/no-such.sock"}, {"hypervisor": "wrong"}),
        "uri": ({**reach, "chr_libvirt_uri": "xen:///system"}, {"settings": "wrong"}),
    }
    found = assert_each_fault_is_found(playbook, faults)
    assert "Held: write." in found["well"]["checks"]["privileges"]["said"]
    assert "Held: write." in found["off"]["checks"]["privileges"]["said"]


# -- hypervisors on a user's machine ---------------------------------------------------------------


def test_what_there_is_on_workstation_and_virtualbox(playbook, short_path, monkeypatch):
    machine = WorkstationMachine(short_path)
    machine.program("VBoxManage", f'LAB_VIRTUALBOX={machine.home} exec {sys.executable} -S {vboxmanage.__file__} "$@"')
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(machine.home))
    subprocess.run([machine.programs / "VBoxManage", "createvm", "--name", "box", "--register"], check=True)
    machine.add("well")
    machine.add("off", running=False)
    faults = {
        "well": ({"chr_backend": "vmrun"}, {}),
        "off": ({"chr_backend": "vmrun"}, {"power": "off"}),
        "gone": ({"chr_backend": "vmrun"}, {"vm": "not found"}),
        "box": ({"chr_backend": "virtualbox"}, {"power": "off", "channel": "missing"}),
        "nobox": ({"chr_backend": "virtualbox"}, {"vm": "not found"}),
    }
    with machine.routers():
        assert_each_fault_is_found(playbook, faults)
