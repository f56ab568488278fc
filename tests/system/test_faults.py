# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that goes wrong at once, a host each, on every backend: each host has its own message,
the others go on, and no script is run on another VM or twice.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.relay import Relay
from ansible_collections.outofband.chr.tests.lab.routeros import Router

# On the router: whose script it was, and how often it ran.
SCRIPT = (
    '/system note set note=("{{ inventory_hostname }}," . [/system note get note])\n:put [/system identity get name]'
)
GO = {"name": "go", "outofband.chr.script": {"source": SCRIPT}}


def notes(router: Router) -> list[str]:
    """The hosts whose scripts ran on a router."""
    output = router.run(":put [/system note get note]").output.decode()
    return [name for name in output.strip().split(",") if name]


def check(run: t.Any, expected: dict[str, tuple[str, tuple[str, ...]]]) -> None:
    """Each host has its status, and a message with these parts, of one line, without a
    traceback."""
    assert "Traceback" not in run.output
    told = {}
    for host, (status, parts) in expected.items():
        record = run.of("go", host)
        said = str(record["result"].get("msg", ""))
        assert record["status"] == status, (host, said)
        assert "\n" not in said
        for part in parts:
            assert part in said, (host, part, said)
        told[host] = said
    failed = [said for said in told.values() if said]
    assert len(set(failed)) == len(failed)


@pytest.fixture
def nobody() -> t.Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


# -- VMware ----------------------------------------------------------------------------------------


def test_vmware(vcenter, playbook, nobody, tmp_path):
    names = [
        "good",
        "off",
        "asleep",
        "booting",
        "twin",
        "twin",
        "template",
        "denied",
        "gone",
        "killed",
        "reset",
        "silent",
    ]
    vc = vcenter(*names, "policies", "state")
    vc.change("off", runtime__powerState="poweredOff")
    vc.change("asleep", runtime__powerState="suspended")
    vc.change("booting", guest__toolsRunningStatus="guestToolsNotRunning")
    vc.change("template", config__template="true", runtime__powerState="poweredOff")
    vc.fault("StartProgramInGuest", "NoPermission", name="denied")
    vc.fault("StartProgramInGuest", "ManagedObjectNotFound", name="gone")
    vc.fault("StartProgramInGuest", "NotAuthenticated", name="killed")
    vc.fault("StartProgramInGuest", "4", name="silent")
    vc.fault("StartProgramInGuest", "GuestPermissionDenied", name="policies")
    vc.fault("StartProgramInGuest", "InvalidState", name="state")
    quick = {"chr_connect_timeout": 2}
    with contextlib.ExitStack() as running:
        relay = running.enter_context(
            Relay(socket.create_server(("127.0.0.1", 0)), (vc.about["host"], int(vc.about["port"])))
        )
        broken = vc.vm("reset")["moid"]
        vc.routers.on_start = lambda vm: relay.reset() if vm == broken else None
        web = running.enter_context(LabProxmox(tmp_path))
        web.faults["/sdk"] = "503 Service Unavailable"
        elsewhere = running.enter_context(LabProxmox(_folder(tmp_path / "other")))
        hosts = {name: vc.variables(**quick) for name in dict.fromkeys([*names, "policies", "state", "unknown"])}
        hosts["reset"] |= {"chr_api_port": relay.address[1]}
        for name, more in {
            "wrong-password": {"chr_api_password": "wr0ng-secret"},
            "wrong-login": {"chr_guest_password": "wr0ng-secret"},
            "untrusted": {"chr_ca_path": None},
            "refused": {"chr_api_port": closed_port()},
            "hangs": {"chr_api_port": nobody},
            "unavailable": {"chr_api_port": web.port, "chr_validate_certs": False},
            "no-vcenter": {"chr_api_port": elsewhere.port, "chr_validate_certs": False},
        }.items():
            hosts[name] = vc.variables(chr_vm="good", **quick, **more)
        run = playbook([GO], {name: {**one, "ansible_host": "192.0.2.1"} for name, one in hosts.items()}, "--forks=21")
    where = f"{vc.about['host']}:{vc.about['port']}"
    check(
        run,
        {
            "good": ("ok", ()),
            "killed": ("ok", ()),
            "wrong-password": ("failed", (where, "wrong user or password", "chr_api_password")),
            "wrong-login": (
                "failed",
                ("'good'", "refused the login of 'admin'", "chr_guest_password", "Nothing was run"),
            ),
            "denied": ("failed", ("'denied'", "VirtualMachine.GuestOperations.Execute is missing")),
            "policies": ("failed", ("'policies'", "policies")),
            "unknown": ("failed", (where, "'unknown'", "chr_vm")),
            "twin": ("failed", (where, "2 VMs", "Nothing was sent to any", "chr_vm")),
            "template": ("failed", ("'template'", "template", "Nothing was sent")),
            "gone": ("failed", (where, "no longer has the VM 'gone'")),
            "state": ("failed", ("'state'", "try again")),
            "off": ("unreachable", ("'off'", "poweredOff", "Power it on")),
            "asleep": ("unreachable", ("'asleep'", "suspended", "Resume it")),
            "booting": ("unreachable", ("'booting'", "guestToolsNotRunning", "booting")),
            "untrusted": ("failed", (where, "not trusted", "chr_ca_path")),
            "refused": ("unreachable", ("refused", "chr_api_host and chr_api_port")),
            "hangs": ("unreachable", (f":{nobody}", "within 2 s", "chr_connect_timeout")),
            "unavailable": ("unreachable", (f":{web.port}", "503 Service Unavailable", "chr_api_port")),
            "no-vcenter": ("unreachable", (f":{elsewhere.port}", "506 upload 'Content-Type", "chr_api_port")),
            "reset": ("failed", ("StartProgramInGuest was sent", "not sent again", "Look at the router")),
            "silent": ("failed", ("StartProgramInGuest was sent", "not sent again", "Look at the router")),
        },
    )
    time.sleep(2.5)  # what was silent is carried out late
    ran = {vm["name"]: notes(vc.routers.router(vm["moid"], vm["name"])) for vm in vc.vms}
    assert {name: hosts for name, hosts in ran.items() if hosts} == {
        name: [name] for name in ("good", "killed", "reset", "silent")
    }
    assert "wr0ng-secret" not in run.output
    assert vc.counts()["Login"] <= 5


