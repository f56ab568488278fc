# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vmware_settings import Change
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vmware_tools import Wanted
from ansible_collections.outofband.chr.plugins.plugin_utils._settings_action import SettingsAction


class ActionModule(SettingsAction):
    """Set what VMware lets the tools of RouterOS do."""

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
        return guest.vmware_tools().plan(Wanted(scripts=scripts, **arguments))
