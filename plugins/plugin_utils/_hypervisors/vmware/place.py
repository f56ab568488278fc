# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The place in the inventory of a vCenter or an ESXi host where a VM is made.

The user gives names, and the API has objects. Every list is fetched in one call, whatever its
length. A name that matches nothing, or several objects, is an error that lists the existing names.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPermitted

from .vsphere import Vsphere

_DEFAULT_NETWORK = "VM Network"
"""The name of the port group of a new ESXi host."""


@dataclass(frozen=True)
class PlaceNames:
    """The names that the user gives for the VM's place.

    None means the only object that exists; for pool and folder, the topmost one.
    """

    datacenter: str | None = None
    cluster: str | None = None
    esxi_host: str | None = None
    resource_pool: str | None = None
    folder: str | None = None
    datastore: str | None = None


@dataclass(frozen=True)
class Datastore:
    """A datastore. Sizes are in bytes."""

    ref: t.Any
    name: str
    free: int
    usable: bool
    """Whether it is accessible and not in maintenance."""


@dataclass(frozen=True)
class Place:
    """The objects of the API. ``host`` is None where VMware chooses it."""

    datacenter: t.Any
    datacenter_path: str
    """The datacenter's path in the HTTP addresses of the datastores' files."""
    folder: t.Any
    pool: t.Any
    host: t.Any
    compute: str
    """The name of the cluster or host, for messages."""
    datastore: Datastore
    networks: dict[str, list[t.Any]]
    """The networks that VMs there can be connected to, by name."""


def resolve(vsphere: Vsphere, wanted: PlaceNames) -> Place:
    """The place that *wanted* names. Raises InvalidInput."""
    return _Search(vsphere, wanted).place()


