# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Files that the tasks of one user share, and that nobody else can read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import stat
import struct
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible


class PrivateFile:
    """A JSON object in ``directory/name`` with mode 0600; the directory is made with mode 0700."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / name

    def load(self) -> dict[str, t.Any]:
        """Return what was saved.

        The result is empty if there is nothing, or if another user could have written it.
        """
        try:
            # A FIFO in its place would block without O_NONBLOCK.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor) as source:
                status = os.fstat(source.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                    return {}
                known = json.load(source)
        except (OSError, ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}

    def save(self, values: dict[str, t.Any]) -> None:
        """Replace the contents atomically. Raises OSError, NotPossible (see ``private_folder``)."""
        private_folder(self.path.parent)
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
        """One process or thread at a time. Raises as ``locked``."""
        with locked(self.path.with_suffix(".lock"), deadline):
            yield


def private_folder(folder: Path) -> None:
    """Make *folder* if it is missing, and make sure that only this user can use what is in it.

    Another user of a shared folder could have made it first, with files and sockets to which
    scripts and sessions would go. Raises OSError if it cannot be made, NotPossible if it belongs to
    another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise NotPossible(
            f"{folder} belongs to another user (uid {status.st_uid}), who could read what is kept there and take the place of a "
            "connection. Nothing was done. Set ANSIBLE_HOME to a folder of the user that runs Ansible."
        )
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def own_socket(path: Path) -> bool:
    """Whether *path* is a socket of this user. Raises NotPossible if something else is there."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
        raise NotPossible(
            f"{path} is not a socket of this user. Nothing was sent to it. Remove it, and find out who made it."
        )
    return True


def own_peer(connection: socket.socket) -> bool:
    """Whether a process of this user listens at the other end of a unix socket.

    True on systems that do not tell it.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(uid) == os.geteuid()


@contextlib.contextmanager
def locked(path: Path, deadline: Deadline) -> t.Iterator[None]:
    """Hold the lock file *path*, which is made if it is missing.

    Raises TimeoutError at *deadline*, and NotPossible if the file cannot be used.
    """
    descriptor = lock(path, deadline)
    try:
        yield
    finally:
        os.close(descriptor)


def lock(path: Path, deadline: Deadline) -> int:
    """Lock the file *path* and return a descriptor, which holds the lock until it is closed.

    Raises as ``locked``.
    """
    try:
        private_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise NotPossible(
            f"The lock file {path} cannot be used: {error.strerror} ({error.filename}). Nothing was done. The file and its "
            "folder must belong to the user that runs Ansible."
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise NotPossible(f"The lock file {path} is not a file of this user. Nothing was done. Remove it.")
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if deadline.expired:
                    raise TimeoutError(f"{path} was locked for {deadline.seconds:g} s") from None
                time.sleep(0.01)
    except BaseException:
        os.close(descriptor)
        raise
