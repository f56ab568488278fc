# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.host import Host
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.qemu import Hardware, QemuPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """Make a VM of an image with QEMU alone, or remove it."""

    HYPERVISOR = "kvm"
    SPEC = COMMON | {
        "directory": {"type": "str", "default": "/var/lib/outofband.chr"},
        "disk_bus": {"type": "str", "choices": ["virtio", "ide", "sata"], "default": "virtio"},
        "accelerator": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
        "agent_port": {"type": "str", "default": "org.qemu.guest_agent.0"},
        "service": {"type": "bool"},
    }

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        hardware = Hardware(arguments["disk_bus"], arguments["accelerator"], arguments["agent_port"])
        platform = QemuPlatform(
            spec, Host(self.options(), self.say), arguments["directory"], hardware, arguments["service"]
        )
        self._socket = platform.socket
        return platform

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        if not result.get("failed"):
            result["socket"] = self._socket if result["state"] != "absent" else None
        return result
