# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work on simulated routers for a long time, while faults happen, and see that nothing is lost.

Half of the pieces of work are spoilt by a fault of the table of faults (tests/faults). After each
one, the router must show what the controller said about it, and the next piece must work. In the
last quarter of the time, the controller must hold about as much memory and as many descriptors as
in the second one; in the first one it gets to know the routers.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import random
import statistics
import sys
import threading
import time
import typing as t

from ansible_collections.outofband.chr.tests.faults import cell as rows
from ansible_collections.outofband.chr.tests.faults.cell import Cell
from ansible_collections.outofband.chr.tests.faults.columns import COLUMNS
from ansible_collections.outofband.chr.tests.faults.table import ALL_IS_WELL, FAULTS, Fault
from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder

from .controller import ControllerProcess, Held

SHARES = {"qemu": 0.5, "libvirt": 0.02, "proxmox": 0.25, "vmware": 0.1, "xenstore": 0.1, "xenapi": 0.03}
"""The part of all routers that each backend has: what a machine can carry."""
SPOILT = 0.5
"""The part of all pieces of work that a fault happens to."""
LOOKS = 40
"""How often the controller is looked at."""
SHORTEST = 120.0
"""Seconds; before, the controller still gets to know the routers and the faults."""
MORE_MEMORY, MORE_DESCRIPTORS = 1.1, 5
"""How much more the controller may hold in the last quarter than in the second one."""
WRITE = Fault("Nothing, a file is written", lambda cell: (cell.do("put"), "put", 1), ALL_IS_WELL.cells)
_NOT_OF = {
    "libvirt": ("reset during a job",),  # its routers keep nothing on a disk, so nothing would say what ran
    "vmware": ("question",),  # those of a login, and a controller logs in once
    "xenapi": ("question",),
}
_OF_OTHERS = (rows.two_controllers, rows.killed_in_job, rows.killed_in_transfer)


@dataclasses.dataclass
class Soak:
    """What happened."""

    pieces: collections.Counter[tuple[str, str]] = dataclasses.field(default_factory=collections.Counter)
    """By the title of the fault and the backend."""
    complaints: list[str] = dataclasses.field(default_factory=list)
    held: list[Held] = dataclasses.field(default_factory=list)
    """What the controller held, at each look."""

    def work(self, cell: Cell, fault: Fault) -> None:
        """Do one piece of work on the router of *cell*, while *fault* happens, and judge it."""
        expected = fault.cells[cell.backend]
        self.pieces[fault.title, cell.backend] += 1
        try:
            clean(cell)
            this = dataclasses.replace(cell)
            outcome, what, runs = fault.cause(this)
            this.judge(expected, outcome, what, runs)
        except Exception as error:
            self.complaints.append(f"{cell.backend}, {fault.title.lower()}: {error or type(error).__name__}")
            print(f"WRONG: {self.complaints[-1][:500]}", file=sys.stderr, flush=True)
            cell.relay.break_after(b"", "reset", 0)


def clean(cell: Cell) -> None:
    """Remove what an earlier piece of work left on the router."""
    cell.router.run(f'/ip firewall filter remove {rows.RAN}\n/file remove [find name="{rows.FILE}"]')


def faults(backend: str) -> list[Fault]:
    """The rows of the table that happen to routers of *backend*.

    Not those of two controllers, as this is about one, and of a controller that is killed.
    """
    found = [one for one in FAULTS if " " not in one.cells[backend] and one.cause not in _OF_OTHERS]
    return [one for one in found if not any(part in one.title for part in _NOT_OF.get(backend, ()))]


def work_on(routers: list[Cell], soak: Soak, at_once: int, seconds: float, dice: random.Random) -> None:
    """Work on *routers*, *at_once* at a time, for some *seconds*."""
    free, lock = list(routers), threading.Lock()
    end = time.monotonic() + seconds

    def worker() -> None:
        while time.monotonic() < end:
            with lock:
                cell = free.pop(dice.randrange(len(free)))
                ordinary = [ALL_IS_WELL, WRITE] if cell.content else [ALL_IS_WELL]
                fault = dice.choice(faults(cell.backend) if dice.random() < SPOILT else ordinary)
            soak.work(cell, fault)
            with lock:
                free.append(cell)

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        concurrent.futures.wait([pool.submit(worker) for _unused in range(at_once)])


