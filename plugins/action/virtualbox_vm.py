# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.host import Host
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.virtualbox import VirtualBoxPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """A VM of VirtualBox."""

    HYPERVISOR = "virtualbox"
    SPEC = COMMON | {
        "folder": {"type": "str"},
        "disk_bus": {"type": "str", "choices": ["ide", "sata"], "default": "ide"},
        "serial": {"type": "str"},
        "vboxmanage": {"type": "str", "default": "VBoxManage"},
    }

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        return VirtualBoxPlatform(
            spec,
            Host(self.options(), self.say),
            program=arguments["vboxmanage"],
            folder=arguments["folder"],
            disk_bus=arguments["disk_bus"],
            serial=arguments["serial"],
        )
