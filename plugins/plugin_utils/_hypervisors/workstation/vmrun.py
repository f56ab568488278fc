# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The program ``vmrun`` of Workstation and Fusion.

It prints its errors on standard output and ends with 255 or 254 for them.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

FOLDERS = {"ws": "vmware", "fusion": "Virtual Machines.localized"}
"""The product's default folder of VMs, below the user's home."""
_FUSION = "/Applications/VMware Fusion.app/Contents/Library/vmrun"
_SECONDS = 120.0  # for one command


class Vmrun:
    """``vmrun`` on *machine*. *product*: ``ws`` or ``fusion``. *program*: its path, or None."""

    def __init__(self, machine: Machine, product: str, program: str | None, option: str) -> None:
        """*option*: the name of the option that sets *program*, for messages."""
        self.machine = machine
        self.product = product
        self.title = f"VMware {'Fusion' if product == 'fusion' else 'Workstation'} on {machine.name}"
        self.program = program or (_FUSION if product == "fusion" else "vmrun")
        self._option = option

    def run(self, *arguments: str, seconds: float = _SECONDS) -> str:
        """Run a command that must succeed, and return its output. Raises ChrError."""
        done, said = self.attempt(*arguments, seconds=seconds)
        if not done:
            raise ChrError(f"'vmrun {' '.join(arguments)}' of {self.title} failed: {said or 'it printed nothing'}")
        return said

    def attempt(self, *arguments: str, seconds: float = _SECONDS, changes: bool = True) -> tuple[bool, str]:
        """Run a command for at most *seconds*: whether it succeeded, and its output.

        Raises NotPossible if the program does not exist, and OutcomeUnknown if its end was not seen
        (Unreachable if it *changes* nothing).
        """
        argv = [self.program, "-T", self.product, *arguments]
        try:
            done = self.machine.try_run(argv, seconds=seconds, changes=changes)
        except NotPossible:
            raise self.missing() from None
        return done.rc == 0, done.stdout.strip() or done.stderr.strip()

    def running(self, vmx: str) -> bool:
        """Whether the VM of the file *vmx* runs. Raises ChrError."""
        done, said = self.attempt("list", changes=False)
        if not done:
            raise ChrError(f"'vmrun list' of {self.title} failed: {said or 'it printed nothing'}")
        return vmx in said.splitlines()

    def tools(self, vmx: str) -> str:
        """What is known of the tools in that VM: ``running`` if they have called."""
        return line(self.attempt("checkToolsState", vmx, changes=False)[1])

    def missing(self) -> NotPossible:
        """The error if the program does not exist."""
        return NotPossible(
            f"{self.machine.name} has no {self.program}. Set {self._option} to its path, or "
            "chr_ssh_host if it is on another machine."
        )
