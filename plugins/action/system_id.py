# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.license import LicenseAction, lines
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.router_hosts import is_router
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import Reading, must_keep_id
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.system_ids import (
    Decision,
    Foreign,
    KnownRouter,
    decide,
    from_report,
    known,
)

_COMMAND = b"/system license generate-new-id"
_COMMAND_TIMEOUT = 30.0  # seconds; it is not known whether the command asks a question or restarts the router
_PAUSE = 1.0
_NAMED = 10  # routers that a warning names


class ActionModule(LicenseAction):
    """Make a new system id, always or if another router of the play has the same one."""

    SPEC = {
        "state": {"type": "str", "choices": ["unique", "regenerated"], "default": "unique"},
        "registered": {"type": "str"},
        "report": {"type": "path"},
        "timeout": {"type": "float", "default": 120.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = positive_seconds("timeout", arguments["timeout"])
        if self._task.check_mode and not guest.capabilities.runs_without_restart:
            return {
                "changed": arguments["state"] == "regenerated",
                "msg": f"The system id of {guest.vm!r} was not read: that needs a boot, which check mode does not do.",
            }
        before = self.reading(guest)
        result = self._result(guest, before, before)
        decision, warnings = Decision(None, ()), []
        if arguments["state"] == "unique":
            decision, warnings = self._compared(before.license.system_id, arguments)
        keeper = decision.keeper
        compared = {"duplicate_of": keeper, "same_vm_as": list(decision.aliases)}
        result |= compared
        result["warnings"] += warnings
        if arguments["state"] == "unique" and keeper is None:
            return result
        if reason := must_keep_id(before.license):
            twin = f"It has the same system id as {keeper}. " if keeper else ""
            raise NotPossible(f"The system id of {guest.vm!r} was not changed. {twin}{reason}")
        if self._task.check_mode:
            result["changed"] = True
            return result
        after = self._regenerate(guest, before, timeout)
        result = {**self._result(guest, before, after), **compared}
        result["warnings"] += warnings
        return result

    def _compared(self, own: str, arguments: dict[str, t.Any]) -> tuple[Decision, list[str]]:
        """Compare the id *own* with those that were read before, and return warnings, too.

        All hosts go by what license_info returned before, so they agree, whatever they do
        meanwhile. Raises InvalidInput.
        """
        me = self._task_vars["inventory_hostname"]
        hosts = list(self._task_vars.get("ansible_play_hosts_all") or [me])
        try:
            mine = self._known(me, arguments["registered"])
        except Foreign as error:
            raise InvalidInput(f"{error} Nothing was changed.") from None
        if mine is None:
            raise InvalidInput(
                "state unique compares system ids that outofband.chr.license_info has read: run it for all hosts of the play in "
                "an earlier task."
            )
        play, elsewhere, unknown = [], [], []
        reported = {one.name: one for one in self._reported(arguments["report"]) if one.name not in hosts}
        for host in dict.fromkeys((*hosts, *self._task_vars.get("groups", {}).get("all", []))):
            inside = host in hosts
            try:
                found = self._known(host, arguments["registered"] if inside else None)
            except Foreign:
                found = None
            found = found or reported.get(host)
            if found:
                (play if inside else elsewhere).append(found)
            elif inside or is_router(self._task_vars["hostvars"][host]):
                unknown.append(host)
        elsewhere += [one for name, one in reported.items() if one not in elsewhere]
        decision = Decision(None, ())
        if mine.system_id == own:  # otherwise it has had another one since
            decision = decide(mine, play, elsewhere)
        warnings = []
        if decision.aliases:
            warnings.append(
                f"{me!r} is the same VM as {', '.join(map(repr, decision.aliases))} ({mine.identity}), so their system ids are "
                "one. Keep one of the names in the inventory."
            )
        if unknown:
            names = ", ".join(unknown[:_NAMED]) + (", ..." if len(unknown) > _NAMED else "")
            warnings.append(
                f"Not compared, because their system ids are not known here: {len(unknown)} routers of the inventory ({names}). "
                "Run the play without --limit, keep facts in a cache, or name the last report (report)."
            )
        return decision, warnings

    def _known(self, host: str, registered: str | None) -> KnownRouter | None:
        """Return what was read before from *host*. Raises Foreign."""
        variables = self._task_vars["hostvars"][host]
        if registered:
            return known(host, (variables.get(registered) or {}).get("license"))
        return known(host, (variables.get("ansible_facts") or {}).get("chr_license"))

    def _reported(self, report: str | None) -> list[KnownRouter]:
        """Return the routers of a report of license_report. Raises InvalidInput."""
        if report is None:
            return []
        path = Path(self._loader.path_dwim(report))
        try:
            return from_report(loads(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"report {str(path)!r} cannot be read as a JSON report of outofband.chr.license_report: {error}. Nothing was "
                "changed."
            ) from error

    def _regenerate(self, guest: Guest, before: Reading, timeout: float) -> Reading:
        """Let the router make a new id, and read it. Raises OutcomeUnknown, ScriptFailed."""
        deadline = Deadline(timeout)
        said = ""
        try:
            result = guest.run(_COMMAND, min(timeout, _COMMAND_TIMEOUT))
            if result.rc not in (0, None):
                said = guest.failure(result, timeout)
        except OutcomeUnknown as error:  # it may restart
            said = str(error)
        after = None
        while True:
            try:
                after = self.reading(guest)
                if after.license.system_id != before.license.system_id:
                    break
            except (Unreachable, ScriptFailed, OutcomeUnknown) as error:
                said = str(error)
            if deadline.expired or not guest.capabilities.runs_without_restart:
                break
            time.sleep(min(_PAUSE, deadline.remaining))
        if after is None:
            raise OutcomeUnknown(
                f"{guest.vm!r} was told to make a new system id, but its license could not be read since: {said} Check it on the "
                "router (/system license print)."
            )
        if after.license.system_id == before.license.system_id:
            raise ScriptFailed(
                f"{guest.vm!r} was told to make a new system id, but still shows {after.license.system_id} after {timeout:g} s. "
                f"A reboot may be needed: check again after one (outofband.chr.power). {said}".strip()
            )
        if not after.license.free:
            raise ScriptFailed(
                f"{guest.vm!r} has the new system id {after.license.system_id}, but its level is {after.license.level} instead of "
                "free. Check it on the router and in the account at mikrotik.com."
            )
        return after

    def _result(self, guest: Guest, before: Reading, after: Reading) -> dict[str, t.Any]:
        result = self.report(guest, after)
        result |= {
            "changed": after.license.system_id != before.license.system_id,
            "before": {"system_id": before.license.system_id},
            "system_id": after.license.system_id,
        }
        if self._task.diff:
            old = {**result["license"], "system_id": before.license.system_id}
            result["diff"] = {"before": lines(old), "after": lines(result["license"])}
        return result
