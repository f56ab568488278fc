# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``xenstore``: a guest that is reached through dom0's xenstore."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NoSecretWay,
    NotPossible,
    OutcomeUnknown,
    OutputCut,
    ScriptFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded, excerpt, message
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import small_files
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.capabilities import Capabilities
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import GuestReport
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job, ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import pages, records
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import import_script
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from . import vm_data
from .checks import XenstoreChecks
from .dom0 import Dom0
from .options import XenstoreOptions
from .power import XlPower
from .steps import Running, Steps
from .store import Domain, Moved, StoreChange, StoreLost, StoreRefused
from .survey import SURVEY, from_script, from_tools
from .vm_data import Phase, ScriptPlan, Step

_OWN_STEP = 30.0  # seconds for one piece of a long script
_QUESTION = 10.0
_PROBES = 3  # if others run scripts at the same time
_PART = 1100
"""How many bytes of a value one script prints: 400 line ends in them may become two characters."""
LARGEST_VALUE = 64 * 1024
"""The largest value in bytes that is read in parts. It takes about 50 scripts."""


def open_guest(options: XenstoreOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput."""
    if options.socket is not None and not options.socket.startswith("/"):
        raise InvalidInput(
            f"chr_socket {options.socket!r} is not an absolute path. For backend xenstore it is xenstored's socket in dom0, and "
            "you can leave it out."
        )
    return XenstoreGuest(options)


class XenstoreGuest(small_files.SmallFiles):
    """A CHR that takes scripts from xenstore."""

    backend = "xenstore"
    capabilities = Capabilities(
        output=True,
        files=False,
        max_script=vm_data.MAX_SOURCE,
        small_files=small_files.LARGEST,
        max_output=vm_data.MAX_STEP,
        may_run_again_at_boot=True,
    )

    def __init__(self, options: XenstoreOptions) -> None:
        super().__init__(options.vm, options.connect_timeout)
        self._dom0 = Dom0(options)
        self._machine = Machine(options)
        self._steps = Steps(self._dom0)
        self._jobs: dict[str, tuple[Running, ScriptPlan]] = {}

    def place(self) -> tuple[str, str]:
        domain = self._dom0.domain()
        return self._dom0.name, domain.uuid or domain.name

    def reset(self) -> None:
        self._dom0.drop()
        self._dom0.forget()

    # -- is it there -------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        """Wait until the router has run a script that prints a nonce. Raises Unreachable.

        xenstore itself does not tell whether the router's tools run.
        """
        deadline = Deadline(timeout or self.connect_timeout)
        domain = self._dom0.domain()
        self._steps.acquire(domain, deadline)
        try:
            for _attempt in range(_PROBES):
                progress = self._steps.run(domain, vm_data.probe(), deadline, deadline)
                # Otherwise another controller's script came between our probe and its output.
                if progress.whole or progress.phase is Phase.WAITING or deadline.expired:
                    break
        except OutcomeUnknown as error:  # nothing was to be changed
            raise Unreachable(str(error)) from None
        finally:
            self._steps.release()
        if progress.phase is Phase.WAITING:
            raise Unreachable(
                f"RouterOS in {self.vm!r} ({domain}) took no notice of a harmless script within {deadline.seconds:g} s; it "
                "was removed again. The router may still be booting, or have no tools for Xen.",
                silent=True,
            )
        if not progress.whole:
            raise Unreachable(
                f"{self.vm!r} ({domain}) took a harmless script, but did not print the expected text within "
                f"{deadline.seconds:g} s ({progress.phase.value}, output {excerpt(progress.output)}). Is that RouterOS?",
                silent=True,
            )
        self._dom0.memory(domain).write({"domid": domain.domid})

    def _ready(self) -> Domain:
        """The domain, after its router has shown since it booted that it takes scripts.

        Raises Unreachable.
        """
        domain = self._dom0.domain()
        if self._dom0.memory(domain).read().get("domid") != domain.domid:
            self.ping()
        return domain

    def require_routeros(self) -> None:
        """Check that the guest is RouterOS: only RouterOS prints the nonce of the probe.

        Raises Unreachable.
        """
        self._ready()

    # -- scripts -----------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        return self._start(vm_data.plan(source))

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        if self._dom0.store.mode == "commands":
            raise NoSecretWay(
                f"A script with a secret (no_log) was not handed to {self.vm!r}: the way 'commands' would show it in the process "
                f"list of {self._dom0.name}. The way 'socket' does not (chr_exec_mode), and needs AllowStreamLocalForwarding of "
                "the sshd there."
            )
        vm_data.check_single(source)
        return self.run(source, timeout)

    def start_file(self, name: str) -> Job:
        return self._start(vm_data.plan(import_script(name)))

    def _start(self, plan: ScriptPlan) -> Job:
        domain = self._ready()
        mode = self._dom0.store.mode  # asked now, as the way may break later on
        *pieces, last = plan.steps
        self._steps.acquire(domain, Deadline(self.connect_timeout))
        before: Running | None = None
        try:
            for number, piece in enumerate(pieces, 1):
                before = self._put(domain, piece, before, f"Piece {number} of {len(pieces)}")
            start = datetime.now(UTC)
            over = before.step if before else None
            running = self._steps.hand_over(domain, last, Deadline(self.connect_timeout), over=over)
            self._dom0.memory(domain).write({"domid": domain.domid})  # a script of an earlier task has ended
        except BaseException as error:
            try:
                if before:
                    self._steps.dispose(before)
                if isinstance(error, ChrError):
                    self._undo(domain, plan)
            finally:
                self._steps.release()
            raise
        self._jobs[last.nonce] = (running, plan)
        return Job(id=last.nonce, start=start, exec_mode=mode)

    def _put(self, domain: Domain, piece: Step, before: Running | None, which: str) -> Running:
        """Run a piece of a long script.

        It replaces the piece *before*, as a removal would be a watch event of its own.
        """
        over = before.step if before else None
        running = self._steps.hand_over(domain, piece, Deadline(self.connect_timeout), over=over, harmless=True)
        try:
            progress = self._steps.end(running, Deadline(_OWN_STEP))
            if progress.rc != 0 or not progress.whole:
                raise ScriptFailed(
                    f"{which} of the script did not arrive on {self.vm!r} ({progress.phase.value}, "
                    f"{message(progress.output, 200) or 'no output'}). Nothing of the script was run."
                )
        except BaseException:
            self._steps.dispose(running)
            raise
        self._steps.close(running)
        return running

    def _undo(self, domain: Domain, plan: ScriptPlan) -> None:
        """Try to remove the pieces of a script that was not run from the router."""
        if plan.undo is None:
            return
        with contextlib.suppress(ChrError):
            self._steps.run(domain, plan.undo, Deadline(_QUESTION), Deadline(_QUESTION))

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        running, plan = self._jobs.pop(job.id)
        try:
            told = ""
            try:
                progress = self._steps.end(running, Deadline(timeout))
                told = f"The script on {self.vm!r} {progress}."
            except OutcomeUnknown as error:
                told = str(error)
                raise
            finally:
                goes_on = self._steps.dispose(running, told)
            if progress.phase is Phase.WAITING and not goes_on:
                self._undo(running.domain, plan)
        finally:
            self._steps.release()
        if goes_on and progress.phase is not Phase.ENDED:
            self._dom0.memory(running.domain).write({"domid": running.domain.domid, "unended": job.id})
        elif progress.phase is Phase.WAITING:
            self._dom0.memory(running.domain).write({})
            raise OutcomeUnknown(
                f"RouterOS in {self.vm!r} ({running.domain}) took no notice of the script within {timeout:g} s, although it "
                "has taken one since it booted. The script was removed again; it should not have run, but look at the "
                "router."
            )
        if progress.phase is Phase.ENDED and progress.rc is None:
            raise OutcomeUnknown(
                f"The script ended on {self.vm!r} ({running.domain}), but whether it failed is unknown: there is no "
                f"status, and the output is incomplete: {message(progress.output, 300)!r}. Look at the router."
            )
        cut = progress.rc == 0 or len(progress.output) >= vm_data.MAX_STEP
        return ScriptResult(
            rc=progress.rc if progress.phase is Phase.ENDED else None,
            output=progress.output,
            start=job.start,
            end=datetime.now(UTC),
            job=job.id,
            exec_mode=job.exec_mode,
            truncated=progress.phase is Phase.ENDED and not progress.whole and cut,
        )

    def failure(self, result: ScriptResult, timeout: float) -> str:
        """A sentence that names another possible cause of a script whose end is not seen."""
        said = super().failure(result, timeout)
        if result.rc is None:
            said += (
                f" It may also have run to its end and printed {vm_data.TOO_MUCH}: then let it print less. Restart the router "
                "(outofband.chr.power, method: agent) if it takes no other script."
            )
        return said

    # -- values ------------------------------------------------------------------------------------

    def read(self, expression: str, timeout: float, likely: t.Sequence[bytes] = ()) -> bytes:
        """The value of an *expression*, in as many scripts as its length needs.

        The expression is evaluated once.
        """
        name = pages.variable()
        kept = True
        try:
            first, _end, rest = self._output(
                pages.first_page(expression, name, _PART, LARGEST_VALUE), timeout
            ).partition(b"\n")
            length = int(first)
            kept = _PART < length <= LARGEST_VALUE
            if length <= _PART:
                return pages.printed(rest, length)
            if length > LARGEST_VALUE:
                raise OutputCut(
                    f"The value of {excerpt(expression)} on {self.vm!r} has {length} bytes. At most {LARGEST_VALUE} are read "
                    f"through backend {self.backend}, in parts."
                )
            parts = []
            for start in range(0, length, _PART):
                end = min(start + _PART, length)
                parts.append(pages.printed(self._output(pages.page(name, start, end), timeout), end - start))
            return b"".join(parts)
        except ValueError as error:
            raise ScriptFailed(
                f"The value of {excerpt(expression)} on {self.vm!r} could not be read whole: a script printed {error}."
            ) from None
        finally:
            if kept:
                with contextlib.suppress(ChrError):
                    self._output(pages.forget(name), _QUESTION)

    # -- small files -------------------------------------------------------------------------------

    room = vm_data.ROOM

    def write_by(self, script: bytes, *, secret: bool) -> None:
        run = self.run_secret if secret else self.run
        self.checked(run(script, small_files.SCRIPT), small_files.SCRIPT)

    # -- questions and power -----------------------------------------------------------------------

    def report(self) -> GuestReport:
        """The report that a small script prints.

        If the script does not work, the report has what the router's tools have told xenstore.
        """
        domain = self._dom0.domain()
        tree = self._dom0.ask(lambda store: store.tree(domain.path))
        extra = {"domid": domain.domid, "uuid": domain.uuid}
        with contextlib.suppress(OutcomeUnknown, ScriptFailed, ValueError, KeyError):
            result = self.run(encoded(SURVEY), _QUESTION)
            if result.rc == 0 and not result.truncated:
                return from_script(records.parse(result.output), tree, extra)
        return from_tools(tree, extra)

    def checks(self) -> XenstoreChecks:
        return XenstoreChecks(self._dom0)

    def power(self) -> XlPower:
        return XlPower(self._dom0, self._machine)

    def shutdown(self, mode: str) -> None:
        """Send Xen's own request. The router's kernel or tools accept it by emptying it."""
        domain = self._dom0.domain()
        node = "control/shutdown"
        wanted = {"powerdown": "poweroff", "reboot": "reboot", "halt": "halt"}[mode]
        deadline = Deadline(_QUESTION)
        try:
            self._dom0.store.change(domain, [StoreChange(node, wanted)], unless_busy=False)
            while (seen := self._dom0.store.tree(f"{domain.path}/control").get("shutdown")) == wanted:
                if deadline.expired:
                    self._dom0.store.change(domain, [StoreChange(node, "")], unless_busy=False)
                    raise NotPossible(
                        f"RouterOS in {self.vm!r} ({domain}) took no notice of Xen's request to {wanted} within "
                        f"{deadline.seconds:g} s; it was withdrawn. Use method: script."
                    )
                time.sleep(0.05)
        except Moved:
            return
        except StoreRefused as error:
            raise self._dom0.refusal(error) from None
        except StoreLost as error:
            self._dom0.drop()
            raise OutcomeUnknown(
                f"The way to xenstore in {self._dom0.name} broke while {self.vm!r} was asked to {wanted}: {error}."
            ) from None
        if seen:
            raise NotPossible(f"Something else asks {self.vm!r} ({domain}) to {seen!r} at the same time.")
