# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Files in which the tasks and hosts of one user leave something for each other; readable for nobody else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
import typing as t
from pathlib import Path

from .deadline import Deadline


class PrivateFile:
    """A JSON object in ``directory/name`` with mode 0600; the directory is made with mode 0700."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / name

    def load(self) -> dict[str, t.Any]:
        """What was saved; empty when there is nothing, or when somebody else could have put it there."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor) as source:
                status = os.fstat(source.fileno())
                if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                    return {}
                known = json.load(source)
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def save(self, values: dict[str, t.Any]) -> None:
        """Replace the contents, at once for every reader. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.stem}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as target:
                json.dump(values, target)
            Path(beside).replace(self.path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def locked(self, deadline: Deadline) -> t.Iterator[None]:
        """One process or thread at a time. Raises TimeoutError at *deadline*, OSError."""
        with locked(self.path.with_suffix(".lock"), deadline):
            yield


@contextlib.contextmanager
def locked(path: Path, deadline: Deadline) -> t.Iterator[None]:
    """Hold the lock file *path*, which is made where it is missing. Raises TimeoutError at *deadline*, OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.expired:
                    raise TimeoutError(f"{path} was locked for {deadline.seconds:g} s") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
