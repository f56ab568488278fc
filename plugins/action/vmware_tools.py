# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.settings import SettingsAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.settings import Change
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.tools import ToolsSettings


class ActionModule(SettingsAction):
    """Set what VMware allows the tools of RouterOS to do."""

    SPEC = {
        "time_sync": {"type": "bool"},
        "power_scripts": {
            "type": "dict",
            "options": {
                "after_power_on": {"type": "bool"},
                "after_resume": {"type": "bool"},
                "before_reboot": {"type": "bool"},
                "before_shutdown": {"type": "bool"},
                "before_standby": {"type": "bool"},
            },
        },
        "statistics": {"type": "bool"},
        "exclude_nics": {"type": "list", "elements": "str"},
        "primary_nics": {"type": "list", "elements": "str"},
        "low_priority_nics": {"type": "list", "elements": "str"},
    }

    def changes(self, guest: Guest, arguments: dict[str, t.Any]) -> list[Change]:
        scripts = arguments.pop("power_scripts") or {}
        return self.vmware(guest).tools().plan(ToolsSettings(scripts=scripts, **arguments))
