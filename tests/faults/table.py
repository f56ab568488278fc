# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of the table, what is expected of each cell, and the page of the documentation.

``python -m ansible_collections.outofband.chr.tests.faults.table`` prints the page.
"""

from __future__ import annotations

import textwrap
import typing as t
from dataclasses import dataclass

from . import cell as rows
from .cell import Cause, answer, during

BACKENDS = ("qemu", "libvirt", "proxmox", "vmware", "xenstore", "xenapi")


@dataclass(frozen=True)
class Fault:
    """One row."""

    title: str
    cause: Cause
    cells: dict[str, str]
    """By backend: what the controller says, DONE or the name of an error; or, with a blank in it,
    a sentence that says why the cell does not exist."""
    slow: tuple[str, ...] = ()
    """The backends whose cell only make test-all runs."""


def _same(what: str, **others: str) -> dict[str, str]:
    return {backend: others.get(backend, what) for backend in BACKENDS}


# They wait for 40 s: libvirt itself waits for an agent, and Proxmox VE's proxy gives up after 30 s.
_LONG = ("libvirt", "proxmox", "xenapi")
_AGENT = "The domains of the test have an agent that restarts only with them."
_AS_QEMU = "The answer of the agent is the same as without libvirt."
_NO_SESSIONS = "A connection to libvirt has no session that ends by itself."
_TOOLS = "The tools of a router restart only with it."
_NO_FILES = "XenAPI moves no files to or from a router."
_READS_NONE = "VMware reads no files of a router."
FAULTS = (
    Fault("No answer to any question", answer("question", "silence", always=True), _same("Unreachable")),
    Fault("Half an answer to any question", answer("question", "half", always=True), _same("Unreachable")),
    Fault("Garbage for an answer to any question", answer("question", "garbage", always=True), _same("Unreachable")),
    Fault("Connection reset at any question", answer("question", "reset", always=True), _same("Unreachable")),
    Fault(
        "Connection reset at one question",
        answer("question", "reset"),
        _same("done", vmware="Unreachable", xenapi="Unreachable"),
    ),
    Fault("An answer to a question drips", answer("question", "drip"), _same("done")),
    Fault("No answer to the start of a script", answer("start", "silence"), _same("OutcomeUnknown"), _LONG),
    Fault("Half an answer to the start of a script", answer("start", "half"), _same("OutcomeUnknown"), _LONG),
    Fault("Garbage for an answer to the start of a script", answer("start", "garbage"), _same("OutcomeUnknown")),
    Fault("Connection reset at the start of a script", answer("start", "reset"), _same("OutcomeUnknown")),
    Fault("The answer to the start of a script drips", answer("start", "drip"), _same("done")),
    Fault("No answer to one look at a job", answer("look", "silence"), _same("done"), slow=_LONG),
    Fault("Half an answer to one look at a job", answer("look", "half"), _same("done"), slow=_LONG),
    Fault("Garbage for an answer to one look at a job", answer("look", "garbage"), _same("done"), slow=_LONG),
    Fault("Connection reset at one look at a job", answer("look", "reset"), _same("done")),
    Fault("The answers to all looks at a job drip", answer("look", "drip", always=True), _same("done"), slow=_LONG),
    Fault(
        "The agent restarts during a job",
        during(lambda cell: cell.agent_restarts()),
        _same("OutcomeUnknown", libvirt=_AGENT, xenstore=_TOOLS, xenapi=_TOOLS),
    ),
    Fault("The VM is reset as a job begins", during(lambda cell: cell.vm_resets(), 0.0), _same("OutcomeUnknown")),
    Fault("The VM is reset during a job", during(lambda cell: cell.vm_resets()), _same("OutcomeUnknown")),
    Fault("The hypervisor's API restarts during a job", during(lambda cell: cell.relay.restart(0.5)), _same("done")),
    Fault(
        "The session ends during a job",
        during(lambda cell: cell.session_expires()),
        _same(
            "done",
            qemu="The channel of the agent has no sessions.",
            libvirt=_NO_SESSIONS,
            xenstore="xenstore has no sessions.",
        ),
    ),
    Fault("The router's disk is full", rows.full_router, _same("TransferFailed", libvirt=_AS_QEMU, xenapi=_NO_FILES)),
    Fault(
        "The controller's disk is full", rows.full_controller, _same("OSError", vmware=_READS_NONE, xenapi=_NO_FILES)
    ),
    Fault("The router's clock jumps during a job", during(lambda cell: cell.router.clock.shift(86400)), _same("done")),
    Fault("The controller is killed during a transfer", rows.killed_in_transfer, _same("Killed", xenapi=_NO_FILES)),
    Fault("The controller is killed during a job", rows.killed_in_job, _same("Killed"), slow=BACKENDS),
    Fault("Two controllers run a script at once", rows.two_controllers, _same("done", xenapi="NotPossible")),
)
ALL_IS_WELL = Fault("Nothing", lambda cell: (cell.do(), "script", 1), _same("done"))
WORDS = {
    "done": "done",
    "Unreachable": "unreachable",
    "OutcomeUnknown": "outcome unknown",
    "NotPossible": "one done, one refused",
    "TransferFailed": "transfer failed",
    "OSError": "transfer failed",
    "Killed": "done by the next run",
}


def word(expected: str) -> str:
    """What a cell shows: a word of WORDS, or a dash for one that does not exist."""
    return "--" if " " in expected else WORDS[expected]


def reasons() -> list[tuple[str, str, str]]:
    """(fault, backend, why the cell does not exist)."""
    return [(one.title, backend, why) for one in FAULTS for backend, why in one.cells.items() if " " in why]


def as_text(verdicts: t.Mapping[tuple[str, str], str]) -> list[str]:
    """The lines of the table after a run. *verdicts*: ``passed`` or another word, by (fault,
    backend)."""
    width = max(len(one.title) for one in FAULTS)
    lines = [" " * width + "".join(f"  {backend:20}" for backend in BACKENDS).rstrip()]
    for one in FAULTS:
        cells = []
        for backend, expected in one.cells.items():
            verdict = verdicts.get((one.title, backend), "" if " " in expected else "not run")
            cells.append(word(expected) if verdict in ("passed", "") else verdict.upper())
        lines.append(f"{one.title:{width}}" + "".join(f"  {shown:20}" for shown in cells).rstrip())
    return lines + [f"-- {backend}, {title.lower()}: {why}" for title, backend, why in reasons()]


_HEAD = """\
..
  SPDX-FileCopyrightText: 2026 The outofband.chr authors
  SPDX-License-Identifier: GPL-3.0-or-later

