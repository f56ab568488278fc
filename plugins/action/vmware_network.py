# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vmware_network import Wanted, ranges
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vmware_settings import Change
from ansible_collections.outofband.chr.plugins.plugin_utils._settings_action import SettingsAction

_MTU = range(1280, 9001)
"""What ESXi takes (vendor's manual, section 6.1), and IPv6 needs."""


class ActionModule(SettingsAction):
    """Let the networks of a router's VM pass what a router sends."""

    SPEC = {
        "networks": {"type": "list", "elements": "str"},
        "promiscuous": {"type": "bool"},
        "forged_transmits": {"type": "bool"},
        "mac_changes": {"type": "bool"},
        "trunk": {"type": "list", "elements": "str"},
        "mtu": {"type": "int"},
        "add_again": {"type": "list", "elements": "str"},
    }

    def changes(self, guest: Guest, arguments: dict[str, t.Any]) -> list[Change]:
        names, macs = arguments.pop("networks"), arguments.pop("add_again") or []
        if arguments["mtu"] is not None and arguments["mtu"] not in _MTU:
            raise InvalidInput(f"mtu {arguments['mtu']}: ESXi takes {_MTU[0]} to {_MTU[-1]} here.")
        if arguments["trunk"] is not None:
            arguments["trunk"] = ranges(arguments["trunk"])
        network = guest.vmware_network()
        again = network.plan_again(macs)
        return [*network.plan(Wanted(**arguments), names), *again]
