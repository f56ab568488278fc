# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The switch of a VM of a vCenter or an ESXi host."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, VmNotFound
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power

from .task import run_task
from .vsphere import Vsphere


class VmwarePower(Power):
    """The switch of the VM *moid*, which is called *vm* in messages."""

    def __init__(self, vsphere: Vsphere, moid: str, vm: str) -> None:
        self._vsphere, self._moid, self._vm = vsphere, moid, vm

    def is_on(self) -> bool:
        return self._vsphere.power(self._moid) != "poweredOff"

    def check(self) -> None:
        where = self._vsphere.endpoint.where
        state = self._vsphere.properties(self._moid, ["runtime.powerState", "config.template"])
        if state.get("config.template") is True:
            raise template(self._vsphere, self._moid, self._vm)
        if (power := str(state.get("runtime.powerState"))) not in ("poweredOn", "poweredOff"):
            raise NotPossible(
                f"The VM {self._vm!r} of {where} was not turned on or off: VMware says {power}. If it is suspended, resume it, or "
                "power it off there."
            )

    def start(self, deadline: Deadline) -> None:
        self._run("PowerOnVM_Task", deadline, "switch on", None)

    def stop(self, deadline: Deadline) -> None:
        self._run("PowerOffVM_Task", deadline, "switch off")

    def reset(self, deadline: Deadline) -> None:
        self._run("ResetVM_Task", deadline, "reset")

    def _run(self, call: str, deadline: Deadline, tried: str, *arguments: t.Any) -> None:
        vm = self._vsphere.object("VirtualMachine", self._moid)
        run_task(self._vsphere, call, lambda: getattr(vm, call)(*arguments), deadline, self._vm, tried)


def template(vsphere: Vsphere, moid: str, vm: str) -> VmNotFound:
    """The error for a template."""
    return VmNotFound(
        f"{vm!r} ({moid}) is a template of {vsphere.endpoint.where}, which never runs. Nothing was sent. "
        "Name a VM that was made from it in chr_vm."
    )
