# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The permissions on a domain that tasks on a router need, if libvirtd controls access.

Source: libvirt's page "Client access control", permissions of virDomain.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

WRITE = Privilege("write", "script")
START = Privilege("start", "power")
STOP = Privilege("stop", "power")
RESET = Privilege("reset", "power")
SNAPSHOT = Privilege("snapshot", "snapshot")
NEEDED = (WRITE, START, STOP, RESET, SNAPSHOT)
