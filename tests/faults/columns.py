# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backends of the table: each makes a router behind a relay, and knows how to cause each
fault."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import queue
import socket
import typing as t
from datetime import datetime, timedelta
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import FileMissing
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import api
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate
from ansible_collections.outofband.chr.tests.lab.hypervisors import BOOT
from ansible_collections.outofband.chr.tests.lab.libvirt.libvirtd import Libvirtd
from ansible_collections.outofband.chr.tests.lab.missing import need_library
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.qemu.image import build_image
from ansible_collections.outofband.chr.tests.lab.relay import Relay
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.routeros.device import File
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import PASSWORD as vmware_password
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import USER as vmware_user
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import Vcenter, build_vcsim
from ansible_collections.outofband.chr.tests.lab.xen.host import XenHost
from ansible_collections.outofband.chr.tests.lab.xen.oxenstored import build_xen
from ansible_collections.outofband.chr.tests.lab.xenapi.server import PASSWORD as xenapi_password
from ansible_collections.outofband.chr.tests.lab.xenapi.server import USER as xenapi_user
from ansible_collections.outofband.chr.tests.lab.xenapi.server import LabPool

from .cell import Cell
from .work import FILE, RAN, SCRIPT


class Column(t.Protocol):
    """One backend."""

    def running(self, folder: Path, cells: int) -> contextlib.AbstractContextManager[None]:
        """What all cells share, in a *folder*, for so many *cells*."""

    def cell(self, folder: Path) -> contextlib.AbstractContextManager[Cell]:
        """A router of its own in an empty *folder*."""


class Qemu:
    """The agent's socket."""

    def running(self, folder: Path, cells: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def cell(self, folder: Path) -> t.Iterator[Cell]:
        router = Router()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "relay"))
        with LabRouter(router, f"unix:{folder}/agent") as lab, Relay(listener, lab.address) as relay:
            yield Cell(
                "qemu",
                folder,
                relay,
                {"vm": "chr1", "socket": str(folder / "relay")},
                router,
                {
                    "question": b'"guest-sync-delimited"',
                    "start": b'"guest-exec"',
                    "look": b'"guest-exec-status"',
                    "write": b'"guest-file-write"',
                },
                content=b"a line of a file\n" * 60_000,
                agent_restarts=lab.agent.forget,
                vm_resets=lab.reset,
                handles=lambda: len(lab.agent._handles),
            )


class Libvirt:
    """A libvirtd for all cells, with a few domains that take turns."""

    def __init__(self) -> None:
        need_library("libvirt", "libvirt-python")
        self._free: queue.Queue[str] = queue.Queue()

    @contextlib.contextmanager
    def running(self, folder: Path, cells: int) -> t.Iterator[None]:
        with Libvirtd(folder, build_image(cache())) as self._daemon:
            for number in range(min(cells, _DOMAINS)):
                name = f"chr{number}"
                self._daemon.define(name)
                self._daemon.virsh("start", name)
                self._free.put(name)
            yield

    @contextlib.contextmanager
    def cell(self, folder: Path) -> t.Iterator[Cell]:
        name = self._free.get()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "relay"))
        with Relay(listener, str(self._daemon.socket)) as relay:
            router = RouterInside(name, self._daemon.uri)
            router.clean()
            yield Cell(
                "libvirt",
                folder,
                relay,
                {"vm": name, "libvirt_uri": f"qemu:///session?socket={relay.address}"},
                router,
                {
                    "question": b"qemu:///session",
                    "start": b'"guest-exec"',
                    "look": b'"guest-exec-status"',
                    "write": b'"guest-file-write"',
                },
                content=b"a line of a file\n" * 2_500,
                end_process=relay.reset,  # a call that libvirt never returns from ends with the process
                answer_time=40.0,
                question_time=40.0,
                vm_resets=lambda: self._daemon.virsh("reset", name),
            )
        self._free.put(name)


