# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hypervisors and the routers of the demo, and the past that the routers have."""

from __future__ import annotations

import contextlib
import typing as t
import zipfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab.accounts import GRACE, AccountServer, Instance
from ansible_collections.outofband.chr.tests.lab.hypervisors import Hosts, Routers, hypervisor
from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.qemu.disk import build_disk
from ansible_collections.outofband.chr.tests.lab.qemu.image import build_image
from ansible_collections.outofband.chr.tests.lab.routeros.accounts import Answer

ACCOUNT = ("demo@example.com", "the-password-of-the-demo")
NEW = "chr0"
"""The router that is made from an image."""
PLACES = {
    "qemu": ("QEMU, the agent's socket", ["chr1"]),
    "libvirt": ("libvirt", ["chr2"]),
    "proxmox": ("Proxmox VE (simulated)", ["chr3", "chr4", "chr5", "chr6"]),
    "vmware": ("VMware vCenter (simulated)", ["chr7"]),
    "xenstore": ("Xen, dom0's xenstore", ["chr8", "chr9"]),
    "xenapi": ("XCP-ng, XAPI (simulated)", ["chr10"]),
}
TWINS = ("chr3", "chr4")
"""Clones of one disk."""
ENDING = {"chr5": 3, "chr6": 9, "chr8": 12}
"""Routers with a license, and after how many days it ends."""
_LEVEL = "p1"


@dataclass
class Demo:
    """What is there to be shown."""

    hosts: Hosts = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """What is left out, and why."""
    broken: dict[str, str] = field(default_factory=dict)
    """What should have started, and did not."""
    licensed: list[str] = field(default_factory=list)
    """The routers with a way to the account server."""


def start(running: contextlib.ExitStack, cache: Path, folder: Path) -> Demo:
    """Start what this machine can; the parts that are missing are left out."""
    demo = Demo()
    accounts = running.enter_context(AccountServer())
    accounts.add_account(*ACCOUNT)
    with _left_out(demo, "a new router from an image"):
        demo.hosts[NEW] = _to_be_made(cache, folder, accounts)
        demo.licensed.append(NEW)
    for kind, (title, names) in PLACES.items():
        print(f"  {title}", flush=True)
        routers: Routers = {}
        with _left_out(demo, title):
            started = running.enter_context(hypervisor(kind, names, cache, routers))
            demo.hosts |= {name: {**host, "demo_place": title} for name, host in started.items()}
            _give_a_past(routers, accounts)
        # XAPI hands a script over only when a router boots, so its licenses are not kept here.
        demo.licensed += [] if kind == "xenapi" else routers
    for number, host in enumerate(demo.hosts.values(), 1):
        host["demo_address"] = f"192.0.2.{number}/24"
    return demo


@contextlib.contextmanager
def _left_out(demo: Demo, what: str) -> t.Iterator[None]:
    try:
        yield
    except Missing as error:
        demo.missing[what] = str(error).partition("\n")[0]
    except Exception as error:  # the others are shown all the same
        demo.broken[what] = f"{type(error).__name__}: {error}".partition("\n")[0]


def _give_a_past(routers: Routers, accounts: AccountServer) -> None:
    for router in routers.values():
        router.accounts, router.clock = accounts, accounts.clock
    first, second = TWINS
    if {first, second} <= routers.keys():
        routers[second].license.system_id = routers[first].license.system_id
    for name in ENDING.keys() & routers.keys():
        router, ends = routers[name], accounts.clock.now() + timedelta(days=ENDING[name])
        accounts.instances[router.system_id] = Instance(ACCOUNT[0], router.machine, _LEVEL, ends, given=(_LEVEL, False))
        router.license.accept(Answer("done", _LEVEL, ends - GRACE, ends))
        accounts.purchase(ACCOUNT[0], router.system_id, _LEVEL)  # the router learns of it when it is renewed


def _to_be_made(cache: Path, folder: Path, accounts: AccountServer) -> dict[str, object]:
    """The variables of a router that does not exist yet, with an image as it is downloaded.

    Its machine finds the account server through QEMU's user network.
    """
    port = accounts.listen("tcp:127.0.0.1:0").rpartition(":")[2]
    image = folder / "chr-7.22.img.zip"
    disk = build_disk(cache, build_image(cache), folder / "chr-7.22.img", accounts=f"tcp:10.0.2.2:{port}")
    with zipfile.ZipFile(image, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(disk, disk.name)
    disk.unlink()
    machines = folder / "machines"
    return {
        "ansible_connection": "outofband.chr.guest_agent",
        "chr_backend": "qemu",
        "chr_socket": str(machines / NEW / "agent.sock"),
        "chr_connect_timeout": 90,
        "demo_place": "QEMU, a new router from an image",
        "image_import_version": "7.22",
        "image_import_src": str(image),
        "image_import_checksum": "waived",
        "image_import_cache": str(folder / "images"),
        "image_import_qemu_directory": str(machines),
        "image_import_qemu_accelerator": "tcg",  # KVM does not work in each machine that has it
        "image_import_nics": [{"network": "user"}],
        "license_renew_level": _LEVEL,
    }
