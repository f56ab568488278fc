# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routers that tell when a script ended, in a process: ``python -m ...watched SOCKET...``.

For each line of its input, which is the number of a router, it prints when the last script of that
router ended (in monotonic time, which all processes share), and how often the client looked.
"""

from __future__ import annotations

import contextlib
import json
import sys

from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches


def main(sockets: list[str]) -> None:
    sys.setswitchinterval(0.0005)
    with contextlib.ExitStack() as running:
        keep = Switches(status_once=False)  # so that the job can be asked about afterwards
        routers = [running.enter_context(LabRouter(Router(), f"unix:{path}", keep)) for path in sockets]
        print("ready", flush=True)
        for line in sys.stdin:
            agent = routers[int(line)].agent
            job = list(agent._jobs.values())[-1]
            print(json.dumps([job.ended, agent.log.count("guest-exec-status")]), flush=True)
            agent.log.clear()


if __name__ == "__main__":
    main(sys.argv[1:])
