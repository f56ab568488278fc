# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The hardware of a VM of VMware, and the specification that changes it. No I/O.

The model of a card is never changed: that takes a new device, with another MAC address, which
RouterOS would see as another interface.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, Card, Difference
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic

from .vsphere import library

PRIVILEGES = {
    "cpus": "Config.CPUCount",
    "memory": "Config.Memory",
    "boot": "Config.Settings",
    "nics": "Config.AddRemoveDevice",
    "mac": "Config.EditDevice",
    "network": "Config.EditDevice",
}
"""What can be changed, each with its privilege on the VM (API reference, ReconfigVM_Task)."""
CHANGEABLE = frozenset(PRIVILEGES)

Values = Mapping[str, t.Any]
"""Properties of a VM, by their paths."""


def cards(values: Values) -> list[t.Any]:
    """The network cards among the devices in *values*, in the order in which they were added."""
    card = library().vim.vm.device.VirtualEthernetCard
    return [one for one in values.get("config.hardware.device") or [] if isinstance(one, card)]


def distributed_group(card: t.Any) -> str | None:
    """The key of the distributed port group that *card* is connected to, which is its moid."""
    port = getattr(card.backing, "port", None)
    return getattr(port, "portgroupKey", None)


def found_card(card: t.Any, group: str | None) -> Card:
    """What *card* is. *group*: the name of its distributed port group, if it is known."""
    device = library().vim.vm.device
    models = {device.VirtualVmxnet3: "vmxnet3", device.VirtualE1000: "e1000"}
    network = getattr(card.backing, "deviceName", None) or group
    return Card(models.get(type(card), type(card).__name__), card.macAddress, network)


def first_boot(values: Values) -> str | None:
    """What the VM boots from first. None if it has no order of its own."""
    order = getattr(values.get("config.bootOptions"), "bootOrder", None)
    if not order:
        return None
    options = library().vim.vm.BootOptions
    words = {
        options.BootableDiskDevice: DISK,
        options.BootableEthernetDevice: "network",
        options.BootableCdromDevice: "cdrom",
        options.BootableFloppyDevice: "floppy",
    }
    return words.get(type(order[0]), type(order[0]).__name__)


def change(
    values: Values,
    wanted: Sequence[Difference],
    nics: Sequence[Nic],
    card: Callable[[int, Nic], t.Any],
    backing: Callable[[Nic], t.Any],
) -> t.Any:
    """The specification that changes what is *wanted* of a VM with these *values*.

    *nics*: the cards that the task describes. *card* makes the device of a new card, and *backing*
    the connection of a card. Raises NotPossible, and what these raise.
    """
    vim = library().vim
    spec, present = vim.vm.ConfigSpec(), cards(values)
    changed: dict[int, t.Any] = {}
    operations = vim.vm.device.VirtualDeviceSpec.Operation
    devices = []
    for one in wanted:
        if one.what == "cpus":
            spec.numCPUs = int(one.asked)
            if int(one.asked) % (values.get("config.hardware.numCoresPerSocket") or 1):
                spec.numCoresPerSocket = 1
        elif one.what == "memory":
            spec.memoryMB = int(one.asked)
        elif one.what == "boot":
            disk = vim.vm.BootOptions.BootableDiskDevice(deviceKey=_first_disk(values))
            spec.bootOptions = vim.vm.BootOptions(bootOrder=[disk])
        elif one.what == "nics":
            devices += [(operations.remove, device) for device in present[len(nics) :]]
            devices += [(operations.add, card(at, nic)) for at, nic in enumerate(nics[len(present) :])]
        elif one.card:
            device = changed.setdefault(one.card, present[one.card - 1])
            if one.what == "mac":
                device.addressType, device.macAddress = "manual", str(one.asked)
            else:
                device.backing = backing(nics[one.card - 1])
    devices += [(operations.edit, device) for device in changed.values()]
    spec.deviceChange = [vim.vm.device.VirtualDeviceSpec(operation=what, device=device) for what, device in devices]
    return spec


def _first_disk(values: Values) -> int:
    disk = library().vim.vm.device.VirtualDisk
    keys = [one.key for one in values.get("config.hardware.device") or [] if isinstance(one, disk)]
    if not keys:
        raise NotPossible("The VM has no disk that it could boot from. Nothing was changed.")
    return int(keys[0])
