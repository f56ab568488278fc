# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The runs of Ansible that use a session, so that the last one can end it.

A run begins in Ansible's main process. The workers, which it forks for each task, inherit it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import socket
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError

from .private_file import PrivateFile

_WAIT = 2.0  # seconds for the file of a session at the end of a run
LogOut = t.Callable[[dict[str, t.Any], dict[str, t.Any]], None]
"""Ends a session at its server. Arguments: the session, and the server's address (see Login).

Raises ChrError.
"""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of Ansible."""

    id: str
    pid: int
    host: str

    def uses(self, login: dict[str, t.Any]) -> bool:
        """Whether this run is among those that use the kept *login*."""
        return any(isinstance(one, dict) and one.get("id") == self.id for one in _runs(login))

    def add_to(self, login: dict[str, t.Any]) -> None:
        """Note in the kept *login* that this run uses it."""
        others = [one for one in _runs(login) if self._may_run(one)]
        login["runs"] = [*others, dataclasses.asdict(self)]

    def leave(self, login: dict[str, t.Any]) -> bool:
        """Remove this run from the kept *login*. Returns whether nobody uses it any more."""
        login["runs"] = [one for one in _runs(login) if one.get("id") != self.id and self._may_run(one)]
        return not login["runs"]

    def _may_run(self, other: dict[str, t.Any]) -> bool:
        """Whether another run may still go on; one of another machine may always."""
        if other.get("host") != self.host:
            return True
        try:
            return process_exists(int(other.get("pid", 0)))
        except (TypeError, ValueError, OverflowError):
            return False


def process_exists(pid: int) -> bool:
    """Whether this machine has a process *pid*, of any user. Raises OverflowError."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_begun: list[Run] = []
"""The run of this process, if it has begun."""


def begin() -> Run:
    """Begin the run of this process and of all that it forks."""
    run = Run(secrets.token_hex(8), os.getpid(), socket.gethostname())
    join(run)
    return run


def join(run: Run) -> None:
    """Make this process a part of *run*, which another one has begun."""
    _begun[:] = [run]


def current() -> Run | None:
    """The run of this process. None if Ansible's main process did not begin one."""
    return _begun[0] if _begun else None


def end(run: Run, directory: Path, log_out: t.Mapping[str, LogOut]) -> None:
    """End the sessions in *directory* that *run* has used and no other run uses.

    *log_out*: for each kind of session (see Login). Does nothing in a process that *run* has
    forked. What cannot be ended stays until its server ends it.
    """
    if os.getpid() != run.pid:
        return
    for kind, leave in log_out.items():
        for path in directory.glob(f"{kind}-*.json"):
            with contextlib.suppress(OSError, ChrError):
                for login in _left(run, PrivateFile(directory, path.name)):
                    with contextlib.suppress(ChrError):
                        leave(login["session"], login["server"])


def _left(run: Run, file: PrivateFile) -> list[dict[str, t.Any]]:
    """Take the logins out of *file* that only *run* has used, and return them."""
    with file.locked(Deadline(_WAIT)):
        known = file.load()
        logins = [one for one in known.get("logins") or [] if isinstance(one, dict)]
        used = [one for one in logins if run.uses(one)]
        if not used:
            return []
        gone = [one for one in used if run.leave(one)]
        file.save({**known, "logins": [one for one in logins if one not in gone]})
    return [one for one in gone if isinstance(one.get("session"), dict) and isinstance(one.get("server"), dict)]


def _runs(login: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    runs = login.get("runs")
    return [one for one in runs if isinstance(one, dict)] if isinstance(runs, list) else []