class RouterInside:
    """The router in a domain of libvirt, which is asked past the relay."""

    disk_full = False

    def __init__(self, name: str, uri: str) -> None:
        self._guest = open_guest(options_for("libvirt", name, BOOT, libvirt_uri=uri))
        self.clock = self

    def clean(self) -> None:
        """Remove what an earlier cell left."""
        self.run(f'/ip firewall filter remove {RAN}\n/file remove [find name="{FILE}"]')

    def run(self, source: str) -> t.Any:
        return self._guest.run(source.encode(), BOOT)

    def shift(self, seconds: float) -> None:
        self.run(f"/system clock set date={datetime.now() + timedelta(seconds=seconds):%Y-%m-%d}")

    def write_file(self, name: str, data: bytes) -> None:
        self._guest.put(io.BytesIO(data), name)

    @property
    def files(self) -> dict[str, File]:
        """FILE, if it is there."""
        target = io.BytesIO()
        try:
            self._guest.get(FILE, target)
        except FileMissing:
            return {}
        return {FILE: File(target.getvalue(), datetime.now())}


class Proxmox:
    """Its REST interface, with a password."""

    def __init__(self) -> None:
        need_library("proxmoxer", "proxmoxer")

    def running(self, folder: Path, cells: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def cell(self, folder: Path) -> t.Iterator[Cell]:
        with LabProxmox(folder) as pve:
            vm = pve.add(100, "chr1", accepts_null_path=True)
            with tls_relay(folder, pve.port) as relay:

                def end_process() -> None:
                    for key in [key for key in api._apis if key[2] == relay.address[1]]:
                        del api._apis[key]

                yield Cell(
                    "proxmox",
                    folder,
                    relay,
                    {
                        "vm": "chr1",
                        "api_host": "localhost",
                        "api_port": relay.address[1],
                        "api_user": "root@pam",
                        "api_password": "pass-w0rd",
                        "ca_path": str(folder / "relay.pem.crt"),
                    },
                    vm.router,
                    {
                        "question": b"GET /api2/json/",
                        "start": b"The output of the script",
                        "look": b"/agent/exec-status",
                        "write": b"contents=",
                    },
                    content=b"a line of a file\n" * 2_500,
                    end_process=end_process,
                    answer_time=api.REPLY_TIMEOUT,
                    agent_restarts=vm.lab.agent.forget,
                    vm_resets=vm.lab.reset,
                    session_expires=pve.expire_tickets,
                    handles=lambda: len(vm.lab.agent._handles),
                )


class Vmware:
    """A vCenter for all cells, with a VM for each."""

    def __init__(self) -> None:
        need_library("pyVmomi", "pyvmomi")
        self._program = build_vcsim(cache())
        self._names = itertools.count()

    @contextlib.contextmanager
    def running(self, folder: Path, cells: int) -> t.Iterator[None]:
        names = tuple(f"chr{number}" for number in range(cells))
        with Vcenter(self._program, folder / "vc", names) as self._vc:
            yield

    @contextlib.contextmanager
    def cell(self, folder: Path) -> t.Iterator[Cell]:
        vc, name = self._vc, f"chr{next(self._names)}"

        def vm_resets() -> None:
            vc.change(name, guest__toolsRunningStatus="guestToolsNotRunning")
            vc.ask("forget", moid=vc.vm(name)["moid"])
            vc.router(name).reboot()
            vc.change(name, guest__toolsRunningStatus="guestToolsRunning")

        with tls_relay(folder, int(vc.about["port"])) as relay:
            yield Cell(
                "vmware",
                folder,
                relay,
                {
                    "vm": name,
                    "api_host": "localhost",
                    "api_port": relay.address[1],
                    "api_user": vmware_user,
                    "api_password": vmware_password,
                    "ca_path": str(folder / "relay.pem.crt"),
                },
                vc.router(name),
                {
                    "question": b"RetrieveServiceContent",
                    "start": b"The output of the script",
                    "look": b"ListProcessesInGuest",
                    "write": b"contents=",
                },
                content=b"a line of a file\n" * 2_500,
                prints=False,
                agent_restarts=lambda: vc.ask("forget", moid=vc.vm(name)["moid"]),
                vm_resets=vm_resets,
                session_expires=lambda: vc.fault("ListProcessesInGuest", "NotAuthenticated", name=name),
            )


class Xenstore:
    """A Xen host for all cells, with a domain for each."""

    def __init__(self) -> None:
        self._programs = build_xen(cache())
        self._names = itertools.count()

    @contextlib.contextmanager
    def running(self, folder: Path, cells: int) -> t.Iterator[None]:
        with XenHost(self._programs, folder / "xen") as self._host:
            yield

    @contextlib.contextmanager
    def cell(self, folder: Path) -> t.Iterator[Cell]:
        domain = self._host.domain(f"chr{next(self._names)}", boot_seconds=_BOOT)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "relay"))
        with Relay(listener, str(self._host.daemon.socket)) as relay, contextlib.ExitStack() as end:
            end.callback(domain.stop)
            yield Cell(
                "xenstore",
                folder,
                relay,
                {"vm": domain.name, "socket": str(folder / "relay"), "exec_mode": "socket"},
                domain.router,
                {"question": b"/local/domain", "start": _WRITTEN, "look": b"/status\0", "write": b"provision/script\0"},
                content=b"a line of a file\n" * 500,
                vm_resets=domain.reboot,
            )


