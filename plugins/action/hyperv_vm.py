# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hyperv.powershell import WindowsHost
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hyperv.vm import (
    HyperVPlatform,
    HyperVVmSettings,
)


class ActionModule(VmAction):
    """Create or remove a VM on Hyper-V, over Ansible's connection to its Windows machine."""

    HYPERVISOR = "hyperv"
    AGENT = False
    SPEC = COMMON | {"folder": {"type": "str"}}
    SETTINGS = HyperVVmSettings
    PLATFORM = HyperVPlatform

    def reach(self) -> WindowsHost:
        connection: t.Any = self._connection
        if not getattr(connection._shell, "_IS_WINDOWS", False):
            raise AnsibleError(
                f"{self._task.action} runs on the Windows machine with Hyper-V: delegate the task "
                f"to it. The connection here is {connection.transport!r}, and its shell is not "
                "powershell."
            )
        name = self._task.delegate_to or self._task_vars.get("inventory_hostname")
        return WindowsHost(str(name), self._execute, self._put)

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
    """Return the result of *request*, and turn Ansible's errors into this collection's."""
    try:
        return request()
    except AnsibleConnectionFailure as error:
        raise Unreachable(f"The machine with Hyper-V cannot be reached: {error}") from None
    except AnsibleError as error:
        raise ChrError(f"A command on the machine with Hyper-V failed: {error}") from None
