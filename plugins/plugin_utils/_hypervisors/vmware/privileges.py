# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The privileges on a VM that tasks on a router need.

Source: vSphere's API reference, the privileges of each method.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

EXECUTE = Privilege("VirtualMachine.GuestOperations.Execute", "script")
QUERY = Privilege("VirtualMachine.GuestOperations.Query", "script")
NEEDED = (
    EXECUTE,
    QUERY,
    Privilege("VirtualMachine.Interact.PowerOn", "power"),
    Privilege("VirtualMachine.Interact.PowerOff", "power"),
    Privilege("VirtualMachine.Interact.Reset", "power"),
    Privilege("VirtualMachine.State.CreateSnapshot", "snapshot"),
    Privilege("VirtualMachine.State.RemoveSnapshot", "snapshot"),
    Privilege("VirtualMachine.Config.Settings", "tools"),
    Privilege("VirtualMachine.Config.AdvancedConfig", "tools"),
)
