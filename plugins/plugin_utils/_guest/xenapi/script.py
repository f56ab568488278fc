# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Scripts through ``VM.xenstore_data``: placed while the VM is off or before it restarts, followed, and taken away again.

By the code of xen-api, ``add_to_`` and ``remove_from_xenstore_data`` change XAPI's database only,
which is written into xenstore when a domain is made, and the guest owns it then. ``set_xenstore_data`` reaches a running VM at
once and leaves what it wrote read-only for the guest, so it serves for taking the script away, as the last thing. What the guest
writes is copied back into the database, and would be there again at the next boot.

So before a restart, the guest's part of xenstore is emptied and taken from it, or what it writes meanwhile would be copied over
the script that was placed in the database.
"""

from __future__ import annotations

import base64
import contextlib
import re
import typing as t
from datetime import UTC, datetime

from .. import provision
from ..base import Job, ScriptResult
from ..deadline import Deadline
from ..errors import AgentNotThere, GuestError, NotPossible, OutcomeUnknown
from ..provision import Phase, Plan, Progress, Step
from .api import Failure
from .vm import Vm

_ORDER = 300.0  # seconds for a host to start or restart a VM, which waits for a guest that shuts down
_QUIET = 1.0  # seconds in which what is on its way from xenstore into the database gets there
_LATE = 2.0  # seconds that status or output may come after the other
_TRIES = 3  # of clearing away, when the VM goes on or off meanwhile
_OURS = re.compile(rb'\n:put "[0-9a-f]{16}"$')


def ours(keys: t.Iterable[str]) -> list[str]:
    """Which of the *keys* of ``xenstore_data`` belong to scripts; all others are somebody else's."""
    return [key for key in keys if key == provision.SCRIPT or key.startswith(f"{provision.SCRIPT}/")]


