# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A script that was started, its result, and a sentence about a failure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message


@dataclass(frozen=True)
class Job:
    """A script that was started and whose result was not yet collected."""

    id: str
    start: datetime
    exec_mode: str


@dataclass(frozen=True)
class ScriptResult:
    """How one script ended."""

    rc: int | None
    """How the script ended.

    0: without an error. -1: RouterOS reported an error. 1: at the agent's own time limit. None: it
    was still running when the wait ended.
    """
    output: bytes
    """What the script printed, unchanged (a CHR ends lines with CRLF).

    After an error, it ends with RouterOS's own text.
    """
    start: datetime
    end: datetime
    job: str
    """The agent's id of the job."""
    exec_mode: str
    truncated: bool = False
    """The agent cut the output."""

    @property
    def timed_out(self) -> bool:
        return self.rc is None or self.rc == 1


def failure(vm: str, result: ScriptResult, timeout: float) -> str:
    """A sentence about a script that failed on *vm*, with RouterOS's own words.

    *timeout*: the seconds that the script had.
    """
    if result.rc is None:
        return (
            f"The script did not end within {timeout:g} s on {vm!r} and continues as job {result.job} on the router; its "
            "output will not be collected. Give it more time (timeout, chr_script_timeout) next time, and look at the router "
            "before you run it again."
        )
    said = message(result.output)
    if result.rc == 1:
        return (
            f"The guest agent of {vm!r} stopped the script at its own time limit. Split it, or let it start the work with "
            f":execute. It had printed: {said or 'nothing'}"
        )
    end = " (the output was cut)" if result.truncated else ""
    return f"The script failed on {vm!r}: {said or 'RouterOS gave no reason'}{end}"