.. _ansible_collections.outofband.chr.docsite.faults_guide:

Faults guide
============

This page says what a task tells you when something goes wrong on the way to a router. The tests
cause each of these faults with each backend, against the simulated routers of the project.
``tests/faults/table.py`` writes this page. The backend ``vmrun`` is not in the table, because it
runs a program for each question and has no connection that could break: see the :ref:`Workstation
guide <ansible_collections.outofband.chr.docsite.workstation_guide>`.

.. contents::
  :local:
  :depth: 1

What the words mean
-------------------

.. list-table::
  :header-rows: 1
  :widths: 25 75

  * - Word
    - Meaning
  * - done
    - The script ran once, and the task has its whole output; or the file is whole.
  * - unreachable
    - The task ends as unreachable. The script did not run.
  * - outcome unknown
    - The task fails and says so. The script ran once or not at all, and was not sent again. Look at
      the router before you repeat the task.
  * - one done, one refused
    - One task has its result. The other one fails and says that somebody else runs a script, and
      that it started nothing.
  * - transfer failed
    - The task fails, and its message says what is on the router or on the controller now.
  * - done by the next run
    - The killed run tells you nothing. What it started ran once, and the next run finds nothing in
      its way.
  * - \\--
    - This cannot happen, or is not tested; the reason is below the table.

In every cell the task ends within its own time limits (``chr_connect_timeout``,
``chr_script_timeout`` and the time for one answer: up to 10 s, and 40 s with libvirt, Proxmox VE
and XenAPI), no script runs twice, and the next task works.
No connection and no temporary file stays behind. A file that the agent has open when the
controller is killed stays open until the agent restarts. On Xen, the text of a script is removed
from xenstore when the script has been seen to run, or when the VM restarts before that. This takes
less than a second. If the tools of the router start sooner than that after a boot, or the
controller is killed at that moment, the script may run once more when the VM boots.

The table
---------

"""


def page() -> str:
    """The page of the documentation."""
    lines = [".. list-table::", "  :header-rows: 1", "", "  * - Fault", *(f"    - {name}" for name in BACKENDS)]
    for one in FAULTS:
        lines += [f"  * - {one.title}", *(f"    - {word(expected)}" for expected in one.cells.values())]
    lines.append("")
    for title, backend, why in reasons():
        text = f"- ``{backend}``, {title[0].lower()}{title[1:]}: {why}"
        lines += textwrap.wrap(text, 100, subsequent_indent="  ", break_on_hyphens=False)
    return _HEAD + "\n".join(lines).replace("    - --", "    - \\--") + "\n"


if __name__ == "__main__":
    print(page(), end="")