def _folder(path: t.Any) -> t.Any:
    path.mkdir()
    return path


# -- Proxmox VE ------------------------------------------------------------------------------------


def test_proxmox(playbook, short_path, nobody):
    broken = {
        "reset": "reset",
        "cut": "cut",
        "error-500": "500 got no answer from the dog",
        "old-501": "501 Method not implemented",
        "node-595": "595 No route to host",
        "proxy-596": "596 Broken pipe",
        "proxy-597": "597 Connection timed out",
    }
    names = ["good", "killed", "off", "no-agent", "silent", "twin", "twin", "template", "denied", "other-node", *broken]
    with LabProxmox(short_path) as pve:
        for vmid, name in enumerate(names, 100):
            pve.add(vmid, name, f"pve{vmid % 2 + 1}", accepts_null_path=True)
        of = {vm.name: vm for vm in pve.vms.values()}
        pve.tokens |= {"root@pam!weak": "t0ken-secret"}
        pve.privileges["root@pam!weak"] = frozenset({"VM.Audit"})
        access = pve.variables(ansible_host="192.0.2.1", chr_connect_timeout=2)
        password = {"chr_api_token_id": None, "chr_api_user": "root@pam"}
        hosts: dict[str, dict[str, t.Any]] = {name: dict(access) for name in [*dict.fromkeys(names), "unknown"]}
        hosts["killed"] |= {**password, "chr_api_password": "pass-w0rd"}
        hosts["denied"] |= {"chr_api_token_id": "root@pam!weak"}
        hosts["other-node"] |= {"chr_node": "pve1" if of["other-node"].node == "pve2" else "pve2"}
        for name, more in {
            "wrong-password": {**password, "chr_api_password": "wr0ng-secret"},
            "expired-token": {"chr_api_token_secret": "wr0ng-secret"},
            "untrusted": {"chr_ca_path": None},
            "refused": {"chr_api_port": closed_port()},
            "hangs": {"chr_api_port": nobody},
        }.items():
            hosts[name] = {**access, "chr_vm": "good", **more}
        warm = playbook(  # which way works is known before it breaks
            [{"name": "go", "ansible.builtin.raw": ":put 1"}],
            {name: hosts[name] for name in ("good", "killed", *broken)},
        )
        assert warm.rc == 0, warm.output
        pve.expire_tickets()
        of["off"].lab.stop()
        of["no-agent"].agent_enabled = False
        of["silent"].lab.switches.mute = ("guest-ping",)
        of["template"].template = True
        for name, fault in broken.items():
            pve.faults[f"/qemu/{of[name].vmid}/agent/exec"] = fault
        executed = [sum(one["execute"] == "guest-exec" for one in of[name].wire) for name in broken]
        run = playbook([GO], hosts, "--forks=22")
        where = f"Proxmox VE at localhost:{pve.port}"
        check(
            run,
            {
                "good": ("ok", ()),
                "killed": ("ok", ()),
                "wrong-password": ("failed", (where, "refused the password of 'root@pam'", "chr_api_password")),
                "expired-token": ("failed", (where, "'root@pam!chr'", "expired", "chr_api_token_secret")),
                "denied": ("failed", (where, "token root@pam!weak", "VM.GuestAgent.Unrestricted on /vms/")),
                "unknown": ("failed", (where, "'unknown'", "Check chr_vm")),
                "twin": ("failed", (where, "more than one VM", "None was touched", "vmid")),
                "template": ("failed", (where, "'template'", "template", "chr_vm")),
                "other-node": ("failed", (where, "chr_node", "Leave chr_node out")),
                "off": ("unreachable", ("'off'", where, "Start the VM")),
                "no-agent": ("failed", ("'no-agent'", where, "agent: 1")),
                "silent": ("unreachable", ("'silent'", where, "within 2 s", "booting")),
                "untrusted": ("failed", (where, "not trusted", "chr_ca_path")),
                "refused": ("unreachable", ("refused", "chr_api_host and chr_api_port")),
                "hangs": ("unreachable", (f":{nobody}", "within 2 s", "chr_api_host")),
                "reset": ("failed", (where, "exec", "unknown", "not sent again", "Look at the router")),
                "cut": ("failed", (where, "in the middle of its answer", "not sent again", "Look at the router")),
                "error-500": (
                    "failed",
                    (where, "with 500: got no answer from the dog", "not sent again", "Look at the router"),
                ),
                "old-501": ("failed", (where, "501", "too old")),
                "node-595": ("unreachable", ("'node-595'", where, "595 No route to host", "Nothing was sent")),
                "proxy-596": ("failed", (where, "with 596: Broken pipe", "not sent again", "Look at the router")),
                "proxy-597": (
                    "failed",
                    (where, "with 597: Connection timed out", "not sent again", "Look at the router"),
                ),
            },
        )
        assert executed == [sum(one["execute"] == "guest-exec" for one in of[name].wire) for name in broken]
        ran = {vm.vmid: notes(vm.router) for vm in pve.vms.values() if vm.name != "off"}
        assert {vmid: hosts for vmid, hosts in ran.items() if hosts} == {100: ["good"], 101: ["killed"]}
        assert "wr0ng-secret" not in run.output


