# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.doctor import Examination
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.license import LicenseAction, as_result
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.router import router_connection
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import presentable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import TASKS
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import doctor


class ActionModule(LicenseAction):
    """Look at a router and the way to it, and say what is wrong."""

    SPEC = {
        "step_timeout": {"type": "float", "default": 30.0},
        "tasks": {"type": "list", "elements": "str", "choices": list(TASKS), "default": ["script"]},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        seconds = positive_seconds("step_timeout", arguments["step_timeout"])
        quick = self._with_less_patience(guest, seconds / 2)
        examination = Examination(quick, seconds, arguments["tasks"], lambda: as_result(self.reading(quick)))
        patient = examination.patient(self.router_name)
        result: dict[str, t.Any] = {"changed": False, "doctor": presentable(doctor.as_data(patient))}
        if wrong := doctor.problems(patient):
            result |= {"failed": True, "msg": f"Something is wrong with {patient.name}. {wrong}"}
        return result

    def _with_less_patience(self, guest: Guest, seconds: float) -> Guest:
        """The same router, for which a step connects within *seconds* and has time left to ask."""
        if guest.connect_timeout <= seconds:
            return guest
        options = router_connection(self, "works over the connection {transport} only").guest_options()
        return open_guest(dataclasses.replace(options, connect_timeout=seconds))
