# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What other files have put into the inventory: hosts and groups that a VM must not come into.

Each group of a source has the variable ``chr_source`` with its own name. So later files know it as
such a group, even if its source has no router.
"""

from __future__ import annotations

import collections
import typing as t
from collections.abc import Mapping

from ansible_collections.outofband.chr.plugins.plugin_utils._core.identity import Identity

SOURCE = "chr_source"
_SERVERS = ("chr_api_host", "chr_libvirt_uri", "chr_ssh_host")


def vm_of(name: str, variables: Mapping[str, t.Any]) -> Identity:
    """The VM that the *variables* of the host *name* say."""
    server = next((str(variables[one]) for one in _SERVERS if variables.get(one)), "")
    port = variables.get("chr_api_port")
    endpoint = f"{server}:{port}" if port else server
    return Identity(name, str(variables.get("chr_backend")), endpoint, str(variables.get("chr_vm")))


def is_other(inventory: t.Any, name: str, variables: Mapping[str, t.Any]) -> bool:
    """Whether *inventory* has a host *name* that the VM with *variables* must not become.

    Only a host in the group of the VM's source becomes it, and only if it is not another VM.
    """
    host = inventory.hosts.get(name)
    if host is None:
        return False
    if inventory.groups[variables[SOURCE]] not in host.get_groups():
        return True
    return SOURCE in host.vars and vm_of(name, host.vars).key != vm_of(name, variables).key


def leave_groups(inventory: t.Any) -> list[tuple[str, str, str, str]]:
    """Take each router out of the groups that make it a member of the group of another source.

    Returns for each the host, its source, the group that it left, and the other source.
    """
    sources = {name: group for name, group in inventory.groups.items() if group.vars.get(SOURCE) == name}
    left = []
    for name, group in sources.items():
        for host in list(group.get_hosts()):
            own = host.vars.get(SOURCE)
            if own == name or own not in sources:
                continue
            for one in list(host.get_groups()):
                if (one is group or group in one.get_ancestors()) and host in one.hosts:
                    one.remove_host(host)
                    left.append((host.name, str(own), one.name, name))
    return left


def same_vms(inventory: t.Any) -> list[tuple[Identity, list[str]]]:
    """The VMs that are more than one host of a source, with the names of these hosts."""
    found: dict[tuple[str, ...], list[Identity]] = collections.defaultdict(list)
    for name, host in inventory.hosts.items():
        if SOURCE in host.vars:
            vm = vm_of(name, host.vars)
            found[vm.key].append(vm)
    return [(vms[0], [one.host for one in vms]) for vms in found.values() if len(vms) > 1]
