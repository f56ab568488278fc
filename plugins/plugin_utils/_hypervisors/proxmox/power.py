# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a VM of Proxmox VE: its tasks qmstart, qmstop and qmreset."""

from __future__ import annotations

import re

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, VmBusy, VmNotFound
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power

from .api import Ask
from .machine import ProxmoxMachine
from .privileges import POWER

_LOCKED = re.compile(r"VM is locked( \(\w[\w-]*\))?|can't lock file '[^']*'")
# States of QEMU (qmpstatus) in which the guest does not run, or moves to another process.
_IN_BETWEEN = {"paused", "suspended", "io-error", "inmigrate", "postmigrate", "finish-migrate", "save-vm", "restore-vm"}


class ProxmoxPower(Power):
    """The switch of *vm*."""

    def __init__(self, vm: ProxmoxMachine) -> None:
        self._vm = vm

    def is_on(self) -> bool:
        return self._vm.state() == "running"

    def check(self) -> None:
        vm, now = self._vm, self._vm.current()
        if now.get("template"):
            raise VmNotFound(f"{vm} is a template, which never runs. Name a VM that was made from it in chr_vm.")
        if (lock := now.get("lock")) == "suspended":
            raise NotPossible(
                f"{vm} is locked (suspended), so it was not turned on or off: it lies on its disk. 'qm resume <vmid>' on the node "
                "wakes it."
            )
        if lock:
            raise self._busy(f"it is locked ({lock})")
        if now["status"] == "running" and (state := str(now.get("qmpstatus"))) in _IN_BETWEEN:
            raise NotPossible(
                f"{vm} is {state}, so it was not turned on or off. Resume it ('qm resume <vmid>' on the node), or wait until its "
                "migration is over."
            )

    def start(self, deadline: Deadline) -> None:
        self._order(lambda vm: vm.status.start.post(), deadline, "did not start")

    def stop(self, deadline: Deadline) -> None:
        self._order(lambda vm: vm.status.stop.post(), deadline, "was not stopped")

    def reset(self, deadline: Deadline) -> None:
        self._order(lambda vm: vm.status.reset.post(), deadline, "was not reset")

    def _order(self, ask: Ask, deadline: Deadline, otherwise: str) -> None:
        try:
            self._vm.task(ask, deadline, POWER.name, otherwise)
        except NotPossible as error:
            if found := _LOCKED.search(str(error)):
                raise self._busy(f"Proxmox VE says: {found[0]}") from None
            raise

    def _busy(self, why: str) -> VmBusy:
        tasks = self._vm.running_tasks()
        who = (
            f"It is held by {', '.join(tasks)}."
            if tasks
            else (
                "No task of it is seen to run. 'qm unlock <vmid>' on the node removes a lock that a broken task has left."
            )
        )
        return VmBusy(f"{self._vm} was not turned on or off, because {why}. {who}")
