# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The privileges on ``/vms/<vmid>`` that tasks on a router need.

Source: qemu-server 6.2 to 9.2.6. Version 9 replaced VM.Monitor for the agent.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

AUDIT = Privilege("VM.Audit", "script")
AGENT = Privilege("VM.GuestAgent.Unrestricted", "script")
AGENT_BEFORE_9 = Privilege("VM.Monitor", "script")
POWER = Privilege("VM.PowerMgmt", "power")
SNAPSHOT = Privilege("VM.Snapshot", "snapshot")


def agent(version: tuple[int, int]) -> Privilege:
    """The privilege for the guest agent."""
    return AGENT_BEFORE_9 if version < (9, 0) else AGENT


def needed(version: tuple[int, int]) -> tuple[Privilege, ...]:
    """All privileges that tasks on a router need in *version* of Proxmox VE."""
    return AUDIT, agent(version), POWER, SNAPSHOT
