# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.workstation.vm import (
    WorkstationPlatform,
    WorkstationVmSettings,
)


class ActionModule(VmAction):
    """Create or remove a VM on VMware Workstation or Fusion."""

    HYPERVISOR = "workstation"
    AGENT = False
    SPEC = COMMON | {
        "product": {"type": "str", "choices": ["ws", "fusion"], "default": "ws"},
        "folder": {"type": "str"},
        "hardware_version": {"type": "int", "default": 11},
        "wait_for_tools": {"type": "float", "default": 0},
        "vmrun": {"type": "str"},
    }
    SETTINGS = WorkstationVmSettings
    PLATFORM = WorkstationPlatform
