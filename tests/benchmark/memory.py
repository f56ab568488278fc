# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory of the largest process of Ansible, with a script and with a task that does nothing."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.tests.lab.missing import Missing

from .playbook import DEBUG, SCRIPT, play
from .row import NotRun, Row
from .servers import server
from .stage import Stage

TITLE = "Memory"


def measure(stage: Stage) -> t.Iterator[Row | NotRun]:
    for kind in stage.of(("sockets",), ("sockets", "proxmox", "vmware")):
        hosts = stage.of(10, 200)
        name = f"{kind}, {hosts} hosts"
        try:
            with server(kind, hosts) as running:
                used = [play(stage, running.hosts(hosts), [task] * 2).mib for task in (DEBUG, SCRIPT)]
        except Missing as error:
            yield NotRun(TITLE, name, str(error))
            continue
        yield Row(TITLE, name, used[1], "MiB", "debug", used[0])
