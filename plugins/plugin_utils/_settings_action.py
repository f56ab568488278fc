# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions share that set something at the hypervisor. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vmware_settings import Change


class SettingsAction(GuestAction):
    """Plans changes and carries them out; subclasses say which with ``changes``."""

    def changes(self, guest: Guest, arguments: dict[str, t.Any]) -> list[Change]:
        """Raises GuestError."""
        raise NotImplementedError

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        changes = self.changes(guest, arguments)
        if not self._task.check_mode:
            for change in changes:
                change.carry_out()
        result: dict[str, t.Any] = {
            "changed": bool(changes),
            "changes": [{"of": one.of, "before": one.before, "after": one.after} for one in changes],
        }
        if self._task.diff and changes:
            result["diff"] = [
                {
                    "before_header": one.of,
                    "after_header": one.of,
                    "before": _lines(one.before),
                    "after": _lines(one.after),
                }
                for one in changes
            ]
        return result


def _lines(settings: dict[str, t.Any]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in settings.items())
