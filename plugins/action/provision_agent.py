# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import switching
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.guest import ProxmoxGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.port_plan import endpoint


class ActionModule(GuestAction):
    """Offer the agent on a TCP port, or stop that."""

    SPEC = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "channel": {"type": "str", "choices": ["provision", "default"], "default": "provision"},
        "address": {"type": "str"},
        "port": {"type": "int", "default": 1234},
        "slot": {"type": "int", "default": 9},
        **switching.RESTART,
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        channel = arguments["channel"]
        if not isinstance(guest, ProxmoxGuest):
            raise NotPossible(
                f"The agent of {guest.vm!r} can be offered on a TCP port on Proxmox VE only, but its backend is {guest.backend}. "
                "For plain QEMU, put a TCP chardev into its command line (see the QEMU guide); other backends do not need it."
            )
        port = guest.agent_port(channel, arguments["slot"])
        wanted = None
        if arguments["state"] == "present":
            if not arguments["address"]:
                raise InvalidInput(
                    "address is missing. The port has no authentication and no encryption, so address has no default. 127.0.0.1 "
                    "can be reached through chr_ssh_host only."
                )
            wanted = endpoint(arguments["address"], arguments["port"])
        plan = port.plan(wanted)
        result: dict[str, t.Any] = {
            "changed": plan.changed,
            "channel": channel,
            "socket": wanted.socket if wanted else None,
            "restart_required": plan.restart_required,
        }
        if self._task.diff and plan.changed:
            header = "args" if channel == "provision" else "relay"
            result["diff"] = {
                "before_header": header,
                "after_header": header,
                "before": f"{plan.before}\n" if plan.before else "",
                "after": f"{plan.after}\n" if plan.after else "",
            }
        if plan.changed and not self._task.check_mode:
            port.carry_out(wanted, plan)
            self._so_far["changed"] = True
        if plan.restart_required and arguments["restart"]:
            result |= {"changed": True, "restart_required": False, "restarted": True}
            if not self._task.check_mode:
                switching.restart(guest, arguments)
        elif plan.restart_required:
            result["msg"] = (
                f"The change takes effect at the next cold start of {guest.vm!r}. With restart: true, the router is shut down and "
                "its machine is turned on again."
            )
        if wanted and plan.changed and not wanted.private:
            result["warnings"] = [
                f"Anyone who can reach {wanted.socket} controls {guest.vm!r}: the port has no authentication and no encryption."
            ]
        return result
