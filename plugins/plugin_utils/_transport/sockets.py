# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Unix and TCP sockets that this machine can reach."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPermitted

from .channel import Channel, ConnectError

MAX_UNIX_PATH = 107


class UnixChannel(Channel):
    """The agent socket of a QEMU on this machine."""

    def __init__(self, path: Path) -> None:
        if "\0" in str(path):
            raise InvalidInput(f"The socket path {str(path)!r} contains a NUL character.")
        if len(os.fsencode(path)) > MAX_UNIX_PATH:
            raise InvalidInput(f"The socket path {path} is too long: the kernel takes {MAX_UNIX_PATH} bytes.")
        self.path = path

    def __str__(self) -> str:
        return f"the unix socket {self.path}"

    def connect(self, deadline: Deadline) -> socket.socket:
        self._check()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(min(1.0, max(deadline.remaining, 0.01)))
        try:
            connection.connect(str(self.path))
        except OSError as error:
            connection.close()
            # EAGAIN or a timeout: QEMU serves another client and its backlog is full.
            if isinstance(error, (BlockingIOError, TimeoutError)):
                raise ConnectError("busy: another client holds it", listens=True) from error
            if isinstance(error, PermissionError):
                raise NotPermitted(f"No permission to open {self}: {error.strerror}.") from error
            raise _failed(error) from error
        return connection

    def _check(self) -> None:
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError as error:
            raise ConnectError("no such file", listens=False) from error
        except PermissionError as error:
            raise NotPermitted(f"No permission to look at {self}: {error.strerror}.") from error
        except OSError as error:
            raise InvalidInput(f"Cannot look at {self}: {error.strerror}.") from error
        if not stat.S_ISSOCK(mode):
            raise InvalidInput(
                f"{self.path} is not a socket. chr_socket must name the socket of the VM's guest "
                "agent channel, as given to QEMU with -chardev socket,path=..."
            )


class TcpChannel(Channel):
    """An agent channel that QEMU (or a relay such as socat) offers on a TCP port."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def connect(self, deadline: Deadline) -> socket.socket:
        try:
            connection = socket.create_connection(
                (self.host, self.port), timeout=max(min(5.0, deadline.remaining), 0.01)
            )
        except socket.gaierror as error:
            raise ConnectError(f"cannot resolve the name {self.host}: {error.strerror}") from error
        except UnicodeError as error:
            raise InvalidInput(f"The host name in {self} is not valid: {error}.") from error
        except TimeoutError as error:
            raise ConnectError("no answer to the connection request") from error
        except OSError as error:
            raise _failed(error) from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _failed(error: OSError) -> ConnectError:
    refused = isinstance(error, ConnectionRefusedError)
    return ConnectError(error.strerror or str(error), listens=False if refused else None)
