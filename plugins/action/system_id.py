# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible_collections.outofband.chr.plugins.module_utils._routeros.licence import Reading, must_keep_id
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest, failure
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._licence import LicenceAction, lines

_COMMAND = b"/system license generate-new-id"
_COMMAND_TIMEOUT = 30.0  # seconds; whether it asks or restarts the router is not known
_PAUSE = 1.0


class ActionModule(LicenceAction):
    """Give the router a new system id, always or where another router of the play has the same."""

    SPEC = {
        "state": {"type": "str", "choices": ["unique", "regenerated"], "default": "unique"},
        "timeout": {"type": "float", "default": 120.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = positive_seconds("timeout", arguments["timeout"])
        if self._task.check_mode and not guest.capabilities.live:
            return {
                "changed": arguments["state"] == "regenerated",
                "msg": f"The system id of {guest.vm!r} cannot be read without a boot, which check mode does without.",
            }
        before = self.reading(guest)
        result = self._result(guest, before, before)
        keeper = self._keeper(before.licence.system_id) if arguments["state"] == "unique" else None
        result["duplicate_of"] = keeper
        if arguments["state"] == "unique" and keeper is None:
            return result
        if reason := must_keep_id(before.licence):
            twin = f"It has the same system id as {keeper}. " if keeper else ""
            raise NotPossible(f"The system id of {guest.vm!r} was left alone. {twin}{reason}")
        if self._task.check_mode:
            result["changed"] = True
            return result
        after = self._regenerate(guest, before, timeout)
        return {**self._result(guest, before, after), "duplicate_of": keeper}

    def _keeper(self, own: str) -> str | None:
        """The router before this one in the play that has the id *own* and keeps it. Raises InvalidInput.

        All hosts judge by what license_info told before, so they agree, whatever they do meanwhile.
        """
        me = self._task_vars["inventory_hostname"]
        hosts = list(self._task_vars.get("ansible_play_hosts_all") or [me])
        known = {host: self._known_id(host) for host in hosts}
        if known.get(me) is None:
            raise InvalidInput(
                "state unique compares system ids that outofband.chr.license_info has read: run it for all hosts of the play in "
                "an earlier task."
            )
        if known[me] != own:
            return None  # it has got another one since
        return next((host for host in hosts[: hosts.index(me)] if known[host] == own), None)

    def _known_id(self, host: str) -> str | None:
        facts = self._task_vars["hostvars"][host].get("ansible_facts") or {}
        known = facts.get("chr_license") or {}
        return known.get("system_id")

    def _regenerate(self, guest: Guest, before: Reading, timeout: float) -> Reading:
        """Have a new id made, and read it. Raises OutcomeUnknown, ScriptFailed."""
        deadline = Deadline(timeout)
        said = ""
        try:
            result = guest.run(_COMMAND, min(timeout, _COMMAND_TIMEOUT))
            if result.rc not in (0, None):
                said = failure(guest, result, timeout)
        except OutcomeUnknown as error:  # it may restart
            said = str(error)
        after = None
        while True:
            try:
                after = self.reading(guest)
                if after.licence.system_id != before.licence.system_id:
                    break
            except (AgentNotThere, ScriptFailed, OutcomeUnknown) as error:
                said = str(error)
            if deadline.expired or not guest.capabilities.live:
                break
            time.sleep(min(_PAUSE, deadline.remaining))
        if after is None:
            raise OutcomeUnknown(
                f"{guest.vm!r} was told to make a new system id, and its licence cannot be read since: {said} Look at it there "
                "(/system license print)."
            )
        if after.licence.system_id == before.licence.system_id:
            raise ScriptFailed(
                f"{guest.vm!r} was told to make a new system id, and still shows {after.licence.system_id} after {timeout:g} s. "
                f"Whether it takes a reboot is not known: look again after one (outofband.chr.power). {said}".strip()
            )
        if not after.licence.free:
            raise ScriptFailed(
                f"{guest.vm!r} has the new system id {after.licence.system_id}, and its level is {after.licence.level} instead of "
                "free. Look at it there and in the account at mikrotik.com."
            )
        return after

    def _result(self, guest: Guest, before: Reading, after: Reading) -> dict[str, t.Any]:
        result = self.report(guest, after)
        result |= {
            "changed": after.licence.system_id != before.licence.system_id,
            "before": {"system_id": before.licence.system_id},
            "system_id": after.licence.system_id,
        }
        if self._task.diff:
            old = {**result["license"], "system_id": before.licence.system_id}
            result["diff"] = {"before": lines(old), "after": lines(result["license"])}
        return result
