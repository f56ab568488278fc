# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.virtualbox.vm import (
    VirtualBoxPlatform,
    VirtualBoxVmSettings,
)


class ActionModule(VmAction):
    """Create or remove a VM on VirtualBox."""

    HYPERVISOR = "virtualbox"
    AGENT = False
    SPEC = COMMON | {
        "folder": {"type": "str"},
        "disk_bus": {"type": "str", "choices": ["ide", "sata"], "default": "ide"},
        "serial": {"type": "str"},
        "vboxmanage": {"type": "str", "default": "VBoxManage"},
    }
    SETTINGS = VirtualBoxVmSettings
    PLATFORM = VirtualBoxPlatform
