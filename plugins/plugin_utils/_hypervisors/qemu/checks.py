# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What the socket of a QEMU tells about the way to its guest."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Checks, HeldPrivilege
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel, ConnectError

from .privileges import SOCKET


class QemuChecks(Checks):
    """The checks of the guest behind *channel*. *machine*: where it is. *timeout*: seconds."""

    def __init__(self, channel: Channel, machine: str, timeout: float) -> None:
        self._channel = channel
        self._machine = machine
        self._timeout = timeout

    def reach(self) -> str:
        """Reach the machine. Whether anything listens there is up to ``Power.is_on``."""
        self._connect()
        return self._machine

    def privileges(self) -> list[HeldPrivilege]:
        return [HeldPrivilege(SOCKET, self._connect() or None)]

    def channel(self) -> str:
        """The socket. It is there as long as QEMU runs, which ``Power.is_on`` tells."""
        return str(self._channel)

    def _connect(self) -> bool:
        """Whether anything listens on the socket. Raises Unreachable, NotPermitted."""
        try:
            self._channel.connect(Deadline(self._timeout)).close()
        except ConnectError as error:
            if error.listens is None:
                raise Unreachable(f"{self._channel} was not reached: {error}.") from error
            return error.listens
        return True
