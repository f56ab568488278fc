# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The client of the process: it starts the process when it is needed, and asks it for endpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible, TimedOut
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import (
    locked,
    own_peer,
    own_socket,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.runs import Run, current
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.sockets import MAX_UNIX_PATH

_START = 60.0  # seconds for the process to be ready
_ANSWER = 30.0  # seconds for its answer
_END = 5.0  # seconds to wait for its end
_PROGRAM = Path(__file__).with_name("process.py")


def start(router: str, options: GuestOptions, timeout: float, idle_timeout: float) -> dict[str, t.Any]:
    """Return the endpoint of *router*: its hostname, port, username and password.

    *router* is its name in the inventory. *timeout* is in seconds for one script, and after
    *idle_timeout* seconds without a command the endpoint is closed. Raises ChrError.
    """
    values = {one.name: getattr(options, one.name) for one in dataclasses.fields(options)}
    request = {
        "do": "start",
        "router": router,
        "options": {**values, "backend": options.backend},
        "timeout": timeout,
        "idle_timeout": idle_timeout,
    }
    return _asked(options.runtime_directory, request, timeout)


def stop(router: str, directory: Path, timeout: float) -> bool:
    """Close the endpoint of *router*, and return whether there was one. Raises ChrError.

    A command that runs there has *timeout* seconds to end.
    """
    connection = _connected(_path(directory, current()))
    if connection is None:
        return False
    return bool((_exchange(connection, {"do": "stop", "router": router}, timeout) or {}).get("stopped"))


def end(run: Run, directory: Path) -> None:
    """End the process of *run*, and wait a moment for that."""
    with contextlib.suppress(ChrError, OSError):
        path = _path(directory, run)
        connection = _connected(path)
        if connection is not None:
            _exchange(connection, {"do": "end"})
            deadline = Deadline(_END)
            while path.exists() and not deadline.expired:
                time.sleep(0.02)


def _asked(directory: Path, request: dict[str, t.Any], timeout: float) -> dict[str, t.Any]:
    """Return the answer to *request* of the process, which is started if it does not run."""
    path = _path(directory, current())
    for _attempt in range(2):  # it may be about to end
        try:
            with locked(directory / "bridge.lock", Deadline(_START)):
                connection = _connected(path)
                if connection is None:
                    _spawn(path)
                    connection = _connected(path)
        except TimeoutError:
            raise TimedOut(
                f"Other tasks have been starting the API bridge for {_START:g} s. Nothing was done."
            ) from None
        if connection is not None and (answer := _exchange(connection, request, timeout)) is not None:
            return answer
    raise NotPossible("The process of the API bridge ended at once. Nothing was sent to the router.")


def _path(directory: Path, run: Run | None) -> Path:
    """Return the socket of the process of *run*. Raises NotPossible if its path is too long."""
    path = directory / f"bridge-{run.id if run else os.getppid()}"
    if len(os.fsencode(path)) > MAX_UNIX_PATH:
        raise NotPossible(
            f"The socket {path} of the API bridge would have too long a path: the kernel takes {MAX_UNIX_PATH} bytes. Nothing "
            "was done. Set ANSIBLE_HOME to a shorter path."
        )
    return path


def _connected(path: Path) -> socket.socket | None:
    """Return a connection to the process, or None if it does not run. Raises NotPossible."""
    if not own_socket(path):
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_ANSWER)
        connection.connect(str(path))
        if not own_peer(connection):
            raise NotPossible(f"The process at {path} belongs to another user. Nothing was sent to it.")
    except OSError:
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def _exchange(connection: socket.socket, request: dict[str, t.Any], timeout: float = 0.0) -> dict[str, t.Any] | None:
    """Return the answer to *request*, or None if the process has ended. Raises ChrError.

    *timeout* is what the command that runs on the router may take in seconds.
    """
    patience = _ANSWER + timeout
    connection.settimeout(patience)
    with connection, connection.makefile("rwb") as stream:
        try:
            stream.write(json.dumps(request, default=str).encode() + b"\n")
            stream.flush()
            line = stream.readline()
        except TimeoutError:
            raise TimedOut(f"The process of the API bridge did not answer within {patience:g} s.") from None
        except OSError:
            return None
    answer: dict[str, t.Any] | None = json.loads(line) if line else None
    if answer is not None and "error" in answer:
        raise NotPossible(f"The API bridge was not started: {answer['error']}")
    return answer


def _spawn(path: Path) -> None:
    """Start the process and wait until it takes requests. Raises NotPossible."""
    run = current()
    orders = {
        "socket": str(path),
        "pid": run.pid if run else os.getppid(),
        "run": dataclasses.asdict(run) if run else None,
    }
    process = subprocess.Popen(
        [sys.executable, str(_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the run, which ends the process
    )
    # What the process says ends when it is ready or gone, or when it is killed.
    patience = threading.Timer(_START, process.kill)
    patience.start()
    try:
        with t.cast("t.IO[bytes]", process.stdout) as said, t.cast("t.IO[bytes]", process.stderr) as failed:
            with contextlib.suppress(BrokenPipeError), t.cast("t.IO[bytes]", process.stdin) as stdin:
                stdin.write(json.dumps(orders).encode() + b"\n")
            ready, reason = said.read(), failed.read()
    finally:  # the task can be interrupted, and the process serves others
        patience.cancel()
    if ready.strip() != b"ready":
        process.wait()
        raise NotPossible(f"The process of the API bridge did not start: {message(reason) or 'it said nothing'}")
