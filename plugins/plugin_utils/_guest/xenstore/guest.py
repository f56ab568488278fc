# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The guest below dom0's xenstore."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.outofband.chr.plugins.module_utils._routeros import records
from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from .. import provision
from ..base import Capabilities, Guest, GuestOptions, Job, ScriptResult, check_source, encoded
from ..channels.base import Channel
from ..channels.direct import UnixChannel
from ..channels.ssh import SshChannel, execute
from ..deadline import Deadline
from ..errors import (
    AgentNotThere,
    GuestError,
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    VmNotThere,
)
from ..provision import Phase, Plan, Progress, Step
from .commands import CommandStore
from .store import Busy, Change, Domain, Follower, Moved, Seen, Store, StoreLost, StoreRefused
from .wire import WireStore

MODES = ("socket", "commands")
SOCKETS = ("/run/xenstored/socket", "/var/run/xenstored/socket")
_ANSWERS = (provision.STATUS, *provision.OUTPUTS)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_SETTLE = 0.2
"""Seconds between the removal of a script and the next one. A removal is a watch event like any other: tools that look at the
script for each event would run one that they find there twice, for the removal and for its own event."""
_GRACE = 2.0  # seconds that output may come after the status, or the status after the output
_LOOK = 2.0  # seconds after which the store is looked at even without an event
_TAKEN = 0.5  # seconds after which a router that says "running" has certainly read its script
_OWN_STEP = 30.0  # seconds for one piece of a long script
_CLEAN = 10.0  # seconds for getting rid of a script where the connection broke or the router restarted
_QUESTION = 10.0


def open_guest(options: GuestOptions) -> Guest:
    """Raises InvalidInput."""
    if options.exec_mode not in ("auto", *MODES):
        raise InvalidInput(
            f"chr_exec_mode {options.exec_mode!r} is not one of the ways of backend xenstore: auto, {', '.join(MODES)}."
        )
    if options.socket is not None and not options.socket.startswith("/"):
        raise InvalidInput(
            f"chr_socket {options.socket!r} is no absolute path: for backend xenstore it is xenstored's socket in dom0, and can be "
            "left out."
        )
    return XenstoreGuest(options)


