# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left behind: nothing on a router by any module, and nothing of the lab when it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.packages import npk
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder
from ansible_collections.outofband.chr.tests.lab.xen.host import XenHost
from ansible_collections.outofband.chr.tests.lab.xen.oxenstored import build_xen
from ansible_collections.outofband.chr.tests.lab.xenapi.server import LabPool

TESTS = Path(__file__).parents[1]
ACTIONS = Path(__file__).parents[2] / "plugins" / "action"
ELSEWHERE = {"license_report", "image", "rescue_disk", "provision_agent", "vmware_network", "vmware_tools", "fleet"}
ELSEWHERE |= {"api_bridge", "doctor_report"}
"""Modules that run no script in a router, as do those that make VMs; fleet, whose work is that of
script, license_info, facts and doctor; and api_bridge, whose scripts do what its clients ask
for."""
FILES = "inventory_hostname != 'xenapi'"
SNAPSHOTS = "inventory_hostname in ['vmware', 'proxmox']"
PACKAGE = {"src": "routeros-7.23.npk", "checksum": "waived"}
ACCOUNT, PASSWORD = "ops@example.com", "pass"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB ops@example.com"
MODULES: list[tuple[str, dict[str, t.Any], str]] = [
    ("doctor", {}, "true"),
    ("wait_for_agent", {"timeout": 60}, "true"),
    ("wait_for_agent", {"timeout": 60, "interfaces": 1, "until": "1 = 1"}, "inventory_hostname != 'xenapi'"),
    ("wait_for_agent", {"timeout": 1, "interfaces": 9}, "inventory_hostname != 'xenapi'"),
    ("guest_info", {}, "true"),
    ("facts", {"gather_subset": ["default"]}, "true"),
    ("license_info", {}, "true"),
    ("license", {"account": ACCOUNT, "password": "wrong", "level": "p1", "timeout": 20}, "true"),
    ("license", {"account": ACCOUNT, "password": PASSWORD, "level": "p1", "timeout": 60}, "true"),
    ("system_id", {}, "true"),
    ("script", {"source": ":put 1", "unless": "1 = 2"}, "true"),
    ("script", {"source": ":put 1", "only_if": "1 = 2"}, "true"),
    ("script", {"source": ":put 1", "only_if": "[/no such menu]"}, "true"),
    ("first_login", {"user": "ops", "ssh_keys": [KEY], "disable_services": ["telnet"]}, "true"),
    ("first_login", {"user": "ops", "group": "missing"}, "true"),
    ("copy", {"content": "x", "dest": "kept.txt"}, FILES),
    ("copy", {"content": "x", "dest": "kept.txt"}, FILES),
    ("fetch", {"src": "kept.txt", "dest": "got/"}, FILES),
    ("fetch", {"src": "missing.txt", "dest": "got/"}, FILES),
    ("backup", {"dest": "got/", "binary": True, "encrypt": False}, "true"),
    ("upgrade", {"version": "7.23", "timeout": 3}, "inventory_hostname != 'xenapi'"),
    ("upgrade", {"version": "7.23", "packages": [PACKAGE], "timeout": 20}, "inventory_hostname != 'xenapi'"),
    ("api_bridge", {}, "true"),
    ("snapshot", {"name": "first"}, SNAPSHOTS),
    ("power", {"state": "rebooted"}, "true"),
]


