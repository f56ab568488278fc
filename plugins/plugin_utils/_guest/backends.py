# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""From options to a guest: one builder per backend."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .base import Guest
from .channels.direct import TcpChannel, UnixChannel
from .channels.ssh import SshChannel
from .deadline import positive_seconds
from .errors import InvalidInput
from .qemu import QemuGuest


@dataclass(frozen=True)
class GuestOptions:
    """The options of the connection, checked for type. Times are in seconds."""

    backend: str
    vm: str
    connect_timeout: float
    exec_mode: str
    runtime_directory: Path
    """For sockets of this user that outlive a task."""
    socket: str | None = None
    ssh_host: str | None = None
    ssh_args: str = ""


def open_guest(options: GuestOptions) -> Guest:
    """The guest that *options* name. Nothing is sent yet. Raises InvalidInput."""
    try:
        builder = _BUILDERS[options.backend]
    except KeyError:
        raise InvalidInput(
            f"Unknown chr_backend {options.backend!r} for {options.vm!r}: it is one of {', '.join(_BUILDERS)}."
        ) from None
    positive_seconds("chr_connect_timeout", options.connect_timeout)
    return builder(options)


def _qemu(options: GuestOptions) -> Guest:
    if options.exec_mode not in ("auto", *QemuGuest.capabilities.exec_modes):
        raise InvalidInput(f"chr_exec_mode {options.exec_mode!r} is not one of the ways of backend qemu.")
    if not options.socket:
        raise InvalidInput(
            f"chr_socket is not set for {options.vm!r}: backend qemu needs the agent channel, as /path/to.sock or tcp://host:port."
        )
    target = _socket(options.socket)
    if not options.ssh_host:
        return QemuGuest(options.vm, target, options.connect_timeout, options.exec_mode)
    channel = SshChannel(options.ssh_host, options.ssh_args, target, options.runtime_directory)
    return QemuGuest(options.vm, channel, options.connect_timeout, options.exec_mode)


def _socket(value: str) -> UnixChannel | TcpChannel:
    if value.startswith("/"):
        return UnixChannel(Path(value))
    try:
        url = urlsplit(value)
        if url.scheme == "tcp" and url.hostname and url.port and not (url.path or url.query or url.username):
            return TcpChannel(url.hostname, url.port)
    except ValueError:
        pass
    raise InvalidInput(f"chr_socket {value!r} is neither an absolute path (/run/chr1.sock) nor tcp://host:port.")


_BUILDERS: dict[str, t.Callable[[GuestOptions], Guest]] = {"qemu": _qemu}
