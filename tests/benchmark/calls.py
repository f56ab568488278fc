# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logins and calls that one task with a script on many hosts costs an API, beside its peers.

Ours finds the node or the VM by itself, which is a part of its calls.
"""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.peers import collections

from .peers import PROXMOX, VMWARE, Peer
from .playbook import SCRIPT, play
from .row import NotRun, Row
from .servers import Server, server
from .stage import CACHE, Stage

TITLE = "Logins and calls"
KINDS: dict[str, Peer | None] = {"proxmox-password": PROXMOX, "vmware": VMWARE, "xenapi": None}


def measure(stage: Stage) -> t.Iterator[Row | NotRun]:
    hosts = stage.of(5, 50)
    for kind, peer in KINDS.items():
        backend = kind.partition("-")[0]
        with server(kind, hosts) as running:
            ours = _spent(stage, running, hosts, SCRIPT)
            name, theirs = "hosts", {"logins": hosts, "calls": hosts}
            if peer:
                try:
                    folders = {collections(CACHE, one, peer.package) for one in peer.collections}
                    task = {"name": "peer", **peer.task}
                    name, theirs = peer.name, _spent(stage, running, hosts, task, folders)
                except Missing as error:
                    yield NotRun(TITLE, f"{backend}, {peer.name}", str(error))
        for what in ("logins", "calls"):
            limit = 1.0 if what == "logins" else None
            yield Row(TITLE, f"{backend}, {hosts} hosts, {what}", ours[what], what, name, theirs[what], limit)


def _spent(
    stage: Stage, running: Server, hosts: int, task: dict[str, t.Any], folders: t.Iterable[t.Any] = ()
) -> dict[str, int]:
    before = running.counts()
    play(stage, running.hosts(hosts), [task], collections=folders)
    return {what: count - before[what] for what, count in running.counts().items()}
