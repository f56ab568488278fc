# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Which VMs a Proxmox VE cluster has.

The list of the cluster has names from what each node broadcasts every ten seconds, so a VM that was just made is in it without
a name. Its node knows the name at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import GuestError
from ..qga_guest import true
from .api import Api, ApiError


@dataclass(frozen=True)
class Listed:
    """A guest as the cluster lists it."""

    vmid: int
    name: str
    """Empty where nobody who answers knows it."""
    node: str
    kind: str
    """``qemu`` or ``lxc``."""
    template: bool


def guests(api: Api, timeout: float) -> list[Listed]:
    """All guests that this user may see. Raises as ``Api.call``, and GuestError for what is no list."""
    answer = api.call("GET", "/cluster/resources", {"type": "vm"}, timeout=timeout)
    try:
        listed = [
            Listed(
                int(one["vmid"]), str(one.get("name") or ""), str(one["node"]), one["type"], true(one.get("template"))
            )
            for one in answer
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise GuestError(f"{api.where} answered /cluster/resources with no list of VMs.") from None
    known: dict[int, tuple[str, bool]] = {}
    for node in {one.node for one in listed if one.kind == "qemu" and not one.name}:
        known |= _of_node(api, node, timeout)
    return [
        replace(one, name=known[one.vmid][0], template=known[one.vmid][1])
        if not one.name and one.vmid in known
        else one
        for one in listed
    ]


def _of_node(api: Api, node: str, timeout: float) -> dict[int, tuple[str, bool]]:
    """vmid -> (name, template) of one node; nothing where the cluster cannot reach it."""
    try:
        answer = api.call("GET", f"/nodes/{node}/qemu", timeout=timeout)
    except ApiError as error:
        if error.status >= 595:
            return {}
        raise
    try:
        return {int(one["vmid"]): (str(one.get("name") or ""), true(one.get("template"))) for one in answer}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise GuestError(f"{api.where} answered with no list of the VMs of node {node}.") from None
