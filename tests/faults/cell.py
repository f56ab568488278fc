# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cell of the table: one router behind one backend, what goes wrong with it, and the verdict."""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab.kill import kill_tree
from ansible_collections.outofband.chr.tests.lab.relay import How, Relay

from . import work
from .work import CONNECT_TIMEOUT, DONE, FILE, OUTPUT, RAN, SCRIPT_TIMEOUT, Outcome, Work

LIMIT = CONNECT_TIMEOUT + SCRIPT_TIMEOUT + 4
"""Seconds that a task may take: its own times, and what a busy machine adds."""
# After these errors, a script was certainly not run.
NOTHING_RAN = ("Unreachable", "NotAnAgent", "AgentRefused", "NotPossible", "LoginRefused", "TooLarge")
ANSWER_TIME = CONNECT_TIMEOUT + 10.0
MIDDLE = 0.8
"""Seconds after its beginning when a script is in its middle: its start was answered, and on Xen
its text is removed from the store."""
Phase = t.Literal["question", "start", "look", "write"]


class Controller(t.Protocol):
    """Does a piece of work."""

    def __call__(self, what: Work, backend: str, options: dict[str, t.Any], content: bytes, /) -> Outcome:
        """See ``work.do``."""


@dataclasses.dataclass
class Cell:
    """One router behind *relay*; a column makes it, and says how each fault is caused."""

    backend: str
    folder: Path
    """Nothing but this cell uses it."""
    relay: Relay
    options: dict[str, t.Any]
    router: t.Any
    """A ``Router`` of the lab, or what can be asked in the same way."""
    requests: dict[Phase, bytes]
    """Bytes of the requests with which the agent is asked whether it is there, a script is started,
    its end is looked for, and a part of a file is written."""
    content: bytes = b""
    """What is moved: as much as needs several requests."""
    prints: bool = True
    """The output of a script comes back."""
    agent_restarts: t.Callable[[], object] = lambda: None
    vm_resets: t.Callable[[], object] = lambda: None
    session_expires: t.Callable[[], object] = lambda: None
    handles: t.Callable[[], int] = lambda: 0
    """How many files the agent holds open."""
    end_process: t.Callable[[], object] = lambda: None
    """Let go of what a process keeps for its next task."""
    answer_time: float = ANSWER_TIME
    """Seconds that the backend waits for the answer to the start of a script."""
    question_time: float = ANSWER_TIME
    """The same for an answer to a question or a look, which can be asked again."""
    controllers: int = 0
    controller: Controller | None = None
    """The one that does all the work. None: each piece is done by another one."""

    # -- what controllers do -----------------------------------------------------------------------

    def order(self) -> dict[str, t.Any]:
        """The options of another controller, which shares no folder with those before it."""
        self.controllers += 1
        runtime = self.folder / f"run{self.controllers}"
        return {"connect_timeout": CONNECT_TIMEOUT, **self.options, "runtime_directory": runtime}

    def do(self, what: Work = "script") -> Outcome:
        """Let a controller do it."""
        if self.controller:
            return self.controller(what, self.backend, self.options, self.content)
        return work.do(what, self.backend, self.order(), self.content)

    def in_process(self, what: Work) -> subprocess.Popen[str]:
        """Let another controller do it, in a process of its own."""
        options = self.order()
        options["runtime_directory"] = str(options["runtime_directory"])
        order = {"work": what, "backend": self.backend, "options": options, "content": self.content.decode()}
        process = subprocess.Popen(
            [sys.executable, "-m", work.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        assert process.stdin
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        return process

    def kill(self, process: subprocess.Popen[str]) -> Outcome:
        """End a controller as a power cut does."""
        kill_tree(process.pid)
        process.wait()
        assert process.stdout
        process.stdout.close()
        return Outcome("Killed", "", 0.0)

    @property
    def limit(self) -> float:
        """Seconds after which a task hangs."""
        return LIMIT + self.answer_time

    # -- what is true ------------------------------------------------------------------------------

    def ran(self) -> int:
        """How often the script ran."""
        output = self.router.run(f":put [:len {RAN}]").output.decode()
        return int(output)

    def file(self) -> bytes | None:
        one = self.router.files.get(FILE)
        return one.data if one else None

    def until(self, what: str, condition: t.Callable[[], t.Any], seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"within {seconds:g} s, {what} was not seen"
            time.sleep(0.01)

    def judge(self, expected: str, outcome: Outcome, what: Work, runs: int = 1) -> None:
        """Check what the controller said against what is true, and that the way is as before."""
        self.relay.break_after(b"", "reset", 0)
        if outcome.name == "OutcomeUnknown":
            time.sleep(2.5)  # what was started goes on
        said = f"{outcome.name}: {outcome.text}"
        assert outcome.name == expected, said
        assert outcome.seconds < self.limit, f"{outcome.seconds:.1f} s: {said}"
        assert outcome.name == DONE or outcome.text.isprintable(), said
        if what == "script":
            self._judge_script(outcome, runs)
        elif what == "put":
            # A file is whole, or the text says what is on the router.
            file = self.file()
            assert file == self.content if outcome.name == DONE else file is None or FILE in outcome.text, said
        self._goes_on(what, leaves=outcome.name == "Killed")

    def _judge_script(self, outcome: Outcome, runs: int) -> None:
        said = f"{outcome.name}: {outcome.text}"
        ran = self.ran()
        if outcome.name in NOTHING_RAN:
            assert ran == runs - 1, said  # of two controllers, the other one
        elif outcome.name in (DONE, "Killed"):
            assert ran == runs, f"ran {ran} times; {said}"
        else:
            assert ran <= runs, f"ran {ran} times; {said}"
        if outcome.name == DONE and self.prints:
            self.check_output(outcome)

    def check_output(self, outcome: Outcome) -> None:
        assert outcome.text.split("\r\n") == [OUTPUT, "and its end", ""], outcome.text

    def _goes_on(self, what: Work, leaves: bool) -> None:
        """The next controller finds nothing in its way, and nothing is left.

        *leaves*: a file that the agent has open for a killed controller.
        """
        before = self.ran()
        again = self.do("put" if what == "put" else "script")
        assert again.name == DONE, f"afterwards {again.name}: {again.text}"
        if what == "put":
            assert self.file() == self.content
        else:
            assert self.ran() == before + 1
        self.until("that no file is open", lambda: self.handles() <= leaves, 20)
        self.end_process()
        if not self.controller:  # which would keep a session for its next piece
            gc.collect()
            self.until("that no connection is open", lambda: self.relay.open == 0, 20)
        odd = [path for path in self.folder.rglob("*") if "tmp" in path.name.lower() and path.is_file()]
        assert odd == []


# -- rows ------------------------------------------------------------------------------------------

Cause = t.Callable[[Cell], tuple[Outcome, Work, int]]
"""Does the work of a row in a cell. Returns what came of it, the kind of work, and how often a
script may have run."""


def answer(phase: Phase, how: How, always: bool = False) -> Cause:
    """The answer to a request of *phase* is spoilt, once or *always*."""

    def cause(cell: Cell) -> tuple[Outcome, Work, int]:
        def spoil(one: Cell) -> None:
            one.relay.break_after(one.requests[phase], how, math.inf if always else 1)

        if phase == "look":  # at the script, and not at a probe before it
            outcome, *_others = during(spoil)(cell)
        else:
            spoil(cell)
            outcome = cell.do()
        if phase != "start":
            cell.answer_time = cell.question_time
        assert cell.relay.broken.is_set(), f"nothing was spoilt; {outcome.name}: {outcome.text}"
        return outcome, "script", 1

    return cause


def during(happens: t.Callable[[Cell], object], after: float = MIDDLE) -> Cause:
    """Something *happens* so many seconds *after* the script began."""

    def cause(cell: Cell) -> tuple[Outcome, Work, int]:
        def then() -> None:
            cell.until("that the script began", cell.ran)
            time.sleep(after)
            happens(cell)

        other = threading.Thread(target=then)
        other.start()
        outcome = cell.do()
        other.join()
        return outcome, "script", 1

    return cause


def full_router(cell: Cell) -> tuple[Outcome, Work, int]:
    cell.router.disk_full = True
    outcome = cell.do("put")
    cell.router.disk_full = False
    return outcome, "put", 1


def full_controller(cell: Cell) -> tuple[Outcome, Work, int]:
    cell.router.write_file(FILE, cell.content)
    return cell.do("get"), "get", 1


def killed_in_transfer(cell: Cell) -> tuple[Outcome, Work, int]:
    cell.relay.break_after(cell.requests["write"], "silence", 1)
    process = cell.in_process("put")
    cell.until("that a part of the file was written", cell.relay.broken.is_set)
    outcome = cell.kill(process)
    cell.until("the end of its connections", lambda: cell.relay.open == 0)
    return dataclasses.replace(outcome, text=FILE), "put", 1


def killed_in_job(cell: Cell) -> tuple[Outcome, Work, int]:
    process = cell.in_process("script")
    cell.until("that the script began", cell.ran)
    outcome = cell.kill(process)
    time.sleep(2.2)  # the script ends
    return outcome, "script", 1


def two_controllers(cell: Cell) -> tuple[Outcome, Work, int]:
    cell.options = {**cell.options, "connect_timeout": 20.0}  # one may have to wait for the other
    outcomes: list[Outcome] = []
    both = [threading.Thread(target=lambda: outcomes.append(cell.do())) for _unused in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    failed = [one for one in outcomes if one.name != DONE]
    if not failed and cell.prints:
        cell.check_output(outcomes[0])
    return (failed or outcomes)[-1], "script", 2
