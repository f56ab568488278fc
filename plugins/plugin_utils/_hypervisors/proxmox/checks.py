# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What Proxmox VE tells about the way to one of its VMs."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPermitted
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import (
    Checks,
    HeldPrivilege,
    addresses,
    held,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from . import privileges
from .api import ApiError
from .machine import ProxmoxMachine
from .vm_config import hardware_of


class ProxmoxChecks(Checks):
    """The checks of *vm*.

    *ssh*: its node, if that is reached with ssh. *largest*: the size in bytes of the largest file
    without it. *timeout*: seconds to connect.
    """

    def __init__(self, vm: ProxmoxMachine, ssh: Machine | None, largest: int, timeout: float) -> None:
        self._vm = vm
        self._ssh = ssh
        self._largest = largest
        self._timeout = timeout

    def reach(self) -> str:
        major, minor = self._vm.version
        return f"{self._vm.api.where}, version {major}.{minor}, as {self._vm.api.login.account}"

    def privileges(self) -> list[HeldPrivilege]:
        vmid, _node = self._vm.locate()
        path, table = f"/vms/{vmid}", privileges.needed(self._vm.version)
        try:
            found = self._vm.api.call(lambda pve: pve.access.permissions.get(path=path), timeout=self._timeout)
            granted = set(found.get(path, {}))
        except (ApiError, NotPermitted, AttributeError, TypeError):
            return held(table, None)
        return held(table, {one.name: one.name in granted for one in table})

    def channel(self) -> str:
        self._vm.check_agent_option()
        return "the option agent of the VM"

    def largest_file(self) -> int | None:
        if self._ssh is None:
            return self._largest
        self._ssh.try_run(["true"], seconds=self._timeout, changes=False)
        return None

    def cards(self) -> tuple[str, ...] | None:
        config = self._vm.machine(lambda vm: vm.config.get(current=1))
        try:
            return addresses(hardware_of(config).nics or ())
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