def test_no_module_leaves_a_file_on_the_router_on_any_backend(playbook, short_path):
    """Whether it succeeds, fails or only reads. The file that copy writes is the exception.

    The agent of "plain" sends no 0xFF before the reply to a sync. Nothing may depend on that.
    """
    made = {path.stem for path in ACTIONS.glob("*.py") if path.stem.endswith("_vm")}
    assert {path.stem for path in ACTIONS.glob("[a-z]*.py")} == {name for name, *_rest in MODULES} | ELSEWHERE | made
    (playbook.folder / PACKAGE["src"]).write_bytes(npk("routeros", "7.23"))
    tasks = [
        {"name": f"{number} {name}", f"outofband.chr.{name}": arguments, "when": when, "ignore_errors": True}
        for number, (name, arguments, when) in enumerate(MODULES)
    ]
    routers: dict[str, Router] = {}
    with contextlib.ExitStack() as running:
        accounts = running.enter_context(AccountServer())
        accounts.add_account(ACCOUNT, PASSWORD)
        hosts = {}
        routers["plain"] = Router(identity="plain")
        plain = LabRouter(routers["plain"], f"unix:{short_path}/plain.sock", Switches(delimiter=False))
        hosts["plain"] = {"chr_backend": "qemu", "chr_socket": running.enter_context(plain).address}
        for kind in ("sockets", "proxmox", "vmware", "xenapi", "xenstore"):
            (host,) = running.enter_context(hypervisor(kind, [kind], cache(), routers)).values()
            hosts[kind] = host
        for router in routers.values():
            router.accounts = accounts
        run = playbook(tasks, hosts, "--forks=6", strategy="free")
        assert {name: set(router.files) for name, router in routers.items()} == {
            name: set() if name == "xenapi" else {"kept.txt"} for name in hosts
        }
    assert [name for name, router in routers.items() if router.globals] == []
    ended = {host: [line["status"] for line in run.lines if line["host"] == host] for host in hosts}
    assert all(statuses.count("ok") >= 9 for statuses in ended.values()), run.output
    assert ended["plain"] == ended["sockets"]


@pytest.mark.parametrize(
    ("kind", "number", "programs"),
    [
        ("qemu", signal.SIGKILL, {"qemu-system-x86_64"}),
        ("qemu", signal.SIGTERM, {"qemu-system-x86_64"}),
        ("libvirt", signal.SIGKILL, {"libvirtd", "qemu-system-x86_64"}),
        ("xenstore", signal.SIGKILL, {"oxenstored"}),
        ("vmware", signal.SIGKILL, {"vcsim"}),
    ],
)
def test_a_killed_lab_leaves_no_processes_and_no_folder(kind, number, programs):
    with hypervisor(kind, ["chr01"], cache()):
        pass  # what it needs is there, and built
    command = [sys.executable, "-m", "lab", "hypervisor", kind, "--cache", str(cache())]
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as lab:
        assert lab.stdout
        hosts = json.loads(lab.stdout.readline())
        (folder,) = set(re.findall(r"/tmp/chr-[^/]+", json.dumps(hosts)))
        running = naming(folder)
        assert {re.sub(r"-[0-9a-f]{16}$", "", program) for program in running.values()} >= programs
        os.kill(lab.pid, number)
        lab.wait(10)
        deadline = time.monotonic() + 30
        while (naming(folder) or Path(folder).exists()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert naming(folder) == {}
        assert not Path(folder).exists()


def test_what_names_a_temporary_folder_ends_with_it_in_an_orderly_run():
    with temporary_folder() as folder:
        script = folder / "script"
        script.write_text("sleep 300 & echo started; wait")
        # Started by a shell that ends, as libvirtd's domains are not children of the tests.
        subprocess.run(["sh", "-c", f"setsid sh {script} >{folder}/said 2>&1 &"], check=True)
        while not (folder / "said").exists() or not (folder / "said").read_text():
            time.sleep(0.01)
        assert naming(str(folder))
    assert naming(str(folder)) == {}
    assert not folder.exists()


def naming(folder: str) -> dict[int, str]:
    """Name of the program, by process number, of each process that names the folder in its command
    line."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if any(folder in word for word in words):
            found[int(process.name)] = Path(words[0]).name
    return found


def test_sessions_of_hypervisors_end_with_the_run_and_are_shared_in_it(vcenter, playbook, short_path):
    vc = vcenter("chr1", "chr2")
    with XenHost(build_xen(cache()), short_path / "xen") as xen, LabPool(xen, short_path) as pool:
        pool.vm("chr3", started=True, boot_seconds=0.0)
        hosts = {"chr1": vc.variables(), "chr2": vc.variables(), "chr3": pool.variables()}
        tasks = [
            {"name": "look", "outofband.chr.guest_info": None},
            {"name": "new", "ansible.builtin.meta": "reset_connection", "when": "inventory_hostname == 'chr1'"},
            {"name": "again", "outofband.chr.guest_info": None},
        ]
        run = playbook(tasks, hosts)
        assert run.rc == 0, run.output
        assert vc.counts()["Logout"] == vc.counts()["Login"] == 2
        assert pool.logins >= 1
        assert pool.sessions == {}
