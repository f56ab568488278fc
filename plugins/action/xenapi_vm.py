# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.xenapi import XenapiPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """Have a VM of an image on XenServer or XCP-ng."""

    HYPERVISOR = "xen"
    SPEC = COMMON | {"storage": {"type": "str"}, "verify": {"type": "bool", "default": True}}

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        return XenapiPlatform(spec, self.options(), self.say, storage=arguments["storage"], verify=arguments["verify"])
