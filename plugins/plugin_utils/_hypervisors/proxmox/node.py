# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The node on which a VM runs, and programs that are run there."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, VmNotFound
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .machine import ProxmoxMachine

_COMMAND = 30.0  # seconds for one program on the node
# The settings that tell one VM from another with the same number: serial numbers, MAC addresses,
# names and disks. The first two are certain.
_IDENTITY = re.compile(r"name|smbios1|vmgenid|(net|ide|sata|scsi|virtio)\d+")
_UNIQUE = re.compile(r"smbios1|vmgenid|net\d+")


class Node:
    """The node on which a VM runs. *machine* runs programs there, as root through ssh."""

    def __init__(self, vm: ProxmoxMachine, machine: Machine) -> None:
        self._vm = vm
        self._machine = machine
        self._verified = False

    def run(self, command: list[str], *, changes: bool = False, seconds: float = _COMMAND) -> tuple[int, str]:
        """Run a program for at most *seconds*, and return its exit status and its output.

        Raises NotPossible when the node cannot run it, and Unreachable when ssh failed. If the
        program had been started by then and *changes* says that it changes something, it raises
        OutcomeUnknown instead.
        """
        try:
            done = self._machine.try_run(command, seconds=seconds, changes=changes)
        except NotPossible as error:
            raise NotPossible(f"{error} {self.needed}") from None
        return done.rc, done.stdout if done.rc == 0 or done.stdout.strip() else done.stderr

    @property
    def needed(self) -> str:
        return f"chr_ssh_host ({self._machine.name}) must be the Proxmox VE node of the VM, as root."

    def verify(self) -> int:
        """Compare the VM on this node with the one that the API shows, and return the vmid.

        Another cluster may have a VM with the same number. Raises VmNotFound, NotPossible.
        """
        vmid, node = self._vm.locate()
        if self._verified:
            return vmid
        status, output = self.run(["qm", "config", str(vmid)])
        if status != 0:
            raise VmNotFound(
                f"{self._machine.name} does not have {self._vm}: 'qm config {vmid}' says "
                f"{message(output)}. It runs on node {node!r}, and that is what "
                "chr_ssh_host must be, as root."
            )
        shown = dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)
        expected = self._vm.machine(lambda vm: vm.config.get())
        if not isinstance(expected, dict) or not any(_UNIQUE.fullmatch(key) for key in expected):
            raise NotPossible(
                f"{self._vm} has no network card and no serial number (smbios1), so it cannot be "
                f"told from another VM {vmid}."
            )
        if _identity(shown) != _identity(expected):
            raise VmNotFound(
                f"The VM {vmid} on {self._machine.name} is not {self._vm}: their names, network "
                f"cards or disks differ. Nothing was changed. {self.needed}"
            )
        self._verified = True
        return vmid


def _identity(config: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {key: str(value).strip() for key, value in config.items() if _IDENTITY.fullmatch(key)}
