# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Proxmox VE 6.2 to 9, through its REST interface. Backend ``proxmox``."""

from __future__ import annotations

import contextlib
import importlib

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible


def preload() -> None:
    """Import what every task of this backend needs, before Ansible forks its processes."""
    importlib.import_module(".guest", __package__)
    with contextlib.suppress(NotPossible):  # the hosts that need it are told
        importlib.import_module(".api", __package__).warm_up()
