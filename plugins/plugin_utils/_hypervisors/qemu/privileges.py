# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a task on a router needs on the machine that runs its QEMU.

QEMU has no users and no privileges. Whether the socket may be opened is up to the machine.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

SOCKET = Privilege("open the socket", "script")
NEEDED = (SOCKET,)