@pytest.mark.slow
def test_proxmox_runs_no_script_on_another_vm_or_twice_while_vms_move_about(playbook, short_path):
    """Twenty hosts of one address, two of them for each VM, three scripts each; meanwhile the VMs
    change nodes all the time."""
    with LabProxmox(short_path) as pve:
        for number in range(10):
            pve.add(100 + number, f"chr{number}", accepts_null_path=True)
        access = pve.variables(ansible_host="192.0.2.1")
        hosts = {
            f"{kind}{number}": {**access, "chr_vm": f"chr{number}" if kind == "name" else 100 + number}
            for kind in ("name", "number")
            for number in range(10)
        }
        over = threading.Event()

        def move() -> None:
            while not over.wait(0.05):
                for vm in pve.vms.values():
                    vm.node = "pve2" if vm.node == "pve1" else "pve1"

        mover = threading.Thread(target=move)
        mover.start()
        try:
            run = playbook([{**GO, "name": f"go{turn}"} for turn in range(3)], hosts, "--forks=20", strategy="free")
        finally:
            over.set()
            mover.join()
        done = [line for line in run.lines if line["status"] == "ok"]
        for line in done:
            assert line["result"]["stdout"] == f"chr{line['host'][-1]}"
        for line in run.lines:
            if line not in done:  # it was moved more often than anybody looks
                assert "is not on the node that the cluster lists for it" in line["result"]["msg"]
                assert "Nothing was sent" in line["result"]["msg"]
        ran = sorted((host, vm.name[-1]) for vm in pve.vms.values() for host in notes(vm.router))
        assert ran == sorted((line["host"], line["host"][-1]) for line in done)
        assert len(done) > 30


# -- QEMU's sockets --------------------------------------------------------------------------------


