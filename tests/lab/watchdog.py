# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leave no processes and folders behind, even if their process is ended with SIGKILL.

    with temporary_folder() as folder:  # removed at the end, with the processes that name it
        ...
    guard_process(daemon.pid)  # ends with this process, and its children with it
    release_process(daemon.pid)  # no longer

A second process does this, the watchdog: it is started when it is first needed, reads from a pipe
what to look after, and acts when the pipe closes because this process has ended. It uses the
standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from .kill import kill_tree

_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from lab import watchdog; watchdog.main()"
_END_SECONDS = 5.0  # how long processes are looked for that may still start others


def guard_folder(folder: Path, *, remove: bool = False) -> None:
    """End the processes that name *folder* in their command line when this process is killed.

    *remove*: remove the folder, too, whatever ends this process.
    """
    _WATCHDOG.tell("remove" if remove else "folder", str(folder))


def release_folder(folder: Path) -> None:
    """Undo ``guard_folder``."""
    _WATCHDOG.tell("forget", str(folder))


def guard_process(pid: int) -> None:
    """End a process and all that came from it when this process ends."""
    _WATCHDOG.tell("process", f"{pid} {_started(pid)}")


def release_process(pid: int) -> None:
    """Undo ``guard_process``."""
    _WATCHDOG.tell("ended", str(pid))


@contextlib.contextmanager
def temporary_folder() -> t.Iterator[Path]:
    """Make a folder. At the end, the processes that name it in their command line are ended, and it
    is removed.

    Its name is short, as unix sockets are made in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="chr-", dir="/tmp"))
    guard_folder(folder, remove=True)
    try:
        yield folder
    finally:
        _end({str(folder): True})
        release_folder(folder)


class _Watchdog:
    """The pipe to the second process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe: t.IO[bytes] | None = None
        self._owner = 0

    def tell(self, what: str, value: str) -> None:
        with self._lock:
            if self._pipe is None or self._owner != os.getpid():
                self._start()
            assert self._pipe
            self._pipe.write(f"{what} {value}\n".encode())

    def _start(self) -> None:
        # It becomes a child of init, so that it does not end with the processes that came from this
        # one.
        command = [sys.executable, "-S", "-E", "-c", _PROGRAM, str(Path(__file__).parents[1])]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, bufsize=0, cwd="/"
        )
        self._pipe, process.stdin = process.stdin, None
        self._owner = os.getpid()
        process.wait()
        atexit.register(self._part)

    def _part(self) -> None:
        """End in order.

        No process is killed for its command line, because the next run may have begun already.
        """
        if self._owner == os.getpid():
            self.tell("part", "")


_WATCHDOG = _Watchdog()


def _started(pid: int) -> str:
    """When a process was started, in ticks since boot: with its number, it names one process.

    Empty if it has ended.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


# --- The second process ---


def watch(lines: t.Iterable[str]) -> None:
    """Read what to look after until the end of the input, then end and remove it."""
    folders: dict[str, bool] = {}
    processes: dict[int, str] = {}
    for line in lines:
        what, _space, value = line.rstrip("\n").partition(" ")
        if what in ("folder", "remove"):
            folders[value] = what == "remove"
        elif what == "part":
            folders = {folder: remove for folder, remove in folders.items() if remove}
        elif what == "forget":
            folders.pop(value, None)
        elif what == "process":
            pid, started = value.split(" ")
            processes[int(pid)] = started
        elif what == "ended":
            processes.pop(int(value), None)

    for pid, started in processes.items():
        if started and _started(pid) == started:
            kill_tree(pid)
    _end(folders)


def _end(folders: dict[str, bool]) -> None:
    """End the processes that name the folders, and remove those that are marked."""
    deadline = time.monotonic() + _END_SECONDS
    while (found := _who_names(list(folders))) and time.monotonic() < deadline:
        for pid in found:
            kill_tree(pid)
        time.sleep(0.05)
    for folder, remove in folders.items():
        if remove:
            shutil.rmtree(folder, ignore_errors=True)


def _who_names(folders: list[str]) -> list[int]:
    """Return the processes that name one of the folders, or a file in it, in their command line.

    This process is left out.
    """
    found = []
    named = re.compile(b"|".join(re.escape(folder.encode()) + rb"(?![\w.-])" for folder in folders) or b"(?!)")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(process.name) != os.getpid() and named.search((process / "cmdline").read_bytes()):
                found.append(int(process.name))
    return found


def main() -> None:
    """Be the watchdog: read standard input to its end."""
    if os.fork() == 0:
        os.setsid()
        watch(sys.stdin)
    os._exit(0)
