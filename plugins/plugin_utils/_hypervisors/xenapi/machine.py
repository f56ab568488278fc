# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One VM of a pool: its identity, its state, and orders that start and stop it."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    Unreachable,
    VmAmbiguous,
    VmBusy,
    VmNotFound,
)

from .api import NULL, Xapi, XenapiError

Record = dict[str, t.Any]
"""The record of an object as XenAPI returns it. Numbers are strings."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LOOK = 30.0  # seconds of one event.from: short enough for firewalls and proxies on the way
_PACE = 0.05  # seconds between requests: changes come in groups, and every request costs the host a whole record
_AGAIN = 0.5  # seconds after a request that was lost
_ORDERS = {"start", "start_on", "resume", "clean_reboot", "hard_reboot", "clean_shutdown", "hard_shutdown", "shutdown"}
_NO_AGENT = ("VM_LACKS_FEATURE", "VM_MISSING_PV_DRIVERS", "VM_LACKS_FEATURE_SHUTDOWN", "VM_OLD_PV_DRIVERS")


class XenapiMachine:
    """The VM with the uuid or name *name*. All errors are ChrError; times are in seconds."""

    def __init__(self, xapi: Xapi, name: str) -> None:
        self.xapi = xapi
        self.name = name
        self._ref: str | None = None
        self.record: Record = {}
        """The VM's record when last seen."""

    def forget(self) -> None:
        """Forget the VM. It is looked up again when it is needed next."""
        self._ref = None
        self.xapi.forget()

    @property
    def ref(self) -> str:
        """The handle of the VM. Raises VmNotFound, VmAmbiguous."""
        if self._ref is None:
            self._ref, self.record = self._find()
        return self._ref

    def look(self) -> Record:
        """Fetch the present record of the VM."""
        if self._ref is None:
            self._ref, self.record = self._find()
        else:
            self.record = self.xapi.call("VM.get_record", self._ref)
        return self.record

    def look_at_data(self) -> dict[str, str]:
        """Fetch the present ``xenstore_data``, which costs less than ``look``."""
        self.record = {**self.record, "xenstore_data": self.xapi.call("VM.get_xenstore_data", self.ref)}
        return self.data

    @property
    def power_state(self) -> str:
        """``Running``, ``Halted``, ``Paused`` or ``Suspended``, when last seen."""
        return str(self.record["power_state"])

    @property
    def domid(self) -> str:
        """The domain id when last seen.

        It changes with every boot and migration; ``-1`` means off.
        """
        return str(self.record["domid"])

    @property
    def ordered(self) -> bool:
        """Whether an operation that starts or stops the VM was under way when last seen."""
        return not _ORDERS.isdisjoint(self.record["current_operations"].values())

    @property
    def data(self) -> dict[str, str]:
        """``xenstore_data`` when last seen."""
        return dict(self.record["xenstore_data"])

    # -- which -------------------------------------------------------------------------------------

    def _find(self) -> tuple[str, Record]:
        found = self._by_uuid() if _UUID.fullmatch(self.name) else []
        found = found or self._records(self.xapi.call("VM.get_by_name_label", self.name))
        where, user = self.xapi.login.where, self.xapi.login.user
        machines = [(ref, one) for ref, one in found if not no_machine(one)]
        if len(machines) > 1:
            uuids = ", ".join(sorted(str(one["uuid"]) for _ref, one in machines))
            raise VmAmbiguous(
                f"{len(machines)} VMs of {where} have the name {self.name!r}: {uuids}. Nothing was done to any of them. Set "
                "chr_vm to the uuid of one of them."
            )
        if machines:
            return machines[0]
        if found:
            raise VmNotFound(
                f"{self.name!r} at {where} is {no_machine(found[0][1])}, not a VM that can run. Check chr_vm."
            )
        raise VmNotFound(
            f"{where} has no VM with the uuid or name {self.name!r} that {user!r} can see. Check chr_vm, which is "
            "case-sensitive."
        )

    def _by_uuid(self) -> list[tuple[str, Record]]:
        try:
            return self._records([self.xapi.call("VM.get_by_uuid", self.name.lower())])
        except XenapiError as error:
            if error.code == "UUID_INVALID":
                return []
            raise

    def _records(self, refs: list[str]) -> list[tuple[str, Record]]:
        found = []
        for ref in refs:
            try:
                found.append((ref, self.xapi.call("VM.get_record", ref)))
            except VmNotFound:
                continue  # destroyed in between
        return found

    # -- orders ------------------------------------------------------------------------------------

    def order(self, operation: str, *values: t.Any) -> str:
        """Order ``VM.<operation>``, and return the task that carries it out.

        Raises OutcomeUnknown if the server may have accepted the order.
        """
        return str(self.xapi.call(f"Async.VM.{operation}", self.ref, *values, changes=True))

    def watch(self, task: str | None, left: t.Callable[[], float]) -> t.Iterator[Record]:
        """Follow the VM and *task*, beginning with the present state.

        Each iteration updates ``record`` and yields the record of *task*, which is empty if the
        task has not changed. It ends when *left*, the seconds still to wait, is zero. Until then, a
        request that was lost is repeated. A single lost one is not the end, however long it took.
        """
        subjects = [f"vm/{self.ref}", *([f"task/{task}"] if task else [])]
        token, lost = "", False
        while True:
            try:
                records, token = self.xapi.changes(subjects, token, min(left(), _LOOK))
            except Unreachable:
                if left() <= 0 and lost:
                    raise
                lost = True
                time.sleep(min(_AGAIN, left()))
                token = ""
                continue
            lost = False
            self.record = records.get(self.ref, self.record)
            yield records.get(task or "", {})
            if left() <= 0:
                return
            time.sleep(min(_PACE, left()))

    def done(self, record: Record, operation: str) -> bool:
        """Whether the task *record* of an order has succeeded. False if it still runs.

        Raises ChrError if it failed.
        """
        status = record.get("status")
        if status == "success":
            return True
        if status == "failure":
            raise self.failed(
                XenapiError(self.xapi.login.where, f"VM.{operation}", [str(one) for one in record["error_info"]])
            )
        if status == "cancelled":
            raise NotPossible(f"Somebody cancelled the order {operation} for {self.name!r}.")
        return False

    def failed(self, error: ChrError) -> ChrError:
        """Turn the error of a refused order into one that says what to do."""
        if not isinstance(error, XenapiError):
            return error
        if error.code == "VM_BAD_POWER_STATE":
            expected, actual = [*error.details, "?", "?", "?"][1:3]
            return NotPossible(
                f"The VM {self.name!r} is {actual.lower()} and not {expected.lower()} as it was a moment ago. Somebody else is "
                f"starting or stopping it. {error}"
            )
        if error.code in _NO_AGENT:
            return NotPossible(
                f"{error} XenAPI sees no guest tools in {self.name!r} that accept the order: RouterOS is still booting, or this "
                "is not a CHR. Shut it down in another way."
            )
        if error.code == "OTHER_OPERATION_IN_PROGRESS":
            return VmBusy(f"The VM {self.name!r} has another operation under way. {error}")
        return NotPossible(f"{error} (VM {self.name!r})")

    def settle(self, task: str, operation: str, deadline: Deadline) -> bool:
        """Wait for the end of an order. Returns False if it goes on after *deadline*.

        Raises the errors of ``done``.
        """
        for record in self.watch(task, lambda: deadline.remaining):
            if self.done(record, operation):
                self.discard(task)
                return True
        return False

    def carry_out(self, operation: str, *values: t.Any, deadline: Deadline) -> None:
        """Order ``VM.<operation>`` and wait for its end.

        Raises the errors of ``order`` and ``done``, and OutcomeUnknown if it goes on after
        *deadline*.
        """
        try:
            ended = self.settle(self.order(operation, *values), operation, deadline)
        except XenapiError as error:
            raise self.failed(error) from None
        if not ended:
            raise OutcomeUnknown(
                f"{self.xapi.login.where} did not finish {operation} of {self.name!r} within {deadline.seconds:g} s "
                "and is still working on it. Look at the tasks of the pool."
            )

    def discard(self, task: str) -> None:
        """Delete the record of a task that has ended."""
        try:
            self.xapi.call("task.destroy", task)
        except ChrError:
            return  # XenAPI does so itself after a day

    # -- the guest's tools -------------------------------------------------------------------------

    def guest_metrics(self) -> Record:
        """Fetch what the tools in the guest have reported. Empty if they have not reported."""
        ref = str(self.record["guest_metrics"])
        if ref == NULL:
            return {}
        try:
            return dict(self.xapi.call("VM_guest_metrics.get_record", ref))
        except XenapiError as error:
            if error.code == "HANDLE_INVALID":
                return {}  # it was deleted in between
            raise


def no_machine(record: Record) -> str | None:
    """What a record of the class VM describes. None if it is a VM that can run."""
    if record.get("is_a_snapshot"):
        return "a snapshot"
    if record.get("is_a_template"):
        return "a template"
    if record.get("is_control_domain"):
        return "a host's control domain"
    return None
