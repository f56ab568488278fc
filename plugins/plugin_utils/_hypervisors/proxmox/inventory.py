# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Lists the VMs of a Proxmox VE cluster.

The list of the cluster's resources has all VMs and nodes, with the tags since Proxmox VE 7.3. It
lacks the description, which carries the mark of an import, and the network cards. These are in the
configuration of each VM.

Sources: PVE::API2::Cluster and PVE::API2Tools of pve-manager, qemu-server 6.2 to 9.2.6.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_int
from ansible_collections.outofband.chr.plugins.plugin_utils._core.side_by_side import in_order
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm, Power
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted

from .api import Api, ProxmoxLogin, shared_api
from .cluster import Listed, listing
from .lost_answers import persist
from .options import ProxmoxServer

AGENTS = 3
"""A node has three processes for calls to agents, and each waits for a silent one for 3 seconds."""
_CONFIGS = 8  # configurations that are read side by side
_CARD = re.compile(r"net(\d{1,3})")
_POWER: dict[str, Power] = {"running": "on", "stopped": "off", "paused": "on", "suspended": "suspended"}
_T = t.TypeVar("_T")


def list_vms(options: ProxmoxServer, deadline: Deadline) -> list[FoundVm]:
    """The VMs that this login may see. The contract is in ``inventory.py``."""
    api = shared_api(ProxmoxLogin.from_options(options))
    found = _ask(lambda: listing(api, deadline.remaining), deadline)
    cluster = _cluster(api, deadline)
    return [
        _vm(one, online=found.online.get(one.node, True), cluster=cluster)
        for one in found.guests
        if one.kind == "qemu" and options.node in (None, one.node)
    ]


def _vm(one: Listed, *, online: bool, cluster: str | None) -> FoundVm:
    row = one.row or {}
    memory = _whole(row.get("maxmem"))
    return FoundVm(
        id=str(one.vmid),
        name=one.name,
        power=_POWER.get(str(row.get("status")), "unknown") if online else "unknown",
        template=one.template,
        node=one.node,
        node_online=online,
        cluster=cluster,
        pool=str(row["pool"]) if row.get("pool") else None,
        tags=tuple(tag for tag in re.split(r"[;, ]+", str(row.get("tags") or "")) if tag),
        cpus=_whole(row.get("maxcpu")),
        memory=None if memory is None else memory >> 20,
        partial=online,
        variables={"chr_node": one.node},
    )


def _whole(value: t.Any) -> int | None:
    try:
        return as_int(value) or None
    except (TypeError, ValueError):
        return None


def _cluster(api: Api, deadline: Deadline) -> str | None:
    """The name of the cluster. None for a single node, and for a user who may not see it."""
    try:
        rows = _ask(lambda: api.call(lambda pve: pve.cluster.status.get(), timeout=deadline.remaining), deadline)
        return next((str(one["name"]) for one in rows if one.get("type") == "cluster"), None)
    except (ChrError, AttributeError, KeyError, TypeError):
        return None


def details(options: ProxmoxServer, vms: Sequence[FoundVm], deadline: Deadline) -> list[FoundVm]:
    """Add what the configurations tell. The contract is in ``inventory.py``."""
    api = shared_api(ProxmoxLogin.from_options(options))

    def one(vm: FoundVm) -> FoundVm:
        if not vm.partial or deadline.expired:
            return vm
        try:
            config = _ask(
                lambda: api.call(lambda pve: pve.nodes(vm.node).qemu(vm.id).config.get(), timeout=deadline.remaining),
                deadline,
            )
            return _configured(vm, config)
        except (ChrError, AttributeError, TypeError, ValueError):
            return vm

    return in_order(vms, one, _CONFIGS)


def _configured(vm: FoundVm, config: dict[str, t.Any]) -> FoundVm:
    cards = sorted((int(found[1]), str(value)) for name, value in config.items() if (found := _CARD.fullmatch(name)))
    bridges = (dict(part.partition("=")[::2] for part in card.split(",")).get("bridge", "") for _number, card in cards)
    return dataclasses.replace(
        vm,
        networks=tuple(bridges),
        configured_os=str(config["ostype"]) if config.get("ostype") else None,
        mark=Mark.parse(str(config.get("description") or "")),
        partial=False,
    )


def _ask(question: t.Callable[[], _T], deadline: Deadline) -> _T:
    """The answer to *question*, which changes nothing. Raises ChrError."""
    try:
        return persist(question, deadline.remaining)
    except Interrupted as error:
        raise Unreachable(str(error)) from None
