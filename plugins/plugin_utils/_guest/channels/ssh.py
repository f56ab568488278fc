# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A socket on another machine, forwarded by the OpenSSH client.

One ssh connection per destination is kept by OpenSSH's own multiplexing (ControlMaster, ControlPersist), and each agent
socket is forwarded through it to a unix socket of this user. Forwarding needs no program on the far side, and does not
count against sshd's MaxSessions, however many routers one hypervisor has. The user's ssh configuration, keys and jump hosts apply.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import select
import shlex
import socket
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import message

from ..deadline import Deadline
from ..errors import AgentNotThere, InvalidInput
from ..private import locked
from ..streams import Readable
from .base import Channel, ConnectError
from .direct import TcpChannel, UnixChannel

PERSIST = 60
"""Seconds that an unused ssh connection stays open for the next task."""
_BLOCK = 1 << 20


class SshChannel(Channel):
    """*target* as seen from the machine *destination* (as in ``ssh destination``).

    *arguments*: further ssh arguments, first in the command line so that they win. *directory*: where this user's control
    and forwarded sockets live (created with mode 0700).
    """

    hint = (
        f"{Channel.hint} A reset or a broken pipe means that ssh is connected and its server could not open the socket: check "
        "the path, the permissions of the ssh user, and AllowStreamLocalForwarding and AllowTcpForwarding of sshd."
    )

    def __init__(self, destination: str, arguments: str, target: UnixChannel | TcpChannel, directory: Path) -> None:
        if not destination.strip() or destination.startswith("-"):
            raise InvalidInput(f"chr_ssh_host {destination!r} is no ssh destination.")
        try:
            self._arguments = shlex.split(arguments)
        except ValueError as error:
            raise InvalidInput(f"chr_ssh_args cannot be split into arguments: {error}.") from error
        if isinstance(target, UnixChannel) and set(":$%\\") & set(str(target.path)):
            raise InvalidInput(
                f"{target} cannot be forwarded: ':', '$', '%' and a backslash have a meaning of their own to ssh."
            )
        self._destination = destination
        self._target = target
        self._master = directory / f"chr-{_digest(destination, arguments)}"
        self._local = UnixChannel(directory / f"chr-{_digest(destination, arguments, self._remote)}.fwd")

    def __str__(self) -> str:
        return f"{self._target} through ssh {self._destination}"

    @property
    def _remote(self) -> str:
        if isinstance(self._target, UnixChannel):
            return str(self._target.path)
        host = f"[{self._target.host}]" if ":" in self._target.host else self._target.host
        return f"{host}:{self._target.port}"

    def connect(self, deadline: Deadline) -> socket.socket:
        try:
            return self._local.connect(deadline)
        except ConnectError:
            with self._lock(deadline):
                self._forward(deadline)
            return self._local.connect(deadline)

    @contextlib.contextmanager
    def _lock(self, deadline: Deadline) -> t.Iterator[None]:
        """One process at a time sets up connections to this destination. Raises ConnectError at *deadline*."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(self._master.with_suffix(".lock"), deadline))
            except TimeoutError:
                raise ConnectError(f"another task was still connecting to {self._destination} with ssh") from None
            yield

    def _forward(self, deadline: Deadline) -> None:
        with contextlib.suppress(ConnectError):
            self._local.connect(deadline).close()
            return  # another task was faster
        self._local.path.unlink(missing_ok=True)
        request = ["-O", "forward", "-L", f"{self._local.path}:{self._remote}"]
        if self._ssh(request, deadline) is None:
            return
        failure = self._ssh(self._background(deadline), deadline) or self._ssh(request, deadline)
        if failure is not None:
            raise AgentNotThere(
                f"ssh {self._destination} failed, so {self._target} behind it cannot be reached: {failure}. "
                f"Try 'ssh {self._destination}' by hand; ssh runs without prompts here (BatchMode), so it needs a key or an agent."
            )

    def run(self, command: list[str], stdin: bytes, deadline: Deadline) -> tuple[int, bytes, bytes]:
        """Run a program on the machine: (exit status, output, errors); 255 when ssh failed on the way.

        Raises AgentNotThere or ConnectError when ssh could not connect (nothing was run), TimeoutError when the program did
        not end before *deadline*.
        """
        return execute(self._line(command, deadline), stdin, deadline)

    def feed(self, command: list[str], source: Readable, stall: float) -> tuple[int, bytes, bytes]:
        """As ``run``, with what *source* has as standard input; *stall* are the seconds in which something must move.

        Raises as ``run``.
        """
        return feed(self._line(command, Deadline(stall)), source, stall)

    def _line(self, command: list[str], deadline: Deadline) -> list[str]:
        """The command that runs *command* there, through a connection that stands. Raises AgentNotThere, ConnectError."""
        with self._lock(deadline):
            if self._ssh(["-O", "check"], deadline) is not None:
                self._log_in(deadline)
        line = ["ssh", *self._arguments, "-o", "BatchMode=yes", "-o", f"ControlPath={self._master}"]
        return [*line, "--", self._destination, shlex.join(command)]

    def _log_in(self, deadline: Deadline) -> None:
        """Raises AgentNotThere."""
        failure = self._ssh(self._background(deadline), deadline)
        if failure is not None:
            raise AgentNotThere(
                f"ssh {self._destination} failed: {failure}. Try 'ssh {self._destination}' by hand; ssh runs without prompts "
                "here (BatchMode), so it needs a key or an agent."
            )

    def _background(self, deadline: Deadline) -> list[str]:
        return [
            *("-f", "-N", "-o", "ControlMaster=yes", "-o", f"ControlPersist={PERSIST}"),
            *("-o", f"ConnectTimeout={max(1, int(deadline.remaining))}"),
        ]

    def _ssh(self, arguments: list[str], deadline: Deadline) -> str | None:
        """Run one ssh command; None when it succeeded, else what it said."""
        command = ["ssh", *self._arguments, "-o", "BatchMode=yes", "-o", f"ControlPath={self._master}", *arguments]
        with tempfile.TemporaryFile() as errors:  # a pipe would stay open as long as the background connection
            try:
                process = subprocess.Popen(
                    [*command, "--", self._destination],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                )
                status = process.wait(max(deadline.remaining, 0.1))
            except FileNotFoundError:
                return "the OpenSSH client (ssh) is not installed on the controller"
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return f"no connection within {deadline.seconds:g} s"
            errors.seek(0)
            said = [line for line in errors.read().splitlines() if not line.startswith(b"Warning: Permanently added")]
        if status == 0:
            return None
        return message(b"\n".join(said)).strip(" .") or f"exit status {status}"


def execute(command: list[str], stdin: bytes, deadline: Deadline) -> tuple[int, bytes, bytes]:
    """Run a program here: (exit status, output, errors).

    Raises TimeoutError when it did not end before *deadline*, OSError when it cannot be started.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(command, stdin=given, stdout=output, stderr=errors)
        try:
            status = process.wait(max(deadline.remaining, 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise TimeoutError(f"no answer within {deadline.seconds:g} s") from None
        output.seek(0)
        errors.seek(0)
        return status, output.read(), errors.read()


def feed(command: list[str], source: Readable, stall: float) -> tuple[int, bytes, bytes]:
    """As ``execute``, with what *source* has as standard input, block by block.

    A program that takes no more of it is waited for and judged by its status. Raises TimeoutError when nothing moved for *stall*
    seconds, OSError when the program cannot be started.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=errors, bufsize=0)
        try:
            with t.cast("t.BinaryIO", process.stdin) as pipe, contextlib.suppress(BrokenPipeError):
                os.set_blocking(pipe.fileno(), False)
                with contextlib.suppress(OSError, AttributeError):  # Linux only, and as far as the user may
                    fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _BLOCK)
                while block := source.read(_BLOCK):
                    _write(pipe.fileno(), block, stall)
            status = process.wait(stall)
        except (TimeoutError, subprocess.TimeoutExpired):
            raise TimeoutError(f"nothing moved for {stall:g} s") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        errors.seek(0)
        return status, output.read(), errors.read()


def _write(pipe: int, block: bytes, stall: float) -> None:
    left = memoryview(block)
    while left:
        if not select.select([], [pipe], [], stall)[1]:
            raise TimeoutError
        left = left[os.write(pipe, left) :]


def _digest(*parts: str) -> str:
    # Short, as ssh adds 17 characters of its own and a socket's path has at most 107.
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
