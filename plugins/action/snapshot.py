# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import switching
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import failure
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.readiness import wait_for_agent
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible, NotQuiesced
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import (
    SnapshotResult,
    Snapshots,
    take_if_possible,
)


class ActionModule(GuestAction):
    """Take a snapshot of the router's VM, or remove one."""

    SPEC = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "name": {"type": "str", "required": True},
        "description": {"type": "str", "default": ""},
        "quiesce": {"type": "bool", "default": True},
        "on_unquiesced": {"type": "str", "choices": ["remove", "fail", "warn"], "default": "remove"},
        "timeout": {"type": "float", "default": 600.0},
        **switching.RESTART,
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        deadline = Deadline(positive_seconds("timeout", arguments["timeout"]))
        snapshots = guest.snapshots()
        name = arguments["name"]
        snapshots.check_name(name)
        listed = snapshots.listed()
        if name in listed and (unfinished := listed[name].unfinished):
            raise NotPossible(
                f"The snapshot {name!r} of {guest.vm!r} is not a whole one: {unfinished}. Nothing was done."
            )
        before = {one for one, details in listed.items() if not details.unfinished}
        present = arguments["state"] == "present"
        result: dict[str, t.Any] = {"changed": present != (name in before), "name": name, "snapshots": sorted(before)}
        if not result["changed"]:
            return result
        if present:
            result |= self._take(guest, snapshots, arguments, deadline)
        elif not self._task.check_mode:
            snapshots.remove(name, deadline)
        if result["changed"]:
            after = {*before, name} if present else before - {name}
            if not self._task.check_mode and not result.get("failed"):
                after = set(snapshots.descriptions())
                if present != (name in after):
                    raise NotPossible(
                        f"The hypervisor says that the snapshot {name!r} of {guest.vm!r} was {'taken' if present else 'removed'}, "
                        f"but {'does not list' if present else 'still lists'} it. Look at it there."
                    )
            result["snapshots"] = sorted(after)
            if self._task.diff:
                result["diff"] = {"before": _lines(before), "after": _lines(after)}
        return result

    def _take(
        self, guest: Guest, snapshots: Snapshots, arguments: dict[str, t.Any], deadline: Deadline
    ) -> dict[str, t.Any]:
        name, description, quiesce = arguments["name"], arguments["description"], arguments["quiesce"]
        tolerant = not quiesce or arguments["on_unquiesced"] == "warn"
        why = snapshots.why_not_quiesced() if quiesce else None
        if why and not tolerant:
            raise NotQuiesced(f"No snapshot of {guest.vm!r} was taken, because it would not be quiesced: {why}.")
        if self._task.check_mode:
            return {"quiesced": quiesce and not why}
        if tolerant:
            taken, unquiesced = take_if_possible(snapshots, name, description, quiesce and not why, deadline)
        else:
            taken = snapshots.create(name, description, quiesce, deadline)
            unquiesced = taken.unquiesced
        self._so_far["changed"] = True
        why = why or unquiesced
        result: dict[str, t.Any] = {"quiesced": quiesce and not why, "warnings": []}
        if taken.trouble:
            result["warnings"].append(taken.trouble)
        if not quiesce:
            why = None
        if taken.still_frozen and arguments["restart"]:
            self._reset(guest, arguments)
            result["restarted"] = True
            result["warnings"].append(f"{guest.vm!r} was reset, because it stayed frozen (restart: true).")
        if (taken.still_frozen and not arguments["restart"]) or (why and not tolerant):
            return result | self._failed(guest, snapshots, arguments, taken, why, deadline)
        if why:
            result["warnings"].append(f"The snapshot {name!r} of {guest.vm!r} is not quiesced: {why}.")
        return result

    def _reset(self, guest: Guest, arguments: dict[str, t.Any]) -> None:
        """Reset a router that stays frozen. It may be unable to write, and so to shut down."""
        deadline = Deadline(positive_seconds("restart_timeout", arguments["restart_timeout"]))
        switching.order(guest, guest.power(), "reset", deadline)
        wait_for_agent(guest, deadline)

    def _failed(
        self,
        guest: Guest,
        snapshots: Snapshots,
        arguments: dict[str, t.Any],
        taken: SnapshotResult,
        why: str | None,
        deadline: Deadline,
    ) -> dict[str, t.Any]:
        """Return the result of a task that failed after a snapshot was taken."""
        name = arguments["name"]
        kept = "It is kept."
        changed = True
        if why and arguments["on_unquiesced"] == "remove":
            try:
                snapshots.remove(name, deadline)
                kept, changed = "It was removed again.", False
            except ChrError as error:
                kept = f"It could not be removed again: {error}"
        state = f"is not quiesced: {why}" if why else "was taken"
        words = [f"The snapshot {name!r} of {guest.vm!r} {state}. {kept}", taken.trouble or ""]
        return {**failure(" ".join(words).strip(), NotQuiesced), "changed": changed}


def _lines(names: t.Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in sorted(names))
