# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One script of at most 1,536 bytes after the other: handed over once, followed to its end, removed always."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t
from dataclasses import dataclass

from .. import provision
from ..deadline import Deadline
from ..errors import AgentNotThere, GuestError, OutcomeUnknown
from ..provision import Phase, Progress, Step
from .dom0 import Dom0, followed
from .store import Busy, Change, Domain, Follower, Moved, NotOurs, Seen, StoreLost, StoreRefused

_ANSWERS = (provision.STATUS, *provision.OUTPUTS)

_SETTLE = 0.2
"""Seconds between the removal of a script and the next one. A removal is a watch event like any other: tools that look at the
script for each event would run one that they find there twice, for the removal and for its own event."""
_GRACE = 1.0  # seconds that output may come after the status, or the status after the output
_LOOK = 2.0  # seconds after which the store is looked at even without an event
_TAKEN = 0.5  # seconds after which a router that says "running" has certainly read its script
_CLEAN = 10.0  # seconds for getting rid of a script where the connection broke or the router restarted
_MADE = 3.0  # seconds that a toolstack needs from a new domain's name to its vm-data


@dataclass
class Running:
    """A step that was handed over."""

    domain: Domain
    step: Step
    follower: Follower | None
    harmless: bool
    """It may run once more at the next boot."""
    ran: bool = False
    emptied: bool = False
    """Its text is no longer in the store."""
    since: float | None = None
    """When the status was first seen as running."""


