# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The VMs of a vCenter or an ESXi host, from one look of its PropertyCollector.

Another call tells the names of custom attributes, if a VM has some.

``chr_vm`` is the managed object id. It stays when the VM is renamed, moved or migrated within the
vCenter, and names one VM, while copies of a VM's files on two ESXi hosts have the same uuids. The
connection finds it with one call of the API, and a uuid with three. It changes when a VM is removed
from the inventory and registered again.

vSphere's tags are in another API, which tells them for one VM at a time. The custom attributes of
a VM take their place.
"""

from __future__ import annotations

import contextlib
import functools
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm, Power
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin

from .guest import PORT
from .options import VmwareServer
from .vsphere import Vsphere, library

_DEEPEST = 100  # folders, or pools, inside one another
_WANTED = {
    "VirtualMachine": [
        *("name", "parent", "parentVApp", "resourcePool", "network", "customValue"),
        *("runtime.powerState", "runtime.connectionState", "runtime.host"),
        *("config.template", "config.guestId", "config.annotation"),
        *("config.hardware.numCPU", "config.hardware.memoryMB"),
        *("guest.net", "guest.ipAddress", "guest.guestFullName", "guest.guestId"),
    ],
    "HostSystem": ["name", "parent", "runtime.connectionState"],
    "ClusterComputeResource": ["name"],
    "Datacenter": ["name", "parent"],
    "Folder": ["name", "parent"],
    "ResourcePool": ["name", "parent"],
    "VirtualApp": ["name", "parent", "parentFolder", "parentVApp"],
    "Network": ["name"],
}
_POWER: dict[str, Power] = {"poweredOn": "on", "poweredOff": "off", "suspended": "suspended"}

Values = dict[str, t.Any]
"""The properties of an object. What it does not have, or the user may not see, is missing."""


def list_vms(options: VmwareServer, deadline: Deadline) -> list[FoundVm]:
    """List the VMs, see the contract. Raises ChrError."""
    library()
    vsphere = Vsphere(PasswordLogin.from_options(options, PORT, "a vCenter or ESXi host"))
    found = vsphere.survey(_WANTED, deadline)
    attributes: dict[int, str] = {}
    if any(values.get("customValue") for values in found["VirtualMachine"].values()) and not deadline.expired:
        with contextlib.suppress(ChrError):  # their keys are listed then, as all the rest is known
            attributes = vsphere.attributes()
    places = _Places(found, attributes)
    return [places.vm(moid, values) for moid, values in found["VirtualMachine"].items() if moid]


class _Places:
    """What is *found* around the VMs. *attributes*: the names of the custom attributes.

    vCenter escapes some characters of names: ``/`` is ``%2f``. Only names of VMs lose that here, as
    the options of outofband.chr.vmware_vm take the others as they are.
    """

    def __init__(self, found: Mapping[str, Mapping[str, Values]], attributes: Mapping[int, t.Any]) -> None:
        self._hosts, self._clusters = found["HostSystem"], found["ClusterComputeResource"]
        self._networks, self._pools = found["Network"], found["ResourcePool"]
        self._above = {**found["Folder"], **found["Datacenter"], **found["VirtualApp"]}
        self._attributes = attributes
        self.path = functools.cache(self._path)
        self.pool = functools.cache(self._pool)

    def vm(self, moid: str, values: Values) -> FoundVm:
        host = self._hosts.get(_id(values.get("runtime.host")), {})
        online = _connected(host)
        known = online and _connected(values)  # of others, vCenter keeps the last state
        power = _POWER.get(str(values.get("runtime.powerState")), "unknown")
        return FoundVm(
            id=moid,
            name=unquote(_name(values) or ""),
            power=power if known else "unknown",
            template=values.get("config.template") is True,
            node=_name(host),
            node_online=online,
            cluster=_name(self._clusters.get(_id(host.get("parent")), {})),
            folder=self.path(_id(values.get("parent")) or _id(values.get("parentVApp"))),
            pool=self.pool(_id(values.get("resourcePool"))),
            tags=tuple(self._tags(values)),
            cpus=_number(values.get("config.hardware.numCPU")),
            memory=_number(values.get("config.hardware.memoryMB")),
            networks=tuple(
                name
                for one in _several(values.get("network"), library().vim.Network)
                if (name := _name(self._networks.get(_id(one), {}))) is not None
            ),
            addresses=_addresses(values),
            configured_os=_text(values.get("config.guestId")),
            reported_os=_text(values.get("guest.guestFullName")) or _text(values.get("guest.guestId")),
            mark=Mark.parse(_text(values.get("config.annotation"))),
        )

    def _path(self, moid: str) -> str | None:
        """The path of a folder or vApp, from the folders of the datacenters on."""
        names: list[str] = []
        while moid in self._above and len(names) < _DEEPEST:
            values = self._above[moid]
            names.append(_name(values) or "")
            moid = next(filter(None, map(_id, map(values.get, ("parentFolder", "parentVApp", "parent")))), "")
        return "/" + "/".join(reversed(names)) if names else None

    def _pool(self, moid: str) -> str | None:
        """The path of a pool below the one that every host or cluster has; None for that one."""
        names: list[str] = []
        while (above := _id(self._pools.get(moid, {}).get("parent"))) in self._pools and len(names) < _DEEPEST:
            names.append(_name(self._pools[moid]) or "")
            moid = above
        return "/".join(reversed(names)) or None

    def _tags(self, values: Values) -> Iterator[str]:
        for one in _several(values.get("customValue"), library().vim.CustomFieldsManager.StringValue):
            if one.value:
                yield f"{self._attributes.get(one.key, one.key)}={one.value}"


def _addresses(values: Values) -> tuple[str, ...]:
    """The addresses of the interfaces that the tools report, or the VM's first one."""
    cards = _several(values.get("guest.net"), library().vim.vm.GuestInfo.NicInfo)
    found = [one.ipAddress for card in cards if card.ipConfig for one in card.ipConfig.ipAddress or []]
    return tuple(dict.fromkeys(filter(None, map(_text, found or [values.get("guest.ipAddress")]))))


# A server can give a value of another type than its API says. Of a managed object, pyvmomi asks the
# server for any attribute.


def _several(values: t.Any, kind: type) -> Iterable[t.Any]:
    """Those of *values* that are of that *kind*."""
    return (one for one in values if isinstance(one, kind)) if isinstance(values, list) else ()


def _id(value: t.Any) -> str:
    """The id of a managed object. Empty for any other value."""
    return str(getattr(value, "_moId", None) or "")


def _text(value: t.Any) -> str | None:
    return str(value) if isinstance(value, str) and value else None


def _connected(values: Values) -> bool:
    return _text(values.get("runtime.connectionState")) in (None, "connected")


def _name(values: Values) -> str | None:
    return _text(values.get("name"))


def _number(value: t.Any) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None
