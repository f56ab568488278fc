# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The guest below dom0's xenstore."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.module_utils._routeros import records
from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from .. import provision
from ..base import Capabilities, Guest, GuestOptions, Job, ScriptResult, check_source, encoded
from ..deadline import Deadline
from ..errors import AgentNotThere, GuestError, InvalidInput, NoSecretWay, NotPossible, OutcomeUnknown, ScriptFailed
from ..provision import Phase, Plan, Step
from .dom0 import MODES, Dom0
from .steps import Running, Steps
from .store import Change, Domain, Moved, StoreLost, StoreRefused
from .survey import SURVEY, from_script, from_tools

_OWN_STEP = 30.0  # seconds for one piece of a long script
_QUESTION = 10.0


def open_guest(options: GuestOptions) -> Guest:
    """Raises InvalidInput."""
    if options.exec_mode not in ("auto", *MODES):
        raise InvalidInput(
            f"chr_exec_mode {options.exec_mode!r} is not one of the ways of backend xenstore: auto, {', '.join(MODES)}."
        )
    if options.socket is not None and not options.socket.startswith("/"):
        raise InvalidInput(
            f"chr_socket {options.socket!r} is no absolute path: for backend xenstore it is xenstored's socket in dom0, and "
            "can be left out."
        )
    return XenstoreGuest(options)


