# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What ``vmrun`` tells about the way to a VM."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Checks, HeldPrivilege, held

from .privileges import NEEDED
from .vmrun import Vmrun


class VmrunChecks(Checks):
    """The checks of the VM whose .vmx *vmx* looks up."""

    def __init__(self, vmrun: Vmrun, vmx: t.Callable[[], str]) -> None:
        self._vmrun, self._vmx = vmrun, vmx

    def reach(self) -> str:
        self._vmrun.run("list")
        return self._vmrun.title

    def privileges(self) -> list[HeldPrivilege]:
        self._vmx()
        return held(NEEDED, None)

    def channel(self) -> str:
        self._vmx()
        return "vmrun runScriptInGuest, which needs no channel"