class Xenapi(Xenstore):
    """A pool for all cells, with a VM for each."""

    def __init__(self) -> None:
        need_library("XenAPI", "XenAPI")
        super().__init__()

    @contextlib.contextmanager
    def running(self, folder: Path, cells: int) -> t.Iterator[None]:
        with super().running(folder, cells), LabPool(self._host, folder) as self._pool:
            yield

    @contextlib.contextmanager
    def cell(self, folder: Path) -> t.Iterator[Cell]:
        vm = self._pool.vm(f"chr{next(self._names)}", started=True, boot_seconds=_BOOT)

        def session_expires() -> None:
            self._pool.faults[f"VM.get_record {vm.name}"] = ["!SESSION_INVALID OpaqueRef:gone"]

        with tls_relay(folder, self._pool.port) as relay, contextlib.ExitStack() as end:
            end.callback(vm.stop)
            yield Cell(
                "xenapi",
                folder,
                relay,
                {
                    "vm": vm.name,
                    "api_host": "localhost",
                    "api_port": relay.address[1],
                    "api_user": xenapi_user,
                    "api_password": xenapi_password,
                    "ca_path": str(folder / "relay.pem.crt"),
                    "exec_mode": "reboot",
                },
                vm.router,
                {
                    "question": b"session.login_with_password",
                    "start": _WRITTEN,
                    "look": b"event.from",
                    "write": _WRITTEN,
                },
                vm_resets=vm.reboot,
                session_expires=session_expires,
                answer_time=40.0,
                question_time=40.0,
            )


_DOMAINS = 6
_BOOT = 1.0
"""Seconds until the tools of a router on Xen start. How many a CHR needs is not known."""
_WRITTEN = base64.b64encode(SCRIPT.encode()[:30])
"""The script as it lies in xenstore."""


def tls_relay(folder: Path, port: int) -> Relay:
    """A relay to a server with TLS on this machine, with a certificate of its own."""
    make_certificate(folder / "relay.pem", "DNS:localhost", "IP:127.0.0.1")
    return Relay(socket.create_server(("127.0.0.1", 0)), ("127.0.0.1", port), tls=folder / "relay.pem")


COLUMNS: dict[str, t.Callable[[], Column]] = {
    "qemu": Qemu,
    "libvirt": Libvirt,
    "proxmox": Proxmox,
    "vmware": Vmware,
    "xenstore": Xenstore,
    "xenapi": Xenapi,
}
