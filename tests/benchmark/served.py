# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hypervisor in a process of its own: ``python -m ...served KIND COUNT``.

It prints the variables of its routers as JSON, which also lead a peer to them. For each line of its
input it prints how many logins and calls there were so far. It ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import typing as t

from ansible_collections.outofband.chr.tests.lab.hypervisors import BOOT, Hosts, hypervisor
from ansible_collections.outofband.chr.tests.lab.libvirt.libvirtd import Libvirtd
from ansible_collections.outofband.chr.tests.lab.missing import Missing, need_library, programs_named
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import Vcenter, build_vcsim
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder
from ansible_collections.outofband.chr.tests.lab.xen.host import XenHost
from ansible_collections.outofband.chr.tests.lab.xen.oxenstored import build_xen
from ansible_collections.outofband.chr.tests.lab.xenapi.server import LabPool

from .servers import guest
from .shell_agent import ShellAgent
from .stage import CACHE
from .stock_guest import stock_image

Counts = dict[str, int]
Served = tuple[Hosts, t.Callable[[], Counts]]


def main(kind: str, count: int) -> None:
    sys.setswitchinterval(0.0005)
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each router has a socket
    names = [f"chr{number:02d}" for number in range(1, count + 1)]
    with contextlib.ExitStack() as running:
        try:
            with programs_named():
                hosts, counts = KINDS.get(kind, _plain)(running, kind, names)
        except Missing as error:
            print(json.dumps({"missing": str(error)}), flush=True)
            return
        router = {"ansible_connection": "outofband.chr.guest_agent"}
        found = {name: {**router, "chr_vm": name, **host} for name, host in hosts.items()}
        print(json.dumps({"hosts": found}), flush=True)
        for _line in sys.stdin:
            print(json.dumps(counts()), flush=True)


def _plain(running: contextlib.ExitStack, kind: str, names: list[str]) -> Served:
    return running.enter_context(hypervisor(kind, names, CACHE)), dict


def _proxmox(running: contextlib.ExitStack, kind: str, names: list[str]) -> Served:
    """Proxmox VE, whose agents also take what community.proxmox sends."""
    need_library("proxmoxer", "proxmoxer")
    pve = LabProxmox(running.enter_context(temporary_folder()))
    places = {}
    for vmid, name in enumerate(names, 100):
        node = f"pve{vmid % 2 + 1}"
        vm = pve.add(vmid, name, node, accepts_null_path=True)
        vm.lab.agent = ShellAgent(vm.router, vm.lab.switches)
        places[name] = {"proxmox_vmid": vmid, "proxmox_node": node}
    running.enter_context(pve)
    login: dict[str, t.Any] = {
        "proxmox_api_token_id": "root@pam!chr",
        "proxmox_api_token_secret": pve.tokens["root@pam!chr"],
    }
    if kind == "proxmox-password":
        login = {"proxmox_api_user": "root@pam", "proxmox_api_password": pve.passwords["root@pam"]}
    peer = {"proxmox_api_host": "localhost", "proxmox_api_port": pve.port, "proxmox_validate_certs": False, **login}
    ours = pve.variables(root=kind == "proxmox-password")
    hosts = {name: {**ours, **peer, **places[name]} for name in names}
    return hosts, lambda: {"logins": pve.logins, "calls": len(pve.log) - pve.logins}


def _vmware(running: contextlib.ExitStack, kind: str, names: list[str]) -> Served:
    need_library("pyVmomi", "pyvmomi")
    folder = running.enter_context(temporary_folder())
    vcenter = running.enter_context(Vcenter(build_vcsim(CACHE), folder, tuple(names)))

    def counts() -> Counts:
        by_method = vcenter.counts()
        logins = sum(number for method, number in by_method.items() if method.startswith("Login"))
        return {"logins": logins, "calls": sum(by_method.values()) - logins}

    return {name: vcenter.variables() for name in names}, counts


def _xenapi(running: contextlib.ExitStack, kind: str, names: list[str]) -> Served:
    need_library("XenAPI", "XenAPI")
    folder = running.enter_context(temporary_folder())
    pool = LabPool(running.enter_context(XenHost(build_xen(CACHE), folder / "xen")), folder)
    running.enter_context(pool)
    for name in names:
        pool.vm(name, started=True, boot_seconds=0.0)
    hosts = {name: pool.variables(chr_exec_mode="reboot") for name in names}
    return hosts, lambda: {"logins": pool.logins, "calls": len(pool.log) - pool.logins}


def _libvirt(running: contextlib.ExitStack, kind: str, names: list[str]) -> Served:
    """A domain with the lab's agent for each name, and one with a stock qemu-ga for a peer."""
    need_library("libvirt", "libvirt-python")
    folder = running.enter_context(temporary_folder())
    daemon = running.enter_context(Libvirtd(folder, stock_image(CACHE, folder)))
    hosts: Hosts = {}
    for name in names:
        daemon.define(name)
        daemon.define(f"stock-{name}", memory_mb=256, words=["rdinit=/init-stock"])
        for domain in (name, f"stock-{name}"):
            daemon.virsh("start", domain)
        peer = {"ansible_host": f"stock-{name}", "ansible_libvirt_uri": daemon.uri}
        ours = {"chr_backend": "libvirt", "chr_libvirt_uri": daemon.uri, "chr_connect_timeout": BOOT}
        hosts[name] = {**ours, **peer}
    for name in names:
        guest({**hosts[name], "chr_vm": f"stock-{name}"}, folder).ping()  # a peer does not wait for a boot
    return hosts, dict


KINDS: dict[str, t.Callable[[contextlib.ExitStack, str, list[str]], Served]] = {
    "proxmox": _proxmox,
    "proxmox-password": _proxmox,
    "vmware": _vmware,
    "xenapi": _xenapi,
    "libvirt": _libvirt,
}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
