# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a VM of VirtualBox.

Source: the manual of VBoxManage. A VM that was just turned off is locked for a moment.
"""

from __future__ import annotations

import re

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, VmBusy, VmNotFound
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

_OFF = ("poweroff", "aborted")
_NOT_FOUND = "VBOX_E_OBJECT_NOT_FOUND"
_LOCKED = "VBOX_E_INVALID_OBJECT_STATE"
_LEAST = 1.0  # seconds for a command, also when the time is nearly over


class VirtualBoxPower(Power):
    """The switch of *vm*, a name or a UUID. *program*: the path of ``VBoxManage``."""

    def __init__(self, machine: Machine, program: str, vm: str) -> None:
        self._machine, self._program, self._vm = machine, program, vm

    def __str__(self) -> str:
        return f"The VM {self._vm!r} of VirtualBox on {self._machine.name}"

    def is_on(self) -> bool:
        return self._state() not in _OFF

    def check(self) -> None:
        if (state := self._state()) not in (*_OFF, "running"):
            raise NotPossible(
                f"{self} is {state}, so it was not turned on or off. Resume it ('VBoxManage controlvm VM resume', or "
                "'VBoxManage startvm VM' for one that is saved), or discard its saved state ('VBoxManage discardstate VM')."
            )

    def start(self, deadline: Deadline) -> None:
        """Start it. An error about its state is a lock: of its last process, or of a window."""
        if (said := self._try(deadline, "startvm", self._vm, "--type", "headless")) is not None:
            kind = VmBusy if _LOCKED in said else NotPossible
            raise kind(f"{self} was not started: {line(said)}.")

    def stop(self, deadline: Deadline) -> None:
        self._control("stopped", "poweroff", deadline)

    def reset(self, deadline: Deadline) -> None:
        self._control("reset", "reset", deadline)

    def _control(self, done: str, order: str, deadline: Deadline) -> None:
        if (said := self._try(deadline, "controlvm", self._vm, order)) is not None:
            raise NotPossible(f"{self} was not {done}: {line(said)}.")

    def _try(self, deadline: Deadline, *arguments: str) -> str | None:
        """Run ``VBoxManage``. Returns what it said if it failed."""
        done = self._machine.try_run([self._program, *arguments], seconds=max(deadline.remaining, _LEAST))
        return done.said if done.rc else None

    def _state(self) -> str:
        """The state of the VM, as VBoxManage calls it. Raises VmNotFound, NotPossible."""
        done = self._machine.try_run([self._program, "showvminfo", self._vm, "--machinereadable"], changes=False)
        if _NOT_FOUND in done.stderr:
            raise VmNotFound(
                f"VirtualBox on {self._machine.name} has no VM {self._vm!r}. Nothing was sent. VirtualBox has VMs of its own for "
                "each user: is this the right one (chr_ssh_host)?"
            )
        found = re.search(r'^VMState="(.*?)"', done.stdout, re.MULTILINE)
        if done.rc or not found:
            raise NotPossible(
                f"The state of {self._vm!r} in VirtualBox on {self._machine.name} cannot be read: {done.said}."
            )
        return found[1]
