# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All routers in one task: the audit of their licenses, and a script on very many.

The audit is beside the same in a task of each router, the bare protocol, and a playbook that asks
no router. Variables have no templates, as the inventory plugin gives them. One row shows what a
template in each costs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import READ_SCRIPT

from . import raw_agent
from .clock import medians, medians_in_turns
from .playbook import DEBUG, ONCE, Inventory, play
from .row import Row
from .servers import PACKAGE, line_of, started
from .stage import Stage

TITLE = "All routers in one task"
AUDIT = "outofband.chr.license_audit"
LIGHT_PROCESSES = 4


def measure(stage: Stage) -> t.Iterator[Row]:
    yield from _audits(stage)
    yield from _scripts(stage)


def _audits(stage: Stage) -> t.Iterator[Row]:
    number = stage.of(100, 1000)
    stage = dataclasses.replace(stage, forks=50)
    home = stage.folder / "routers"
    routers = _inventory(home / f"chr{one:02d}.sock" for one in range(1, number + 1))
    templates: Inventory = {
        name: {**host, "chr_socket": f"{home}/{{{{ inventory_hostname }}}}.sock"} for name, host in routers.items()
    }
    report = {"outofband.chr.license_report": {"dest": str(stage.folder / "report"), "registered": "read"}, **ONCE}
    each = [{"outofband.chr.license_info": None, "register": "read"}, report]
    with started("-m", "lab", "serve", str(home), "--count", str(number)) as lab:
        line_of(lab)
        addresses = [Path(host["chr_socket"]) for host in routers.values()]
        rounds = min(stage.rounds, 3)
        (floor,) = medians_in_turns(rounds, lambda: raw_agent.run_on_each(addresses, READ_SCRIPT))
        variables = [f"license_audit_dest={stage.folder}/report"]

        def audit(inventory: Inventory, tasks: t.Any, times: int) -> tuple[float, float]:
            runs = [play(stage, inventory, tasks, variables=variables) for _round in range(times)]
            seconds, mib = medians([(one.seconds, one.mib) for one in runs])
            return seconds, mib

        name = f"licenses of {number} routers"
        whole, mib = audit(routers, AUDIT, rounds)
        yield Row(TITLE, name, whole, "s", "the bare protocol", floor, goal=stage.of(None, 5))
        yield Row(TITLE, name, whole, "s", "a playbook that asks no router", audit(routers, _IDLE, rounds)[0])
        yield Row(TITLE, name, whole, "s", "license_info on each", audit(routers, each, 1)[0], at_most=1.0)
        yield Row(TITLE, f"{name}, with templates", audit(templates, AUDIT, 1)[0], "s", "without templates", whole)
        yield Row(TITLE, f"{name}, memory", mib, "MiB", goal=1024)
        lab.terminate()


_IDLE = [{**DEBUG, **ONCE}] * 2


def _scripts(stage: Stage) -> t.Iterator[Row]:
    """A script on routers that take next to nothing, to see how it grows."""
    task = {"name": "fleet", "outofband.chr.fleet": {"source": ":put 1"}, "changed_when": False}
    sizes = stage.of((200, 1000), (1000, 10_000))
    home = stage.folder / "light"
    home.mkdir()
    each = sizes[-1] // LIGHT_PROCESSES
    with contextlib.ExitStack() as running:
        for first in range(0, sizes[-1], each):
            arguments = (f"{PACKAGE}.light_agents", str(home), str(first), str(each))
            line_of(running.enter_context(started("-m", *arguments)))
        routers = list(_inventory(home / f"chr{one:05d}.sock" for one in range(sizes[-1])).items())
        took = []
        for size in sizes:
            found = play(stage, dict(routers[:size]), [task])
            took.append(found.seconds / size * 1000)
            name = f"a script on {size} light routers"
            goal = 40 if size == 10_000 else None  # on 2 processors
            yield Row(TITLE, name, found.seconds, "s", goal=goal)
            yield Row(TITLE, f"{name}, memory", found.mib, "MiB", goal=1024)
        yield Row(TITLE, f"{name}, growth", took[1], "ms per host", f"{sizes[0]} routers", took[0], at_most=1.1)


def _inventory(addresses: t.Iterable[Path]) -> Inventory:
    variables = {"ansible_connection": "outofband.chr.guest_agent", "chr_backend": "qemu"}
    return {path.stem: {**variables, "chr_socket": str(path)} for path in addresses}
