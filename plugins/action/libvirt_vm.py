# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.options import LibvirtOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.vm import (
    LibvirtPlatform,
    LibvirtVmSettings,
)


class ActionModule(VmAction):
    """Create or remove a VM on libvirt."""

    HYPERVISOR = "libvirt"
    OPTIONS = LibvirtOptions
    SPEC = COMMON | {
        "storage": {"type": "str", "default": "default"},
        "disk_bus": {"type": "str", "choices": ["virtio", "sata", "ide"], "default": "virtio"},
        "provision_socket": {"type": "str"},
        "autostart": {"type": "bool", "default": False},
    }
    SETTINGS = LibvirtVmSettings
    PLATFORM = LibvirtPlatform
