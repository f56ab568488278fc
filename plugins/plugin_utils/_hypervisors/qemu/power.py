# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a QEMU that ``qemu_vm`` made: its folder, and the monitor in it.

Source: QEMU's QMP specification and its reference (query-status, system_reset).
"""

from __future__ import annotations

import io
import json
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NotPossible,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.channel import Channel, ConnectError

from .folder import QemuFolder

_ANSWER = 5.0  # seconds for one answer of the monitor
_LINE = 1 << 20  # bytes of one message of the monitor


class QemuPower(Power):
    """The switch of the QEMU whose agent is at the socket *channel*.

    *folder*: where that socket is, and *monitor*: the socket ``qmp.sock`` there. None for both if
    the socket is not one that ``qemu_vm`` makes. *timeout*: seconds to connect.
    """

    def __init__(
        self, vm: str, channel: Channel, folder: QemuFolder | None, monitor: Channel | None, timeout: float
    ) -> None:
        self._vm = vm
        self._channel = channel
        self._folder = folder
        self._monitor = monitor
        self._timeout = timeout

    def is_on(self) -> bool:
        """Whether a process listens at the agent's socket, as QEMU does while it runs."""
        return self._channel.listens(Deadline(self._timeout))

    def check(self) -> None:
        self._made_by_us()
        if self.is_on():
            status = self._command("query-status", changes=False)
            state = status.get("status") if isinstance(status, dict) else None
            if state != "running":
                raise NotPossible(
                    f"QEMU says that {self._vm!r} is {excerpt(state)}, so it was not turned on or off. Let it run (command 'cont' "
                    f"of its monitor, {self._monitor}), or end QEMU by hand."
                )

    def start(self, deadline: Deadline) -> None:
        self._made_by_us().start()

    def stop(self, deadline: Deadline) -> None:
        self._made_by_us().stop()

    def reset(self, deadline: Deadline) -> None:
        self._made_by_us()
        self._command("system_reset", changes=True)

    def _made_by_us(self) -> QemuFolder:
        """The folder of a VM that ``qemu_vm`` made. Raises NotPossible."""
        looked = self._folder.look() if self._folder else None
        mark = Mark.parse(looked[1]) if looked else None
        if self._folder is None or mark is None or not mark.complete or not mark.holds_for(self._folder.name):
            raise NotPossible(
                f"{self._vm!r} was not turned on or off: {self._channel} is not the agent.sock in the folder of a VM that "
                "outofband.chr.qemu_vm made. Use what starts that QEMU, such as its systemd unit or libvirt (backend libvirt). A "
                "router that answers reboots with state: rebooted and shuts down with state: shutdown."
            )
        return self._folder

    # -- the monitor -------------------------------------------------------------------------------

    def _command(self, command: str, *, changes: bool) -> t.Any:
        """Send one command to the monitor and return what it returns.

        Raises NotPossible if QEMU refused it, Unreachable if it was not sent, and OutcomeUnknown
        for a lost answer to one that *changes* something.
        """
        where = f"the monitor of {self._vm!r} ({self._monitor})"
        sent = False
        try:
            with t.cast("Channel", self._monitor).connect(Deadline(self._timeout)) as connection:
                connection.settimeout(_ANSWER)
                with connection.makefile("rwb") as stream:
                    greeting = loads(stream.readline(_LINE))
                    if not isinstance(greeting, dict) or "QMP" not in greeting:
                        raise NotPossible(f"{where} does not speak QMP. Nothing was done.")
                    _ask(stream, "qmp_capabilities")
                    sent = True
                    answer = _ask(stream, command)
        except (ConnectError, OSError, ValueError) as error:
            if sent and changes:
                raise OutcomeUnknown(
                    f"{where} did not answer {command}: {error}. Whether QEMU carried it out is unknown; it was not sent again."
                ) from None
            raise Unreachable(
                f"{where} does not answer: {error}. It serves one client at a time. Nothing was done."
            ) from None
        if "error" in answer:
            raise NotPossible(f"{where} refused {command}: {excerpt(answer['error'])}.")
        return answer["return"]


def _ask(stream: io.BufferedRWPair, command: str) -> dict[str, t.Any]:
    """Send *command* and return the answer, without the events before it.

    Raises OSError, ValueError.
    """
    stream.write(json.dumps({"execute": command}).encode() + b"\n")
    stream.flush()
    while line := stream.readline(_LINE):
        message = loads(line)
        if isinstance(message, dict) and ("return" in message or "error" in message):
            return message
    raise ConnectionError("QEMU closed it")
