# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.proxmox import BUSES, MODES, ProxmoxPlatform, Settings
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """Have a VM on Proxmox VE."""

    HYPERVISOR = "kvm"
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

    _made: ProxmoxPlatform | None = None

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        own = {name: arguments[name] for name in self.SPEC.keys() - COMMON.keys()}
        settings = Settings(**own | {"tags": tuple(own["tags"])})
        self._made = ProxmoxPlatform(spec, self.options(), settings, self.say)
        return self._made

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        if self._made and not result.get("failed"):
            result["import_mode"] = self._made.used
        return result
