# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start simulated routers, real virtual machines among them, and run playbooks/demo.yml against them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".build"
sys.path.insert(0, str(ROOT / "tests"))

from lab.qemu.guest import GuestError, QemuGuest  # noqa: E402
from lab.qemu.image import ImageError, build_image  # noqa: E402
from lab.routeros import Router  # noqa: E402
from lab.serve import LabRouter  # noqa: E402

IN_QEMU = ("chr1", "chr2")
ON_SOCKETS = ("chr3", "chr4", "chr5", "chr6")


def main() -> int:
    try:
        return demo()
    except (GuestError, ImageError) as error:
        first = str(error).splitlines()[0]
        print(f"The demo boots its routers in QEMU, and that is not possible here: {first}", file=sys.stderr)
        print("Debian, Ubuntu: sudo apt-get update && sudo apt-get install qemu-system-x86", file=sys.stderr)
        return 1


def demo() -> int:
    report = BUILD / "demo"
    report.mkdir(parents=True, exist_ok=True)
    (report / "report.html").unlink(missing_ok=True)
    with contextlib.ExitStack() as lab, tempfile.TemporaryDirectory(prefix="chr-demo-") as temporary:
        folder = Path(temporary)
        print("Building the guests' kernel and file system (once) ...", flush=True)
        image = build_image(BUILD / "lab")
        channels: dict[str, tuple[str, str]] = {}
        for name, agent in zip(IN_QEMU, (f"unix:{folder}/chr1.sock", "tcp:127.0.0.1:0"), strict=True):
            guest = lab.enter_context(QemuGuest(image, name=name, directory=folder, agent=agent))
            kind, _unused, where = guest.agent_address.partition(":")
            channels[name] = (where if kind == "unix" else f"tcp://{where}", f"QEMU, virtio-serial, {kind} chardev")
        for name in ON_SOCKETS:
            router = lab.enter_context(LabRouter(Router(), f"unix:{folder}/{name}.sock"))
            channels[name] = (router.address, "unix socket")
        print(f"{len(IN_QEMU)} virtual machines are booting, {len(ON_SOCKETS)} more routers are up.", flush=True)
        inventory = report / "inventory.json"
        inventory.write_text(json.dumps(_inventory(channels, report), indent=2))
        status = _play(inventory, report)
        if "--keep" in sys.argv:
            print(f"The routers stay until Ctrl-C. Inventory: {inventory}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(1e9)
    print()
    for name in ("report.html", "exports"):
        if (report / name).exists():
            print(f"{name}: {report / name}")
    return status


def _inventory(channels: dict[str, tuple[str, str]], report: Path) -> dict[str, object]:
    hosts = {
        name: {"chr_socket": socket, "demo_channel": channel, "demo_address": f"192.0.2.{number}/24"}
        for number, (name, (socket, channel)) in enumerate(channels.items(), 1)
    }
    connection = {
        "ansible_connection": "outofband.chr.guest_agent",
        "chr_backend": "qemu",
        "chr_connect_timeout": 60,
    }
    return {"routers": {"hosts": hosts, "vars": connection}, "all": {"vars": {"demo_folder": str(report)}}}


def _play(inventory: Path, report: Path) -> int:
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
