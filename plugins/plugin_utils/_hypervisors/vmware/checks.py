# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What VMware tells about the way to one of its VMs."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import (
    Checks,
    HeldPrivilege,
    held,
)

from .privileges import NEEDED
from .vm_config import cards
from .vsphere import Vsphere


class VmwareChecks(Checks):
    """The checks of the VM whose id *moid* looks up."""

    def __init__(self, vsphere: Vsphere, moid: t.Callable[[], str]) -> None:
        self._vsphere = vsphere
        self._moid = moid

    def reach(self) -> str:
        self._vsphere.session()
        return f"{self._vsphere.endpoint.where} as {self._vsphere.endpoint.user}"

    def privileges(self) -> list[HeldPrivilege]:
        vm = self._moid()  # first, as it opens the session that the object needs
        return held(
            NEEDED,
            self._vsphere.privileges(self._vsphere.object("VirtualMachine", vm), [one.name for one in NEEDED]),
        )

    def channel(self) -> str:
        return "the guest operations of VMware, which need no channel"

    def cards(self) -> tuple[str, ...]:
        found = self._vsphere.properties(self._moid(), ["config.hardware.device"])
        return tuple(str(one.macAddress or "").upper() for one in cards(found))
