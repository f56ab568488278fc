# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One hypervisor of each kind with routers on it, for whatever goes through all backends: the demo, tests, benchmarks.

    with hypervisor("proxmox", ["chr1", "chr2"], cache) as hosts:
        hosts["chr1"]   # the variables with which Ansible reaches it: {"chr_backend": "proxmox", "chr_api_host": ...}

*cache* is a folder that keeps what is built once. *routers* is filled with those that live in this process, by name: to look into
them, and to give them a past.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import typing as t
from pathlib import Path

from .proxmox import LabProxmox
from .qemu.guest import GuestError, QemuGuest
from .qemu.image import ImageError, build_image
from .qemu.libvirtd import Libvirtd, LibvirtdError
from .routeros import Router
from .serve import LabRouter
from .vcenter import NoGo, Vcenter, build_vcsim
from .xapi import LabPool
from .xen.host import XenHost
from .xen.oxenstored import NoXen, build_xen

Hosts = dict[str, dict[str, t.Any]]
Routers = dict[str, Router]
BOOT = 90
"""Seconds that a router in an emulated machine may take to boot on a busy machine."""


class Missing(Exception):
    """A component that this hypervisor is made of is not on this machine; the text says which."""


@contextlib.contextmanager
def hypervisor(kind: str, names: list[str], cache: Path, routers: Routers | None = None) -> t.Iterator[Hosts]:
    """Start one with a router for each of *names*. Raises Missing."""
    routers = {} if routers is None else routers
    with contextlib.ExitStack() as running:
        # Unix sockets are made in it, so its name is short; libvirtd may run as another user.
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="chr-", dir="/tmp")))
        try:
            hosts = KINDS[kind](running, names, folder, cache, routers)
        except (
            GuestError,
            ImageError,
            LibvirtdError,
            NoGo,
            NoXen,
            FileNotFoundError,
            subprocess.SubprocessError,
        ) as error:
            raise Missing(str(error).splitlines()[0]) from error
        yield {name: {"ansible_connection": "outofband.chr.guest_agent", **host} for name, host in hosts.items()}


def _qemu(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """Machines of QEMU: the agent at a virtio-serial port, which is a unix socket here, every other time a TCP port."""
    image = build_image(cache)
    hosts: Hosts = {}
    for number, name in enumerate(names):
        agent = "tcp:127.0.0.1:0" if number % 2 else f"unix:{folder / name}.sock"
        guest = running.enter_context(QemuGuest(image, name=name, directory=folder, agent=agent))
        chardev, _unused, where = guest.agent_address.partition(":")
        socket = where if chardev == "unix" else f"tcp://{where}"
        hosts[name] = {"chr_backend": "qemu", "chr_socket": socket, "chr_connect_timeout": BOOT}
    return hosts


def _sockets(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """The same socket without a machine behind it, for numbers of routers."""
    routers |= {name: Router(identity=name) for name in names}
    return {
        name: {
            "chr_backend": "qemu",
            "chr_socket": running.enter_context(LabRouter(routers[name], f"unix:{folder / name}.sock")).address,
        }
        for name in names
    }


def _libvirt(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """Domains of a libvirtd."""
    daemon = running.enter_context(Libvirtd(folder, build_image(cache)))
    for name in names:
        daemon.define(name)
        daemon.virsh("start", name)
    reach = {"chr_backend": "libvirt", "chr_libvirt_uri": daemon.uri, "chr_connect_timeout": BOOT}
    return {name: dict(reach) for name in names}


def _proxmox(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """VMs of a simulated Proxmox VE 9, with an API token."""
    pve = LabProxmox(folder)
    for vmid, name in enumerate(names, 100):
        routers[name] = pve.add(vmid, name, f"pve{vmid % 2 + 1}", accepts_null_path=True).router
    running.enter_context(pve)
    reach = {
        "chr_backend": "proxmox",
        "chr_api_host": "localhost",
        "chr_api_port": pve.port,
        "chr_api_token_id": "root@pam!chr",
        "chr_api_token_secret": "t0ken-secret",
        "chr_ca_path": str(pve.certificate),
    }
    return {name: dict(reach) for name in names}


def _vmware(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """VMs of a vCenter: govmomi's simulator."""
    vcenter = running.enter_context(Vcenter(build_vcsim(cache), folder, tuple(names)))
    routers |= {name: vcenter.router(name) for name in names}
    return {name: vcenter.variables() for name in names}


def _xenapi(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """VMs of a simulated XCP-ng pool around a real oxenstored."""
    pool = LabPool(running.enter_context(XenHost(build_xen(cache), folder / "xen")), folder)
    running.enter_context(pool)
    for name in names:
        routers[name] = pool.vm(name, started=True, boot_seconds=0.0).router
    return {name: pool.variables(chr_exec_mode="reboot") for name in names}


def _xenstore(running: contextlib.ExitStack, names: list[str], folder: Path, cache: Path, routers: Routers) -> Hosts:
    """Domains of a Xen host whose dom0 is this machine."""
    host = running.enter_context(XenHost(build_xen(cache), folder / "xen"))
    for name in names:
        routers[name] = host.domain(name).router
    return {name: {"chr_backend": "xenstore", "chr_socket": str(host.daemon.socket)} for name in names}


KINDS: dict[str, t.Callable[[contextlib.ExitStack, list[str], Path, Path, Routers], Hosts]] = {
    "qemu": _qemu,
    "sockets": _sockets,
    "libvirt": _libvirt,
    "proxmox": _proxmox,
    "vmware": _vmware,
    "xenapi": _xenapi,
    "xenstore": _xenstore,
}
