# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The roles that tasks on a router need. XAPI has no privileges for single VMs.

Source: xen-api's datamodel, the lowest role that may make a call.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

SCRIPTS = Privilege("vm-admin", "script")
POWER = Privilege("vm-operator", "power")
NEEDED = (SCRIPTS, POWER)
ROLES = {
    "VM.add_to_xenstore_data": SCRIPTS.name,
    "VM.remove_from_xenstore_data": SCRIPTS.name,
    "VM.set_xenstore_data": SCRIPTS.name,
    "Async.VM.start": POWER.name,
    "Async.VM.clean_reboot": POWER.name,
    "Async.VM.hard_reboot": POWER.name,
    "Async.VM.clean_shutdown": POWER.name,
    "Async.VM.hard_shutdown": POWER.name,
    **dict.fromkeys(("VM.create", "VM.set_other_config", "VM.destroy", "VM.set_platform"), SCRIPTS.name),
    **dict.fromkeys(("VM.set_VCPUs_max", "VM.set_VCPUs_at_startup", "VM.set_HVM_boot_params"), SCRIPTS.name),
    **dict.fromkeys(("VIF.move", "VIF.destroy"), SCRIPTS.name),
    "VM.set_memory_limits": "vm-power-admin",
    **dict.fromkeys(("VDI.create", "VDI.set_other_config", "VDI.destroy", "VBD.create", "VIF.create"), SCRIPTS.name),
}
"""The lowest role that may make a call. All other calls need read-only."""


def granted(allowed: frozenset[str] | None) -> dict[str, bool]:
    """Whether a user who may make the calls *allowed* has each role. None: all calls.

    XAPI writes them in lower case, and an asynchronous call like the other one.
    """
    needed = {one.name: [call for call, role in ROLES.items() if role == one.name] for one in NEEDED}
    return {
        role: allowed is None or allowed.issuperset(call.removeprefix("Async.").lower() for call in calls)
        for role, calls in needed.items()
    }
