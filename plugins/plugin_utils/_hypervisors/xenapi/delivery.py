# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Hands scripts over through ``VM.xenstore_data``, follows them and removes them.

A script is placed while the VM is off, or before it restarts. In the code of xen-api, ``add_to_``
and ``remove_from_xenstore_data`` change only XAPI's database. When a domain is made, the database
is written into xenstore, and the guest owns what was written. ``set_xenstore_data`` reaches a
running VM at once, but the guest can only read what it wrote, so it is used as the last step, to
remove the script. What the guest writes is copied back into the database, and would be written into
xenstore again at the next boot.

So before a restart, the guest's part of xenstore is emptied and the guest loses the right to write
it. Otherwise, what the guest writes would be copied over the script in the database.
"""

from __future__ import annotations

import base64
import contextlib
import re
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job, ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import vm_data
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.vm_data import (
    Phase,
    ScriptPlan,
    Step,
    StepProgress,
)

from .api import XenapiError
from .machine import XenapiMachine

_ORDER = 300.0  # seconds for a host to start or restart a VM, which waits for a guest that shuts down
_QUIET = 1.0  # seconds in which a change in xenstore reaches the database
_LATE = 2.0  # seconds by which the status may follow the output, or the output the status
_KEPT = 8  # attempts to keep a script in the database while a VM changes its own data
_TRIES = 3  # attempts to remove a script from a VM that starts or stops at the same time
_OURS = re.compile(rb'\n:put "[0-9a-f]{16}"$')


def ours(keys: t.Iterable[str]) -> list[str]:
    """The *keys* of ``xenstore_data`` that belong to scripts. All others are somebody else's."""
    return [key for key in keys if key == vm_data.SCRIPT or key.startswith(f"{vm_data.SCRIPT}/")]


