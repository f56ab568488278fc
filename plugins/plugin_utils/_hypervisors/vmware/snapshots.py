# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Snapshots of VMware. On request, the tools in the guest quiesce it first.

The vendor's manual says that RouterOS runs its script ``freeze``, and ``thaw`` or ``freeze-fail``
afterwards, for at most 60 s each. An error or a timeout of ``freeze`` aborts the snapshot. The API
reference of vSphere says that without running tools the request to quiesce is ignored.
"""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPermitted,
    NotPossible,
    NotQuiesced,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import (
    ListedSnapshot,
    SnapshotResult,
    Snapshots,
)

from .vsphere import Vsphere, fault_words, library


class VmwareSnapshots(Snapshots):
    """The snapshots of the VM *moid*, which is called *vm* in messages."""

    reverts = True

    def __init__(self, vsphere: Vsphere, moid: str, vm: str) -> None:
        self._vsphere, self._moid, self._vm = vsphere, moid, vm

    def listed(self) -> dict[str, ListedSnapshot]:
        return {node.name: ListedSnapshot(str(node.description or "")) for node in self._nodes()}

    def check_name(self, name: str) -> None:
        if not name.strip() or not name.isprintable() or len(name) > 80:
            raise InvalidInput(
                f"{name!r} is not a valid snapshot name for VMware: use at most 80 printable characters."
            )

    def why_not_quiesced(self) -> str | None:
        state = self._vsphere.properties(self._moid, ["runtime.powerState", "guest.toolsRunningStatus"])
        tools = str(state.get("guest.toolsRunningStatus"))
        if str(state.get("runtime.powerState")) != "poweredOn" or tools == "guestToolsRunning":
            return None
        return (
            f"the tools of RouterOS do not run in it (VMware says {tools}), and VMware cannot quiesce it without them"
        )

    def create(self, name: str, description: str, quiesce: bool, deadline: Deadline) -> SnapshotResult:
        if quiesce and (why := self.why_not_quiesced()):
            raise NotQuiesced(f"No snapshot of {self._vm!r} was taken: {why}.")
        off = self._is_off()
        made = self._task(
            "CreateSnapshot_Task",
            lambda: self._vsphere.object("VirtualMachine", self._moid).CreateSnapshot_Task(
                name, description, False, quiesce and not off
            ),
            deadline,
        )
        node = next((one for one in self._nodes() if made is not None and one.snapshot._moId == made._moId), None)
        if quiesce and not off and node is not None and not node.quiesced:
            return SnapshotResult(unquiesced="VMware took it and says that it is not quiesced")
        return SnapshotResult()

    def remove(self, name: str, deadline: Deadline) -> None:
        moid = self._one(name, "none was removed. Remove the right one by hand")
        self._task(
            "RemoveSnapshot_Task",
            lambda: self._vsphere.object("vm.Snapshot", moid).RemoveSnapshot_Task(removeChildren=False),
            deadline,
        )

    def revert(self, name: str, deadline: Deadline) -> None:
        moid = self._one(name, "it did not go back to any. Do that by hand")
        self._task(
            "RevertToSnapshot_Task",
            lambda: self._vsphere.object("vm.Snapshot", moid).RevertToSnapshot_Task(suppressPowerOn=True),
            deadline,
        )

    def _one(self, name: str, otherwise: str) -> str:
        """Return the id of the snapshot called *name*. Raises InvalidInput."""
        found = [node.snapshot._moId for node in self._nodes() if node.name == name]
        if len(found) != 1:
            raise InvalidInput(f"{self._vm!r} has {len(found)} snapshots named {name!r}, so {otherwise}.")
        return str(found[0])

    # -- what VMware knows -------------------------------------------------------------------------

    def _is_off(self) -> bool:
        return self._vsphere.power(self._moid) != "poweredOn"

    def _nodes(self) -> list[t.Any]:
        info = self._vsphere.properties(self._moid, ["snapshot"]).get("snapshot")
        waiting = list(info.rootSnapshotList or []) if info else []
        nodes = []
        while waiting:
            node = waiting.pop()
            nodes.append(node)
            waiting += node.childSnapshotList or []
        return nodes

    def _task(self, call: str, start: t.Callable[[], t.Any], deadline: Deadline) -> t.Any:
        """Start a task, wait for its end and return its result.

        Raises NotQuiesced, NotPermitted, NotPossible, OutcomeUnknown.
        """
        try:
            return self._vsphere.run(call, start, deadline, repr(self._vm))
        except library().vmodl.MethodFault as error:
            raise self._explained(error) from error

    def _explained(self, error: t.Any) -> ChrError:
        where, words = self._vsphere.endpoint.where, fault_words(error)
        if hasattr(error, "privilegeId"):
            return NotPermitted(
                f"{self._vsphere.endpoint.user!r} may not do this to {self._vm!r}: the privilege {error.privilegeId} is missing."
            )
        if "quiesc" in words.lower():
            return NotQuiesced(
                f"{where} took no snapshot of {self._vm!r}, because it could not be quiesced ({words}). RouterOS's script 'freeze' "
                "may have failed or taken longer than 60 s: its output is in freeze-script.log on the router, that of "
                "'freeze-fail' in freeze-fail-script.log."
            )
        return NotPossible(f"{where} refused the snapshot task for {self._vm!r}: {words}.")
