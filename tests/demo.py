# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a hypervisor of each kind with simulated routers on it, and run playbooks/demo.yml against them.

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

from lab.hypervisors import Hosts, Missing, hypervisor  # noqa: E402

ROUTERS = {
    "qemu": ("QEMU, the agent's socket", ["chr1", "chr2"]),
    "libvirt": ("libvirt", ["chr3"]),
    "proxmox": ("Proxmox VE, REST (simulated)", ["chr4"]),
    "vmware": ("VMware vCenter (simulator)", ["chr5"]),
    "xenapi": ("XCP-ng, XAPI (simulated)", ["chr6"]),
    "xenstore": ("Xen, dom0's xenstore", ["chr7"]),
}


def main() -> int:
    report = BUILD / "demo"
    report.mkdir(parents=True, exist_ok=True)
    (report / "report.html").unlink(missing_ok=True)
    print("Starting the hypervisors (what they need is built once) ...", flush=True)
    with contextlib.ExitStack() as running:
        hosts, missing = start(running)
        print(f"{len(hosts)} routers are up or booting.", flush=True)
        inventory = report / "inventory.json"
        inventory.write_text(json.dumps(in_groups(hosts, missing, report), indent=2))
        status = play(inventory, report)
        if "--keep" in sys.argv:
            print(f"The routers stay until Ctrl-C. Inventory: {inventory}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(1e9)
    print()
    for what, reason in missing.items():
        print(f"not run: {what}: {reason}")
    for name in ("report.html", "exports"):
        if (report / name).exists():
            print(f"{name}: {report / name}")
    return status


def start(running: contextlib.ExitStack) -> tuple[Hosts, dict[str, str]]:
    """(the routers, why some hypervisors are not there)."""
    hosts: Hosts = {}
    missing: dict[str, str] = {}
    for kind, (title, names) in ROUTERS.items():
        try:
            started = running.enter_context(hypervisor(kind, names, BUILD / "lab"))
        except Missing as error:
            missing[title] = str(error)
        else:
            hosts |= {name: {**host, "demo_channel": title} for name, host in started.items()}
    return hosts, missing


def in_groups(hosts: Hosts, missing: dict[str, str], report: Path) -> dict[str, object]:
    """An inventory."""
    for number, host in enumerate(hosts.values(), 1):
        host["demo_address"] = f"192.0.2.{number}/24"
    return {
        "routers": {"hosts": hosts},
        "all": {"vars": {"demo_folder": str(report), "demo_missing": missing}},
    }


def play(inventory: Path, report: Path) -> int:
    """Run the playbook; its exit status."""
    collection = report / "collections" / "ansible_collections" / "outofband" / "chr"
    collection.parent.mkdir(parents=True, exist_ok=True)
    collection.unlink(missing_ok=True)
    collection.symlink_to(ROOT)
    environment = os.environ | {
        "ANSIBLE_HOME": str(report / "home"),
        "ANSIBLE_REMOTE_TMP": str(report / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": str(report / "collections"),
        "ANSIBLE_FORCE_COLOR": "1" if sys.stdout.isatty() else "0",
    }
    playbook = Path(sys.executable).parent / "ansible-playbook"
    command = [playbook, "--inventory", inventory, "--forks", "10", "outofband.chr.demo"]
    return subprocess.run(command, env=environment, cwd=report, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