class _Search:
    def __init__(self, vsphere: Vsphere, wanted: PlaceNames) -> None:
        self._vsphere, self._wanted = vsphere, wanted
        self._where = vsphere.endpoint.where

    def place(self) -> Place:
        datacenters = self._vsphere.listing("Datacenter", ["name", "parent", "vmFolder", "hostFolder"])
        center, found = self._one("datacenter", self._wanted.datacenter, _by_name(datacenters))
        inside = f"datacenter {found['name']!r}"
        compute, host = self._compute(self._seen(found, "hostFolder"), inside)
        source = host or compute
        at = f"host {host['name']!r}" if host else f"cluster {compute['name']!r}"
        networks: dict[str, list[t.Any]] = {}
        for moid, values in self._vsphere.several("Network", source.get("network", []), ["name"]):
            network = next(one for one in source["network"] if one._moId == moid)
            networks.setdefault(values["name"], []).append(network)
        return Place(
            datacenter=self._vsphere.object("Datacenter", center),
            datacenter_path=self._path(found),
            folder=self._folder(self._seen(found, "vmFolder"), inside),
            pool=self._pool(self._seen(compute, "resourcePool"), f"cluster {compute['name']!r}"),
            host=host and host["ref"],
            compute=at,
            datastore=self._datastore(source.get("datastore", []), at),
            networks=networks,
        )

    def _seen(self, values: dict[str, t.Any], name: str) -> t.Any:
        """A property that every such object has.

        Raises NotPermitted if the user may not see it.
        """
        if name not in values:
            raise NotPermitted(
                f"{self._vsphere.endpoint.user!r} of {self._where} may not see the {name} of "
                f"{values.get('name')!r}. The user needs at least the role Read-only there, "
                "propagated to its children."
            )
        return values[name]

    def _path(self, center: dict[str, t.Any]) -> str:
        """The path of the datacenter: the names of its folders below the root, and its own."""
        names, parent = [center["name"]], center.get("parent")
        while parent is not None:
            values = self._vsphere.properties(parent._moId, ["name", "parent"], "Folder")
            if (above := values.get("parent")) is not None:
                names.insert(0, values["name"])
            parent = above
        return "/".join(names)

    def _compute(self, folder: t.Any, inside: str) -> tuple[dict[str, t.Any], dict[str, t.Any] | None]:
        """The cluster (or the host outside clusters), and the requested host in it or None."""
        names = ["name", "resourcePool", "host", "datastore", "network"]
        computes = self._vsphere.listing("ComputeResource", names, folder)
        wanted = self._wanted
        if wanted.cluster:
            computes = [self._one("cluster", wanted.cluster, _by_name(computes), inside)]
        if not wanted.esxi_host:
            return self._one("cluster", None, _by_name(computes), inside, "cluster (or esxi_host)")[1], None
        refs = [ref for _moid, values in computes for ref in values.get("host", [])]
        hosts = [
            (moid, {**values, "ref": self._vsphere.object("HostSystem", moid)})
            for moid, values in self._vsphere.several("HostSystem", refs, ["name", "datastore", "network"])
        ]
        inside = f"cluster {wanted.cluster!r}" if wanted.cluster else inside
        moid, host = self._one("esxi_host", wanted.esxi_host, _by_name(hosts), inside)
        return next(one for _moid, one in computes if moid in {ref._moId for ref in one.get("host", [])}), host

    def _pool(self, root: t.Any, inside: str) -> t.Any:
        if not self._wanted.resource_pool:
            return root
        pools = self._vsphere.listing("ResourcePool", ["name"], root, "pool")
        moid, _values = self._one("resource_pool", self._wanted.resource_pool, _by_name(pools), inside)
        return self._vsphere.object("ResourcePool", moid)

    def _folder(self, root: t.Any, inside: str) -> t.Any:
        """The VM folder at a path such as ``routers/site1``."""
        path = [part for part in (self._wanted.folder or "").split("/") if part]
        if not path:
            return root
        folders = self._vsphere.listing("Folder", ["name", "parent"], root)
        paths: dict[str, list[tuple[str, dict[str, t.Any]]]] = {}
        by_moid = dict(folders)
        for moid, values in folders:
            names, parent = [values["name"]], values["parent"]
            while parent._moId in by_moid:
                names.insert(0, by_moid[parent._moId]["name"])
                parent = by_moid[parent._moId]["parent"]
            paths.setdefault("/".join(names), []).append((moid, values))
        return self._vsphere.object("Folder", self._one("folder", "/".join(path), paths, inside)[0])

    def _datastore(self, refs: list[t.Any], inside: str) -> Datastore:
        names = ["name", "summary.accessible", "summary.freeSpace", "summary.maintenanceMode"]
        found = _by_name(self._vsphere.several("Datastore", refs, names))
        moid, values = self._one("datastore", self._wanted.datastore, found, inside)
        usable = values.get("summary.accessible") is not False
        usable = usable and values.get("summary.maintenanceMode", "normal") == "normal"
        ref = self._vsphere.object("Datastore", moid)
        return Datastore(ref, values["name"], int(values.get("summary.freeSpace", 0)), usable)

    def _one(
        self,
        option: str,
        name: str | None,
        found: dict[str, list[tuple[str, t.Any]]],
        inside: str = "",
        options: str | None = None,
    ) -> tuple[str, t.Any]:
        """The (id, properties) of the object called *name*; of the only one if *name* is None."""
        chosen = found.get(name, []) if name else [one for several in found.values() for one in several]
        if len(chosen) == 1:
            return chosen[0]
        what = option.replace("_", " ")
        there = ", ".join(sorted(found)) or "none"
        within = f" in its {inside}" if inside else ""
        if not name:
            raise InvalidInput(
                f"{self._where} has {len(chosen)} {what}s{within} that "
                f"{self._vsphere.endpoint.user!r} may see ({there}), and {options or option} does "
                "not say which one to use."
            )
        if chosen:
            raise InvalidInput(
                f"{self._where} has {len(chosen)} {what}s named {name!r}{within}. Rename one, or narrow the choice."
            )
        raise InvalidInput(
            f"{self._where} has no {what} {name!r}{within} that {self._vsphere.endpoint.user!r} may "
            f"see. It has: {there}."
        )


def network(place: Place, name: str | None) -> t.Any:
    """The network *name*. None means the only network, or the one that a new host has.

    Raises InvalidInput.
    """
    there = ", ".join(sorted(place.networks)) or "none"
    if name is None:
        if _DEFAULT_NETWORK not in place.networks and len(place.networks) != 1:
            raise InvalidInput(
                f"A network card has no network, and {place.compute} has {len(place.networks)} of "
                f"them: {there}. Set network to one of them."
            )
        name = _DEFAULT_NETWORK if _DEFAULT_NETWORK in place.networks else next(iter(place.networks))
    found = place.networks.get(name, [])
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(f"{place.compute} has {len(found)} networks named {name!r}. Rename one.")
    raise InvalidInput(f"{place.compute} has no network {name!r}. It has: {there}.")


def _by_name(listed: Iterable[tuple[str, dict[str, t.Any]]]) -> dict[str, list[tuple[str, dict[str, t.Any]]]]:
    found: dict[str, list[tuple[str, dict[str, t.Any]]]] = {}
    for moid, values in listed:
        found.setdefault(values.get("name", ""), []).append((moid, values))
    return found