class Delivery:
    """One script, in as many steps as it needs, each of which costs a boot. Times are in seconds."""

    def __init__(self, vm: Vm, plan: Plan) -> None:
        self._vm = vm
        self._plan = plan
        self._task = ""
        self._operation = ""
        self._placed_in = ""
        """The domid before the first step was placed: no domain but a later one has it in its xenstore. Empty: none was placed."""

    @property
    def id(self) -> str:
        return self._plan.steps[-1].nonce

    def start(self) -> None:
        """Place the first step and order the boot. The VM was looked at a moment ago."""
        self._refuse_others()
        with self._cleared_on_failure():
            self._boot(self._plan.steps[0])

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        """Follow the script to its end; *timeout* counts for each step, from the moment in which the VM runs."""
        with self._cleared_on_failure():
            try:
                progress = self._follow_all(timeout)
            except AgentNotThere as error:
                raise OutcomeUnknown(
                    f"{error} The script on {self._vm.name!r} was handed over, and its end was not seen; it was not repeated."
                ) from None
        end = datetime.now(UTC)
        try:
            self._clear(seen=True)
        except GuestError as error:
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

    # -- placing -----------------------------------------------------------------------------------------------------

    def _refuse_others(self) -> None:
        """A script of somebody else that runs, or waits for the next boot, is not replaced."""
        name, data = self._vm.name, self._vm.data
        if self._vm.ordered:
            raise NotPossible(
                f"Somebody else starts or stops the VM {name!r} just now. Nothing was done to it; try again later."
            )
        if self._vm.power_state == "Running" and provision.busy(data):
            raise NotPossible(
                f"The router {name!r} runs a script of somebody else, says its status. Nothing was done to it."
            )
        if provision.STATUS not in data and not _is_ours(data.get(provision.SCRIPT, "")):
            raise NotPossible(
                f"Somebody else has placed a script for the next boot of {name!r} (VM.xenstore_data, {provision.SCRIPT}), and "
                "it has not run yet. Nothing was done. Let it run first, or take it away: xe vm-param-remove "
                f"uuid={self._vm.record['uuid']} param-name=xenstore-data param-key={provision.SCRIPT}"
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
        """One of our *own* steps that turns up again, copied from a xenstore that was emptied meanwhile, is taken away again."""
        vm = self._vm
        self._placed_in = self._placed_in or vm.domid
        for _unused in range(_TRIES):
            try:
                vm.xapi.call("VM.add_to_xenstore_data", vm.ref, provision.SCRIPT, step.value, changes=True)
                return
            except Failure as error:
                if error.code != "MAP_DUPLICATE_KEY":
                    raise
            vm.look()
            if vm.data.get(provision.SCRIPT, step.value) not in own:
                break
            self._take_away(live=False)
        raise NotPossible(
            f"Somebody else has just placed a script for {vm.name!r}. Nothing was started; try again later."
        )

    def _keep(self, step: Step, own: set[str]) -> None:
        """See that the script stays where it was placed; place it again where something was copied over it."""
        vm = self._vm
        for _unused in range(_TRIES):
            quiet = Deadline(_QUIET)
            for _task in vm.watch(None, lambda quiet=quiet: quiet.remaining):  # type: ignore[misc]
                if {key: vm.data[key] for key in ours(vm.data)} != {provision.SCRIPT: step.value}:
                    break
            else:
                return
            self._take_away(live=False)
            self._place(step, own)
        raise NotPossible(
            f"VM.xenstore_data of {vm.name!r} changes all the time, so a script that is placed there is lost. Nothing was started."
        )

    def _ordered(self, *values: t.Any) -> str:
        try:
            return self._vm.order(self._operation, *values)
        except Failure as error:
            raise self._vm.failed(error) from None

    # -- following ---------------------------------------------------------------------------------------------------

    def _follow_all(self, timeout: float) -> Progress:
        *before, last = self._plan.steps
        for number, step in enumerate(before, 1):
            progress = self._follow(step, timeout)
            if progress.rc != 0 or progress.phase is not Phase.ENDED:
                self._undo(timeout)
                return progress
            self._boot(self._plan.steps[number])
        return self._follow(last, timeout)

    def _undo(self, timeout: float) -> None:
        """Take away what the steps so far have put together on the router; best effort."""
        if self._plan.undo:
            with contextlib.suppress(GuestError):
                self._boot(self._plan.undo)
                self._follow(self._plan.undo, timeout)

    def _follow(self, step: Step, timeout: float) -> Progress:
        """How far *step* came. Raises OutcomeUnknown for a boot or an end that nobody saw, and what the order's task says."""
        vm = self._vm
        order, script, late = Deadline(max(_ORDER, timeout)), None, None
        domid = ""
        statuses: list[str | None] = []
        progress = Progress(Phase.WAITING)

        def left() -> float:
            return (late or script or order).remaining

        for task in vm.watch(self._task, left):
            if script is None:
                if not vm.done(task, self._operation):
                    continue
                vm.discard(self._task)
                script, domid = Deadline(timeout), vm.domid
                if vm.data.get(provision.SCRIPT) != step.value:
                    raise OutcomeUnknown(
                        f"{vm.name!r} has booted and its script is not there (VM.xenstore_data): something took it away at the "
                        "last moment. It has probably not run; it was not repeated."
                    )
            if vm.domid != domid or vm.power_state != "Running":
                raise OutcomeUnknown(
                    f"{vm.name!r} {'has restarted' if vm.power_state == 'Running' else 'went off'} before its script said that "
                    "it had ended, perhaps because of it. Its output is lost; it was not repeated."
                )
            status = vm.data.get(provision.STATUS)
            if not statuses or statuses[-1] != status:
                statuses.append(status)
            progress = provision.progress(vm.data, step, "running" in statuses or len(statuses) > 2)
            if progress.phase is Phase.RUNNING:
                self._disarm()
            if progress.final or (late and late.expired):
                break
            late = None if progress.phase is not Phase.ENDED else late or Deadline(min(_LATE, script.remaining))
        return self._judged(progress, script, statuses, timeout)

    def _judged(
        self, progress: Progress, script: Deadline | None, statuses: list[str | None], timeout: float
    ) -> Progress:
        vm = self._vm
        if script is None:
            raise OutcomeUnknown(
                f"{vm.xapi.access.where} has not done {self._operation} of {vm.name!r} for {max(_ORDER, timeout):g} s, and may "
                "still do it."
            )
        if progress.phase is Phase.WAITING:
            raise OutcomeUnknown(
                f"{vm.name!r} has booted, and within {timeout:g} s nothing showed that it took its script (status: "
                f"{statuses[-1] or 'none'}). Is it a CHR, does it print more than 1.5 KiB, does it need longer (timeout, "
                "chr_script_timeout), and does its RouterOS look into xenstore? Look at the router before you repeat it."
            )
        if progress.phase is Phase.ENDED and progress.rc is None:
            raise OutcomeUnknown(
                f"The script on {vm.name!r} left output and no status, so whether it ran to its end is unknown. It was not "
                "repeated."
            )
        return progress

    def _disarm(self) -> None:
        """Take a script that has begun out of the database: if it restarts the router, it must not run again.

        What the guest writes next brings it back there, so this is no substitute for clearing away.
        """
        if provision.SCRIPT in self._vm.data:
            with contextlib.suppress(GuestError):
                self._vm.xapi.call("VM.remove_from_xenstore_data", self._vm.ref, provision.SCRIPT)

    # -- clearing away -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _cleared_on_failure(self) -> t.Iterator[None]:
        try:
            yield
        except GuestError as error:
            if not self._placed_in:
                raise
            try:
                self._clear()
            except GuestError as second:
                raise self._left(str(error), second) from error
            raise
        except BaseException:  # such as the end of the run by the user
            with contextlib.suppress(GuestError):
                self._clear()
            raise

    def _clear(self, seen: bool = False) -> None:
        """Nothing of the script is there for the next boot, neither in the database nor in the xenstore that it is copied from.

        *seen*: the VM was looked at just now, and nothing goes on with it.
        """
        vm = self._vm
        if not seen:
            self._await_order()
        for _unused in range(_TRIES):
            state = vm.power_state, vm.domid
            live = vm.power_state == "Running" and vm.domid != self._placed_in
            self._take_away(live)
            if live:  # whatever the VM does meanwhile: this reaches the database and the domain that runs then
                if not ours(vm.look_at_data()):
                    return
            elif not ours(vm.look()["xenstore_data"]) and (vm.power_state, vm.domid) == state:
                return
        raise NotPossible(f"VM.xenstore_data still has {', '.join(ours(vm.data)) or 'changed'}.")

    def _await_order(self) -> None:
        """Wait until nothing starts or stops the VM any more: an order whose answer was lost may go on."""
        vm, deadline = self._vm, Deadline(_ORDER)
        for _task in vm.watch(None, lambda: deadline.remaining):
            if not vm.ordered:
                return

    def _take_away(self, live: bool) -> None:
        """Remove what belongs to scripts from the database, or from the xenstore of the running domain as well."""
        vm = self._vm
        if live:
            kept = {key: value for key, value in vm.data.items() if key not in ours(vm.data)}
            vm.xapi.repeat("VM.set_xenstore_data", vm.ref, kept)
            return
        for key in ours(vm.data):
            vm.xapi.repeat("VM.remove_from_xenstore_data", vm.ref, key)

    def _left(self, what: str, error: GuestError) -> GuestError:
        uuid = self._vm.record.get("uuid", self._vm.name)
        return OutcomeUnknown(
            f"{what} And it could not be cleared away: {error}",
            left="The script may run again at the next boot: shut the VM down, then xe vm-param-remove "
            f"uuid={uuid} param-name=xenstore-data param-key={provision.SCRIPT}",
        )


def _cut(progress: Progress) -> bool:
    """Whether output may be missing: the line at its end that every script of ours prints is."""
    short = progress.rc == 0 or len(progress.output) >= provision.MAX_STEP
    return progress.phase is Phase.ENDED and not progress.whole and short


def _is_ours(value: str) -> bool:
    """Whether *value* is a script from here, or none at all."""
    with contextlib.suppress(ValueError):
        return not value or bool(_OURS.search(base64.b64decode(value)))
    return False
