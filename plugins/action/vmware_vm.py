# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.access import Access
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vmware import PORT
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vsphere import Vsphere, library
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._image.ova import extract_disk, is_ova
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import Platform, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.vmware import Choice, VmwarePlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.vmware_place import Wanted
from ansible_collections.outofband.chr.plugins.plugin_utils._vm_action import COMMON, VmAction

_PLACE = ("datacenter", "cluster", "esxi_host", "resource_pool", "folder", "datastore")


class ActionModule(VmAction):
    """Have a VM of an image on a vCenter or an ESXi host, or not."""

    HYPERVISOR = "esx"
    SPEC: t.ClassVar[dict[str, dict[str, t.Any]]] = COMMON | {
        **{name: {"type": "str"} for name in _PLACE},
        "method": {"type": "str", "choices": ["nfc", "datastore"], "default": "nfc"},
        "thin": {"type": "bool", "default": True},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        with tempfile.TemporaryDirectory(prefix="chr-") as self._folder:
            return super().run(tmp, task_vars)

    def image(self, path: Path) -> Image:
        """Also that in an OVA."""
        return super().image(extract_disk(path, Path(self._folder)) if is_ova(path) else path)

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        endpoint = Access.of(self.options(), PORT, "a vCenter or ESXi host")
        library()
        wanted = Wanted(**{name: arguments[name] or None for name in _PLACE})
        choice = Choice(wanted, arguments["method"], arguments["thin"])
        return VmwarePlatform(spec, Vsphere(endpoint), choice, self.say)
