# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Snapshots of Proxmox VE, which freezes the guest by itself and tells of trouble with that only in the task's log.

It freezes when the VM runs, the snapshot has no memory in it, the agent is enabled, ``freeze-fs`` is not 0, the agent answers a
ping, and nothing is frozen already (qemu-server up to 9.2.6). Where one of these is not so, it says nothing at all.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from urllib.parse import quote

from ..deadline import Deadline
from ..errors import AgentNotThere, AgentRefused, GuestError, InvalidInput, NotPossible
from ..snapshots import Snapshots, Taken, thaw
from .api import ApiError
from .tasks import Ended, finish
from .vm import Vm

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,39}")
_RESERVED = ("current", "pending")
# The words of qemu-server up to 9.2.6, and for versions to come whatever speaks of trouble with freezing.
_KNOWN = re.compile(r"guest-fsfreeze-(freeze|thaw) problems")
_FREEZING = re.compile(r"freez|frozen|thaw|guest.agent", re.IGNORECASE)
_TROUBLE = re.compile(r"problem|fail|error|unable|timeout|timed out|warn|skip|not running|cannot|can't", re.IGNORECASE)
_PRIVILEGE = "VM.Snapshot"


class ProxmoxSnapshots(Snapshots):
    """The snapshots of *vm*."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm

    def listed(self) -> dict[str, str]:
        answer = self._vm.machine("GET", "snapshot")
        try:
            return {
                str(one["name"]): str(one.get("description") or "").rstrip("\n")
                for one in answer
                if one["name"] != "current"  # the VM as it is now
            }
        except (AttributeError, KeyError, TypeError):
            raise GuestError(f"{self._vm.api.where} answered with no list of snapshots.") from None

    def check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise InvalidInput(
                f"Proxmox VE takes no snapshot name {name!r}: 2 to 40 letters, digits, '-' and '_', beginning with a "
                "letter, and not 'current' or 'pending'."
            )

    def obstacle(self) -> str | None:
        if not self._running():
            return None
        agent = _options(str(self._config().get("agent", "0")), "enabled")
        if not _on(agent.get("enabled", "0")):
            return f"the guest agent is not enabled in the options of {self._vm} (agent: 1)"
        switches = ["freeze-fs", "guest-fsfreeze"]
        if self._vm.version >= (9, 1):
            switches.append("freeze-fs-on-backup")  # before, it was about backups only
        for switch in switches:
            if not _on(agent.get(switch, "1")):
                return f"freezing is switched off in the options of {self._vm} (agent: ...,{switch}=0)"
        try:
            self._vm.agent("POST", "ping")
            if self._frozen():
                return f"the file systems of {self._vm} are frozen already (thaw them: fsfreeze-thaw)"
        except (AgentNotThere, AgentRefused, NotPossible) as error:
            return f"its agent cannot be asked to: {str(error).rstrip('.')}"
        return None

    def create(self, name: str, description: str, quiesce: bool, deadline: Deadline) -> Taken:
        del quiesce  # Proxmox VE freezes whenever it can
        running = self._running()
        ended = self._task("POST", "snapshot", {"snapname": name, "description": description}, deadline)
        freezing = [line for line in ended.log if _speaks_of_freezing(line, name)]
        thawed, after = self._thaw() if running and (freezing or not ended.done) else (True, "")
        if not ended.done:
            raise NotPossible(
                f"The snapshot {name!r} of {self._vm} failed: {ended.exitstatus}. {'; '.join(freezing)} {after}".strip()
            )
        if not freezing:
            warnings = "; ".join(line for line in ended.log if line.startswith("WARN"))
            return Taken(trouble=f"Proxmox VE warned: {warnings}" if warnings else None)
        words = "; ".join(freezing)
        only_thawing = all("thaw" in line.lower() for line in freezing)
        return Taken(
            unquiesced=None if only_thawing else f"Proxmox VE could not freeze its file systems: {words}",
            trouble=f"Proxmox VE could not thaw it: {words}. {after}".strip() if only_thawing else after or None,
            still_frozen=not thawed,
        )

    def remove(self, name: str, deadline: Deadline) -> None:
        ended = self._task("DELETE", f"snapshot/{quote(name, safe='')}", None, deadline)
        if not ended.done:
            raise NotPossible(f"The snapshot {name!r} of {self._vm} was not removed: {ended.exitstatus}.")

    def _task(self, method: str, what: str, values: dict[str, t.Any] | None, deadline: Deadline) -> Ended:
        try:
            upid = self._vm.machine(method, what, values, changes=True, privilege=_PRIVILEGE)
        except ApiError as error:
            raise NotPossible(f"{error}. Nothing was started.") from error
        return finish(self._vm.api, upid, deadline)

    # -- the guest ---------------------------------------------------------------------------------------------------

    def _running(self) -> bool:
        status = self._vm.machine("GET", "status/current")
        return isinstance(status, dict) and status.get("status") == "running"

    def _config(self) -> dict[str, t.Any]:
        config = self._vm.machine("GET", "config", {"current": 1})
        if not isinstance(config, dict):
            raise GuestError(f"{self._vm.api.where} answered with no configuration of {self._vm}.")
        return config

    def _frozen(self) -> bool:
        answer = self._vm.agent("POST", "fsfreeze-status")
        return isinstance(answer, dict) and answer.get("result") == "frozen"

    def _thaw(self) -> tuple[bool, str]:
        vm = self._vm

        def order() -> None:
            with contextlib.suppress(ApiError):
                vm.agent("POST", "fsfreeze-thaw", changes=True)

        return thaw(str(vm), self._frozen, order, "'qm guest cmd <vmid> fsfreeze-thaw' on the node")


def _speaks_of_freezing(line: str, name: str) -> bool:
    """Whether a line of the log is about trouble with freezing; the snapshot's name, which may be any word, does not count."""
    rest = re.sub(rf"(?<![A-Za-z0-9-]){re.escape(name)}(?![A-Za-z0-9-])", "", line)
    return bool(_KNOWN.search(line) or (_FREEZING.search(rest) and _TROUBLE.search(rest)))


def _options(text: str, default: str) -> dict[str, str]:
    """``1,freeze-fs=0`` as a dictionary; a word without a name is that of *default*."""
    pairs = [word.partition("=") for word in text.split(",") if word]
    return {(name if equals else default): (value if equals else name) for name, equals, value in pairs}


def _on(value: str) -> bool:
    return value.strip().lower() in ("1", "on", "yes", "true")
