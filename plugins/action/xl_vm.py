# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.xl import XlPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """Have a VM of an image on Xen Project."""

    HYPERVISOR = "xen"
    SPEC = COMMON | {
        "directory": {"type": "str", "default": "/var/lib/xen/images"},
        "config_directory": {"type": "str", "default": "/etc/xen"},
        "autostart": {"type": "bool", "default": False},
    }

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        return XlPlatform(
            spec,
            self.options(),
            self.say,
            directory=arguments["directory"].rstrip("/"),
            config_directory=arguments["config_directory"].rstrip("/"),
            autostart=arguments["autostart"],
        )
