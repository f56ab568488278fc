# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Lists the VMs of a Proxmox VE cluster.

The cluster's list takes names from what each node broadcasts every ten seconds, so a new VM is
listed without a name at first. Its node knows the name at once.
"""

from __future__ import annotations

import typing as t
from collections.abc import Container
from dataclasses import dataclass, replace

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_bool

from .api import Api, ApiError

_ATTEMPTS = 3  # to ask a node whose processes are busy
_Row = dict[str, t.Any]


@dataclass(frozen=True)
class Listed:
    """A guest as the cluster lists it."""

    vmid: int
    name: str
    """The guest's name. Empty if no node that answers knows it."""
    node: str
    kind: str
    """``qemu`` or ``lxc``."""
    template: bool
    silence: str = ""
    """Why the name is not known: what came back when the guest's node was asked."""
    row: _Row | None = None
    """All that the cluster lists for it."""


@dataclass(frozen=True)
class Listing:
    """What a cluster lists in one answer."""

    guests: list[Listed]
    online: dict[str, bool]
    """Each node that is listed, and whether it is online."""


def guests(api: Api, timeout: float) -> list[Listed]:
    """List all guests that this user may see.

    Raises the errors of ``Api.call``, and ChrError for an answer that is not a list of VMs.
    """
    answer = api.call(lambda pve: pve.cluster.resources.get(type="vm"), timeout=timeout)
    return _named(api, _read(api, answer).guests, timeout, {})


def listing(api: Api, timeout: float) -> Listing:
    """List all guests and nodes that this user may see. Raises as ``guests``."""
    listed = _read(api, api.call(lambda pve: pve.cluster.resources.get(), timeout=timeout))
    offline = {node for node, online in listed.online.items() if not online}
    return replace(listed, guests=_named(api, listed.guests, timeout, offline))


def _read(api: Api, answer: t.Any) -> Listing:
    try:
        if not isinstance(answer, list):
            raise TypeError
        found = [
            Listed(
                int(one["vmid"]),
                str(one.get("name") or ""),
                str(one["node"]),
                one["type"],
                as_bool(one.get("template")),
                row=one,
            )
            for one in answer
            if one["type"] in ("qemu", "lxc")
        ]
        online = {str(one["node"]): one.get("status") != "offline" for one in answer if one["type"] == "node"}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ChrError(f"{api.where} answered /cluster/resources without a list of VMs.") from None
    return Listing(found, online)


def _named(api: Api, listed: list[Listed], timeout: float, offline: Container[str]) -> list[Listed]:
    """Return *listed* with the names that only a node knows yet. Those *offline* are not asked."""
    known: dict[int, tuple[str, bool]] = {}
    silent: dict[str, str] = {}
    for node in {one.node for one in listed if one.kind == "qemu" and not one.name and one.node not in offline}:
        try:
            known |= _of_node(api, node, timeout)
        except ApiError as error:
            if error.status < 595:
                raise
            silent[node] = f"{error.status} {error.said}"
    return [
        replace(one, name=known[one.vmid][0], template=known[one.vmid][1])
        if not one.name and one.vmid in known
        else replace(one, silence="" if one.name else silent.get(one.node, ""))
        for one in listed
    ]


def silent_nodes(listed: list[Listed]) -> str:
    """A sentence about the nodes of *listed* that did not answer, or an empty text."""
    silent = {one.node: one.silence for one in listed if one.silence}
    return " ".join(
        f"Node {node} did not answer ({said}), so the names of its VMs "
        f"{', '.join(str(one.vmid) for one in listed if one.node == node and one.silence)} are not known."
        for node, said in sorted(silent.items())
    )


def _of_node(api: Api, node: str, timeout: float) -> dict[int, tuple[str, bool]]:
    """The VMs of one node: name and template by vmid.

    Raises ApiError if the cluster cannot reach it.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            answer = api.call(lambda pve: pve.nodes(node).qemu.get(), timeout=timeout)
            break
        except ApiError as error:
            if error.status <= 595 or attempt == _ATTEMPTS:  # 595: the node itself is not there
                raise
    try:
        return {int(one["vmid"]): (str(one.get("name") or ""), as_bool(one.get("template"))) for one in answer}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ChrError(f"{api.where} answered without a list of the VMs of node {node}.") from None
