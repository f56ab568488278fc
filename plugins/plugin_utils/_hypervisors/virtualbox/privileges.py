# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VirtualBox knows no privileges: the VMs are those of the user who runs ``VBoxManage``."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import Privilege

NEEDED: tuple[Privilege, ...] = ()
