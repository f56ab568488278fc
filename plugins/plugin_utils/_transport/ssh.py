# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The OpenSSH client: programs that run on another machine, and sockets that are forwarded to it.

One ssh connection per destination is kept by OpenSSH's own multiplexing (ControlMaster,
ControlPersist). The user's ssh configuration, keys and jump hosts apply.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shlex
import shutil
import socket
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import SshOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._core.streams import Readable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message

from .channel import Channel, ConnectError
from .private_file import locked, own_peer, own_socket
from .programs import Completed, Lost, NotStarted, execute, feed
from .sockets import TcpChannel, UnixChannel

PERSIST = 60
"""Seconds that an unused ssh connection stays open for the next task."""
# ssh itself ends with the exit status 255 when the connection fails, but programs use it, too. So
# the status is printed behind the output. If it is missing, the end of the program was not seen.
_MARK = b"outofband-status="
_MARKED = ["sh", "-c", f'"$@"; printf "\\n{_MARK.decode()}%d" $?', "sh"]


class SshMaster:
    """The ssh connection of this user to one machine, which is made when it is needed.

    *destination* is that of ``ssh destination``. *arguments* are further ssh arguments; they come
    first in the command line, so that they win. *directory* holds this user's control and forwarded
    sockets, and is created with mode 0700. Raises InvalidInput.
    """

    def __init__(self, destination: str, arguments: str, directory: Path) -> None:
        if not destination.strip() or destination.startswith("-"):
            raise InvalidInput(f"chr_ssh_host {destination!r} is not a valid ssh destination.")
        try:
            self._arguments = shlex.split(arguments)
        except ValueError as error:
            raise InvalidInput(f"chr_ssh_args cannot be split into arguments: {error}.") from error
        self.destination = destination
        self._given = arguments
        self._directory = directory
        self._control = directory / f"chr-{_digest(destination, arguments)}"

    @classmethod
    def from_options(cls, options: SshOptions) -> SshMaster | None:
        """Return the connection to the machine of ``chr_ssh_host``, or None if that is not set.

        Raises InvalidInput.
        """
        if not options.ssh_host:
            return None
        return cls(options.ssh_host, options.ssh_args, options.runtime_directory)

    def socket_for(self, remote: str) -> Path:
        """Return the path of the local socket for *remote*, the same for all tasks of this user."""
        return self._directory / f"chr-{_digest(self.destination, self._given, remote)}.fwd"

    @contextlib.contextmanager
    def lock(self, deadline: Deadline) -> t.Iterator[None]:
        """Keep other processes from setting up this connection at the same time.

        Raises ConnectError at *deadline*, and NotPossible if the lock file cannot be used or the
        connection's socket is another user's.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(self._control.with_suffix(".lock"), deadline))
                own_socket(self._control)
            except TimeoutError:
                raise ConnectError(f"another task was still connecting to {self.destination} with ssh") from None
            yield

    def forward(self, local: Path, remote: str, deadline: Deadline) -> str | None:
        """Forward the unix socket *local* to *remote*; the caller must hold the lock.

        Returns None on success, or else what ssh said.
        """
        request = ["-O", "forward", "-L", f"{local}:{remote}"]
        if self._ssh(request, deadline) is None:
            return None
        return self._ssh(_background(deadline), deadline) or self._ssh(request, deadline)

    def execute(self, command: list[str], stdin: bytes, deadline: Deadline) -> Completed:
        """Run a program on the machine to its end.

        Raises NotStarted; Unreachable when ssh could not connect, so that nothing was started; Lost
        when the program did not end before *deadline* or the connection broke.
        """
        return _without_mark(execute(self._line(command, deadline), stdin, deadline))

    def execute_as_is(self, command: str, stdin: bytes, deadline: Deadline) -> Completed:
        """Run a command line on a machine that has no POSIX shell, such as Windows.

        Raises as ``execute``. An exit status of 255 is taken as that of ssh itself.
        """
        done = execute([*self._connected(deadline), command], stdin, deadline)
        if done.rc == 255:
            raise Lost(message(done.errors) or "ssh said nothing")
        return done

    def feed(self, command: list[str], source: Readable, stall: float) -> Completed:
        """As ``execute``, with *source* as standard input.

        Raises Lost if nothing was transferred for *stall* seconds.
        """
        return _without_mark(feed(self._line(command, Deadline(stall)), source, stall))

    def _line(self, command: list[str], deadline: Deadline) -> list[str]:
        """Connect, and return the local command that runs *command* on the machine.

        Raises Unreachable, NotStarted.
        """
        return [*self._connected(deadline), shlex.join([*_MARKED, *command])]

    def _connected(self, deadline: Deadline) -> list[str]:
        """Connect, and return the beginning of a local command. Raises as ``_line``."""
        try:
            with self.lock(deadline):
                if self._ssh(["-O", "check"], deadline) is not None:
                    self._log_in(deadline)
        except ConnectError as error:
            raise NotStarted(str(error)) from None
        return [*self._program, "--", self.destination]

    def _log_in(self, deadline: Deadline) -> None:
        """Raises Unreachable."""
        failure = self._ssh(_background(deadline), deadline)
        if failure is not None:
            raise Unreachable(f"ssh {self.destination} failed: {failure}. {self.advice}")

    @property
    def advice(self) -> str:
        """What to do when ssh fails, for messages."""
        return (
            f"Try 'ssh {self.destination}' by hand; ssh runs without prompts here (BatchMode), so "
            "it needs a key or an agent."
        )

    @property
    def _program(self) -> list[str]:
        return ["ssh", *self._arguments, "-o", "BatchMode=yes", "-o", f"ControlPath={self._control}"]

    def _ssh(self, arguments: list[str], deadline: Deadline) -> str | None:
        """Run one ssh command. Returns None on success, or else what ssh said."""
        # ``execute`` does not wait for the end of the output, which a background connection keeps
        # open.
        try:
            done = execute([*self._program, *arguments, "--", self.destination], b"", deadline)
        except NotStarted as error:
            if shutil.which("ssh") is None:
                return "the OpenSSH client (ssh) is not installed on the controller"
            return str(error)
        except Lost:
            return f"no connection within {deadline.seconds:g} s"
        if done.rc == 0:
            return None
        said = [line for line in done.errors.splitlines() if not line.startswith(b"Warning: Permanently added")]
        return message(b"\n".join(said)).strip(" .") or f"exit status {done.rc}"


class SshForward(Channel):
    """A socket on the machine that *ssh* leads to, forwarded to a unix socket of this user.

    Forwarding needs no program on the far side, and does not count against sshd's MaxSessions,
    however many routers one hypervisor has. Raises InvalidInput.
    """

    hint = (
        f"{Channel.hint} A reset or a broken pipe means that ssh is connected and its server could "
        "not open the socket: check the path, the permissions of the ssh user, and "
        "AllowStreamLocalForwarding and AllowTcpForwarding of sshd."
    )

    def __init__(self, ssh: SshMaster, target: UnixChannel | TcpChannel) -> None:
        if isinstance(target, UnixChannel) and set(":$%\\") & set(str(target.path)):
            raise InvalidInput(
                f"{target} cannot be forwarded: ':', '$', '%' and a backslash have a meaning of their own to ssh."
            )
        self._ssh = ssh
        self._target = target
        self._local = UnixChannel(ssh.socket_for(self._remote))

    def __str__(self) -> str:
        return f"{self._target} through ssh {self._ssh.destination}"

    @property
    def _remote(self) -> str:
        if isinstance(self._target, UnixChannel):
            return str(self._target.path)
        host = f"[{self._target.host}]" if ":" in self._target.host else self._target.host
        return f"{host}:{self._target.port}"

    def connect(self, deadline: Deadline) -> socket.socket:
        try:
            return self._own(deadline)
        except ConnectError:
            with self._ssh.lock(deadline):
                self._forward(deadline)
            return self._own(deadline)

    def _own(self, deadline: Deadline) -> socket.socket:
        """Connect to the local socket, if this user has made it.

        Raises ConnectError, and NotPossible if another user may listen there.
        """
        if not own_socket(self._local.path):
            raise ConnectError("no such file")
        connection = self._local.connect(deadline)
        if own_peer(connection):
            return connection
        connection.close()
        raise NotPossible(
            f"A process of another user listens on {self._local.path}. Nothing was sent to it. Remove it, and find out who made it."
        )

    def listens(self, deadline: Deadline) -> bool:
        """Look for the socket in what Linux says about the sockets of the machine.

        The forwarded socket does not tell: ssh closes it alike when nobody listens behind it and
        when ssh itself lost its connection.
        """
        is_path = isinstance(self._target, UnixChannel)
        command = ["cat", "/proc/net/unix"] if is_path else ["sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null"]
        try:
            done = self._ssh.execute(command, b"", deadline)
        except (NotStarted, Lost) as error:
            raise Unreachable(f"Whether anything listens on {self} was not seen: {error}.") from error
        if not done.output:
            raise NotPossible(
                f"Whether anything listens on {self} cannot be seen: {command[-1]!r} gave nothing there ({done.said}). The ssh "
                "user must be allowed to run a command, and the machine must run Linux."
            )
        lines = done.output.decode("utf-8", "surrogateescape").splitlines()
        if isinstance(self._target, UnixChannel):
            return bool(_listening_paths(lines) & _names(str(self._target.path)))
        return self._target.port in _listening_ports(lines)

    def _forward(self, deadline: Deadline) -> None:
        with contextlib.suppress(ConnectError):
            self._own(deadline).close()
            return  # another task was faster
        self._local.path.unlink(missing_ok=True)
        failure = self._ssh.forward(self._local.path, self._remote, deadline)
        if failure is not None:
            raise Unreachable(
                f"ssh {self._ssh.destination} failed, so {self._target} behind it cannot be "
                f"reached: {failure}. {self._ssh.advice}"
            )


def _background(deadline: Deadline) -> list[str]:
    return [
        *("-f", "-N", "-o", "ControlMaster=yes", "-o", f"ControlPersist={PERSIST}"),
        *("-o", f"ConnectTimeout={max(1, int(deadline.remaining))}"),
    ]


def _without_mark(done: Completed) -> Completed:
    """Return how the program itself ended, from the output of the shell around it.

    Raises Lost if the mark of that shell is missing.
    """
    output, mark, status = done.output.rpartition(b"\n" + _MARK)
    if not mark or not status.isdigit():
        raise Lost(message(done.errors) or "ssh said nothing")
    return dataclasses.replace(done, rc=int(status), output=output)


def _listening_paths(lines: list[str]) -> set[str]:
    """The paths of the unix sockets that accept connections (flag 0x10000), of /proc/net/unix."""
    rows = [line.split(None, 7) for line in lines[1:]]
    return {row[7] for row in rows if len(row) == 8 and int(row[3], 16) & 0x10000}


def _names(path: str) -> set[str]:
    """The names under which a socket may be listed: ``/var/run`` is a link to ``/run``."""
    for one, other in (("/var/run/", "/run/"), ("/run/", "/var/run/")):
        if path.startswith(one):
            return {path, other + path.removeprefix(one)}
    return {path}


def _listening_ports(lines: list[str]) -> set[int]:
    """The TCP ports in state LISTEN (0A), of /proc/net/tcp and tcp6."""
    rows = [line.split() for line in lines]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == "0A"}


def _digest(*parts: str) -> str:
    # Short, because ssh adds 17 characters and a socket's path has at most 107.
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
