# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``qemu``: the agent channel of a QEMU process, a socket on this or another machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import QgaGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.protocol import AgentSession
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.sockets import TcpChannel, UnixChannel
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.ssh import SshForward, SshMaster

from .checks import QemuChecks
from .folder import QemuFolder
from .options import DIRECTORY, QemuOptions
from .power import QemuPower


def open_guest(options: QemuOptions) -> Guest:
    """The guest behind the socket in *options*. Nothing is sent. Raises InvalidInput."""
    return QemuGuest(options, _channel(options))


class QemuGuest(QgaGuest):
    """A guest behind the agent channel of its QEMU, which listens there as long as it runs."""

    def __init__(self, options: QemuOptions, channel: Channel) -> None:
        super().__init__(
            options.vm,
            "qemu",
            lambda timeout: AgentSession(channel, options.vm, timeout),
            options.connect_timeout,
            options.exec_mode,
        )
        self._options = options
        self._channel = channel

    def power(self) -> QemuPower:
        """The switch. Only a folder of ``qemu_vm`` has a socket of that name and a monitor."""
        path = PurePosixPath(str(self._options.socket))
        folder = monitor = None
        if path.is_absolute() and path.name == "agent.sock":
            folder = QemuFolder(Machine(self._options), str(path.parent))
            monitor = _channel(replace(self._options, socket=str(path.with_name("qmp.sock"))))
        return QemuPower(self.vm, self._channel, folder, monitor, self.connect_timeout)

    def checks(self) -> QemuChecks:
        return QemuChecks(self._channel, self.place()[0], self.connect_timeout)

    def place(self) -> tuple[str, str]:
        channel = str(self._options.socket)
        if self._options.ssh_host:
            return self._options.ssh_host, channel
        # Two paths of one socket are one place.
        return "the controller", os.path.realpath(channel) if channel.startswith("/") else channel


def _channel(options: QemuOptions) -> Channel:
    if not options.socket:
        raise InvalidInput(
            f"chr_socket is not set for {options.vm!r}. Set it to the agent channel of the VM, "
            "/path/to.sock or tcp://host:port. That of a VM that outofband.chr.qemu_vm or the role image_import made is agent.sock "
            f"in the folder of the VM, {DIRECTORY}/NAME unless you chose another directory."
        )
    target = _socket(options.socket)
    ssh = SshMaster.from_options(options)
    return SshForward(ssh, target) if ssh else target


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
