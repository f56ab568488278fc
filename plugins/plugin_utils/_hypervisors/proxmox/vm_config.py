# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The configuration of a VM of Proxmox VE: its hardware, and how that is changed. Pure functions.

Source: the API's schema, and qemu-server 6.2 to 9.2.6 (QemuServer.pm, Drive.pm).
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    DISK,
    UNTAGGED,
    Card,
    Difference,
    Hardware,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic

from . import agent_option

BRIDGE = "vmbr0"
CHANGEABLE = frozenset({"cpus", "memory", "agent", "boot", "nics", "model", "mac", "network", "vlan"})
PRIVILEGES = {
    "cpus": "VM.Config.CPU",
    "memory": "VM.Config.Memory",
    "agent": "VM.Config.Options",
    "boot": "VM.Config.Disk",
}
"""The privileges that changes need. Those of network cards need VM.Config.Network."""
_MOST_CARDS = 32  # of a VM of Proxmox VE
_DISK_BUSES = ("ide", "scsi", "virtio", "sata")  # in the order of resolve_first_disk
_LEGACY = {"a": "floppy", "c": DISK, "d": "cdrom", "n": "network"}

Config = Mapping[str, t.Any]


def hardware_of(config: Config) -> Hardware:
    """Return the hardware that *config* describes. Raises ValueError, KeyError."""
    cpus = config.get("vcpus") or int(config.get("cores", 1)) * int(config.get("sockets", 1))
    # Newer versions write memory as "current=512".
    memory = str(config.get("memory", 512)).partition(",")[0].removeprefix("current=")
    cards = tuple(_card(str(config[slot])) for slot in _slots(config))
    return Hardware(int(cpus), int(memory), cards, _has_agent(config), _first_boot(config))


def changes(
    config: Config, wanted: Sequence[Difference], nics: Sequence[Nic], *, ordered: bool
) -> dict[str, str | int]:
    """The parameters of the API that change what is *wanted* of a VM with this *config*.

    *nics*: the cards that the task describes. *ordered*: whether the version has ``boot: order=``.
    Raises NotPossible.
    """
    values: dict[str, str | int] = {}
    delete: list[str] = []
    slots = _slots(config)
    for one in wanted:
        if one.what == "cpus":
            values["cores"] = int(one.asked)
            values |= {"sockets": 1} if "sockets" in config else {}
            delete += ["vcpus"] if "vcpus" in config else []
        elif one.what == "memory":
            values["memory"] = int(one.asked)
            if int(config.get("balloon", 0)) > int(one.asked):
                delete.append("balloon")
        elif one.what == "agent":
            options = agent_option.parse(str(config.get("agent", ""))) | {"enabled": "1", "type": "virtio"}
            values["agent"] = ",".join(f"{name}={value}" for name, value in options.items())
        elif one.what == "boot":
            values |= _boot_from_disk(config, ordered=ordered)
        elif one.what == "nics":
            delete += slots[len(nics) :]
            last = int(slots[-1][3:]) if slots else -1
            if last + len(nics) - len(slots) >= _MOST_CARDS:
                raise NotPossible(f"The VM would have a card net{_MOST_CARDS}, which Proxmox VE does not have.")
            values |= {f"net{last + at}": net(nic) for at, nic in enumerate(nics[len(slots) :], start=1)}
        elif one.card:
            slot = slots[one.card - 1]
            values[slot] = _with(str(values.get(slot, config[slot])), one)
    return values | ({"delete": ",".join(delete)} if delete else {})


def net(nic: Nic) -> str:
    """The value of the option that makes a network card."""
    model = f"{nic.model}={nic.mac.upper()}" if nic.mac else nic.model
    tag = f",tag={nic.vlan}" if nic.vlan else ""
    return f"{model},bridge={nic.network or BRIDGE}{tag}"


def _slots(config: Config) -> list[str]:
    return [slot for number in range(_MOST_CARDS) if config.get(slot := f"net{number}") is not None]


def _card(value: str) -> Card:
    model, mac, about = _parsed(value)
    vlan = int(about["tag"]) if "tag" in about else UNTAGGED
    return Card(model, mac or None, about.get("bridge"), vlan)


def _parsed(value: str) -> tuple[str, str, dict[str, str]]:
    """The model, the MAC address and the other properties of a card.

    The model is written as ``virtio=MAC`` or ``model=virtio,macaddr=MAC``.
    """
    pairs = [one.partition("=") for one in value.split(",")]
    about = {name: text for name, _unused, text in pairs}
    if "model" in about:
        return about.pop("model"), about.pop("macaddr", ""), about
    (model, _unused, mac), *rest = pairs
    del about[model]
    return model, mac or about.pop("macaddr", ""), about


def _with(value: str, wanted: Difference) -> str:
    """The *value* of a card with what is *wanted*."""
    model, mac, about = _parsed(value)
    if wanted.what == "model":
        model = str(wanted.asked)
    elif wanted.what == "mac":
        mac = str(wanted.asked).upper()
    elif wanted.what == "network":
        about["bridge"] = str(wanted.asked)
    elif wanted.asked == UNTAGGED:
        about.pop("tag", None)
    else:
        about["tag"] = str(wanted.asked)
    return ",".join([f"{model}={mac}" if mac else model, *(f"{name}={text}" for name, text in about.items())])


def _has_agent(config: Config) -> bool:
    """Whether the agent has the channel that RouterOS knows, which is the type ``virtio``."""
    text = str(config.get("agent", "0"))
    return agent_option.enabled(text) and agent_option.parse(text).get("type", "virtio") == "virtio"


def _first_boot(config: Config) -> str:
    """What the VM boots from first. Without the option, Proxmox VE takes the first disk."""
    options = dict(_pairs(str(config.get("boot", "")), "legacy"))
    if "order" not in options:
        return _LEGACY.get((options.get("legacy") or "c")[0], "unknown")
    first = options["order"].split(";")[0]
    if first in _disks(config):
        return DISK
    return "network" if first.startswith("net") else first or "nothing"


def _boot_from_disk(config: Config, *, ordered: bool) -> dict[str, str | int]:
    disks = _disks(config)
    if not disks:
        raise NotPossible("The VM has no disk that it could boot from. Nothing was changed.")
    disk = next((one for one in (config.get("bootdisk"),) if one in disks), disks[0])
    if not ordered:
        return {"boot": "c", "bootdisk": disk}
    order = dict(_pairs(str(config.get("boot", "")), "legacy")).get("order", "").split(";")
    disk = next((one for one in order if one in disks), disk)
    return {"boot": f"order={';'.join([disk, *(one for one in order if one not in ('', disk))])}"}


def _disks(config: Config) -> list[str]:
    """The slots that have a disk, in the order in which Proxmox VE looks for the first one."""
    found = [
        (_DISK_BUSES.index(slot[1]), int(slot[2]), key)
        for key, value in config.items()
        if (slot := re.fullmatch(rf"({'|'.join(_DISK_BUSES)})(\d+)", key)) and "media=cdrom" not in str(value)
    ]
    return [key for _bus, _number, key in sorted(found)]


def _pairs(text: str, default: str) -> t.Iterator[tuple[str, str]]:
    for one in text.split(",") if text else ():
        name, equals, value = one.partition("=")
        yield (name, value) if equals else (default, name)
