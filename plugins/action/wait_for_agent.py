# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.readiness import (
    has_interfaces,
    wait_for_agent,
    wait_until_ready,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.source import script


class ActionModule(GuestAction):
    """Wait until the agent answers, and until the router is ready."""

    SPEC = {
        "timeout": {"type": "float", "default": 300.0},
        "until": {"type": "str"},
        "interfaces": {"type": "raw"},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        deadline = Deadline(positive_seconds("timeout", arguments["timeout"]))
        wanted = has_interfaces(arguments["interfaces"])
        if arguments["until"] is not None:
            until = script(arguments["until"], "until").decode().strip()
            if not until:
                raise InvalidInput("until is empty. Give it a RouterOS expression that is true or false.")
            wanted[f"until ({until}) is not true"] = until
        if wanted and not guest.capabilities.runs_without_restart:
            raise NotPossible(
                f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so until and interfaces cannot be "
                "asked there. Leave them out."
            )
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "In check mode the task does not wait."}
        began = time.monotonic()
        tries = wait_for_agent(guest, deadline, login=True)
        wait_until_ready(guest, wanted, deadline)
        return {"changed": False, "elapsed": round(time.monotonic() - began, 3), "tries": tries}
