# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What XAPI tells about the way to one of its VMs."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPermitted
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Checks, HeldPrivilege, held

from .api import XenapiError
from .machine import XenapiMachine
from .privileges import NEEDED, granted


class XenapiChecks(Checks):
    """The checks of *vm*."""

    def __init__(self, vm: XenapiMachine) -> None:
        self._vm = vm

    def reach(self) -> str:
        self._vm.xapi.all_of("pool")
        return f"{self._vm.xapi.login.where} as {self._vm.xapi.login.user}"

    def privileges(self) -> list[HeldPrivilege]:
        try:
            return held(NEEDED, granted(self._vm.xapi.permissions()))
        except (NotPermitted, XenapiError):
            return held(NEEDED, None)

    def channel(self) -> str:
        return "the VM's xenstore_data, which every VM has"

    def cards(self) -> tuple[str, ...]:
        found = (self._vm.xapi.call("VIF.get_record", ref) for ref in self._vm.look()["VIFs"])
        return tuple(sorted(str(one["MAC"]).upper() for one in found))
