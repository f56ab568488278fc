# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``qemu``: the agent channel of a QEMU process, as a socket here or behind ssh."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from .base import Guest, GuestOptions
from .channels.base import Channel
from .channels.direct import TcpChannel, UnixChannel
from .channels.ssh import SshChannel
from .errors import InvalidInput
from .qga import AgentSession
from .qga_guest import QgaGuest


def open_guest(options: GuestOptions) -> Guest:
    """Raises InvalidInput."""
    channel = _channel(options)
    return QgaGuest(
        options.vm,
        "qemu",
        lambda timeout: AgentSession(channel, options.vm, timeout),
        options.connect_timeout,
        options.exec_mode,
    )


def _channel(options: GuestOptions) -> Channel:
    if not options.socket:
        raise InvalidInput(
            f"chr_socket is not set for {options.vm!r}: backend qemu needs the agent channel, as /path/to.sock or "
            "tcp://host:port."
        )
    target = _socket(options.socket)
    if not options.ssh_host:
        return target
    return SshChannel(options.ssh_host, options.ssh_args, target, options.runtime_directory)


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
