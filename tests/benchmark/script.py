# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A script of no duration: per host and task, on each backend, beside the floor and the peers.

The server shares the processors of this machine. Its processor time, over their number, is the part
of a run that a controller would not have with a server of its own, and is left out. What runs in an
emulated guest (qemu, libvirt) is not left out.
"""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.peers import collections

from .clock import PROCESSORS
from .peers import COMMAND, LIBVIRT, PROXMOX, VMWARE, Peer
from .playbook import DEBUG, SCRIPT, play
from .row import NotRun, Row
from .servers import Server, server
from .stage import CACHE, Stage

TITLE = "A script"
UNIT = "ms per host"
AT_MOST = 1.25
FLAT = 1.1
"""From 10 hosts to 1,000."""


@dataclass(frozen=True)
class Backend:
    name: str
    kind: str
    routers: int = 1000
    """More hosts than these share the routers."""
    most: int = 1000
    """The largest number of hosts."""
    peer: Peer | None = None


BACKENDS = (
    Backend("qemu, sockets", "sockets", peer=COMMAND),
    Backend("proxmox", "proxmox", peer=PROXMOX),
    Backend("vmware", "vmware", peer=VMWARE),
    Backend("xenstore", "xenstore", routers=200),
    Backend("xenapi, with a boot", "xenapi", routers=50, most=50),
    Backend("libvirt, emulated", "libvirt", routers=2, peer=LIBVIRT),
    Backend("qemu, emulated", "qemu", routers=2),
)


def measure(stage: Stage) -> t.Iterator[Row | NotRun]:
    for backend in BACKENDS:
        grown: list[Row] = []
        for hosts in stage.hosts:
            name = f"{backend.name}, {hosts} hosts"
            if hosts > backend.most:
                yield NotRun(TITLE, name, f"the lab has at most {backend.most} of these")
                continue
            try:
                with server(backend.kind, min(hosts, backend.routers)) as running:
                    for row in _rows(stage, backend, hosts, running, name):
                        if isinstance(row, Row) and row.peer == "debug":
                            grown.append(row)
                        yield row
            except Missing as error:
                yield NotRun(TITLE, name, str(error))
            except RuntimeError as error:  # it must not cost the results of the other backends
                yield NotRun(TITLE, name, str(error), failed=True)
        if len(grown) > 2:  # from one host, Ansible's own part of a task counts more
            first, last = grown[1], grown[-1]
            name, few = f"{last.name}, growth", first.name.rpartition(", ")[2]
            yield Row(TITLE, name, last.ours, UNIT, few, first.ours, FLAT)


def _rows(stage: Stage, backend: Backend, hosts: int, running: Server, name: str) -> t.Iterator[Row | NotRun]:
    rounds = stage.rounds if hosts <= 200 else min(stage.rounds, 2)
    tasks, folders = [DEBUG, SCRIPT], set()
    if peer := backend.peer:
        try:
            if hosts > peer.most:
                raise Missing(f"it would take too long or too much memory with more than {peer.most} hosts")
            folders = {collections(CACHE, one, peer.package) for one in peer.collections}
            tasks.append({"name": peer.name, **peer.task})
        except Missing as error:
            yield NotRun(TITLE, f"{name}, {peer.name}", str(error))
            peer = None
    found = play(stage, running.hosts(hosts), tasks * (rounds + 1), server=running.pid, collections=folders)
    each = {
        task: statistics.median(wall - busy / PROCESSORS for wall, busy in steps[1:]) / hosts * 1000
        for task, steps in found.steps.items()
    }
    yield Row(TITLE, name, each["script"], UNIT, "debug", each["debug"], AT_MOST)
    if peer:
        yield Row(TITLE, name, each["script"], UNIT, peer.name, each[peer.name], 1.0)
