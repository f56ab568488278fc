# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import AgentNotThere, GuestError
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.hyperv import HyperVPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.powershell import WindowsHost
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction


class ActionModule(VmAction):
    """A VM of Hyper-V, over Ansible's own connection to the Windows machine that has it."""

    HYPERVISOR = "hyperv"
    SPEC = COMMON | {"folder": {"type": "str"}}

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        connection: t.Any = self._connection
        if not getattr(connection._shell, "_IS_WINDOWS", False):
            raise AnsibleError(
                f"{self._task.action} runs on the Windows machine with Hyper-V: delegate the task to it. The connection here is "
                f"{connection.transport!r}, and its shell is not powershell."
            )
        name = self._task.delegate_to or (self._task_vars or {}).get("inventory_hostname")
        return HyperVPlatform(
            spec, WindowsHost(str(name), self._execute, self._put), folder=arguments["folder"], say=self.say
        )

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        self._task_vars = task_vars
        return super().run(tmp, task_vars)

    def _execute(self, command: str, stdin: bytes) -> tuple[int, bytes, bytes]:
        connection: t.Any = self._connection
        return t.cast(
            "tuple[int, bytes, bytes]",
            _translated(lambda: connection.exec_command(command, in_data=stdin, sudoable=False)),
        )

    def _put(self, source: str, dest: str) -> None:
        connection: t.Any = self._connection
        _translated(lambda: connection.put_file(source, dest))


def _translated(request: t.Callable[[], t.Any]) -> t.Any:
    """Its result; Ansible's errors become those of this collection."""
    try:
        return request()
    except AnsibleConnectionFailure as error:
        raise AgentNotThere(f"The machine with Hyper-V is not reached: {error}") from None
    except AnsibleError as error:
        raise GuestError(f"The machine with Hyper-V: {error}") from None
