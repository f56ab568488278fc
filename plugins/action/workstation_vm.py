# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError
from ansible_collections.outofband.chr.plugins.plugin_utils._no_log import hidden
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.host import Host
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.workstation import WorkstationPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """A VM of VMware Workstation or Fusion."""

    HYPERVISOR = "esx"
    SPEC = COMMON | {
        "product": {"type": "str", "choices": ["ws", "fusion"], "default": "ws"},
        "folder": {"type": "str"},
        "hardware_version": {"type": "int", "default": 11},
        "wait_for_tools": {"type": "float", "default": 0},
        "vmrun": {"type": "str"},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        if result.get("state") == "running" and self._seconds and not self._task.check_mode:
            try:
                self._platform.await_tools(self._seconds)
            except GuestError as error:
                result |= {"failed": True, "msg": hidden(error) if self._task.no_log else str(error)}
        return result

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        self._seconds = float(arguments["wait_for_tools"])
        self._platform = WorkstationPlatform(
            spec,
            Host(self.options(), self.say),
            product=arguments["product"],
            program=arguments["vmrun"],
            folder=arguments["folder"],
            hardware_version=arguments["hardware_version"],
        )
        return self._platform
