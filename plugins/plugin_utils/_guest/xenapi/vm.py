# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One VM of a pool: which it is, what is known of it, and orders that concern its power."""

from __future__ import annotations

import re
import time
import typing as t

from ..deadline import Deadline
from ..errors import AgentNotThere, GuestError, NotPossible, VmNotThere
from .api import NULL, Failure, Xapi

Record = dict[str, t.Any]
"""A VM as XenAPI describes it; numbers are strings."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LOOK = 30.0  # seconds of one event.from: short enough for whatever stands in between
_PACE = 0.05  # seconds from one look to the next: changes come in groups, and every look costs the host a whole record
_AGAIN = 0.5  # seconds after a look that was lost
_ORDERS = {"start", "start_on", "resume", "clean_reboot", "hard_reboot", "clean_shutdown", "hard_shutdown", "shutdown"}
_NO_AGENT = ("VM_LACKS_FEATURE", "VM_MISSING_PV_DRIVERS", "VM_LACKS_FEATURE_SHUTDOWN", "VM_OLD_PV_DRIVERS")


class Vm:
    """The VM that *name* (a uuid or a name) stands for. Raises GuestError; times are in seconds."""

    def __init__(self, xapi: Xapi, name: str) -> None:
        self.xapi = xapi
        self.name = name
        self._ref: str | None = None
        self.record: Record = {}
        """As last seen."""

    def forget(self) -> None:
        """Look for it anew next time."""
        self._ref = None
        self.xapi.forget()

    @property
    def ref(self) -> str:
        """XenAPI's handle. Raises VmNotThere for none and for several."""
        if self._ref is None:
            self._ref, self.record = self._find()
        return self._ref

    def look(self) -> Record:
        """The VM as it is now."""
        if self._ref is None:
            _found = self.ref
        else:
            self.record = self.xapi.call("VM.get_record", self._ref)
        return self.record

    def look_at_data(self) -> dict[str, str]:
        """``xenstore_data`` as it is now, at less cost than ``look``."""
        self.record = {**self.record, "xenstore_data": self.xapi.call("VM.get_xenstore_data", self.ref)}
        return self.data

    @property
    def power_state(self) -> str:
        """``Running``, ``Halted``, ``Paused`` or ``Suspended``, as last seen."""
        return str(self.record["power_state"])

    @property
    def domid(self) -> str:
        """Of the domain it runs as, as last seen: another one after each boot and each migration, ``-1`` when it is off."""
        return str(self.record["domid"])

    @property
    def ordered(self) -> bool:
        """Something that goes on with the VM, as last seen, will start or stop it."""
        return not _ORDERS.isdisjoint(self.record["current_operations"].values())

    @property
    def data(self) -> dict[str, str]:
        """``xenstore_data`` as last seen."""
        return dict(self.record["xenstore_data"])

    # -- which -------------------------------------------------------------------------------------------------------

    def _find(self) -> tuple[str, Record]:
        found = self._by_uuid() if _UUID.fullmatch(self.name) else []
        found = found or self._records(self.xapi.call("VM.get_by_name_label", self.name))
        where, user = self.xapi.access.where, self.xapi.access.user
        machines = [(ref, one) for ref, one in found if not no_machine(one)]
        if len(machines) > 1:
            uuids = ", ".join(sorted(str(one["uuid"]) for _ref, one in machines))
            raise VmNotThere(
                f"{len(machines)} VMs of {where} have the name {self.name!r}: {uuids}. Nothing was done to any of them. Name "
                "one by its uuid in chr_vm."
            )
        if machines:
            return machines[0]
        if found:
            raise VmNotThere(
                f"{self.name!r} at {where} is {no_machine(found[0][1])} and no VM that can run. Check chr_vm."
            )
        raise VmNotThere(
            f"{where} has no VM with the uuid or name {self.name!r} that {user!r} can see. Check chr_vm, which is "
            "case-sensitive."
        )

    def _by_uuid(self) -> list[tuple[str, Record]]:
        try:
            return self._records([self.xapi.call("VM.get_by_uuid", self.name.lower())])
        except Failure as error:
            if error.code == "UUID_INVALID":
                return []
            raise

    def _records(self, refs: list[str]) -> list[tuple[str, Record]]:
        found = []
        for ref in refs:
            try:
                found.append((ref, self.xapi.call("VM.get_record", ref)))
            except VmNotThere:
                continue  # destroyed in between
        return found

    # -- orders ------------------------------------------------------------------------------------------------------

    def order(self, operation: str, *values: t.Any) -> str:
        """Have ``VM.<operation>`` done; the task that does it. Raises OutcomeUnknown when it may have been taken."""
        return str(self.xapi.call(f"Async.VM.{operation}", self.ref, *values, changes=True))

    def watch(self, task: str | None, left: t.Callable[[], float]) -> t.Iterator[Record]:
        """Each state of the VM in ``record``, the present one first; what is yielded is the record of *task* where it changed.

        Ends when *left*, the seconds still to wait, are none. A look that was lost is repeated while there are some.
        """
        subjects = [f"vm/{self.ref}", *([f"task/{task}"] if task else [])]
        token = ""
        while True:
            try:
                records, token = self.xapi.changes(subjects, token, min(left(), _LOOK))
            except AgentNotThere:
                if left() <= 0:
                    raise
                time.sleep(min(_AGAIN, left()))
                token = ""
                continue
            self.record = records.get(self.ref, self.record)
            yield records.get(task or "", {})
            if left() <= 0:
                return
            time.sleep(min(_PACE, left()))

    def done(self, record: Record, operation: str) -> bool:
        """Whether the task *record* of an order ended well; False: not yet. Raises for one that did not."""
        status = record.get("status")
        if status == "success":
            return True
        if status == "failure":
            raise self.failed(
                Failure(self.xapi.access.where, f"VM.{operation}", [str(one) for one in record["error_info"]])
            )
        if status == "cancelled":
            raise NotPossible(f"Somebody cancelled the order {operation} for {self.name!r}.")
        return False

    def failed(self, error: GuestError) -> GuestError:
        """A refused order, in words that say what to do."""
        if not isinstance(error, Failure):
            return error
        if error.code == "VM_BAD_POWER_STATE":
            expected, actual = [*error.details, "?", "?", "?"][1:3]
            return NotPossible(
                f"The VM {self.name!r} is {actual.lower()} and not {expected.lower()}, as it was a moment ago: somebody else "
                f"starts or stops it. {error}"
            )
        if error.code in _NO_AGENT:
            return NotPossible(
                f"{error} XenAPI sees no guest tools in {self.name!r} that take the order: RouterOS is still booting, or this "
                "is no CHR. Shut it down another way."
            )
        if error.code == "OTHER_OPERATION_IN_PROGRESS":
            return NotPossible(f"The VM {self.name!r} has another operation under way, try again later. {error}")
        return NotPossible(f"{error} (VM {self.name!r})")

    def settle(self, task: str, operation: str, deadline: Deadline) -> bool:
        """Wait for the end of an order; False: it goes on after *deadline*. Raises as ``done``."""
        for record in self.watch(task, lambda: deadline.remaining):
            if self.done(record, operation):
                self.discard(task)
                return True
        return False

    def discard(self, task: str) -> None:
        """Clear away the record of a task that has ended."""
        try:
            self.xapi.call("task.destroy", task)
        except GuestError:
            return  # XenAPI does so itself after a day

    # -- the guest's tools -------------------------------------------------------------------------------------------

    def guest_metrics(self) -> Record:
        """What the tools in the guest have reported, as of now; empty when nothing was."""
        ref = str(self.record["guest_metrics"])
        if ref == NULL:
            return {}
        try:
            return dict(self.xapi.call("VM_guest_metrics.get_record", ref))
        except Failure as error:
            if error.code == "HANDLE_INVALID":
                return {}  # it ended in between
            raise


def no_machine(record: Record) -> str | None:
    """What a VM record is that is no VM."""
    if record.get("is_a_snapshot"):
        return "a snapshot"
    if record.get("is_a_template"):
        return "a template"
    if record.get("is_control_domain"):
        return "a host's control domain"
    return None
