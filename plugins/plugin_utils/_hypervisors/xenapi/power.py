# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a VM of XenServer or XCP-ng."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, VmBusy
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power

from .machine import XenapiMachine


class XenapiPower(Power):
    """The switch of *vm*."""

    def __init__(self, vm: XenapiMachine) -> None:
        self._vm = vm

    def is_on(self) -> bool:
        self._vm.look()
        return self._vm.power_state != "Halted"

    def check(self) -> None:
        vm, record = self._vm, self._vm.look()
        if vm.power_state not in ("Running", "Halted"):
            raise NotPossible(
                f"The VM {vm.name!r} is {vm.power_state.lower()}, so it was not turned on or off. Resume it or shut it down first."
            )
        if under_way := sorted(set(record["current_operations"].values())):
            raise VmBusy(
                f"The VM {vm.name!r} was not turned on or off, because XenAPI carries out {', '.join(under_way)} there (the tasks "
                f"{', '.join(sorted(record['current_operations']))})."
            )

    def start(self, deadline: Deadline) -> None:
        self._vm.carry_out("start", False, False, deadline=deadline)

    def stop(self, deadline: Deadline) -> None:
        self._vm.carry_out("hard_shutdown", deadline=deadline)

    def reset(self, deadline: Deadline) -> None:
        self._vm.carry_out("hard_reboot", deadline=deadline)