class Delivery:
    """One script, in as many steps as it needs. Each step costs a boot.

    Times are in seconds.
    """

    def __init__(self, vm: XenapiMachine, plan: ScriptPlan) -> None:
        self._vm = vm
        self._plan = plan
        self._task = ""
        self._operation = ""
        self._placed_in = ""
        """The domid before the first step was placed. Empty if no step was placed.

        Only a later domain has the step in its xenstore.
        """

    @property
    def id(self) -> str:
        return self._plan.steps[-1].nonce

    def start(self) -> None:
        """Place the first step and order the boot. The VM's record must be fresh."""
        self._refuse_others()
        with self._cleared_on_failure():
            self._boot(self._plan.steps[0])

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        """Follow the script to its end.

        *timeout*: seconds for each step, from the moment when the VM runs.
        """
        with self._cleared_on_failure():
            try:
                progress = self._follow_all(timeout)
            except Unreachable as error:
                raise OutcomeUnknown(
                    f"{error} The script on {self._vm.name!r} was handed over, but its end was not seen. It was not repeated."
                ) from None
        end = datetime.now(UTC)
        try:
            self._clear(seen=True)
        except ChrError as error:
            raise self._left(f"The script on {self._vm.name!r} {progress}.", error) from error
        return ScriptResult(
            rc=progress.rc if progress.phase is Phase.ENDED else None,
            output=progress.output,
            start=job.start,
            end=end,
            job=job.id,
            exec_mode=job.exec_mode,
            truncated=_cut(progress),
        )

    # -- placing -----------------------------------------------------------------------------------

    def _refuse_others(self) -> None:
        """Refuse to replace somebody else's script that runs or waits for the next boot.

        Raises NotPossible.
        """
        name, data = self._vm.name, self._vm.data
        if self._vm.ordered:
            raise NotPossible(
                f"Somebody else is starting or stopping the VM {name!r} just now. Nothing was done to it. Try again later."
            )
        if self._vm.power_state == "Running" and vm_data.busy(data):
            raise NotPossible(
                f"The status of the router {name!r} says that it runs a script of somebody else. Nothing was done to it."
            )
        if vm_data.STATUS not in data and not _is_ours(data.get(vm_data.SCRIPT, "")):
            raise NotPossible(
                f"Somebody else has placed a script for the next boot of {name!r} (VM.xenstore_data, {vm_data.SCRIPT}), and "
                "it has not run yet. Nothing was done. Let it run first, or remove it: xe vm-param-remove "
                f"uuid={self._vm.record['uuid']} param-name=xenstore-data param-key={vm_data.SCRIPT}"
            )

    def _boot(self, step: Step) -> None:
        """Place one step in the database and order the boot that carries it into xenstore."""
        vm = self._vm
        own = {one.value for one in (*self._plan.steps, self._plan.undo) if one}
        if vm.power_state == "Running":
            self._operation = "clean_reboot"
            self._take_away(live=True)
            self._place(step, own)
            self._keep(step, own)
            self._task = self._ordered()
        else:
            self._operation = "start"
            self._take_away(live=False)
            self._place(step, own)
            self._task = self._ordered(False, False)

    def _place(self, step: Step, own: set[str]) -> None:
        """Place *step* in the database. Raises NotPossible if somebody else's script is there.

        One of our *own* steps may appear there again, copied from xenstore. It is removed first.
        """
        vm = self._vm
        self._placed_in = self._placed_in or vm.domid
        for _unused in range(_TRIES):
            try:
                vm.xapi.call("VM.add_to_xenstore_data", vm.ref, vm_data.SCRIPT, step.value, changes=True)
                return
            except XenapiError as error:
                if error.code != "MAP_DUPLICATE_KEY":
                    raise
            vm.look()
            if vm.data.get(vm_data.SCRIPT, step.value) not in own:
                break
            self._take_away(live=False)
        raise NotPossible(
            f"Somebody else has just placed a script for {vm.name!r}. Nothing was started; try again later."
        )

    def _keep(self, step: Step, own: set[str]) -> None:
        """Check that the script stays in the database. If it was overwritten, place it again."""
        vm = self._vm
        for _unused in range(_KEPT):
            quiet = Deadline(_QUIET)
            for _task in vm.watch(None, lambda quiet=quiet: quiet.remaining):  # type: ignore[misc]
                if {key: vm.data[key] for key in ours(vm.data)} != {vm_data.SCRIPT: step.value}:
                    break
            else:
                return
            self._take_away(live=False)
            self._place(step, own)
        raise NotPossible(
            f"VM.xenstore_data of {vm.name!r} changes all the time, so a script in it would be lost. Nothing was started."
        )

    def _ordered(self, *values: t.Any) -> str:
        try:
            return self._vm.order(self._operation, *values)
        except XenapiError as error:
            raise self._vm.failed(error) from None

    # -- following ---------------------------------------------------------------------------------

    def _follow_all(self, timeout: float) -> StepProgress:
        *before, last = self._plan.steps
        for number, step in enumerate(before, 1):
            progress = self._follow(step, timeout)
            if progress.rc != 0 or progress.phase is not Phase.ENDED:
                self._undo(timeout)
                return progress
            self._boot(self._plan.steps[number])
        return self._follow(last, timeout)

    def _undo(self, timeout: float) -> None:
        """Try to remove what the steps so far have put together on the router."""
        if self._plan.undo:
            with contextlib.suppress(ChrError):
                self._boot(self._plan.undo)
                self._follow(self._plan.undo, timeout)

    def _follow(self, step: Step, timeout: float) -> StepProgress:
        """Follow *step*, and return its progress.

        Raises OutcomeUnknown if its boot or its end was not seen, and the error of the order's
        task.
        """
        vm = self._vm
        order, script, late = Deadline(max(_ORDER, timeout)), None, None
        domid = ""
        statuses: list[str | None] = []
        progress = StepProgress(Phase.WAITING)

        def left() -> float:
            return (late or script or order).remaining

        for task in vm.watch(self._task, left):
            if script is None:
                if not vm.done(task, self._operation):
                    continue
                vm.discard(self._task)
                script, domid = Deadline(timeout), vm.domid
                if vm.data.get(vm_data.SCRIPT) != step.value:
                    raise OutcomeUnknown(
                        f"{vm.name!r} has booted without its script (VM.xenstore_data): something removed it at the last "
                        "moment. It has probably not run. It was not repeated."
                    )
            if vm.domid != domid or vm.power_state != "Running":
                raise OutcomeUnknown(
                    f"{vm.name!r} {'has restarted' if vm.power_state == 'Running' else 'went off'} before its script said that "
                    "it had ended, perhaps because of the script. Its output is lost. It was not repeated."
                )
            status = vm.data.get(vm_data.STATUS)
            if not statuses or statuses[-1] != status:
                statuses.append(status)
            progress = vm_data.progress(vm.data, step, "running" in statuses or len(statuses) > 2)
            if progress.phase is Phase.RUNNING:
                self._disarm()
            if progress.final or (late and late.expired):
                break
            late = None if progress.phase is not Phase.ENDED else late or Deadline(min(_LATE, script.remaining))
        return self._judged(progress, script, statuses, timeout)

    def _judged(
        self, progress: StepProgress, script: Deadline | None, statuses: list[str | None], timeout: float
    ) -> StepProgress:
        vm = self._vm
        if script is None:
            raise OutcomeUnknown(
                f"{vm.xapi.login.where} has not done {self._operation} of {vm.name!r} for {max(_ORDER, timeout):g} s, and may "
                "still do it."
            )
        if progress.phase is Phase.WAITING:
            raise OutcomeUnknown(
                f"{vm.name!r} has booted, and within {timeout:g} s nothing showed that it took its script (status: "
                f"{statuses[-1] or 'none'}). Is it a CHR, does it need longer (timeout, chr_script_timeout), and does its "
                f"RouterOS look into xenstore? It may also have run and printed {vm_data.TOO_MUCH}. Look at the router before "
                "you repeat it."
            )
        if progress.phase is Phase.ENDED and progress.rc is None:
            raise OutcomeUnknown(
                f"The script on {vm.name!r} left output but no status, so whether it ran to its end is unknown. It was not "
                "repeated."
            )
        return progress

    def _disarm(self) -> None:
        """Remove a script that has begun from the database.

        If the script restarts the router, it must not run again. The guest's next write brings it
        back into the database, so it must be removed at the end as well.
        """
        if vm_data.SCRIPT in self._vm.data:
            with contextlib.suppress(ChrError):
                self._vm.xapi.call("VM.remove_from_xenstore_data", self._vm.ref, vm_data.SCRIPT)

    # -- clearing away -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _cleared_on_failure(self) -> t.Iterator[None]:
        try:
            yield
        except ChrError as error:
            if not self._placed_in:
                raise
            try:
                self._clear()
            except ChrError as second:
                raise self._left(str(error), second) from error
            raise
        except BaseException:  # such as the end of the run by the user
            with contextlib.suppress(ChrError):
                self._clear()
            raise

    def _clear(self, seen: bool = False) -> None:
        """Remove the script, so that it does not run at the next boot.

        It is removed from the database and from the xenstore that is copied there. *seen*: the VM's
        record is fresh, and nothing starts or stops the VM.
        """
        vm = self._vm
        if not seen:
            self._await_order()
        for _unused in range(_TRIES):
            state = vm.power_state, vm.domid
            live = vm.power_state == "Running" and vm.domid != self._placed_in
            self._take_away(live)
            if live:  # it reaches the database and the running domain, whatever the VM does
                if not ours(vm.look_at_data()):
                    return
            elif not ours(vm.look()["xenstore_data"]) and (vm.power_state, vm.domid) == state:
                return
        raise NotPossible(f"VM.xenstore_data still has {', '.join(ours(vm.data)) or 'changed'}.")

    def _await_order(self) -> None:
        """Wait until nothing starts or stops the VM. An order whose answer was lost may go on."""
        vm, deadline = self._vm, Deadline(_ORDER)
        for _task in vm.watch(None, lambda: deadline.remaining):
            if not vm.ordered:
                return

    def _take_away(self, live: bool) -> None:
        """Remove the keys of scripts from the database.

        *live*: also remove them from the xenstore of the running domain.
        """
        vm = self._vm
        if live:
            kept = {key: value for key, value in vm.data.items() if key not in ours(vm.data)}
            vm.xapi.repeat("VM.set_xenstore_data", vm.ref, kept)
            return
        for key in ours(vm.data):
            vm.xapi.repeat("VM.remove_from_xenstore_data", vm.ref, key)

    def _left(self, what: str, error: ChrError) -> ChrError:
        uuid = self._vm.record.get("uuid", self._vm.name)
        return OutcomeUnknown(
            f"{what} The script could not be removed either: {error}",
            left="The script may run again at the next boot: shut the VM down, then xe vm-param-remove "
            f"uuid={uuid} param-name=xenstore-data param-key={vm_data.SCRIPT}",
        )


def _cut(progress: StepProgress) -> bool:
    """Whether output may be missing, because it does not end with the nonce."""
    short = progress.rc == 0 or len(progress.output) >= vm_data.MAX_STEP
    return progress.phase is Phase.ENDED and not progress.whole and short


def _is_ours(value: str) -> bool:
    """Whether *value* is empty or a script of this collection."""
    with contextlib.suppress(ValueError):
        return not value or bool(_OURS.search(base64.b64decode(value)))
    return False
