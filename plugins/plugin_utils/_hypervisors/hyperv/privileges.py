# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a task needs on a machine with Hyper-V."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

NEEDED = (Privilege("Hyper-V Administrators", "power"),)
"""Without this group, the cmdlets refuse even to list VMs."""
