# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``virtualbox``: the machine of a CHR is turned on and off with ``VBoxManage``.

VirtualBox talks to a guest through its own additions, which RouterOS does not have.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power_only import PowerOnly
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .options import VirtualBoxOptions
from .power import VirtualBoxPower
from .privileges import NEEDED


def open_guest(options: VirtualBoxOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput."""
    machine = Machine(options)
    power = VirtualBoxPower(machine, options.vboxmanage, options.vm)
    return PowerOnly("virtualbox", "VirtualBox", machine.name, options.vm, power, options.connect_timeout, NEEDED)
