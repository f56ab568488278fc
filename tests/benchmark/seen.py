# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long after the end of a script its end is seen, and how often a client looks.

Beside ours are two clients with a fixed pace: one that waits 1 s between two looks, as the sample
in the vendor's manual does, and one that waits 500 ms before each look, as a common client does.
All three run at the same time, each on a router of its own.
"""

from __future__ import annotations

import concurrent.futures
import time
import typing as t
from pathlib import Path

from . import raw_agent
from .clock import medians
from .row import Row
from .servers import PACKAGE, ask, guest, line_of, started
from .stage import Stage

TITLE = "The end of a script"
GOLDEN = 0.618
SAMPLE, FIXED = "the manual's sample, 1 s", "a fixed pace of 500 ms"


def measure(stage: Stage) -> t.Iterator[Row]:
    sockets = [stage.folder / f"{number}.sock" for number in range(3)]
    with started("-m", f"{PACKAGE}.watched", *map(str, sockets)) as lab:
        line_of(lab)
        ours = guest({"chr_backend": "qemu", "chr_socket": str(sockets[0])}, stage.folder)
        clients: list[t.Callable[[str], object]] = [
            lambda source: ours.run(source.encode(), 60.0),
            lambda source: _at_fixed_pace(sockets[1], source, 1.0, looks_first=True),
            lambda source: _at_fixed_pace(sockets[2], source, 0.5, looks_first=False),
        ]
        for duration, rounds in ((0.02, stage.of(5, 25)), (1.0, stage.of(3, 9)), (30.0, stage.of(0, 3))):
            found = []
            for number in range(1, rounds + 1):
                # Lengths that are spread evenly, so that no pace fits them by chance.
                milliseconds = int(duration * 1000 * (1 + 0.1 * (number * GOLDEN % 1)))
                source = f":delay {milliseconds}ms"
                with concurrent.futures.ThreadPoolExecutor() as pool:
                    seen = list(pool.map(lambda client, source=source: _end(client, source), clients))
                ends = [ask(lab, str(one)) for one in range(3)]
                late = [(at - end) * 1000 for at, (end, _looks) in zip(seen, ends, strict=True)]
                found.append([*late, *(looks for _end_, looks in ends)])
            if found:
                yield from _rows(duration, medians(found))


def _rows(duration: float, found: list[float]) -> t.Iterator[Row]:
    late, looks = found[:3], found[3:]
    name = f"{duration:g} s, seen late by"
    goal = 25 + 50 * duration
    # A job of 60 s is looked at less than 100 times, so a fixed pace may be nearer to a late end.
    at_most = 1.0 if duration < 10 else None
    for peer, theirs in ((SAMPLE, late[1]), (FIXED, late[2])):
        yield Row(TITLE, name, late[0], "ms", peer, theirs, at_most=at_most, goal=goal)
    for peer, theirs in ((SAMPLE, looks[1]), (FIXED, looks[2])):
        yield Row(TITLE, f"{duration:g} s, looks", looks[0], "looks", peer, theirs)


def _end(client: t.Callable[[str], object], source: str) -> float:
    """When *client* knows that the script ended, in monotonic time."""
    client(source)
    return time.monotonic()


def _at_fixed_pace(address: Path, source: str, pace: float, *, looks_first: bool) -> None:
    with raw_agent.channel(address) as (_connection, asked):
        job = raw_agent.start(asked, source)
        if not looks_first:
            time.sleep(pace)
        while not asked("guest-exec-status", pid=job)["exited"]:
            time.sleep(pace)
