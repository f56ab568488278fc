# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One hypervisor of each kind with routers, for the demo, tests and benchmarks.

    with hypervisor("proxmox", ["chr1", "chr2"], cache) as hosts:
        # the variables with which Ansible reaches it: {"chr_backend": "proxmox", ...}
        hosts["chr1"]

*cache* is a folder that keeps what is built once. *routers* is filled with those that live in this
process, by name: to look into them, and to give them a past. *listed* is how many VMs a hypervisor
has besides, only to be listed.
"""

from __future__ import annotations

import contextlib
import socket
import typing as t
from pathlib import Path

from .libvirt.libvirtd import Libvirtd
from .missing import need_library, programs_named
from .proxmox.server import LabProxmox, LabVm
from .qemu.guest import QemuGuest
from .qemu.image import build_image
from .routeros import Router
from .serve import LabRouter
from .vmware.vcenter import Vcenter, build_vcsim
from .watchdog import temporary_folder
from .workstation.machine import WorkstationMachine, router_of
from .xen.host import XenHost
from .xen.oxenstored import build_xen
from .xenapi.server import LabPool

Hosts = dict[str, dict[str, t.Any]]
Routers = dict[str, Router]
BOOT = 90
"""Seconds that a router in an emulated machine may take to boot on a busy machine."""


@contextlib.contextmanager
def hypervisor(
    kind: str, names: list[str], cache: Path, routers: Routers | None = None, listed: int = 0
) -> t.Iterator[Hosts]:
    """Start one with a router for each of *names*. Raises Missing."""
    routers = {} if routers is None else routers
    with contextlib.ExitStack() as running:
        folder = running.enter_context(temporary_folder())
        with programs_named():
            many = {"listed": listed} if listed else {}
            hosts = KINDS[kind](running, names, folder, cache, routers, **many)
        yield {name: {"ansible_connection": "outofband.chr.guest_agent", **host} for name, host in hosts.items()}


def _qemu(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """Start machines of QEMU.

    The agent is at a virtio-serial port, which is alternately a unix socket and a TCP port here.
    """
    image = build_image(cache)
    hosts: Hosts = {}
    for number, name in enumerate(names):
        agent = "tcp:127.0.0.1:0" if number % 2 else f"unix:{folder / name}.sock"
        guest = running.enter_context(QemuGuest(image, name=name, directory=folder, agent=agent))
        chardev, _unused, where = guest.agent_address.partition(":")
        socket = where if chardev == "unix" else f"tcp://{where}"
        hosts[name] = {"chr_backend": "qemu", "chr_socket": socket, "chr_connect_timeout": BOOT}
    return hosts


def _sockets(
    running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers, listed: int = 0
) -> Hosts:
    """The same socket without a machine behind it, for numbers of routers."""
    for number in range(listed):  # as QEMU leaves it when it is killed
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
            left.bind(str(folder / f"copy{number:04d}.sock"))
    routers |= {name: Router(identity=name) for name in names}
    return {
        name: {
            "chr_backend": "qemu",
            "chr_socket": running.enter_context(LabRouter(routers[name], f"unix:{folder / name}.sock")).address,
        }
        for name in names
    }


def _libvirt(
    running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers, listed: int = 0
) -> Hosts:
    """Domains of a libvirtd."""
    need_library("libvirt", "libvirt-python")
    daemon = running.enter_context(Libvirtd(folder, build_image(cache)))
    if listed:
        daemon.define_copies(listed)
    for name in names:
        daemon.define(name)
        daemon.virsh("start", name)
    reach = {"chr_backend": "libvirt", "chr_libvirt_uri": daemon.uri, "chr_connect_timeout": BOOT}
    return {name: dict(reach) for name in names}


def _proxmox(
    running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers, listed: int = 0
) -> Hosts:
    """VMs of a simulated Proxmox VE 9, with an API token."""
    need_library("proxmoxer", "proxmoxer")
    pve = LabProxmox(folder)
    pve.behaviour = {"accepts_null_path": True}
    for vmid, name in enumerate(names, 100):
        routers[name] = pve.add(vmid, name, f"pve{vmid % 2 + 1}", **pve.behaviour).router
    for vmid in range(10_000, 10_000 + listed):
        pve.vms[vmid] = LabVm(vmid, f"copy{vmid}", f"pve{vmid % 2 + 1}", pve.vms[100].lab)
    running.enter_context(pve)
    return {name: pve.variables() for name in names}


def _vmware(
    running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers, listed: int = 0
) -> Hosts:
    """VMs of a vCenter: govmomi's simulator."""
    need_library("pyVmomi", "pyvmomi")
    vcenter = running.enter_context(Vcenter(build_vcsim(cache), folder, tuple(names), copies=listed))
    routers |= {name: vcenter.router(name) for name in names}
    return {name: vcenter.variables() for name in names}


def _xenapi(
    running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers, listed: int = 0
) -> Hosts:
    """VMs of a simulated XCP-ng pool around a real oxenstored."""
    need_library("XenAPI", "XenAPI")
    pool = LabPool(running.enter_context(XenHost(build_xen(cache), folder / "xen")), folder)
    running.enter_context(pool)
    for name in names:
        routers[name] = pool.vm(name, started=True, boot_seconds=0.0).router
    for number in range(listed):
        pool.copy(f"copy{number:04d}")
    return {name: pool.variables(chr_exec_mode="reboot") for name in names}


def _xenstore(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """Domains of a Xen host whose dom0 is this machine."""
    host = running.enter_context(XenHost(build_xen(cache), folder / "xen"))
    for name in names:
        routers[name] = host.domain(name).router
    return {name: {"chr_backend": "xenstore", "chr_socket": str(host.daemon.socket)} for name in names}


def _vmrun(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """VMs of VMware Workstation on this machine."""
    machine = WorkstationMachine(folder)
    tools = running.enter_context(machine.routers())
    hosts: Hosts = {}
    for name in names:
        vmx = machine.add(name)
        routers[name] = router_of(tools, vmx)
        hosts[name] = {
            "chr_backend": "vmrun",
            "chr_vm": vmx,
            "chr_vmrun_program": str(machine.programs / "vmrun"),
        }
    return hosts


KINDS: dict[str, t.Callable[..., Hosts]] = {
    "qemu": _qemu,
    "sockets": _sockets,
    "libvirt": _libvirt,
    "proxmox": _proxmox,
    "vmware": _vmware,
    "xenapi": _xenapi,
    "xenstore": _xenstore,
    "vmrun": _vmrun,
}
