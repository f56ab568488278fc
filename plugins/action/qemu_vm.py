# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.options import DIRECTORY, QemuOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.vm import QemuPlatform, QemuVmSettings


class ActionModule(VmAction):
    """Create or remove a VM that runs with QEMU alone."""

    HYPERVISOR = "qemu"
    OPTIONS = QemuOptions
    SPEC = COMMON | {
        "directory": {"type": "str", "default": DIRECTORY},
        "disk_bus": {"type": "str", "choices": ["virtio", "ide", "sata"], "default": "virtio"},
        "accelerator": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
        "agent_port": {"type": "str", "default": "org.qemu.guest_agent.0"},
        "service": {"type": "bool"},
    }
    SETTINGS = QemuVmSettings
    PLATFORM = QemuPlatform
