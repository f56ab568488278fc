# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.options import XenstoreOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.vm import XlPlatform, XlVmSettings


class ActionModule(VmAction):
    """Create or remove a VM on Xen Project."""

    HYPERVISOR = "xenstore"
    OPTIONS = XenstoreOptions
    SPEC = COMMON | {
        "directory": {"type": "str", "default": "/var/lib/xen/images"},
        "config_directory": {"type": "str", "default": "/etc/xen"},
        "autostart": {"type": "bool", "default": False},
    }
    SETTINGS = XlVmSettings
    PLATFORM = XlPlatform