def test_qemu(lab, playbook, short_path):
    routers = {name: lab(name) for name in ("good", "off", "reset", "mute")}
    routers["mute"].switches.mute = ("guest-ping", "guest-sync-delimited", "guest-sync")
    routers["off"].stop()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short_path / "relay.sock"))
    silent = socket.create_server(("127.0.0.1", 0))
    with Relay(listener, routers["reset"].address, b'"guest-exec"'), silent:
        hosts = {name: {"chr_socket": one.address} for name, one in routers.items()}
        hosts["reset"]["chr_socket"] = str(short_path / "relay.sock")
        hosts |= {
            "unknown": {"chr_socket": "/nowhere/x.sock"},
            "no-socket": {"chr_socket": "/dev/null"},
            "refused": {"chr_socket": f"tcp://127.0.0.1:{closed_port()}"},
            "hangs": {"chr_socket": f"tcp://127.0.0.1:{silent.getsockname()[1]}"},
        }
        common = {"ansible_host": "192.0.2.1", "chr_connect_timeout": 2}
        run = playbook([GO], {name: {**common, **one} for name, one in hosts.items()}, "--forks=10")
    check(
        run,
        {
            "good": ("ok", ()),
            "off": ("unreachable", ("'off'", str(short_path / "off.sock"), "refused", "The VM may be off")),
            "mute": ("unreachable", ("'mute'", "within 2 s", "booting")),
            "unknown": ("unreachable", ("'unknown'", "/nowhere/x.sock", "no such file")),
            "no-socket": ("failed", ("/dev/null is not a socket", "chr_socket")),
            "refused": ("unreachable", ("'refused'", "refused", "The VM may be off")),
            "hangs": ("unreachable", ("'hangs'", "within 2 s", "another program")),
            "reset": ("failed", ("'reset'", "not sent again", "Look at the router")),
        },
    )
    assert [(name, notes(one.router)) for name, one in routers.items() if notes(one.router)] == [
        ("good", ["good"]),
        ("reset", ["reset"]),
    ]


# -- libvirt ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_libvirt(libvirtd, playbook, short_path, monkeypatch):
    libvirtd.define("good")
    libvirtd.define("reset")
    libvirtd.define("off")
    libvirtd.define("plain", port=None)
    for name in ("good", "reset", "plain"):
        libvirtd.virsh("start", name)
    ssh = short_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'root@kvm1: Permission denied (publickey,password).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(short_path), prepend=":")
    relayed, silent = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    relayed.bind(str(short_path / "relay.sock"))
    silent.bind(str(short_path / "silent.sock"))
    silent.listen(8)
    with Relay(relayed, str(libvirtd.socket), b'"guest-exec"'), silent:
        at = "qemu:///session?socket="
        own = {"chr_libvirt_uri": libvirtd.uri}
        hosts: dict[str, dict[str, t.Any]] = {name: dict(own) for name in ("good", "off", "plain", "unknown")}
        hosts |= {
            "reset": {"chr_libvirt_uri": f"{at}{short_path}/relay.sock"},
            "refused": {"chr_libvirt_uri": f"{at}{short_path}/nobody.sock", "chr_connect_timeout": 2},
            "hangs": {"chr_libvirt_uri": f"{at}{short_path}/silent.sock", "chr_connect_timeout": 2},
            "wrong-key": {"chr_libvirt_uri": "qemu+ssh://root@kvm1.example.net/system"},
        }
        common = {"chr_backend": "libvirt", "ansible_host": "192.0.2.1", "chr_connect_timeout": 90}
        run = playbook([GO], {name: {**common, **one} for name, one in hosts.items()}, "--forks=10")
    check(
        run,
        {
            "good": ("ok", ()),
            "off": ("unreachable", ("'off'", str(libvirtd.socket), "Start it")),
            "plain": ("failed", ("'plain'", "no guest agent channel", "<channel type='unix'>")),
            "unknown": ("failed", ("no VM 'unknown'", str(libvirtd.socket), "list --all")),
            "refused": ("unreachable", ("'refused'", "nobody.sock", "within 2 s", "No such file", "virsh")),
            "hangs": ("unreachable", ("'hangs'", "silent.sock", "within 2 s")),
            "wrong-key": ("failed", ("kvm1.example.net", "Permission denied", "virsh -c URI list")),
            "reset": ("failed", ("'reset'", "guest-exec", "not sent again", "Look at the router")),
        },
    )
    for name in ("good", "reset"):
        after = playbook(
            [{"name": "note", "ansible.builtin.raw": ":put [/system note get note]"}], {name: {**common, **own}}
        )
        assert after.of("note")["result"]["stdout"] == f"{name},\n"
    for name in ("good", "reset", "plain"):
        libvirtd.virsh("destroy", name)
