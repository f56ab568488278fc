# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.options import ProxmoxOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.vm import (
    BUSES,
    MODES,
    ProxmoxPlatform,
    ProxmoxVmSettings,
)


class ActionModule(VmAction):
    """Create or remove a VM on Proxmox VE."""

    HYPERVISOR = "proxmox"
    OPTIONS = ProxmoxOptions
    SPEC = COMMON | {
        "node": {"type": "str"},
        "vmid": {"type": "int"},
        "storage": {"type": "str"},
        "import_mode": {"type": "str", "choices": list(MODES), "default": "auto"},
        "import_storage": {"type": "str"},
        "node_folder": {"type": "str", "default": "/var/tmp"},
        "disk_bus": {"type": "str", "choices": list(BUSES), "default": "virtio"},
        "pool": {"type": "str"},
        "tags": {"type": "list", "elements": "str", "default": []},
        "onboot": {"type": "bool", "default": False},
        "serial": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 600.0},
    }
    SETTINGS = ProxmoxVmSettings
    PLATFORM = ProxmoxPlatform
