# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine with Workstation, whose user has vmrun and VMs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..machine import LabMachine
from ..routeros import Router
from ..vmware.guests import VsphereRouters
from . import vmrun

_VMX = 'config.version = "8"\nvirtualHW.version = "18"\nguestOS = "other3xlinux-64"\ndisplayName = "{name}"\n'


class WorkstationMachine(LabMachine):
    """A machine with Workstation."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.base = self.home / "vmware"
        self.program("vmrun", f'LAB_VMRUN={self.home} exec {sys.executable} -S {vmrun.__file__} "$@"')

    @property
    def running(self) -> list[str]:
        return (self.home / "running").read_text().splitlines()

    def stop(self, vmx: str) -> None:
        subprocess.run([self.programs / "vmrun", "-T", "ws", "stop", vmx, "hard"], check=True)

    @property
    def calls(self) -> str:
        """The arguments of every vmrun."""
        return (self.home / "calls").read_text()

    def settings(self, name: str) -> dict[str, str]:
        return vmrun.settings(self.base / name / f"{name}.vmx")

    def routers(self, limit: float = 120.0, power_limit: float = 30.0) -> VsphereRouters:
        """The routers in the VMs of this machine: a context manager."""
        return VsphereRouters(self.home / "routers", limit, power_limit)

    def add(self, name: str, settings: str = "", *, running: bool = True) -> str:
        """A VM with a small file instead of a disk. Returns the path of its .vmx."""
        vmx = self.base / name / f"{name}.vmx"
        vmx.parent.mkdir(parents=True)
        vmx.write_text(_VMX.format(name=name) + settings)
        if running:
            with (self.home / "running").open("a") as file:
                file.write(f"{vmx}\n")
        return str(vmx)


def router_of(routers: VsphereRouters, vmx: str) -> Router:
    """The router in the VM of that file."""
    return routers.router(vmx, Path(vmx).stem)
