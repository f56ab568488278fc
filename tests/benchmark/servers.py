# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The processes that ours and the peers talk to."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.options import options_for

from .clock import processor_seconds
from .playbook import Inventory
from .stage import CACHE, TESTS

PACKAGE = "ansible_collections.outofband.chr.tests.benchmark"


class Server:
    """A hypervisor with routers."""

    def __init__(self, process: subprocess.Popen[str], routers: Inventory) -> None:
        self._process = process
        self.routers = routers

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def processor(self) -> float:
        """Processor seconds so far."""
        return processor_seconds(self.pid)

    def counts(self) -> dict[str, int]:
        """How many ``logins`` and ``calls`` there were so far."""
        return t.cast("dict[str, int]", ask(self._process))

    def hosts(self, number: int) -> Inventory:
        """The variables of that many hosts. Routers have several of them if they are fewer."""
        routers = list(self.routers.values())
        return {f"host{one:04d}": routers[one % len(routers)] for one in range(number)}


@contextlib.contextmanager
def server(kind: str, count: int) -> t.Iterator[Server]:
    """A hypervisor of ``served.py``. Raises Missing."""
    with started("-m", f"{PACKAGE}.served", kind, str(count)) as process:
        said = json.loads(line_of(process))
        if "missing" in said:
            raise Missing(said["missing"])
        yield Server(process, said["hosts"])


@contextlib.contextmanager
def listing(kind: str, vms: int) -> t.Iterator[Server]:
    """A hypervisor of the lab with one router, and VMs that are only there to be listed."""
    lab = ("-m", "lab", "hypervisor", kind, "--count", "1", "--listed", str(vms), "--cache", str(CACHE))
    with started(*lab) as process:
        yield Server(process, json.loads(line_of(process)))


@contextlib.contextmanager
def started(*arguments: str) -> t.Iterator[subprocess.Popen[str]]:
    """A process of this Python, which ends with its input."""
    command = [sys.executable, *arguments]
    process = subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.communicate()


def ask(process: subprocess.Popen[str], question: str = "") -> t.Any:
    """Send a line, and return the JSON of the line that is the answer."""
    assert process.stdin
    process.stdin.write(f"{question}\n")
    process.stdin.flush()
    return json.loads(line_of(process))


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args} ended without an answer")
    return line


def guest(host: dict[str, t.Any], run: Path) -> t.Any:
    """The guest of a host of the inventory, with *run* for the files of its sessions."""
    options = {key[4:]: value for key, value in host.items() if key.startswith("chr_")}
    defaults = {"connect_timeout": 10.0, "exec_mode": "auto", "runtime_directory": run}
    return open_guest(options_for(**{"vm": "chr01", **defaults, **options}))
