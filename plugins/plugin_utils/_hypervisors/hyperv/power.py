# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a VM of Hyper-V. Source: Microsoft's reference of the cmdlets."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NotPossible,
    VmAmbiguous,
    VmBusy,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power

from .cmdlets import run
from .powershell import Call, Of, PowerShellFailed, Row, WindowsHost

_PASSING = ("Starting", "Stopping", "Saving", "Pausing", "Resuming", "Reset")
"""States that end by themselves."""


class HyperVPower(Power):
    """The switch of *vm*, a name or an id, on *host*."""

    def __init__(self, host: WindowsHost, vm: str) -> None:
        self._host, self._vm = host, vm

    def is_on(self) -> bool:
        return self._find()["State"] != "Off"

    def check(self) -> None:
        if (state := self._find()["State"]) not in ("Off", "Running"):
            what = f"The VM {self._vm!r} of Hyper-V on {self._host.name} is in state {state}, so it was not turned on or off."
            if state in _PASSING:
                raise VmBusy(f"{what} Hyper-V is still at work on it.")
            raise NotPossible(f"{what} Resume it: Resume-VM, or Start-VM for one that is saved.")

    def start(self, deadline: Deadline) -> None:
        self._order("started", Call("Start-VM", {"VM": Of("vm")}))

    def stop(self, deadline: Deadline) -> None:
        self._order("stopped", Call("Stop-VM", {"VM": Of("vm"), "TurnOff": True, "Force": True}))

    def reset(self, deadline: Deadline) -> None:
        self._order("reset", Call("Restart-VM", {"VM": Of("vm"), "Force": True}))

    def _order(self, done: str, call: Call) -> None:
        try:
            run(self._host, Call("Get-VM", {"Id": self._find()["Id"]}, label="vm"), call)
        except PowerShellFailed as error:
            raise NotPossible(f"The VM {self._vm!r} of Hyper-V was not {done}: {error}") from None

    def _find(self) -> Row:
        """The VM. Raises VmNotFound, VmAmbiguous."""
        vms = [
            vm
            for vm in run(self._host, Call("Get-VM", {}, ("Name", "Id", "State"), label="vms"))["vms"]
            if self._vm.lower() in (vm["Name"].lower(), vm["Id"].lower())
        ]
        if not vms:
            raise VmNotFound(f"Hyper-V on {self._host.name} has no VM {self._vm!r}. Nothing was sent.")
        if len(vms) > 1:
            raise VmAmbiguous(
                f"Hyper-V on {self._host.name} has {len(vms)} VMs named {self._vm!r} ({', '.join(vm['Id'] for vm in vms)}). "
                "Nothing was sent. Set chr_vm to an id."
            )
        return vms[0]
