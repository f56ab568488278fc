# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import AgentNotThere


class ActionModule(GuestAction):
    """Wait until the agent answers."""

    SPEC = {"timeout": {"type": "float", "default": 300.0}}

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "There is nothing to wait for in check mode."}
        began = time.monotonic()
        tries = wait_for_agent(guest, Deadline(positive_seconds("timeout", arguments["timeout"])))
        return {"changed": False, "elapsed": round(time.monotonic() - began, 3), "tries": tries}


def wait_for_agent(guest: Guest, deadline: Deadline) -> int:
    """Ping until it works, at least once; the number of tries. Raises AgentNotThere with what was seen last."""
    tries = 0
    while True:
        tries += 1
        try:
            guest.ping(min(guest.connect_timeout, max(deadline.remaining, 1.0)))
            return tries
        except AgentNotThere as error:
            if deadline.expired:
                raise AgentNotThere(
                    f"No guest agent within {deadline.seconds:g} s, after {tries} tries. The last: {error}"
                ) from error
            time.sleep(min(0.5, deadline.remaining))
