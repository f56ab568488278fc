# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Snapshots of Proxmox VE.

Proxmox VE freezes the guest by itself when the VM runs, the snapshot includes no memory, the agent
is enabled, ``freeze-fs`` is not 0 and the agent answers a ping. What went wrong is at most in the
task's log, whose words changed often (qemu-server 6.2 to 9.2.6). Up to 9.0.22 there is nothing
about an agent that refuses to freeze or thaw. From 9.1.10 on, a line says why nothing was frozen.

So the agent is asked after each snapshot. Where the log may hide a refused freeze, this module
freezes before Proxmox VE does, and sees the answer. Proxmox VE thaws there in any case.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from urllib.parse import quote

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    InvalidInput,
    NotPossible,
    NotQuiesced,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import (
    ListedSnapshot,
    SnapshotResult,
    Snapshots,
    thaw,
)

from . import privileges
from .agent_option import on, parse
from .api import ApiError, Ask
from .machine import ProxmoxMachine
from .tasks import Ended, finish

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,39}")
_RESERVED = ("current", "pending")
# Lines that say why nothing was frozen, and that this is not a failure.
_SKIPPED = re.compile(r"skipping guest filesystem freeze|QEMU Guest Agent is not running")
_WAITING = re.compile(r"still waiting on guest fs freeze")
# The words of qemu-server up to 9.2.6, and for later versions anything that reports trouble with
# freezing.
_KNOWN = re.compile(r"guest-fsfreeze-(freeze|thaw) problems|unable to freeze guest fs")
_FREEZING = re.compile(r"freez|frozen|thaw|guest.agent", re.IGNORECASE)
_TROUBLE = re.compile(r"problem|fail|error|unable|timeout|timed out|warn|skip|not running|cannot|can't", re.IGNORECASE)
_LOG_TELLS = (9, 1)  # the version from which the log tells that the agent refused
_ONCE = 0.5  # seconds for an agent that may not be there


