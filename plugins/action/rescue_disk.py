# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.vm import HypervisorAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.rescue.disk import BlockDevice
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine


class ActionModule(HypervisorAction):
    """Write the image to the disk of a machine that runs a rescue system."""

    SPEC: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "image": {"type": "path", "required": True},
        "device": {"type": "str", "required": True},
        "overwrite": {"type": "bool", "default": False},
        "reboot": {"type": "bool", "default": False},
    }

    def perform(self, arguments: dict[str, t.Any], result: dict[str, t.Any]) -> None:
        options = self.options()
        if not options.ssh_host:
            raise InvalidInput(
                "chr_ssh_host is not set. It must be the machine that runs the rescue system, as root. The "
                "controller's own disks are never written."
            )
        image = inspect(Path(self._loader.path_dwim(arguments["image"])))
        disk = BlockDevice(Machine(options, self.say), arguments["device"])
        found = disk.survey()
        result |= {"device": arguments["device"], "image": image.sha256, "size": found.size, "reboot": False}
        if found.blank or not disk.holds(image):
            disk.check(image, found, overwrite=arguments["overwrite"])
            if self._task.diff:
                before = "blank" if found.blank else "another system"
                result["diff"] = {
                    "before": f"{disk.title}: {before}\n",
                    "after": f"{disk.title}: image {image.sha256}\n",
                }
            result["changed"] = True  # also if the write fails half-way
            if not self._task.check_mode:
                disk.write(image)
        if arguments["reboot"]:
            if not self._task.check_mode:
                disk.boot()
            result |= {"changed": True, "reboot": True}
