# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.gather import SPEC, Gatherer
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest


class ActionModule(GuestAction):
    """Gather RouterOS facts under the names of community.routeros.facts."""

    SPEC = SPEC

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        if self._task.check_mode and not guest.capabilities.runs_without_restart:
            return {
                "changed": False,
                "skipped": True,
                "msg": f"The facts of {guest.vm!r} were not gathered: that needs a boot, which check mode does not do.",
            }
        gatherer = Gatherer(guest, self.script_timeout(arguments), self.encoding())
        facts = gatherer.gather(self.router_name, arguments)
        return {"changed": False, "ansible_facts": facts, "warnings": gatherer.warnings}
