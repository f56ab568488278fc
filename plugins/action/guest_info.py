# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import told
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import presentable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import Interface


class ActionModule(GuestAction):
    """Report what the agent says about itself and the machine, if possible without a script."""

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        report = guest.report()
        for command in report.unreadable:
            self._display.warning(told(f"The guest agent of {guest.vm!r} gave no usable answer to {command}."))
        return {
            "changed": False,
            "agent_version": presentable(report.agent_version),
            "agent_commands": presentable(report.agent_commands),
            "backend": guest.backend,
            **presentable(report.extra),
            "os": presentable(report.os),
            "host_name": presentable(report.host_name),
            "freeze_state": presentable(report.freeze_state),
            "time": report.time,
            "timezone_offset": report.timezone_offset,
            "interfaces": None if report.interfaces is None else [_interface(one) for one in report.interfaces],
        }


def _interface(one: Interface) -> dict[str, t.Any]:
    return {
        "name": presentable(one.name),
        "mac_address": presentable(one.mac_address),
        "addresses": [
            {"address": presentable(each.address), "prefix": each.prefix, "family": presentable(each.family)}
            for each in one.addresses
        ],
    }
