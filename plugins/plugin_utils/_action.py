# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all actions of this collection share. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader

from ansible_collections.outofband.chr.plugins.plugin_utils._guest import libvirt_connection as _libvirt
from ansible_collections.outofband.chr.plugins.plugin_utils._guest import proxmox as _proxmox  # noqa: F401
from ansible_collections.outofband.chr.plugins.plugin_utils._guest import qemu as _qemu  # noqa: F401
from ansible_collections.outofband.chr.plugins.plugin_utils._guest import vmware as _vmware  # noqa: F401
from ansible_collections.outofband.chr.plugins.plugin_utils._guest import vsphere as _vsphere
from ansible_collections.outofband.chr.plugins.plugin_utils._guest import xenapi as _xenapi  # noqa: F401
from ansible_collections.outofband.chr.plugins.plugin_utils._guest import xenstore as _xenstore  # noqa: F401
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest, checked, encoded, failure
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    GuestError,
    InvalidInput,
    OutcomeUnknown,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._no_log import hidden

__all__ = ["GuestAction", "failure"]

TRANSPORT = "outofband.chr.guest_agent"
# Ansible imports actions before it forks its workers, and connections after. Reading a connection's documentation takes longer
# than a whole task, so it is done here, once for all workers; and so is the import of the backend without libraries, and of
# libvirt's library, which takes four times a task.
connection_loader.get(TRANSPORT, class_only=True)
_libvirt.preload()
with contextlib.suppress(ImportError):  # 0.13 s of work; it is there only where somebody installed it for VMware
    _vsphere.warm_up()


class GuestAction(ActionBase):
    """An action that talks to the host's router; subclasses say what with ``perform``.

    It runs in the controller's process: no Python on the target, nothing written to it.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {}
    MUTUALLY_EXCLUSIVE: t.ClassVar[list[tuple[str, ...]]] = []
    REQUIRED_ONE_OF: t.ClassVar[list[tuple[str, ...]]] = []

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """The result of the task. Raises GuestError."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        problem: Exception | None = None
        try:
            result.update(self.perform(self._guest(), self._arguments()))
        except AgentNotThere as error:
            result.update(unreachable=True, changed=False, msg=str(error))
        except (GuestError, AnsibleError) as error:
            problem = error
            result.update(failed=True, msg=str(error))
            if isinstance(error, OutcomeUnknown):
                result["changed"] = True  # it may have
        if result.get("failed") and self._task.no_log:
            result["msg"] = hidden(problem)
        return result

    def _arguments(self) -> dict[str, t.Any]:
        _validation, arguments = self.validate_argument_spec(
            self.SPEC, mutually_exclusive=self.MUTUALLY_EXCLUSIVE, required_one_of=self.REQUIRED_ONE_OF
        )
        return dict(arguments)

    def _guest(self) -> Guest:
        connection: t.Any = self._connection
        if connection.transport != TRANSPORT:
            raise AnsibleError(
                f"{self._task.action} works over the connection {TRANSPORT} only; this host has {connection.transport!r}. "
                f"Set ansible_connection: {TRANSPORT} for the router."
            )
        return t.cast("Guest", connection.guest)

    def local_file(self, src: str) -> str:
        """The path of a file on the controller, looked for as ansible.builtin.script does it. Raises InvalidInput."""
        try:
            return str(self._find_needle("files", src))
        except AnsibleError:
            raise InvalidInput(
                f"src {src!r} was not found on the controller: it is looked for in files/ of the role or beside the playbook, "
                "then there itself."
            ) from None

    def script_timeout(self, arguments: dict[str, t.Any]) -> float:
        """Seconds for one script: the task's ``timeout``, else the connection's."""
        if (own := arguments.get("timeout")) is not None:
            return positive_seconds("timeout", own)
        return positive_seconds("chr_script_timeout", self._connection.get_option("script_timeout"))

    def read(self, guest: Guest, source: str, timeout: float) -> bytes:
        """The output of a script of our own that changes nothing. Raises ScriptFailed, OutputCut."""
        return checked(guest, guest.run(encoded(source), timeout), timeout).output
