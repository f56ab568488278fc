# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.license import LicenseAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest


class ActionModule(LicenseAction):
    """Report the router's license and what follows from it."""

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        del arguments
        if self._task.check_mode and not guest.capabilities.runs_without_restart:
            return {
                "changed": False,
                "skipped": True,
                "msg": f"The license of {guest.vm!r} was not read: that needs a boot, which check mode does not do.",
            }
        return {"changed": False, **self.report(guest, self.reading(guest))}
