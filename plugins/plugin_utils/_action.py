# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all actions of this collection share. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader

from ansible_collections.outofband.chr.plugins.module_utils._guest import qemu as _qemu  # noqa: F401  (loaded once, before forks)
from ansible_collections.outofband.chr.plugins.module_utils._guest.base import Guest, ScriptResult
from ansible_collections.outofband.chr.plugins.module_utils._guest.errors import (
    AgentNotThere,
    GuestError,
    OutcomeUnknown,
    ScriptFailed,
)
from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import message

TRANSPORT = "outofband.chr.guest_agent"
# Ansible imports actions before it forks its workers, and connections after. Reading a connection's documentation takes longer
# than a whole task, so it is done here, once for all workers.
connection_loader.get(TRANSPORT, class_only=True)

HIDDEN = "The task failed. The reason is not shown because no_log is set."


class GuestAction(ActionBase):
    """An action that talks to the host's router; subclasses say what with ``perform``.

    It runs in the controller's process: no Python on the target, nothing written to it.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {}
    MUTUALLY_EXCLUSIVE: t.ClassVar[list[tuple[str, ...]]] = []
    REQUIRED_ONE_OF: t.ClassVar[list[tuple[str, ...]]] = []

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """The result of the task. Raises GuestError."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(
            self.SPEC, mutually_exclusive=self.MUTUALLY_EXCLUSIVE, required_one_of=self.REQUIRED_ONE_OF
        )
        connection: t.Any = self._connection
        if connection.transport != TRANSPORT:
            raise AnsibleError(
                f"{self._task.action} works over the connection {TRANSPORT} only; this host has {connection.transport!r}. "
                f"Set ansible_connection: {TRANSPORT} for the router."
            )
        if (other := self._task.delegate_to) and "chr_vm" not in self._task_vars["ansible_delegated_vars"][other]:
            connection.set_option("vm", other)  # Ansible gives a delegated task the inventory_hostname of the host before
        try:
            result.update(self.perform(connection.guest, arguments))
        except AgentNotThere as error:
            result.update(unreachable=True, changed=False, msg=str(error))
        except GuestError as error:
            result.update(failed=True, msg=str(error))
            # Ansible shows a failed task's msg even under no_log, and these errors can quote a script or its output.
            if self._task.no_log and not isinstance(error, OutcomeUnknown):
                result["msg"] = HIDDEN
        if self._task.no_log and result.get("failed") and "rc" in result:
            result["msg"] = HIDDEN
        return result

    def script_timeout(self, arguments: dict[str, t.Any]) -> float:
        """Seconds for one script: the task's ``timeout``, else the connection's."""
        return float(arguments.get("timeout") or self._connection.get_option("script_timeout"))

    def read(self, guest: Guest, source: str, timeout: float) -> bytes:
        """The output of a script of our own that changes nothing. Raises ScriptFailed."""
        result = guest.run(source.encode(), timeout)
        if result.rc != 0:
            raise ScriptFailed(failure(guest, result, timeout))
        return result.output


def failure(guest: Guest, result: ScriptResult, timeout: float) -> str:
    """One sentence on a script that did not end well, with RouterOS's own words."""
    if result.rc is None:
        return (
            f"The script did not end within {timeout:g} s on {guest.vm!r} and goes on as job {result.job} on the router; its "
            "output will not be collected. Give it more time (timeout, chr_script_timeout) next time, and look at the router "
            "before you run it again."
        )
    said = message(result.output) or "no text came with it"
    if result.rc == 1:
        return f"The guest agent of {guest.vm!r} stopped the script at its own time limit. Output so far: {said}"
    return f"The script failed on {guest.vm!r}: {said}"
