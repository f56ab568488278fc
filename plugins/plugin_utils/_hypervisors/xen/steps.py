# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Runs scripts of at most 1,536 bytes, one after the other.

Each is handed over once, followed to its end, and always removed."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import lock

from . import vm_data
from .dom0 import Dom0, followed
from .store import Busy, Domain, Follower, Moved, NotOurs, Seen, StoreChange, StoreLost, StoreRefused
from .vm_data import Phase, Step, StepProgress

_ANSWERS = (vm_data.STATUS, *vm_data.OUTPUTS)

_SETTLE = 0.2
"""Seconds between the removal of a script and the next one.

A removal is a watch event like any other. Tools that look at the script for each event would run
the next script twice: for the removal of the last one and for its own event.
"""
_GRACE = 1.0  # seconds by which the output may follow the status, or the status the output
_LOOK = 2.0  # seconds after which the store is looked at even without an event
_TAKEN = 0.5  # seconds after which a router that says "running" has certainly read its script
_CLEAN = 10.0  # seconds for removing a script after the connection broke or the router restarted
_MADE = 3.0  # seconds that a toolstack needs from a new domain's name to its vm-data


@dataclass
class Running:
    """A step that was handed over."""

    domain: Domain
    step: Step
    follower: Follower | None
    harmless: bool
    """Whether it may run once more at the next boot."""
    ran: bool = False
    emptied: bool = False
    """Whether its text was removed from the store."""
    since: float | None = None
    """The time when the status was first seen as running."""


