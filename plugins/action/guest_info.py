# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import readable
from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest

# result key, agent command, how to take the value out of the answer
_QUESTIONS: tuple[tuple[str, str, t.Callable[[t.Any], t.Any]], ...] = (
    ("os", "guest-get-osinfo", lambda answer: {key.replace("-", "_"): value for key, value in answer.items()}),
    ("host_name", "guest-get-host-name", lambda answer: answer.get("host-name")),
    ("freeze_state", "guest-fsfreeze-status", str),
    ("time", "guest-get-time", lambda answer: int(answer) / 1e9),
    ("timezone_offset", "guest-get-timezone", lambda answer: int(answer.get("offset", 0))),
    ("interfaces", "guest-network-get-interfaces", lambda answer: [_interface(item) for item in answer]),
)


class ActionModule(GuestAction):
    """What the agent says of itself and of the machine, without running a script where that is possible."""

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        agent = guest.agent_info()
        enabled = sorted(name for name, usable in agent["commands"].items() if usable)
        result = {
            "changed": False,
            "agent_version": _readable(agent["version"]),
            "agent_commands": enabled,
            "backend": guest.backend,
            **agent.get("extra", {}),
        }
        questions = agent.get("questions", enabled)
        # An agent may stay silent on a command it does not have, so only those it lists are asked.
        with guest.exchange():
            answers = guest.query([command for _key, command, _convert in _QUESTIONS if command in questions])
        for key, command, convert in _QUESTIONS:
            result[key] = None
            if command in answers:
                try:
                    result[key] = convert(_readable(answers[command]))
                except (AttributeError, TypeError, ValueError, OverflowError):
                    self._display.warning(f"The guest agent of {guest.vm!r} gave no usable answer to {command}.")
        return result


def _readable(value: t.Any) -> t.Any:
    """*value* with texts that can be kept and shown anywhere."""
    if isinstance(value, str):
        return readable(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    return value


def _interface(item: dict[str, t.Any]) -> dict[str, t.Any]:
    addresses = item.get("ip-addresses") or []
    return {
        "name": item.get("name"),
        "mac_address": item.get("hardware-address"),
        "addresses": [
            {
                "address": one.get("ip-address"),
                "prefix": int(one.get("prefix", 0)),
                "family": one.get("ip-address-type"),
            }
            for one in addresses
        ],
    }