class ProxmoxSnapshots(Snapshots):
    """The snapshots of *vm*."""

    reverts = True

    def __init__(self, vm: ProxmoxMachine) -> None:
        self._vm = vm

    def listed(self) -> dict[str, ListedSnapshot]:
        answer = self._vm.machine(lambda vm: vm.snapshot.get())
        try:
            return {
                str(one["name"]): ListedSnapshot(
                    str(one.get("description") or "").rstrip("\n"), _unfinished(one.get("snapstate"))
                )
                for one in answer
                if one["name"] != "current"  # the VM as it is now
            }
        except (AttributeError, KeyError, TypeError):
            raise ChrError(f"{self._vm.api.where} answered without a list of snapshots.") from None

    def check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise InvalidInput(
                f"{name!r} is not a valid snapshot name for Proxmox VE: use 2 to 40 letters, digits, '-' and '_', "
                "beginning with a letter, and not 'current' or 'pending'."
            )

    def why_not_quiesced(self) -> str | None:
        if not self._running():
            return None
        if why := self._why_never_frozen():
            return why
        try:
            self._vm.agent("POST", "ping")
            if self._vm.is_frozen():
                return f"the file systems of {self._vm} are frozen already (thaw them: fsfreeze-thaw)"
        except (Unreachable, AgentRefused, NotPossible) as error:
            return f"its agent cannot be asked to: {str(error).rstrip('.')}"
        return None

    def create(self, name: str, description: str, quiesce: bool, deadline: Deadline) -> SnapshotResult:
        def take() -> Ended:
            return self._task(lambda vm: vm.snapshot.post(snapname=name, description=description), deadline)

        if quiesce and (why := self.why_not_quiesced()):
            raise NotQuiesced(f"No snapshot of {self._vm} was taken: {why}.")
        running = self._running()
        asked = running and not self._why_never_frozen()
        before = self._was_frozen() if asked and not quiesce else None
        held = quiesce and running and self._vm.version < _LOG_TELLS
        if held:
            self._freeze()
        try:
            ended = take()
        except ChrError as error:
            if held and (after := self._thaw()[1]):
                error.args = (f"{error} {after}",)  # the same error, with what became of the guest
            raise
        skipped = [line for line in ended.log if _SKIPPED.search(line) and not (held and "already frozen" in line)]
        freezing = [line for line in ended.log if not _SKIPPED.search(line) and _speaks_of_freezing(line, name)]
        thawed, after = True, ""
        if before:
            after = f"The file systems of {self._vm} were frozen before the snapshot, and were left as they are."
        elif asked and not skipped:
            thawed, after = self._thaw()
        if not ended.done:
            raise NotPossible(
                f"The snapshot {name!r} of {self._vm} failed: {ended.exitstatus}. {'; '.join(freezing)} {after}".strip()
            )
        unquiesced = None
        if skipped:
            unquiesced = f"Proxmox VE did not freeze its file systems: {'; '.join(skipped)}"
        elif not held and not all("thaw" in line.lower() for line in freezing):
            unquiesced = f"Proxmox VE could not freeze its file systems: {'; '.join(freezing)}"
        elif freezing:
            after = f"Proxmox VE could not freeze or thaw it: {'; '.join(freezing)}. {after}".strip()
        told = [after] if after else []
        if warnings := [line for line in ended.log if line.startswith("WARN") and line not in freezing]:
            told.append(f"Proxmox VE warned: {'; '.join(warnings)}")
        return SnapshotResult(unquiesced, " ".join(told) or None, still_frozen=not thawed)

    def remove(self, name: str, deadline: Deadline) -> None:
        ended = self._task(lambda vm: vm.snapshot(quote(name, safe="")).delete(), deadline)
        if not ended.done:
            raise NotPossible(f"The snapshot {name!r} of {self._vm} was not removed: {ended.exitstatus}.")

    def revert(self, name: str, deadline: Deadline) -> None:
        ended = self._task(lambda vm: vm.snapshot(quote(name, safe="")).rollback.post(), deadline)
        if not ended.done:
            raise NotPossible(f"{self._vm} did not go back to the snapshot {name!r}: {ended.exitstatus}.")

    def _task(self, ask: Ask, deadline: Deadline) -> Ended:
        try:
            upid = self._vm.machine(ask, changes=True, privilege=privileges.SNAPSHOT.name)
        except ApiError as error:
            raise NotPossible(f"{error}. Nothing was started.") from error
        return finish(self._vm.api, upid, deadline)

    # -- the guest ---------------------------------------------------------------------------------

    def _running(self) -> bool:
        return self._vm.state() == "running"

    def _config(self) -> dict[str, t.Any]:
        config = self._vm.machine(lambda vm: vm.config.get(current=1))
        if not isinstance(config, dict):
            raise ChrError(f"{self._vm.api.where} answered without a configuration of {self._vm}.")
        return config

    def _why_never_frozen(self) -> str | None:
        """The option of the VM because of which Proxmox VE does not freeze it. None if it does."""
        agent = parse(str(self._config().get("agent", "0")))
        if not on(agent.get("enabled", "0")):
            return f"the guest agent is not enabled in the options of {self._vm} (agent: 1)"
        switches = ["freeze-fs", "guest-fsfreeze"]
        if self._vm.version >= (9, 1):
            switches.append("freeze-fs-on-backup")  # before, it was about backups only
        for switch in switches:
            if not on(agent.get(switch, "1")):
                return f"freezing is switched off in the options of {self._vm} (agent: ...,{switch}=0)"
        return None

    def _was_frozen(self) -> bool | None:
        """Whether the guest is frozen now. None if its agent does not tell. Raises NotPermitted."""
        try:
            return self._vm.is_frozen(_ONCE)
        except (Unreachable, AgentRefused, NotPossible, ApiError):
            return None

    def _freeze(self) -> None:
        """Freeze the guest. Raises NotQuiesced, after a thaw, if it is not frozen then."""
        refused: ChrError | None = None
        try:
            self._vm.agent("POST", "fsfreeze-freeze", changes=True)
            if self._vm.is_frozen():
                return
        except (AgentRefused, ApiError, NotPossible, OutcomeUnknown, Unreachable) as error:
            refused = error
        after = self._thaw()[1]
        said = str(refused or "it took the order, and says that nothing is frozen").rstrip(".")
        raise NotQuiesced(f"No snapshot of {self._vm} was taken: its agent does not freeze: {said}. {after}".rstrip())

    def _thaw(self) -> tuple[bool, str]:
        vm = self._vm

        def order() -> None:
            with contextlib.suppress(ApiError):
                vm.agent("POST", "fsfreeze-thaw", changes=True)

        return thaw(str(vm), vm.is_frozen, order, "'qm guest cmd <vmid> fsfreeze-thaw' on the node")


def _unfinished(state: t.Any) -> str | None:
    """Why a snapshot in this ``snapstate`` does not count. None without one."""
    if not state:
        return None
    return (
        f"Proxmox VE shows it with snapstate: {state}. It is being made or removed now, or a task that failed has left it; "
        "the VM is locked then. Look at the last tasks of the VM. If none runs, 'qm unlock <vmid>' and "
        "'qm delsnapshot <vmid> <name> --force' on the node remove what is left"
    )


def _speaks_of_freezing(line: str, name: str) -> bool:
    """Whether a line of the log is about trouble with freezing.

    The snapshot's name, which may be any word, does not count.
    """
    rest = re.sub(rf"(?<![A-Za-z0-9-]){re.escape(name)}(?![A-Za-z0-9-])", "", line)
    if _WAITING.search(line):
        return False  # how it ended is in another line
    return bool(_KNOWN.search(line) or (_FREEZING.search(rest) and _TROUBLE.search(rest)))