def watch(controller: ControllerProcess, soak: Soak, every: float, stop: threading.Event) -> None:
    """Keep and print what the controller holds *every* so many seconds, until *stop* is set."""
    began = time.monotonic()
    while not stop.wait(every):
        soak.held.append(held := controller.held())
        print(f"{time.monotonic() - began:6.0f} s  {soak.pieces.total():6} pieces  {held}", flush=True)


def check_held(soak: Soak) -> None:
    """Complain of what grew from the second quarter of the time to the last one."""
    quarter = len(soak.held) // 4
    early, late = soak.held[quarter : 2 * quarter], soak.held[-quarter:]
    for what, allowed in (
        ("memory", lambda before: before * MORE_MEMORY),
        ("descriptors", lambda before: before + MORE_DESCRIPTORS),
    ):
        before, after = (statistics.median(getattr(one, what) for one in part) for part in (early, late))
        print(f"{what.capitalize()}: {before:.1f} in the second quarter, {after:.1f} in the last one")
        if after > allowed(before):
            soak.complaints.append(f"the controller's {what} grew from {before:.1f} to {after:.1f}")


def report(soak: Soak) -> None:
    """Print how many pieces of work of each kind went as the table of faults says."""
    backends = list(dict.fromkeys(backend for _unused, backend in soak.pieces))
    titles = [one.title for one in (ALL_IS_WELL, WRITE, *FAULTS) if one.cause not in _OF_OTHERS]
    width = max(map(len, titles))
    print(f"\n{'':{width}}" + "".join(f"{one:>10}" for one in backends))
    for title in titles:
        print(f"{title:{width}}" + "".join(f"{soak.pieces[title, one] or '-':>10}" for one in backends))
    print(
        f"{'All':{width}}"
        + "".join(f"{sum(n for (_t, b), n in soak.pieces.items() if b == one):>10}" for one in backends)
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--routers", type=int, default=200)
    parser.add_argument("--backends", nargs="+", default=list(SHARES), choices=list(SHARES))
    parser.add_argument("--at-once", type=int, default=12, help="how many routers are worked on side by side")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of what happens when")
    arguments = parser.parse_args()
    whole = sum(SHARES[one] for one in arguments.backends)
    numbers = {one: max(1, round(arguments.routers * SHARES[one] / whole)) for one in arguments.backends}
    print(
        f"{', '.join(f'{number} routers of {one}' for one, number in numbers.items())}; --seed {arguments.seed}",
        flush=True,
    )
    soak, stop = Soak(), threading.Event()
    try:
        with contextlib.ExitStack() as running:
            folder = running.enter_context(temporary_folder())
            controller = running.enter_context(ControllerProcess(folder / "controller", arguments.at_once))
            routers = [one for kind, number in numbers.items() for one in start(kind, number, running, controller)]
            with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
                concurrent.futures.wait([pool.submit(soak.work, one, ALL_IS_WELL) for one in routers])
            print(f"After one script on each router: {controller.held()}", flush=True)
            seconds = arguments.minutes * 60
            threading.Thread(target=watch, args=(controller, soak, seconds / LOOKS, stop), daemon=True).start()
            work_on(routers, soak, arguments.at_once, seconds, random.Random(arguments.seed))
            stop.set()
            left = sum(one.handles() for one in routers)
    except Missing as error:
        sys.exit(f"ERROR: {error}")
    report(soak)
    print(f"\nFiles that agents have open: {left}")
    if seconds >= SHORTEST:
        check_held(soak)
    if left:
        soak.complaints.append(f"agents have {left} files open")
    for one in soak.complaints:
        print(f"ERROR: {one[:500]}", file=sys.stderr)
    print(f"{soak.pieces.total()} pieces of work, {len(soak.complaints)} went wrong")
    return bool(soak.complaints)


def start(backend: str, number: int, running: contextlib.ExitStack, controller: ControllerProcess) -> t.Iterator[Cell]:
    """Start *number* routers of *backend*, which the *controller* works on."""
    column = COLUMNS[backend]()
    folder = running.enter_context(temporary_folder())
    running.enter_context(column.running(folder, number))
    for _unused in range(number):
        own = running.enter_context(temporary_folder())
        yield dataclasses.replace(running.enter_context(column.cell(own)), controller=controller)


if __name__ == "__main__":
    sys.exit(main())
