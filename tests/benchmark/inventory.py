# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory of a hypervisor with many VMs, beside an inventory file with as many hosts.

The list of VMs is measured by itself, too.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import list_vms, server_from_options
from ansible_collections.outofband.chr.tests.lab.missing import Missing

from .clock import PROCESSORS, medians, run, seconds
from .playbook import surroundings, tool
from .row import NotRun, Row
from .servers import listing
from .stage import Stage

TITLE = "The inventory"
KINDS = ("sockets", "proxmox", "vmware", "xenapi", "libvirt")
GOAL = 2000


def measure(stage: Stage) -> t.Iterator[Row | NotRun]:
    vms = stage.of(200, 1000)
    hosts = {f"chr{number:04d}": {"chr_vm": str(number)} for number in range(vms)}
    (stage.folder / "written.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    floor = _median_listing(stage, "written.yml")
    for kind in KINDS:
        name = f"{vms} VMs of {kind}"
        try:
            with listing(kind, vms) as running:
                (host,) = running.routers.values()
                options = {
                    key[4:]: value for key, value in host.items() if key.startswith("chr_") and key != "chr_exec_mode"
                }
                if place := options.pop("socket", None):
                    options["sockets"] = [str(Path(place).parent)]
                source = server_from_options({**options, "runtime_directory": stage.folder / "run"})
                list_vms(source, Deadline(60.0))  # logs in
                took = []
                for _round in range(stage.rounds):
                    before = running.processor
                    wall = seconds(lambda source=source: list_vms(source, Deadline(60.0)))
                    took.append([wall - (running.processor - before) / PROCESSORS])
                file = {"plugin": "outofband.chr.routers", "recognise": ["all"], **options}
                (stage.folder / "fleet.chr.yml").write_text(json.dumps(file))
                whole = _median_listing(stage, "fleet.chr.yml", vms)
        except Missing as error:
            yield NotRun(TITLE, name, str(error))
            continue
        yield Row(TITLE, f"{name}, the list alone", medians(took)[0] * 1000, "ms", goal=GOAL)
        yield Row(TITLE, f"{name}, ansible-inventory", whole, "ms", "an inventory file", floor)


def _median_listing(stage: Stage, file: str, at_least: int = 0) -> float:
    return medians([[_listing(stage, file, at_least)] for _round in range(stage.rounds)])[0]


def _listing(stage: Stage, file: str, at_least: int) -> float:
    """The milliseconds of ansible-inventory."""
    output = stage.folder / "listed"
    command = [tool("ansible-inventory"), "-i", stage.folder / file, "--list"]
    wall, _processor, _mib = run(command, surroundings(stage), output)
    assert len(json.loads(output.read_text())["_meta"]["hostvars"]) >= at_least
    return wall * 1000
