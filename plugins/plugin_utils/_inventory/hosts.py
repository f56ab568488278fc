# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The variables of a host: how its router is reached, and what its hypervisor knows of the VM."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import masked_data
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import harmless, presentable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm

from .sources import InventorySource

CONNECTION = "outofband.chr.guest_agent"
_POWER = {"on": "running", "off": "stopped"}


@dataclass(frozen=True)
class RouterHost:
    """A VM that counts as a router, in the form that is kept in the cache."""

    id: str
    name: str
    variables: dict[str, t.Any]
    """All variables of the host but those that are the same for the whole source."""
    groups: list[str]
    """Its groups, besides that of the source."""

    @classmethod
    def kept(cls, value: t.Any) -> t.Self:
        """Read what ``dataclasses.asdict`` of a router was kept as. Raises ValueError."""
        if not isinstance(value, Mapping) or value.keys() != {field.name for field in dataclasses.fields(cls)}:
            raise ValueError("this is not a router")
        id_, name, variables, groups = (value[field.name] for field in dataclasses.fields(cls))
        texts = isinstance(id_, str) and isinstance(name, str) and isinstance(groups, (list, tuple))
        if not texts or not isinstance(variables, Mapping) or "chr_vm" not in variables:
            raise ValueError("this is not a router")
        return cls(str(id_), str(name), dict(variables), [str(one) for one in groups])


def facts(vm: FoundVm, source: InventorySource) -> dict[str, t.Any]:
    """What the hypervisor knows of *vm*, as variables of its host. They are safe to show."""
    found = {
        "chr_source": source.name,
        "chr_vm_name": vm.name,
        "chr_power_state": _POWER.get(vm.power, vm.power),
        "chr_template": vm.template,
        "chr_hypervisor": vm.node,
        "chr_hypervisor_online": vm.node_online,
        "chr_cluster": vm.cluster,
        "chr_folder": vm.folder,
        "chr_pool": vm.pool,
        "chr_tags": list(vm.tags),
        "chr_cpus": vm.cpus,
        "chr_memory": vm.memory,
        "chr_networks": list(vm.networks),
        "chr_addresses": list(vm.addresses),
        "chr_configured_os": vm.configured_os,
        "chr_reported_os": vm.reported_os,
        "chr_image": vm.mark.sha256 if vm.mark else None,
    }
    return t.cast("dict[str, t.Any]", masked_data(presentable(found)))


def router(vm: FoundVm, source: InventorySource, recognised_by: str, groups: list[str]) -> RouterHost | None:
    """The router that *vm* is. None if it has an id that a variable cannot carry unchanged."""
    exact = {"chr_vm": vm.id, **vm.variables}
    if not vm.id or any(isinstance(value, str) and harmless(value) != value for value in exact.values()):
        return None
    known = facts(vm, source)
    return RouterHost(vm.id, str(known["chr_vm_name"]), {**known, "chr_recognised_by": recognised_by, **exact}, groups)
