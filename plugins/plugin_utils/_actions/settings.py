# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base class of the actions that change settings of VMware.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.guest import VmwareGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.settings import Change

from .changes import as_result
from .guest import GuestAction


class SettingsAction(GuestAction):
    """An action that plans changes and makes them. Subclasses implement ``changes``."""

    def changes(self, guest: Guest, arguments: dict[str, t.Any]) -> list[Change]:
        """Raises ChrError."""
        raise NotImplementedError

    def vmware(self, guest: Guest) -> VmwareGuest:
        """Return *guest* with its type. Raises NotPossible on other hypervisors."""
        if not isinstance(guest, VmwareGuest):
            raise NotPossible(
                f"{guest.vm!r} has the backend {guest.backend}: only VMware (chr_backend: vmware) has these settings."
            )
        return guest

    def carry_out(self, change: Change) -> None:
        """Make *change*. The result has it even if an error comes afterwards. Raises ChrError."""
        change.carry_out()
        self._so_far["changed"] = True

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        changes = self.changes(guest, arguments)
        if not self._task.check_mode:
            for change in changes:
                self.carry_out(change)
        return as_result(changes, diff=self._task.diff)
