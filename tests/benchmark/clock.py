# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time, processor time and memory."""

from __future__ import annotations

import os
import statistics
import time
import typing as t
from pathlib import Path

Work = t.Callable[[], object]
PROCESSORS = os.cpu_count() or 1


def seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def medians_in_turns(rounds: int, *works: Work) -> list[float]:
    """The median seconds of each of *works*, which are done in turns after one round to warm up."""
    found = [[seconds(work) for work in works] for _round in range(rounds + 1)]
    return medians(found[1:])


def medians(rounds: t.Sequence[t.Sequence[float]]) -> list[float]:
    """The median of each column."""
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and all that it started so far."""
    own = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own / os.sysconf("SC_CLK_TCK") + sum(processor_seconds(int(child)) for child in children)


def processor_seconds_of(work: Work) -> float:
    """Return the processor time of *work*, done in a process of its own."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    return sum(_end_of(child)[:2])


def run(command: t.Sequence[str | Path], environment: dict[str, str], output: Path) -> tuple[float, float, float]:
    """Run a program, which writes to *output*.

    Returns (seconds, processor seconds, MiB of its largest process).
    """
    began = time.perf_counter()
    child = os.fork()
    if not child:
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.execve(command[0], [str(word) for word in command], environment)
    try:
        user, system, kib = _end_of(child)
    except RuntimeError as error:
        raise RuntimeError(f"{error}: {output.read_text()[-1500:]}") from None
    return time.perf_counter() - began, user + system, kib / 1024


def _end_of(child: int) -> tuple[float, float, float]:
    _pid, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"a measured program ended with status {status}")
    return usage.ru_utime, usage.ru_stime, usage.ru_maxrss
