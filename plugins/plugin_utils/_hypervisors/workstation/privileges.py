# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Workstation and Fusion know no privileges: the VMs are those of the user who runs ``vmrun``."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

NEEDED: tuple[Privilege, ...] = ()