class XenstoreGuest(Guest):
    """A CHR that takes scripts from xenstore."""

    backend = "xenstore"
    capabilities = Capabilities(
        output=True,
        files=False,
        max_script=provision.MAX_SOURCE,
        exec_modes=MODES,
        max_output=provision.MAX_STEP,
        replays=True,
    )

    def __init__(self, options: GuestOptions) -> None:
        super().__init__(options.vm, options.connect_timeout)
        self._dom0 = Dom0(options)
        self._steps = Steps(self._dom0)
        self._jobs: dict[str, tuple[Running, Plan]] = {}

    def reset(self) -> None:
        self._dom0.drop()
        self._dom0.forget()

    # -- is it there -------------------------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        """By a script that prints a nonce: xenstore itself does not tell whether the router's tools run."""
        deadline = Deadline(timeout or self.connect_timeout)
        domain = self._dom0.domain()
        self._steps.acquire(domain, deadline)
        try:
            progress = self._steps.run(domain, provision.probe(), deadline, deadline)
        except OutcomeUnknown as error:  # nothing was to be changed
            raise AgentNotThere(str(error)) from None
        finally:
            self._steps.release()
        if progress.phase is Phase.WAITING:
            raise AgentNotThere(
                f"RouterOS in {self.vm!r} ({domain}) took no notice of a harmless script within {deadline.seconds:g} s; it "
                "was removed again. The router may still be booting, or have no tools for Xen.",
                silent=True,
            )
        if not progress.whole:
            raise AgentNotThere(
                f"{self.vm!r} ({domain}) took a harmless script and did not print within {deadline.seconds:g} s what it "
                f"should ({progress.phase.value}, output {progress.output[:80]!r}): is that a RouterOS?",
                silent=True,
            )
        self._dom0.memory(domain).write({"domid": domain.domid})

    def _ready(self) -> Domain:
        """The domain, whose router has shown since it booted that it takes scripts. Raises AgentNotThere."""
        domain = self._dom0.domain()
        if self._dom0.memory(domain).read().get("domid") != domain.domid:
            self.ping()
        return domain

    def require_routeros(self) -> None:
        """Nothing but a RouterOS prints the nonce of the probe."""
        self._ready()

    # -- scripts -----------------------------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        return self._start(provision.plan(source))

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        if self._dom0.store.mode == "commands":
            raise NoSecretWay(
                f"A script with a secret (no_log) was not handed to {self.vm!r}: the way 'commands' would show it in the process "
                f"list of {self._dom0.name}. The way 'socket' does not (chr_exec_mode), and needs AllowStreamLocalForwarding of "
                "the sshd there."
            )
        provision.check_single(source)
        return self.run(source, timeout)

    def start_file(self, name: str) -> Job:
        if not name.strip() or "\0" in name:
            raise InvalidInput(f"guest_file {name!r} is no file name.")
        return self._start(provision.plan(f"/import file-name={quote(name)}".encode()))

    def _start(self, plan: Plan) -> Job:
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
        except BaseException as error:
            try:
                if before:
                    self._steps.dispose(before)
                if isinstance(error, GuestError):
                    self._undo(domain, plan)
            finally:
                self._steps.release()
            raise
        self._jobs[last.nonce] = (running, plan)
        return Job(id=last.nonce, start=start, exec_mode=mode)

    def _put(self, domain: Domain, piece: Step, before: Running | None, which: str) -> Running:
        """Run a piece of a long script. It takes the place of the one *before*, as a removal would be an event of its own."""
        over = before.step if before else None
        running = self._steps.hand_over(domain, piece, Deadline(self.connect_timeout), over=over, harmless=True)
        try:
            progress = self._steps.end(running, Deadline(_OWN_STEP))
            if progress.rc != 0 or not progress.whole:
                raise ScriptFailed(
                    f"{which} of the script did not arrive on {self.vm!r} ({progress.phase.value}, "
                    f"{text(progress.output).strip()[:200] or 'no output'}). Nothing of the script was run."
                )
        except BaseException:
            self._steps.dispose(running)
            raise
        self._steps.close(running)
        return running

    def _undo(self, domain: Domain, plan: Plan) -> None:
        """Remove the pieces of a script that was not run from the router, as well as that can be."""
        if plan.undo is None:
            return
        with contextlib.suppress(GuestError):
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
        if progress.phase is Phase.WAITING and not goes_on:
            self._dom0.memory(running.domain).write({})
            raise OutcomeUnknown(
                f"RouterOS in {self.vm!r} ({running.domain}) took no notice of the script within {timeout:g} s, though it "
                "has taken one since it booted. The script was removed again; it should not have run, but look at the "
                "router."
            )
        if progress.phase is Phase.ENDED and progress.rc is None:
            raise OutcomeUnknown(
                f"The script ended on {self.vm!r} ({running.domain}), and nothing tells whether it went well: there is no "
                f"status, and the output is not whole: {text(progress.output)[-300:]!r}. Look at the router."
            )
        cut = progress.rc == 0 or len(progress.output) >= provision.MAX_STEP
        return ScriptResult(
            rc=progress.rc if progress.phase is Phase.ENDED else None,
            output=progress.output,
            start=job.start,
            end=datetime.now(UTC),
            job=job.id,
            exec_mode=job.exec_mode,
            truncated=progress.phase is Phase.ENDED and not progress.whole and cut,
        )

    # -- questions and power -----------------------------------------------------------------------------------------

    def agent_info(self) -> dict[str, t.Any]:
        domain = self._dom0.domain()
        version = self._dom0.ask(lambda store: store.tree(f"{domain.path}/attr/PVAddons"))
        numbers = [version.get(f"{part}Version") for part in ("Major", "Minor", "Micro", "Build")]
        return {
            "version": ".".join(number for number in numbers if number),
            "commands": {},
            "questions": ["guest-get-osinfo", "guest-get-host-name", "guest-network-get-interfaces"],
            "extra": {"domid": domain.domid, "uuid": domain.uuid},
        }

    def query(self, commands: list[str]) -> dict[str, t.Any]:
        """From a small script; where that does not work, what the router's tools have told xenstore."""
        domain = self._dom0.domain()
        answers = from_tools(self._dom0.ask(lambda store: store.tree(domain.path)))
        with contextlib.suppress(OutcomeUnknown, ScriptFailed, ValueError, KeyError):
            result = self.run(encoded(SURVEY), _QUESTION)
            if result.rc == 0 and not result.truncated:
                answers |= from_script(records.parse(result.output))
        return {command: answers[command] for command in commands if command in answers}

    def shutdown(self, mode: str) -> None:
        """With Xen's own request, which the router's kernel or tools take by emptying it."""
        domain = self._dom0.domain()
        node = "control/shutdown"
        wanted = {"powerdown": "poweroff", "reboot": "reboot", "halt": "halt"}[mode]
        deadline = Deadline(_QUESTION)
        try:
            self._dom0.store.change(domain, [Change(node, wanted)], unless_busy=False)
            while (seen := self._dom0.store.tree(f"{domain.path}/control").get("shutdown")) == wanted:
                if deadline.expired:
                    self._dom0.store.change(domain, [Change(node, "")], unless_busy=False)
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
