# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backends of the table: each makes a router behind a relay, and knows how to cause each
fault."""

from __future__ import annotations

import contextlib
import socket
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import api
from ansible_collections.outofband.chr.tests.lab.certificate import make_certificate
from ansible_collections.outofband.chr.tests.lab.missing import need_library
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.relay import Relay
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter

from .cell import Cell


class Column(t.Protocol):
    """One backend."""

    def cell(self, folder: Path) -> contextlib.AbstractContextManager[Cell]:
        """A router of its own in an empty *folder*."""


class Qemu:
    """The agent's socket."""

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


class Proxmox:
    """Its REST interface, with a password."""

    def __init__(self) -> None:
        need_library("proxmoxer", "proxmoxer")

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
                        "question": b"/cluster/resources",
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


def tls_relay(folder: Path, port: int) -> Relay:
    """A relay to a server with TLS on this machine, with a certificate of its own."""
    make_certificate(folder / "relay.pem", "DNS:localhost", "IP:127.0.0.1")
    return Relay(socket.create_server(("127.0.0.1", 0)), ("127.0.0.1", port), tls=folder / "relay.pem")


COLUMNS: dict[str, t.Callable[[], Column]] = {"qemu": Qemu, "proxmox": Proxmox}
