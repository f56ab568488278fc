# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.options import XenapiOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.vm import (
    XenapiPlatform,
    XenapiVmSettings,
)


class ActionModule(VmAction):
    """Create or remove a VM on XenServer or XCP-ng."""

    HYPERVISOR = "xenapi"
    OPTIONS = XenapiOptions
    SPEC = COMMON | {"storage": {"type": "str"}, "verify": {"type": "bool", "default": True}}
    SETTINGS = XenapiVmSettings
    PLATFORM = XenapiPlatform