class Steps:
    """The scripts of one VM, one at a time between ``acquire`` and ``release``."""

    def __init__(self, dom0: Dom0) -> None:
        self._dom0 = dom0
        self._lock: int | None = None

    def run(self, domain: Domain, step: Step, hand_over: Deadline, end: Deadline) -> Progress:
        """A harmless *step* from its beginning to its removal. Raises as ``hand_over``, ``end`` and ``dispose``."""
        running = self.hand_over(domain, step, hand_over, harmless=True)
        try:
            return self.end(running, end)
        finally:
            self.dispose(running)

    def hand_over(
        self, domain: Domain, step: Step, deadline: Deadline, *, over: Step | None = None, harmless: bool = False
    ) -> Running:
        """Write *step* once nothing else runs, in the place of *over*. Raises AgentNotThere, OutcomeUnknown, NotPossible."""
        while True:
            try:
                self._make_way(domain, over, deadline)
                self._settle()
                follower = self._dom0.store.follow(domain, [Change(provision.SCRIPT, step.value)])
                return Running(domain, step, follower, harmless)
            except Busy:
                self._await_turn(domain, deadline)
            except Moved:
                self._dom0.forget()
                raise AgentNotThere(
                    f"{self._dom0.vm!r} restarted just now ({domain} is gone); nothing was handed over."
                ) from None
            except StoreRefused as error:
                raise self._dom0.refusal(error) from None
            except StoreLost as error:
                self._dom0.drop()
                if error.refused:
                    raise AgentNotThere(f"xenstore in {self._dom0.name} cannot be reached any more: {error}.") from None
                if self._gone(domain, step):
                    raise OutcomeUnknown(
                        f"The way to xenstore in {self._dom0.name} broke while a script was handed to {self._dom0.vm!r} "
                        f"({error}), and it is not there now. It should not have run, but look at the router; it was not "
                        "handed over again."
                    ) from None
                return Running(domain, step, None, harmless)  # as it may run, it is followed, and removed in the end
            except (KeyboardInterrupt, SystemExit):
                with contextlib.suppress(GuestError):
                    self.dispose(Running(domain, step, None, harmless))
                raise

    def _gone(self, domain: Domain, step: Step) -> bool:
        """Whether xenstore was seen without *step*."""
        try:
            return self._nodes(domain).get(provision.SCRIPT) != step.value
        except (StoreLost, StoreRefused, GuestError):
            self._dom0.drop()
            return False

    def _make_way(self, domain: Domain, over: Step | None, deadline: Deadline) -> None:
        """Remove what an earlier script left, and let the guest write. Raises Busy, Moved, StoreLost, StoreRefused."""
        if over:  # all was well with it a moment ago
            self._dom0.store.change(domain, [Change(path) for path in _ANSWERS], unless_busy=True)
            return
        nodes = self._dom0.store.nodes(domain)
        values = {path: node.value for path, node in nodes.items()}
        left = values.get(provision.SCRIPT)
        if left and not provision.busy(values):
            # Another controller may be about to collect it; what a toolstack put there for the boot stays longer.
            self._wait_while(domain, lambda seen: seen.get(provision.SCRIPT) == left, min(_GRACE, deadline.remaining))
            values = self._nodes(domain)
        changes = []
        if values.get(provision.SCRIPT):
            changes.append(Change(provision.SCRIPT))
        kept = [path for path in nodes if not (changes and path.startswith(provision.SCRIPT))]
        if provision.ROOT not in nodes or not all(_writable(nodes[path].permissions, domain.domid) for path in kept):
            # As after XAPI's set on a running VM, which leaves all of it to dom0; or where the toolstack made none.
            own = (f"n{domain.domid}",)
            if not changes and provision.SCRIPT in nodes:
                changes.append(Change(provision.SCRIPT))
                kept = [path for path in kept if not path.startswith(provision.SCRIPT)]
            changes += [Change(path, permissions=own) for path in dict.fromkeys([provision.ROOT, *kept])]
        removed = any(change == Change(provision.SCRIPT) for change in changes)
        if not removed:
            changes += [Change(path) for path in _ANSWERS if path in values]
        if changes:
            self._dom0.store.change(domain, changes, unless_busy=True)
        if removed:
            self._touched()

    def _nodes(self, domain: Domain) -> dict[str, str]:
        prefix = f"{provision.ROOT}/provision"
        return {f"{prefix}/{path}": value for path, value in self._dom0.store.tree(f"{domain.path}/{prefix}").items()}

    def _wait_while(self, domain: Domain, test: t.Callable[[dict[str, str]], bool], seconds: float) -> bool:
        """Whether *test* no longer holds for the nodes, within *seconds*."""
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
        """Raises AgentNotThere when a script of somebody else does not end before *deadline*; Moved, StoreLost, StoreRefused."""
        try:
            if self._wait_while(domain, provision.busy, deadline.remaining):
                return
        except (Moved, StoreLost, StoreRefused):
            if not deadline.expired:
                return  # the next try tells
        raise AgentNotThere(
            f"{self._dom0.vm!r} ({domain}) still runs a script of somebody else after {deadline.seconds:g} s (its status is "
            "'running'), and takes no other meanwhile. Nothing was handed over. If none runs, remove the status: "
            f"xenstore-rm {domain.path}/{provision.STATUS}",
            silent=True,
        )

    def end(self, running: Running, deadline: Deadline) -> Progress:
        """Follow a step to its end, or to *deadline*. Raises OutcomeUnknown."""
        grace: Deadline | None = None
        while True:
            pause = _TAKEN if running.since and not running.emptied else _LOOK
            seen = self._look(running, min(pause, (grace or deadline).remaining), deadline)
            if seen.gone:
                raise OutcomeUnknown(
                    f"{self._dom0.vm!r} went down while it ran a script ({running.domain} is gone). Whether the script went "
                    "through is unknown. It was not repeated, and its text was removed as far as the VM came back in time: "
                    "where a toolstack keeps vm-data (XAPI: VM.xenstore_data), look there before the next boot."
                )
            busy = provision.busy(seen.values)
            running.ran |= busy or seen.status_changes >= 2
            progress = provision.progress(seen.values, running.step, running.ran)
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
        """Raises OutcomeUnknown when xenstore cannot be reached until *deadline*."""
        while True:
            try:
                if running.follower is None:
                    running.follower = self._dom0.store.follow(running.domain, ())
                return running.follower.look(timeout)
            except (StoreLost, StoreRefused, AgentNotThere) as error:
                self._dom0.drop()
                running.follower = None
                if deadline.expired:
                    raise OutcomeUnknown(
                        f"The way to xenstore in {self._dom0.name} broke while {self._dom0.vm!r} ran a script, and did not "
                        f"come back: {error}. How the script ended is unknown; it was not repeated."
                    ) from None
                time.sleep(min(0.5, deadline.remaining))

    def _empty(self, running: Running) -> None:
        """Take the text of a script that runs for a while out of the store, so that a restart in its middle cannot run it again."""
        running.since = running.since or time.monotonic()
        if running.emptied or running.harmless or time.monotonic() - running.since < _TAKEN:
            return
        with contextlib.suppress(StoreLost, StoreRefused, Moved, AgentNotThere):
            self._dom0.store.change(running.domain, [Change(provision.SCRIPT, "")], unless_busy=False)
            running.emptied = True

    def close(self, running: Running) -> None:
        if running.follower is not None:
            running.follower.close()
            running.follower = None

    def dispose(self, running: Running, told: str = "") -> bool:
        """Remove a step from the store, whatever became of it, which *told* says. Whether it goes on on the router.

        Then only its text is taken away, so that it does not run at the next boot; the status stays, so that nobody starts
        another script meanwhile. Raises OutcomeUnknown when that cannot be done.
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
            except (StoreLost, StoreRefused, AgentNotThere) as error:
                self._dom0.drop()
                if deadline.expired:
                    raise OutcomeUnknown(
                        f"{told} xenstore in {self._dom0.name} was lost: {error}.".lstrip(),
                        left=f"The text of a script for {self._dom0.vm!r} could not be removed from there, and may run again "
                        f"when the router restarts. Remove it: xenstore-rm {running.domain.path}/{provision.SCRIPT}",
                    ) from None
                time.sleep(min(0.5, deadline.remaining))

    def _remove(self, running: Running) -> bool:
        """Whether the script goes on. Raises StoreLost, StoreRefused, Moved."""
        ours = (running.step.value, "")
        try:
            self._dom0.store.change(running.domain, [Change(provision.SCRIPT)], unless_busy=True, script=ours)
        except NotOurs:
            return False  # another controller's, if any
        except Busy:
            changes = [Change(provision.SCRIPT, ""), *(Change(path) for path in provision.OUTPUTS)]
            with contextlib.suppress(NotOurs):
                self._dom0.store.change(running.domain, changes, unless_busy=False, script=ours)
            return True
        finally:
            self._touched()
        return False

    def _remove_after_restart(self, running: Running, deadline: Deadline) -> bool:
        """A toolstack may hand the script to the router once more: remove it before. Whether the VM came back before *deadline*."""
        made: Deadline | None = None
        while not (made or deadline).expired:
            for domain in followed(running.domain, self._dom0.store.domains()):
                made = made or Deadline(_MADE)
                if self._nodes(domain).get(provision.SCRIPT) == running.step.value:
                    self._dom0.store.change(domain, [Change(provision.SCRIPT)], unless_busy=False)
                    return True
            time.sleep(0.05)
        return made is not None

    def acquire(self, domain: Domain, deadline: Deadline) -> None:
        """Tasks of this user wait for one another, until ``_release``. Raises AgentNotThere at *deadline*."""
        path, flags = self._dom0.lock_path(domain), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            lock = os.open(path, flags | os.O_EXCL, 0o600)
            os.utime(lock, (0, 0))  # nothing was removed yet
        except FileExistsError:
            lock = os.open(path, flags, 0o600)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.expired:
                    os.close(lock)
                    raise AgentNotThere(
                        f"Another task still runs a script on {self._dom0.vm!r} after {deadline.seconds:g} s, and a router "
                        "takes one at a time. Nothing was handed over.",
                        silent=True,
                    ) from None
                time.sleep(0.02)
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _touched(self) -> None:
        """A script was removed just now."""
        if self._lock is not None:
            os.utime(self._lock)

    def _settle(self) -> None:
        """See _SETTLE. The lock's file knows the time, for the tasks of other processes as well."""
        if self._lock is not None:
            age = time.time() - os.fstat(self._lock).st_mtime
            time.sleep(min(max(0.0, _SETTLE - age), _SETTLE))


def _writable(permissions: tuple[str, ...], domid: int) -> bool:
    """Whether the domain may write a node: as its owner, by an entry of its own, or as everybody."""
    owner, *entries = permissions
    own = {entry[0] for entry in entries if entry[1:] == str(domid)}
    return owner[1:] == str(domid) or bool((own or {owner[0]}) & {"w", "b"})