@dataclass
class _Running:
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
        self._options = options
        self._ways = MODES if options.exec_mode == "auto" else (options.exec_mode,)
        paths = (options.socket,) if options.socket else SOCKETS
        self._channels = [self._channel(path) for path in paths]
        self._open_store: Store | None = None
        self._known: Domain | None = None
        self._jobs: dict[str, tuple[_Running, Plan]] = {}
        self._lock: int | None = None
        self._dom0 = f"dom0 of {options.ssh_host}" if options.ssh_host else "this machine as dom0"

    def _channel(self, path: str) -> Channel:
        target = UnixChannel(Path(path))
        options = self._options
        if not options.ssh_host:
            return target
        return SshChannel(options.ssh_host, options.ssh_args, target, options.runtime_directory)

    # -- the way to xenstore -----------------------------------------------------------------------------------------

    @property
    def _store(self) -> Store:
        """Raises AgentNotThere, InvalidInput."""
        if self._open_store is None:
            memory = _Memory(self._options.runtime_directory, "way", self._dom0, self._options.ssh_args)
            remembered = memory.read().get("way")
            refused = []
            for way in sorted(self._ways, key=lambda way: way != remembered):
                try:
                    self._open_store = self._connected(way)
                except StoreLost as error:
                    refused.append(f"{way}: {error}.")
                    continue
                if len(self._ways) > 1 and way != remembered:
                    memory.write({"way": way})
                return self._open_store
            raise AgentNotThere(
                f"No way to xenstore in {self._dom0} works, so {self.vm!r} cannot be reached. {' '.join(refused)} It needs root there, "
                "and for the way 'socket' an sshd that allows AllowStreamLocalForwarding."
            )
        return self._open_store

    def _connected(self, way: str) -> Store:
        """Raises StoreLost; AgentNotThere when ssh itself failed."""
        if way == "commands":
            if not self._options.ssh_host:
                return CommandStore.open(execute, self._dom0)
            return CommandStore.open(t.cast("SshChannel", self._channels[0]).run, self._dom0)
        problems = []
        for channel in self._channels:
            try:
                return WireStore.open(channel, self.connect_timeout)
            except StoreLost as error:
                problems.append(str(error))
        raise StoreLost("; ".join(problems), refused=True)

    def _reconnect(self) -> Store:
        if self._open_store is not None:
            self._open_store.close()
            self._open_store = None
        return self._store

    def _ask(self, question: t.Callable[[Store], t.Any]) -> t.Any:
        """The answer to something that may be asked twice. Raises AgentNotThere, NotPossible."""
        try:
            try:
                return question(self._store)
            except StoreLost:
                return question(self._reconnect())
        except StoreLost as error:
            raise AgentNotThere(f"xenstore in {self._dom0} does not answer for {self.vm!r}: {error}.") from None
        except StoreRefused as error:
            raise self._refusal(error) from None

    def _refusal(self, error: StoreRefused) -> GuestError:
        if str(error) in ("EACCES", "EPERM"):
            return NotPermitted(
                f"xenstore in {self._dom0} refused what {self.vm!r} needs: {error}. It must be dom0, as root."
            )
        return NotPossible(
            f"xenstore in {self._dom0} refused what {self.vm!r} needs: {error}. Nothing was handed over."
        )

    def reset(self) -> None:
        if self._open_store is not None:
            self._open_store.close()
            self._open_store = None
        self._known = None

    # -- which domain ------------------------------------------------------------------------------------------------

    def _domain(self) -> Domain:
        """The domain of the VM as it is now. Raises AgentNotThere when none runs, VmNotThere when it could be several."""
        known = self._known
        if known is not None and self._ask(lambda store: store.domain(known.domid)) == known:
            return known
        domains: list[Domain] = self._ask(lambda store: store.domains())
        found = self._followed(known, domains) if known else self._named(domains)
        if len(found) > 1:
            raise VmNotThere(
                f"{self._dom0} has more than one domain that {self.vm!r} can mean: {' and '.join(map(str, found))}. None was "
                "touched; put the uuid of the right one into chr_vm."
            )
        if not found:
            running = ", ".join(sorted(domain.name for domain in domains)) or "none"
            raise AgentNotThere(
                f"No domain {self.vm!r} runs in {self._dom0}: xenstore has only those that do (here: {running[:300]}). The VM is off, "
                "restarting, or on another host, or chr_vm is none of domid, name and uuid."
            )
        self._known = found[0]
        return found[0]

    def _named(self, domains: list[Domain]) -> list[Domain]:
        """A number is a domid before it is a name."""
        for matches in (
            lambda domain: str(domain.domid) == self.vm,
            lambda domain: domain.name == self.vm,
            lambda domain: bool(_UUID.fullmatch(self.vm)) and domain.uuid.lower() == self.vm.lower(),
        ):
            if found := [domain for domain in domains if matches(domain)]:
                return found
        return []

    @staticmethod
    def _followed(known: Domain, domains: list[Domain]) -> list[Domain]:
        """The VM that was *known*, after it restarted as another domain."""
        return [domain for domain in domains if (domain.vm == known.vm if known.vm else domain.name == known.name)]

    # -- is it there -------------------------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        """By a script that prints a nonce: xenstore itself does not tell whether the router's tools run."""
        deadline = Deadline(timeout or self.connect_timeout)
        domain = self._domain()
        with self._locked(domain, deadline):
            try:
                progress = self._probe(domain, deadline)
            except OutcomeUnknown as error:  # nothing was to be changed
                raise AgentNotThere(str(error)) from None
        if progress.phase is Phase.WAITING:
            raise AgentNotThere(
                f"RouterOS in {self.vm!r} ({domain}) took no notice of a harmless script within {deadline.seconds:g} s; it was "
                "removed again. The router may still be booting, or have no tools for Xen.",
                silent=True,
            )
        if not progress.whole:
            raise AgentNotThere(
                f"{self.vm!r} ({domain}) took a harmless script and did not print within {deadline.seconds:g} s what it should "
                f"({progress.phase.value}, output {progress.output[:80]!r}): is that a RouterOS?",
                silent=True,
            )
        self._proven(domain).write({"domid": domain.domid})

    def _probe(self, domain: Domain, deadline: Deadline) -> Progress:
        running = self._hand_over(domain, provision.probe(), deadline, harmless=True)
        try:
            return self._end(running, deadline)
        finally:
            self._dispose(running)

    def _proven(self, domain: Domain) -> _Memory:
        return _Memory(self._options.runtime_directory, "domain", self._dom0, domain.vm or domain.name)

    def _ready(self) -> Domain:
        """The domain, whose router has shown since it booted that it takes scripts. Raises AgentNotThere."""
        domain = self._domain()
        if self._proven(domain).read().get("domid") != domain.domid:
            self.ping()
        return domain

    def require_routeros(self) -> None:
        """Nothing but a RouterOS prints the nonce of the probe."""
        self._ready()

    # -- scripts -----------------------------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        return self._start(provision.plan(source))

    def start_file(self, name: str) -> Job:
        if not name.strip() or "\0" in name:
            raise InvalidInput(f"guest_file {name!r} is no file name.")
        return self._start(provision.plan(f"/import file-name={quote(name)}".encode()))

    def _start(self, plan: Plan) -> Job:
        domain = self._ready()
        *pieces, last = plan.steps
        with contextlib.ExitStack() as held:
            held.enter_context(self._locked(domain, Deadline(self.connect_timeout)))
            try:
                before = self._put_together(domain, pieces)
                start = datetime.now(UTC)
                running = self._hand_over(domain, last, Deadline(self.connect_timeout), over=before)
            except GuestError:
                self._undo(domain, plan)
                raise
            self._jobs[last.nonce] = (running, plan)
            held.pop_all()  # kept until the job was collected
        return Job(id=last.nonce, start=start, exec_mode=self._store.mode)

    def _put_together(self, domain: Domain, pieces: list[Step]) -> Step | None:
        """Run *pieces* one after the other; the last one, whose text is still in the store.

        Each takes the place of the one before, as a removal in between would be an event of its own.
        """
        before: Step | None = None
        for number, piece in enumerate(pieces, 1):
            running = self._hand_over(domain, piece, Deadline(self.connect_timeout), over=before, harmless=True)
            done = False
            try:
                progress = self._end(running, Deadline(_OWN_STEP))
                done = progress.rc == 0 and progress.whole
                if not done:
                    raise ScriptFailed(
                        f"Piece {number} of {len(pieces)} of the script did not arrive on {self.vm!r} ({progress.phase.value}, "
                        f"{text(progress.output).strip()[:200] or 'no output'}). Nothing of the script was run."
                    )
            finally:
                if done:
                    self._close(running)
                else:
                    self._dispose(running)
            before = piece
        return before

    def _undo(self, domain: Domain, plan: Plan) -> None:
        """Remove the pieces of a script that was not run from the router, as well as that can be."""
        if plan.undo is None:
            return
        with contextlib.suppress(GuestError):
            running = self._hand_over(domain, plan.undo, Deadline(_QUESTION), harmless=True)
            try:
                self._end(running, Deadline(_QUESTION))
            finally:
                self._dispose(running)

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        running, plan = self._jobs.pop(job.id)
        try:
            try:
                progress = self._end(running, Deadline(timeout))
            finally:
                goes_on = self._dispose(running)
            if progress.phase is Phase.WAITING and not goes_on:
                self._undo(running.domain, plan)
        finally:
            self._unlock()
        if progress.phase is Phase.WAITING and not goes_on:
            self._proven(running.domain).write({})
            raise OutcomeUnknown(
                f"RouterOS in {self.vm!r} ({running.domain}) took no notice of the script within {timeout:g} s, though it has taken "
                "one since it booted. The script was removed again; it should not have run, but look at the router."
            )
        if progress.phase is Phase.ENDED and progress.rc is None:
            raise OutcomeUnknown(
                f"The script ended on {self.vm!r} ({running.domain}), and nothing tells whether it went well: there is no status, and "
                f"the output is not whole: {text(progress.output)[-300:]!r}. Look at the router."
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

    # -- one step ----------------------------------------------------------------------------------------------------

    def _hand_over(
        self, domain: Domain, step: Step, deadline: Deadline, *, over: Step | None = None, harmless: bool = False
    ) -> _Running:
        """Write *step* once nothing else runs, in the place of *over*. Raises AgentNotThere, OutcomeUnknown, NotPossible."""
        while True:
            try:
                self._make_way(domain, over, deadline)
                self._settle()
                follower = self._store.follow(domain, [Change(provision.SCRIPT, step.value)])
                return _Running(domain, step, follower, harmless)
            except Busy:
                self._await_turn(domain, deadline)
            except Moved:
                self._known = None
                raise AgentNotThere(
                    f"{self.vm!r} restarted just now ({domain} is gone); nothing was handed over."
                ) from None
            except StoreRefused as error:
                raise self._refusal(error) from None
            except StoreLost as error:
                self._drop()
                running = _Running(domain, step, None, harmless)
                if error.refused:
                    raise AgentNotThere(f"xenstore in {self._dom0} cannot be reached any more: {error}.") from None
                if self._value(running) != step.value:
                    raise OutcomeUnknown(
                        f"The way to xenstore in {self._dom0} broke while a script was handed to {self.vm!r} ({error}), and it is not "
                        "there now. It should not have run, but look at the router; it was not handed over again."
                    ) from None
                return running

    def _value(self, running: _Running) -> str | None:
        try:
            values = self._store.tree(f"{running.domain.path}/{provision.ROOT}/provision")
        except (StoreLost, StoreRefused, GuestError):
            return None
        return values.get("script")

    def _make_way(self, domain: Domain, over: Step | None, deadline: Deadline) -> None:
        """Remove what an earlier script left, and let the guest write. Raises Busy, Moved, StoreLost, StoreRefused."""
        if over:  # all was well with it a moment ago
            self._store.change(domain, [Change(path) for path in _ANSWERS], unless_busy=True)
            return
        owners = self._store.owners(domain)
        values = self._nodes(domain)
        left = values.get(provision.SCRIPT)
        if left and not provision.busy(values):
            # Another controller may be about to collect it; what a toolstack put there for the boot stays longer.
            self._wait_while(domain, lambda seen: seen.get(provision.SCRIPT) == left, min(_GRACE, deadline.remaining))
            values = self._nodes(domain)
        changes = []
        if values.get(provision.SCRIPT):
            changes.append(Change(provision.SCRIPT))
        kept = [path for path in owners if not (changes and path.startswith(provision.SCRIPT))]
        if provision.ROOT not in owners or not all(_writable(owners[path], domain.domid) for path in kept):
            # As after XAPI's set on a running VM, which leaves all of it to dom0; or where the toolstack made none.
            own = (f"n{domain.domid}",)
            if not changes and provision.SCRIPT in owners:
                changes.append(Change(provision.SCRIPT))
                kept = [path for path in kept if not path.startswith(provision.SCRIPT)]
            changes += [Change(path, permissions=own) for path in dict.fromkeys([provision.ROOT, *kept])]
        removed = any(change == Change(provision.SCRIPT) for change in changes)
        if not removed:
            changes += [Change(path) for path in _ANSWERS if path in values]
        if changes:
            self._store.change(domain, changes, unless_busy=True)
        if removed:
            self._touched()

    def _nodes(self, domain: Domain) -> dict[str, str]:
        prefix = f"{provision.ROOT}/provision"
        return {f"{prefix}/{path}": value for path, value in self._store.tree(f"{domain.path}/{prefix}").items()}

    def _wait_while(self, domain: Domain, test: t.Callable[[dict[str, str]], bool], seconds: float) -> bool:
        """Whether *test* no longer holds for the nodes, within *seconds*."""
        deadline = Deadline(seconds)
        follower = self._store.follow(domain, ())
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
            f"{self.vm!r} ({domain}) still runs a script of somebody else after {deadline.seconds:g} s (its status is 'running'), and "
            "takes no other meanwhile. Nothing was handed over. If none runs, remove the status: xenstore-rm "
            f"{domain.path}/{provision.STATUS}",
            silent=True,
        )

    def _end(self, running: _Running, deadline: Deadline) -> Progress:
        """Follow a step to its end, or to *deadline*. Raises OutcomeUnknown."""
        grace: Deadline | None = None
        while True:
            pause = _TAKEN if running.since and not running.emptied else _LOOK
            seen = self._look(running, min(pause, (grace or deadline).remaining), deadline)
            if seen.gone:
                raise OutcomeUnknown(
                    f"{self.vm!r} went down while it ran a script ({running.domain} is gone). Whether the script went through is "
                    "unknown. It was not repeated, and its text was removed as far as the VM came back in time: where a toolstack "
                    "keeps vm-data (XAPI: VM.xenstore_data), look there before the next boot."
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

    def _look(self, running: _Running, timeout: float, deadline: Deadline) -> Seen:
        """Raises OutcomeUnknown when xenstore cannot be reached until *deadline*."""
        while True:
            try:
                if running.follower is None:
                    running.follower = self._store.follow(running.domain, ())
                return running.follower.look(timeout)
            except (StoreLost, StoreRefused, AgentNotThere) as error:
                self._drop()
                running.follower = None
                if deadline.expired:
                    raise OutcomeUnknown(
                        f"The way to xenstore in {self._dom0} broke while {self.vm!r} ran a script, and did not come back: {error}. "
                        "How the script ended is unknown; it was not repeated."
                    ) from None
                time.sleep(min(0.5, deadline.remaining))

    def _empty(self, running: _Running) -> None:
        """Take the text of a script that runs for a while out of the store, so that a restart in its middle cannot run it again."""
        running.since = running.since or time.monotonic()
        if running.emptied or running.harmless or time.monotonic() - running.since < _TAKEN:
            return
        with contextlib.suppress(StoreLost, StoreRefused, Moved, AgentNotThere):
            self._store.change(running.domain, [Change(provision.SCRIPT, "")], unless_busy=False)
            running.emptied = True

    def _close(self, running: _Running) -> None:
        if running.follower is not None:
            running.follower.close()
            running.follower = None

    def _dispose(self, running: _Running) -> bool:
        """Remove a step from the store, whatever became of it. Whether it goes on on the router.

        Then only its text is taken away, so that it does not run at the next boot; the status stays, so that nobody starts
        another script meanwhile. Raises OutcomeUnknown when that cannot be done.
        """
        self._close(running)
        deadline = Deadline(_CLEAN)
        while True:
            try:
                if self._store.domain(running.domain.domid) == running.domain:
                    return self._remove(running)
                return running.harmless or running.emptied or not self._remove_after_restart(running, deadline)
            except (StoreLost, StoreRefused, Moved, AgentNotThere) as error:
                self._drop()
                if deadline.expired:
                    raise OutcomeUnknown(
                        f"The text of a script for {self.vm!r} could not be removed from xenstore in {self._dom0} ({error}), and may run "
                        f"again when the router restarts. Remove it: xenstore-rm {running.domain.path}/{provision.SCRIPT}"
                    ) from None
                time.sleep(min(0.5, deadline.remaining))

    def _remove(self, running: _Running) -> bool:
        """Whether the script goes on. Raises StoreLost, StoreRefused, Moved."""
        values = self._nodes(running.domain)
        if values.get(provision.SCRIPT) not in (running.step.value, ""):
            return False  # another controller's, if any
        try:
            self._store.change(running.domain, [Change(provision.SCRIPT)], unless_busy=True)
        except Busy:
            changes = [Change(provision.SCRIPT, ""), *(Change(path) for path in provision.OUTPUTS)]
            self._store.change(running.domain, changes, unless_busy=False)
            return True
        finally:
            self._touched()
        return False

    def _remove_after_restart(self, running: _Running, deadline: Deadline) -> bool:
        """A toolstack may hand the script to the router once more. Whether the VM came back before *deadline*."""
        while True:
            for domain in self._followed(running.domain, self._store.domains()):
                if self._nodes(domain).get(provision.SCRIPT) == running.step.value:
                    self._store.change(domain, [Change(provision.SCRIPT)], unless_busy=False)
                return True
            if deadline.expired:
                return False
            time.sleep(0.1)

    def _drop(self) -> None:
        if self._open_store is not None:
            self._open_store.close()
            self._open_store = None

    # -- one script at a time ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self, domain: Domain, deadline: Deadline) -> t.Iterator[None]:
        """Tasks of this user wait for one another. Raises AgentNotThere at *deadline*."""
        directory = self._options.runtime_directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / f"chr-xen-{_digest(self._dom0, domain.vm or domain.name)}.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.expired:
                    os.close(lock)
                    raise AgentNotThere(
                        f"Another task still runs a script on {self.vm!r} after {deadline.seconds:g} s, and a router takes one at a "
                        "time. Nothing was handed over.",
                        silent=True,
                    ) from None
                time.sleep(0.02)
        self._lock = lock
        try:
            yield
        finally:
            self._unlock()

    def _unlock(self) -> None:
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

    # -- questions and power -----------------------------------------------------------------------------------------

    def agent_info(self) -> dict[str, t.Any]:
        domain = self._domain()
        version = self._ask(lambda store: store.tree(f"{domain.path}/attr/PVAddons"))
        numbers = [version.get(f"{part}Version") for part in ("Major", "Minor", "Micro", "Build")]
        return {
            "version": ".".join(number for number in numbers if number),
            "commands": {},
            "questions": ["guest-get-osinfo", "guest-get-host-name", "guest-network-get-interfaces"],
            "extra": {"domid": domain.domid, "uuid": domain.uuid},
        }

    def query(self, commands: list[str]) -> dict[str, t.Any]:
        """From a small script; where that does not work, what the router's tools have told xenstore."""
        domain = self._domain()
        answers = _from_tools(self._ask(lambda store: store.tree(domain.path)))
        with contextlib.suppress(OutcomeUnknown, ScriptFailed, ValueError):
            result = self.run(encoded(_SURVEY), _QUESTION)
            if result.rc == 0 and not result.truncated:
                answers |= _from_script(records.parse(result.output))
        return {command: answers[command] for command in commands if command in answers}

    def shutdown(self, mode: str) -> None:
        """With Xen's own request, which the router's kernel or tools take by emptying it."""
        domain = self._domain()
        node = "control/shutdown"
        wanted = {"powerdown": "poweroff", "reboot": "reboot", "halt": "halt"}[mode]
        deadline = Deadline(_QUESTION)
        try:
            self._store.change(domain, [Change(node, wanted)], unless_busy=False)
            while (seen := self._store.tree(f"{domain.path}/control").get("shutdown")) == wanted:
                if deadline.expired:
                    self._store.change(domain, [Change(node, "")], unless_busy=False)
                    raise NotPossible(
                        f"RouterOS in {self.vm!r} ({domain}) took no notice of Xen's request to {wanted} within {deadline.seconds:g} s; "
                        "it was withdrawn. Use method: script."
                    )
                time.sleep(0.05)
        except Moved:
            return
        except StoreRefused as error:
            raise self._refusal(error) from None
        except StoreLost as error:
            self._drop()
            raise OutcomeUnknown(
                f"The way to xenstore in {self._dom0} broke while {self.vm!r} was asked to {wanted}: {error}."
            ) from None
        if seen:
            raise NotPossible(f"Something else asks {self.vm!r} ({domain}) to {seen!r} at the same time.")

    def put(self, source: t.BinaryIO, name: str) -> int:
        self.check_files()
        raise NotImplementedError

    def get(self, name: str, target: t.BinaryIO) -> int:
        self.check_files()
        raise NotImplementedError


# Records as in _routeros.records: one of the system, then one for each interface and one for each address.
_SURVEY = """\
:put "@"
:local say do={ :local t [:tostr $2]; :put ($1 . " " . [:len $t] . ":" . $t) }
$say version [/system resource get version]
$say arch [/system resource get architecture-name]
$say host [/system identity get name]
:foreach i in=[/interface find] do={
:put "@"
$say name [/interface get $i name]
:do { $say mac [/interface get $i mac-address] } on-error={}
}
:foreach i in=[/ip address find] do={
:put "@"
$say on [/ip address get $i interface]
$say address [/ip address get $i address]
}
"""


def _from_script(found: list[dict[str, str]]) -> dict[str, t.Any]:
    system, *others = found
    interfaces: dict[str, dict[str, t.Any]] = {}
    for one in others:
        if "name" in one:
            interfaces[one["name"]] = {"name": one["name"], "hardware-address": one.get("mac"), "ip-addresses": []}
        elif one.get("on") in interfaces:
            address, _slash, prefix = one["address"].partition("/")
            interfaces[one["on"]]["ip-addresses"].append(_address(address, int(prefix or 32)))
    version = system["version"]
    osinfo = {"id": "routeros", "name": "RouterOS", "pretty-name": f"RouterOS {version}", "version": version}
    return {
        "guest-get-osinfo": {**osinfo, "machine": system["arch"]},
        "guest-get-host-name": {"host-name": system["host"]},
        "guest-network-get-interfaces": list(interfaces.values()),
    }


def _from_tools(tree: dict[str, str]) -> dict[str, t.Any]:
    """What XenServer's guest tools write: ``attr/vif/0/ipv4/0`` (before: ``attr/eth0/ip``) and ``data/os_*``."""
    interfaces: dict[str, dict[str, t.Any]] = {}
    for path, value in sorted(tree.items()):
        match = re.fullmatch(r"attr/(?:vif/(\d+)/ipv[46]/\d+|eth(\d+)/(?:ip|ipv6/\d+/addr))", path)
        if match and value:
            number = match[1] or match[2]
            mac = tree.get(f"device/vif/{number}/mac")
            interface = interfaces.setdefault(
                number, {"name": f"vif {number}", "hardware-address": mac, "ip-addresses": []}
            )
            interface["ip-addresses"].append(_address(value, 0))
    answers: dict[str, t.Any] = {"guest-network-get-interfaces": list(interfaces.values())}
    if name := tree.get("data/os_name"):
        answers["guest-get-osinfo"] = {"id": tree.get("data/os_distro", ""), "name": name}
    return answers


def _address(address: str, prefix: int) -> dict[str, t.Any]:
    return {"ip-address": address, "prefix": prefix, "ip-address-type": "ipv6" if ":" in address else "ipv4"}


def _writable(permissions: tuple[str, ...], domid: int) -> bool:
    """Whether the domain may write a node: as its owner, by an entry of its own, or as everybody."""
    owner, *entries = permissions
    own = {entry[0] for entry in entries if entry[1:] == str(domid)}
    return owner[1:] == str(domid) or bool((own or {owner[0]}) & {"w", "b"})


class _Memory:
    """A small thing to know of a dom0 or a domain for the next task, in a file of this user alone. No secrets are in it."""

    def __init__(self, directory: Path, *key: str) -> None:
        self._path = directory / f"chr-xen-{_digest(*key)}.json"

    def read(self) -> dict[str, t.Any]:
        try:
            content = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def write(self, content: dict[str, t.Any]) -> None:
        """Best effort: without the file, the next task finds out again."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, beside = tempfile.mkstemp(dir=self._path.parent, prefix=".chr-xen-")  # mode 0600
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file)
            Path(beside).replace(self._path)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
