# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._bridge import client
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest


class ActionModule(GuestAction):
    """Open or close a local endpoint of the RouterOS API for the router."""

    SPEC = {
        "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
        "timeout": {"type": "float"},
        "idle_timeout": {"type": "float", "default": 600.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        options = from_options(self._connection.option_values())
        timeout = self.script_timeout(arguments)
        idle_timeout = positive_seconds("idle_timeout", arguments["idle_timeout"])
        if arguments["state"] == "stopped":
            stopped = client.stop(self.router_name, options.runtime_directory, timeout)
            return {"changed": False, "stopped": stopped}
        _check(guest)
        endpoint = client.start(self.router_name, options, timeout, idle_timeout)
        # The password is for the next tasks, not for the terminal. In a loop, some callbacks of
        # ansible-core 2.18 show it unless the task says so, too.
        self._task.no_log = True
        return {"changed": False, **endpoint, "tls": False, "_ansible_no_log": True}


def _check(guest: Guest) -> None:
    """Raise NotPossible if commands cannot be carried to the router and answered."""
    if not guest.capabilities.output:
        raise NotPossible(
            f"Backend {guest.backend} returns no output of a script, so the API of {guest.vm!r} could not answer anything. "
            "Nothing was started. Use outofband.chr.script, facts and copy, which work there."
        )
    if not guest.capabilities.runs_without_restart:
        raise NotPossible(
            f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so every command of the API would "
            "restart the router. Nothing was started. Reach it with chr_backend: xenstore through its dom0."
        )
