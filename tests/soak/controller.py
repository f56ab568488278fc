# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller: a process that does what it is told, in threads, until its input ends.

Each line of its input is an order as JSON, and each line of its output is what came of one. What it
holds (memory, descriptors) is what is measured, so nothing else runs in it.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import gc
import itertools
import json
import os
import subprocess
import sys
import threading
import traceback
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.tests.faults import work
from ansible_collections.outofband.chr.tests.faults.cell import CONNECT_TIMEOUT
from ansible_collections.outofband.chr.tests.faults.work import Outcome, Work
from ansible_collections.outofband.chr.tests.lab.watchdog import guard_process

MIB = 1 << 20
_TRIM = "trim"
"""An order to give back what only the allocator holds: one large answer would show for ever."""
_ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""glibc gives back the free end of its first arena only, and makes others for threads."""


@dataclass(frozen=True)
class Held:
    """What the process holds at a time."""

    memory: float
    """Resident, in MiB."""
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return f"{self.memory:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"


class ControllerProcess:
    """The process, seen from the soak; a context manager, and a ``Controller`` of cells."""

    def __init__(self, folder: Path, at_once: int) -> None:
        """*folder*: its runtime directory. *at_once*: how much it does side by side."""
        self._folder, self._at_once = folder, at_once
        self._numbers = itertools.count()
        self._pending: dict[int, concurrent.futures.Future[Outcome]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> t.Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._at_once)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | _ONE_ARENA,
        )
        guard_process(self._process.pid)
        threading.Thread(target=self._collect, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(120)

    def __call__(self, what: Work, backend: str, options: dict[str, t.Any], content: bytes, /) -> Outcome:
        order = {
            "work": what,
            "backend": backend,
            "options": {**options, "connect_timeout": CONNECT_TIMEOUT, "runtime_directory": str(self._folder)},
            "content": content.decode(),
        }
        return self._order(order).result(300)

    def _order(self, order: dict[str, t.Any]) -> concurrent.futures.Future[Outcome]:
        number = next(self._numbers)
        outcome = self._pending[number] = concurrent.futures.Future()
        with self._lock:
            assert self._process.stdin
            self._process.stdin.write(json.dumps({"number": number, **order}) + "\n")
            self._process.stdin.flush()
        return outcome

    def held(self) -> Held:
        """What the process holds now, without what its allocator keeps for later."""
        self._order({"work": _TRIM}).result(300)
        process = Path("/proc") / str(self._process.pid)
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Held(
            int(status["VmRSS"].split()[0]) * 1024 / MIB,
            len([*(process / "fd").iterdir()]),
            int(status["Threads"]),
        )

    def _collect(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            done = json.loads(line)
            self._pending.pop(done.pop("number")).set_result(Outcome(**done))
        for one in self._pending.values():
            one.set_exception(RuntimeError("the controller's process ended"))


def main(at_once: int) -> None:
    lock = threading.Lock()

    def carry_out(order: dict[str, t.Any]) -> None:
        if order["work"] == _TRIM:
            gc.collect()
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
            if trim:
                trim(0)
            answer(order, Outcome("", "", 0.0))
            return
        options = order["options"] | {"runtime_directory": Path(order["options"]["runtime_directory"])}
        try:
            done = work.do(order["work"], order["backend"], options, order["content"].encode())
        except Exception as error:  # no error of another kind is expected, so it fails its piece of work
            done = Outcome(type(error).__name__, traceback.format_exc(), 0.0)
        answer(order, done)

    def answer(order: dict[str, t.Any], done: Outcome) -> None:
        with lock:
            print(json.dumps({"number": order["number"], **vars(done)}), flush=True)

    with concurrent.futures.ThreadPoolExecutor(at_once + 1) as pool:
        for line in sys.stdin:
            pool.submit(carry_out, json.loads(line))


if __name__ == "__main__":
    main(int(sys.argv[1]))
