# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What dom0's xenstore tells about the way to one of its domains."""

from __future__ import annotations

import re

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Checks, HeldPrivilege, held

from . import vm_data
from .dom0 import Dom0
from .privileges import NEEDED

_CARD = re.compile(r"device/vif/(\d+)/mac")


class XenstoreChecks(Checks):
    """The checks of the VM of *dom0*."""

    def __init__(self, dom0: Dom0) -> None:
        self._dom0 = dom0

    def reach(self) -> str:
        self._dom0.ask(lambda store: store.domains())
        return f"xenstore in {self._dom0.name}, by the way {self._dom0.store.mode}"

    def privileges(self) -> list[HeldPrivilege]:
        """xenstored's own socket, which is not the read-only one, belongs to root alone."""
        self._dom0.domain()
        return held(NEEDED, {one.name: True for one in NEEDED})

    def channel(self) -> str:
        domain = self._dom0.domain()
        nodes = self._dom0.ask(lambda store: store.nodes(domain))
        if vm_data.ROOT in nodes:
            return f"{domain.path}/{vm_data.ROOT} in xenstore"
        return f"{domain.path} in xenstore, where the first script makes {vm_data.ROOT}"

    def cards(self) -> tuple[str, ...]:
        domain = self._dom0.domain()
        tree = self._dom0.ask(lambda store: store.tree(domain.path))
        return tuple(mac.upper() for path, mac in sorted(tree.items()) if _CARD.fullmatch(path))
