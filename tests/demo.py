# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a hypervisor of each kind with simulated routers on it, and run playbooks/demo.yml against
them.

demo.py [--keep]
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".build"
sys.path.insert(0, str(ROOT / "tests"))

from lab.hypervisors import Hosts, hypervisor  # noqa: E402
from lab.kill import kill_tree  # noqa: E402
from lab.missing import Missing, in_ci  # noqa: E402
from lab.peers import collections  # noqa: E402
from lab.watchdog import guard_process, release_process  # noqa: E402

ROUTERS = {
    "qemu": ("QEMU, the agent's socket", ["chr1", "chr2"]),
    "libvirt": ("libvirt", ["chr3"]),
    "proxmox": ("Proxmox VE, REST (simulated)", ["chr4"]),
    "vmware": ("VMware vCenter (simulator)", ["chr5"]),
    "xenapi": ("XCP-ng, XAPI (simulated)", ["chr6"]),
    "xenstore": ("Xen, dom0's xenstore", ["chr7"]),
}

WITHOUT_API = ("chr5", "chr6")
"""Routers to which no API can be carried: VMware returns no output, XAPI would restart them."""


def main() -> int:
    report = BUILD / "demo"
    report.mkdir(parents=True, exist_ok=True)
    (report / "report.html").unlink(missing_ok=True)
    print("Starting the hypervisors; building what they need takes up to 3 minutes, once.", flush=True)
    with contextlib.ExitStack() as running:
        hosts, missing, broken = start(running)
        if hosts:
            print(f"{len(hosts)} routers are up or booting.", flush=True)
            inventory = report / "inventory.json"
            inventory.write_text(json.dumps(in_groups(hosts, missing | broken, report), indent=2))
            status = play(inventory, report, "outofband.chr.demo")
            if not status and (with_output := [name for name in hosts if name not in WITHOUT_API]):
                print(
                    f"Configuring {with_output[0]} with community.routeros.api_modify over its guest agent.", flush=True
                )
                try:
                    others = collections(BUILD / "lab", "community.routeros")
                except Missing as error:
                    missing["community.routeros"] = str(error).partition("\n")[0]
                else:
                    status = play(
                        inventory, report, "outofband.chr.configure", "--limit", with_output[0], others=others
                    )
            if "--keep" in sys.argv:
                print(f"The routers stay until Ctrl-C. Inventory: {inventory}", flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    time.sleep(1e9)
        else:
            print("No hypervisor could be started, so there is nothing to show.", flush=True)
            status = 1
    print()
    if broken or (missing and in_ci()):
        status = status or 1
    for what, reason in missing.items():
        print(f"not run: {what}: {reason}")
    for what, reason in broken.items():
        print(f"failed: {what}: {reason}")
    for name in ("report.html", "exports"):
        if (report / name).exists():
            print(f"{name}: {report / name}")
    return status


def start(running: contextlib.ExitStack) -> tuple[Hosts, dict[str, str], dict[str, str]]:
    """(the routers, why some hypervisors are not there, why some could not be started)."""
    hosts: Hosts = {}
    missing: dict[str, str] = {}
    broken: dict[str, str] = {}
    for kind, (title, names) in ROUTERS.items():
        print(f"  {title} ...", flush=True)
        try:
            started = running.enter_context(hypervisor(kind, names, BUILD / "lab"))
        except Missing as error:
            missing[title] = str(error).partition("\n")[0]
        except Exception as error:  # the others are shown all the same
            broken[title] = f"{type(error).__name__}: {error}".partition("\n")[0]
        else:
            hosts |= {name: {**host, "demo_channel": title} for name, host in started.items()}
    return hosts, missing, broken


def in_groups(hosts: Hosts, missing: dict[str, str], report: Path) -> dict[str, object]:
    """An inventory."""
    for number, host in enumerate(hosts.values(), 1):
        host["demo_address"] = f"192.0.2.{number}/24"
    return {
        "routers": {"hosts": hosts},
        "all": {"vars": {"demo_folder": str(report), "demo_missing": missing}},
    }


def play(inventory: Path, report: Path, name: str, *arguments: str, others: Path | None = None) -> int:
    """Run a playbook, with the collections in the folder *others*; its exit status."""
    collection = report / "collections" / "ansible_collections" / "outofband" / "chr"
    collection.parent.mkdir(parents=True, exist_ok=True)
    collection.unlink(missing_ok=True)
    collection.symlink_to(ROOT)
    environment = os.environ | {
        "ANSIBLE_HOME": str(report / "home"),
        "ANSIBLE_REMOTE_TMP": str(report / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(str(path) for path in (report / "collections", others) if path),
        "ANSIBLE_FORCE_COLOR": "1" if sys.stdout.isatty() else "0",
    }
    playbook = Path(sys.executable).parent / "ansible-playbook"
    command = [playbook, "--inventory", inventory, "--forks", "10", name, *arguments]
    process = subprocess.Popen(command, env=environment, cwd=report)
    guard_process(process.pid)
    try:
        return process.wait()
    except BaseException:
        kill_tree(process.pid)
        raise
    finally:
        release_process(process.pid)


if __name__ == "__main__":
    sys.exit(main())
