# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import COMMON, VmAction
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.options import VmwareOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.place import PlaceNames
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.vm import (
    VmwarePlatform,
    VmwareVmSettings,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image, inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._image.ova import extract_disk, is_ova


class ActionModule(VmAction):
    """Create or remove a VM on a vCenter or an ESXi host."""

    HYPERVISOR = "vmware"
    OPTIONS = VmwareOptions
    SPEC: t.ClassVar[dict[str, dict[str, t.Any]]] = COMMON | {
        **{one.name: {"type": "str"} for one in dataclasses.fields(PlaceNames)},
        "method": {"type": "str", "choices": ["nfc", "datastore"], "default": "nfc"},
        "thin": {"type": "bool", "default": True},
    }
    SETTINGS = VmwareVmSettings
    PLATFORM = VmwarePlatform

    @contextlib.contextmanager
    def image(self, path: Path) -> t.Iterator[Image]:
        """Open the image in the file *path*, or in the OVA at *path*. Raises ChrError."""
        with tempfile.TemporaryDirectory(prefix="chr-") as folder:
            yield inspect(extract_disk(path, Path(folder)) if is_ova(path) else path)
