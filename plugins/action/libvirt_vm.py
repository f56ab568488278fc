# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.libvirt import LibvirtPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.libvirt_xml import Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """Make a VM of an image on libvirt, or remove it."""

    HYPERVISOR = "kvm"
    SPEC = COMMON | {
        "storage": {"type": "str", "default": "default"},
        "disk_bus": {"type": "str", "choices": ["virtio", "sata", "ide"], "default": "virtio"},
        "provision_socket": {"type": "str"},
        "autostart": {"type": "bool", "default": False},
    }

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        return LibvirtPlatform(
            spec,
            self.options(),
            self.say,
            storage=arguments["storage"],
            hardware=Hardware(arguments["disk_bus"], arguments["provision_socket"]),
            autostart=arguments["autostart"],
        )
