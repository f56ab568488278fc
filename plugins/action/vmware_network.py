# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import switching
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.settings import SettingsAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.network import NetworkSettings, ranges
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.settings import Change

_MTU = range(1280, 9001)
"""The values that ESXi accepts (vendor's manual, section 6.1); IPv6 needs at least 1280."""


class ActionModule(SettingsAction):
    """Allow the networks of a router's VM to pass the traffic of a router."""

    SPEC = {
        "networks": {"type": "list", "elements": "str"},
        "promiscuous": {"type": "bool"},
        "forged_transmits": {"type": "bool"},
        "mac_changes": {"type": "bool"},
        "trunk": {"type": "list", "elements": "str"},
        "mtu": {"type": "int"},
        "add_again": {"type": "list", "elements": "str"},
        **switching.RESTART,
    }

    def changes(self, guest: Guest, arguments: dict[str, t.Any]) -> list[Change]:
        names, macs = arguments.pop("networks"), arguments.pop("add_again") or []
        restart = {name: arguments.pop(name) for name in switching.RESTART}
        if arguments["mtu"] is not None and arguments["mtu"] not in _MTU:
            raise InvalidInput(f"mtu {arguments['mtu']} is not valid: it must be {_MTU[0]} to {_MTU[-1]}.")
        if arguments["trunk"] is not None:
            arguments["trunk"] = ranges(arguments["trunk"])
        network = self.vmware(guest).network()
        again = [
            dataclasses.replace(
                change,
                carry_out=functools.partial(
                    switching.restart, guest, restart, functools.partial(self.carry_out, change)
                ),
            )
            if restart["restart"]
            else change
            for change in network.plan_again(macs, may_run=restart["restart"])
        ]
        return [*network.plan(NetworkSettings(**arguments), names), *again]
