# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a VM of Workstation or Fusion."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power

from .vmrun import Vmrun
from .vmx import Vmx

_LEAST = 1.0  # seconds for a command, also when the time is nearly over


class VmrunPower(Power):
    """The switch of the VM whose file is *vmx*."""

    def __init__(self, vmrun: Vmrun, vmx: str) -> None:
        self._vmrun, self._vmx = vmrun, vmx

    def is_on(self) -> bool:
        return self._vmrun.running(self._vmx) or self._suspended()

    def check(self) -> None:
        if not self._vmrun.running(self._vmx) and self._suspended():
            raise NotPossible(
                f"The VM {self._vmx} of {self._vmrun.title} is suspended, so it was not turned on or off. Resume it "
                "('vmrun start') or shut it down in its window."
            )

    def start(self, deadline: Deadline) -> None:
        self._order("started", deadline, "start", self._vmx, "nogui")

    def stop(self, deadline: Deadline) -> None:
        self._order("stopped", deadline, "stop", self._vmx, "hard")

    def reset(self, deadline: Deadline) -> None:
        self._order("reset", deadline, "reset", self._vmx, "hard")

    def _order(self, done: str, deadline: Deadline, *arguments: str) -> None:
        succeeded, said = self._vmrun.attempt(*arguments, seconds=max(deadline.remaining, _LEAST))
        if not succeeded:
            raise NotPossible(f"The VM {self._vmx} of {self._vmrun.title} was not {done}: {line(said)}.")

    def _suspended(self) -> bool:
        return bool(Vmx(self._vmrun.machine.read(self._vmx) or "").values.get("checkpoint.vmstate"))
