# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of inventories: the VMs of a hypervisor, and what it knows of each.

The package of a backend that has an inventory has a module ``inventory`` with

    def list_vms(options: XServer, deadline: Deadline) -> list[FoundVm]

It lists the virtual machines that this login may see, CHRs and others, with templates and without
snapshots and containers, in at most three calls of the API however many VMs there are. It decides
nothing: what counts as a CHR, which VMs are left out, their names and groups are chosen above, once
for all backends. No agent is asked, and nothing is changed. A VM whose record cannot be read is
listed with what can be read of it, and without an id it is left out: one odd VM must not cost the
others.

Raises Unreachable, NotPermitted, UntrustedCertificate, InvalidInput and NotPossible in the meaning
that they have elsewhere, and ChrError for an answer that is not a list of VMs. Nothing is asked of
the server after *deadline*; then Unreachable is raised.

Where a listing lacks what only a question about each VM tells, such VMs are ``partial``, and the
module also has

    def details(options: XServer, vms: Sequence[FoundVm], deadline: Deadline) -> list[FoundVm]

It returns *vms* in their order with what their configuration tells. It asks for several VMs side by
side. A VM that cannot be read, or that is gone, comes back as it was, still ``partial``.

It may have ``AGENTS``, the number of agents that may be asked side by side with ``open_guest``, if
that is other than 16.

All texts are words of others. They are passed on as they came, as ``str``, even if they have
control characters or lone surrogates. Whoever shows them cleans them.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field

from .vm import Mark

Power = t.Literal["on", "off", "suspended", "unknown"]


@dataclass(frozen=True, kw_only=True)
class FoundVm:
    """A VM as its hypervisor lists it. What is not told is None, or an empty tuple."""

    id: str
    """The value of ``chr_vm``, which survives renaming: a vmid, uuid or moid."""
    name: str
    """Empty if the hypervisor does not tell it."""
    power: Power = "unknown"
    """``on`` also for a VM that is paused while it runs. ``unknown`` if its node is offline."""
    template: bool = False
    node: str | None = None
    """The host that runs the VM, or on which it is registered, by the name the hypervisor gives."""
    node_online: bool = True
    """Whether the hypervisor reaches that host. True if it does not tell."""
    cluster: str | None = None
    folder: str | None = None
    """The path of the folder in the inventory of the hypervisor, such as ``/DC0/vm/routers``."""
    pool: str | None = None
    """The resource pool. Not the pool of XenServer and XCP-ng, which is the ``cluster``."""
    tags: tuple[str, ...] = ()
    cpus: int | None = None
    memory: int | None = None
    """In MiB."""
    networks: tuple[str, ...] = ()
    """The network of each card, in the order of the cards, as ``nics`` of ``*_vm`` names it."""
    addresses: tuple[str, ...] = ()
    """The IP addresses that the guest's agent or tools have reported, without a prefix length."""
    configured_os: str | None = None
    """The guest's system as the VM is configured: ``otherLinux64Guest``, ``l26``."""
    reported_os: str | None = None
    """The guest's system as its tools report it, in the words of the hypervisor."""
    mark: Mark | None = None
    """The mark of an import by this collection, also one that was copied from another VM."""
    partial: bool = False
    """Whether ``details`` may tell more, such as the mark and the networks."""
    variables: Mapping[str, t.Any] = field(default_factory=dict)
    """Variables that only this VM's connection needs, such as ``chr_node``; never a secret.

    Those that follow from the options of the source, such as ``chr_api_host``, are added above.
    """