class Steps:
    """The scripts of one VM, one at a time between ``acquire`` and ``release``."""

    def __init__(self, dom0: Dom0) -> None:
        self._dom0 = dom0
        self._lock: int | None = None

    def run(self, domain: Domain, step: Step, hand_over: Deadline, end: Deadline) -> StepProgress:
        """Run a harmless *step*, from handing it over to its removal.

        Raises the errors of ``hand_over``, ``end`` and ``dispose``.
        """
        running = self.hand_over(domain, step, hand_over, harmless=True)
        try:
            return self.end(running, end)
        finally:
            self.dispose(running)

    def hand_over(
        self, domain: Domain, step: Step, deadline: Deadline, *, over: Step | None = None, harmless: bool = False
    ) -> Running:
        """Write *step* as soon as nothing else runs, in place of the step *over*.

        Raises Unreachable, OutcomeUnknown, NotPossible.
        """
        while True:
            try:
                self._make_way(domain, over, deadline)
                self._settle()
                follower = self._dom0.store.follow(domain, [StoreChange(vm_data.SCRIPT, step.value)])
                return Running(domain, step, follower, harmless)
            except Busy:
                self._await_turn(domain, deadline)
            except Moved:
                self._dom0.forget()
                raise Unreachable(
                    f"{self._dom0.vm!r} restarted just now ({domain} has ended). Nothing was handed over."
                ) from None
            except StoreRefused as error:
                raise self._dom0.refusal(error) from None
            except StoreLost as error:
                self._dom0.drop()
                if error.refused:
                    raise Unreachable(f"xenstore in {self._dom0.name} cannot be reached any more: {error}.") from None
                if self._gone(domain, step):
                    raise OutcomeUnknown(
                        f"The way to xenstore in {self._dom0.name} broke while a script was handed to {self._dom0.vm!r} "
                        f"({error}), and xenstore does not have the script now. It should not have run, but look at the "
                        "router. It was not handed over again."
                    ) from None
                return Running(domain, step, None, harmless)  # it may run, so it is followed, and removed in the end
            except (KeyboardInterrupt, SystemExit):
                with contextlib.suppress(ChrError):
                    self.dispose(Running(domain, step, None, harmless))
                raise

    def _gone(self, domain: Domain, step: Step) -> bool:
        """Whether xenstore answered and does not have *step*."""
        try:
            return self._nodes(domain).get(vm_data.SCRIPT) != step.value
        except (StoreLost, StoreRefused, ChrError):
            self._dom0.drop()
            return False

    def _make_way(self, domain: Domain, over: Step | None, deadline: Deadline) -> None:
        """Remove what an earlier script left, and give the guest the right to write.

        Raises Busy, Moved, StoreLost, StoreRefused.
        """
        if over:  # all was well with it a moment ago
            self._dom0.store.change(domain, [StoreChange(path) for path in _ANSWERS], unless_busy=True)
            return
        nodes = self._dom0.store.nodes(domain)
        values = {path: node.value for path, node in nodes.items()}
        left = values.get(vm_data.SCRIPT)
        if left and not vm_data.busy(values):
            # Another controller may be about to collect it. What a toolstack put there for the boot
            # stays longer.
            self._wait_while(domain, lambda seen: seen.get(vm_data.SCRIPT) == left, min(_GRACE, deadline.remaining))
            values = self._nodes(domain)
        changes = []
        if values.get(vm_data.SCRIPT):
            changes.append(StoreChange(vm_data.SCRIPT))
        kept = [path for path in nodes if not (changes and path.startswith(vm_data.SCRIPT))]
        if vm_data.ROOT not in nodes or not all(_writable(nodes[path].permissions, domain.domid) for path in kept):
            # So it is after XAPI's set on a running VM, which makes dom0 the owner of all nodes, or
            # if the toolstack made none.
            own = (f"n{domain.domid}",)
            if not changes and vm_data.SCRIPT in nodes:
                changes.append(StoreChange(vm_data.SCRIPT))
                kept = [path for path in kept if not path.startswith(vm_data.SCRIPT)]
            changes += [StoreChange(path, permissions=own) for path in dict.fromkeys([vm_data.ROOT, *kept])]
        removed = any(change == StoreChange(vm_data.SCRIPT) for change in changes)
        if not removed:
            changes += [StoreChange(path) for path in _ANSWERS if path in values]
        if changes:
            self._dom0.store.change(domain, changes, unless_busy=True)
        if removed:
            self._touched()

    def _nodes(self, domain: Domain) -> dict[str, str]:
        prefix = f"{vm_data.ROOT}/provision"
        return {f"{prefix}/{path}": value for path, value in self._dom0.store.tree(f"{domain.path}/{prefix}").items()}

    def _wait_while(self, domain: Domain, test: t.Callable[[dict[str, str]], bool], seconds: float) -> bool:
        """Wait at most *seconds* until *test* is false for the nodes. Returns whether it is."""
        deadline = Deadline(seconds)
        follower = self._dom0.store.follow(domain, ())
        try:
            while True:
                seen = follower.look(min(_LOOK, deadline.remaining))
                if seen.gone:
                    raise Moved
                if not test(seen.values):
                    return True
                if deadline.expired:
                    return False
        finally:
            follower.close()

    def _await_turn(self, domain: Domain, deadline: Deadline) -> None:
        """Wait for the end of somebody else's script.

        Raises Unreachable when it does not end before *deadline*; Moved, StoreLost, StoreRefused.
        """
        try:
            if self._wait_while(domain, vm_data.busy, deadline.remaining):
                return
        except (Moved, StoreLost, StoreRefused):
            if not deadline.expired:
                return  # the next try tells
        known = self._dom0.memory(domain).read()
        what, cure = "still runs a script of somebody else", ""
        if known.get("domid") == domain.domid and "unended" in known:
            what = "still runs a script of an earlier task of this controller, which was given up after its timeout,"
            cure = (
                f" It may also have printed {vm_data.TOO_MUCH}: then no script ends this, and a restart does "
                "(outofband.chr.power, method: agent)."
            )
        raise Unreachable(
            f"{self._dom0.vm!r} ({domain}) {what} after {deadline.seconds:g} s (its status is "
            f"'running'), and takes no other script until that ends. Nothing was handed over.{cure} If none runs, remove the "
            f"status with 'xenstore-rm {domain.path}/{vm_data.STATUS}'.",
            silent=True,
        )

    def end(self, running: Running, deadline: Deadline) -> StepProgress:
        """Follow a step to its end, or to *deadline*. Raises OutcomeUnknown."""
        grace: Deadline | None = None
        while True:
            pause = _TAKEN if running.since and not running.emptied else _LOOK
            seen = self._look(running, min(pause, (grace or deadline).remaining), deadline)
            if seen.gone:
                raise OutcomeUnknown(
                    f"{self._dom0.vm!r} went down while it ran a script ({running.domain} has ended). Whether the script ran "
                    "to its end is unknown. It was not repeated. Its text was removed only if the VM came back in time: if "
                    "a toolstack keeps vm-data (XAPI: VM.xenstore_data), look there before the next boot."
                )
            busy = vm_data.busy(seen.values)
            running.ran |= busy or seen.status_changes >= 2
            progress = vm_data.progress(seen.values, running.step, running.ran)
            if progress.final:
                return progress
            if progress.phase is Phase.ENDED:
                grace = grace or Deadline(_GRACE)
                if grace.expired:
                    return progress
            elif deadline.expired:
                return progress
            else:
                grace = None
            if busy:
                self._empty(running)

    def _look(self, running: Running, timeout: float, deadline: Deadline) -> Seen:
        """Wait at most *timeout* seconds for a change of the nodes.

        Raises OutcomeUnknown when xenstore cannot be reached before *deadline*. A single reply that
        is lost is not the end, however long it was waited for.
        """
        lost = False
        while True:
            try:
                if running.follower is None:
                    running.follower = self._dom0.store.follow(running.domain, ())
                return running.follower.look(timeout)
            except (StoreLost, StoreRefused, Unreachable) as error:
                self._dom0.drop()
                running.follower = None
                if deadline.expired and lost:
                    raise OutcomeUnknown(
                        f"The way to xenstore in {self._dom0.name} broke while {self._dom0.vm!r} ran a script, and did not "
                        f"come back: {error}. How the script ended is unknown; it was not repeated."
                    ) from None
                lost = True
                time.sleep(min(0.5, deadline.remaining))

    def _empty(self, running: Running) -> None:
        """Remove the text of a script that runs for a while from the store.

        So a restart in the middle of the script cannot run it again.
        """
        running.since = running.since or time.monotonic()
        if running.emptied or running.harmless or time.monotonic() - running.since < _TAKEN:
            return
        with contextlib.suppress(StoreLost, StoreRefused, Moved, Unreachable):
            self._dom0.store.change(running.domain, [StoreChange(vm_data.SCRIPT, "")], unless_busy=False)
            running.emptied = True

    def close(self, running: Running) -> None:
        if running.follower is not None:
            running.follower.close()
            running.follower = None

    def dispose(self, running: Running, told: str = "") -> bool:
        """Remove a step from the store, and return whether it still runs on the router.

        *told* says in messages what happened to the step. If it still runs, only its text is
        removed, so that it does not run at the next boot. Its status stays, so that nobody starts
        another script. Raises OutcomeUnknown when the step cannot be removed.
        """
        self.close(running)
        deadline = Deadline(_CLEAN)
        moved = False
        while True:
            try:
                if not moved:
                    return self._remove(running)
                return running.harmless or running.emptied or not self._remove_after_restart(running, deadline)
            except Moved:
                moved = True
            except (StoreLost, StoreRefused, Unreachable) as error:
                self._dom0.drop()
                if deadline.expired:
                    raise OutcomeUnknown(
                        f"{told} xenstore in {self._dom0.name} was lost: {error}.".lstrip(),
                        left=f"The text of a script for {self._dom0.vm!r} could not be removed from there, and may run again "
                        f"when the router restarts. Remove it with 'xenstore-rm {running.domain.path}/{vm_data.SCRIPT}'.",
                    ) from None
                time.sleep(min(0.5, deadline.remaining))

    def _remove(self, running: Running) -> bool:
        """Remove a step, and return whether it still runs.

        Raises StoreLost, StoreRefused, Moved.
        """
        ours = (running.step.value, "")
        try:
            self._dom0.store.change(running.domain, [StoreChange(vm_data.SCRIPT)], unless_busy=True, script=ours)
        except NotOurs:
            return False  # another controller's, if any
        except Busy:
            changes = [StoreChange(vm_data.SCRIPT, ""), *(StoreChange(path) for path in vm_data.OUTPUTS)]
            with contextlib.suppress(NotOurs):
                self._dom0.store.change(running.domain, changes, unless_busy=False, script=ours)
            return True
        finally:
            self._touched()
        return False

    def _remove_after_restart(self, running: Running, deadline: Deadline) -> bool:
        """Remove the script before a toolstack hands it to the router once more.

        Returns whether the VM came back before *deadline*.
        """
        made: Deadline | None = None
        while not (made or deadline).expired:
            for domain in followed(running.domain, self._dom0.store.domains()):
                made = made or Deadline(_MADE)
                if self._nodes(domain).get(vm_data.SCRIPT) == running.step.value:
                    self._dom0.store.change(domain, [StoreChange(vm_data.SCRIPT)], unless_busy=False)
                    return True
            time.sleep(0.05)
        return made is not None

    def acquire(self, domain: Domain, deadline: Deadline) -> None:
        """Lock the VM until ``release``, so that tasks of this user wait for one another.

        Raises Unreachable at *deadline*, and NotPossible if the lock's file cannot be used.
        """
        path = self._dom0.lock_path(domain)
        with contextlib.suppress(OSError):  # ``lock`` tells what is wrong with the file
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(0o600, exist_ok=False)
            os.utime(path, (0, 0))  # nothing was removed yet
        try:
            self._lock = lock(path, deadline)
        except TimeoutError:
            raise Unreachable(
                f"Another task still runs a script on {self._dom0.vm!r} after {deadline.seconds:g} s, and a router takes one at a "
                "time. Nothing was handed over.",
                silent=True,
            ) from None

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _touched(self) -> None:
        """Record that a script was removed just now."""
        if self._lock is not None:
            os.utime(self._lock)

    def _settle(self) -> None:
        """Wait _SETTLE seconds after the last removal.

        The lock's file keeps its time, for the tasks of other processes as well.
        """
        if self._lock is not None:
            age = time.time() - os.fstat(self._lock).st_mtime
            time.sleep(min(max(0.0, _SETTLE - age), _SETTLE))


def _writable(permissions: tuple[str, ...], domid: int) -> bool:
    """Whether the domain may write a node: as its owner, by its own entry, or as everybody."""
    owner, *entries = permissions
    own = {entry[0] for entry in entries if entry[1:] == str(domid)}
    return owner[1:] == str(domid) or bool((own or {owner[0]}) & {"w", "b"})
