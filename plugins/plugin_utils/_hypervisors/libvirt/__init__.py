# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""libvirt: QEMU and KVM under libvirtd. Backend ``libvirt``."""

from __future__ import annotations

import contextlib
import importlib

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible


def preload() -> None:
    """Import libvirt-python if it is installed: 60 ms that each task would spend again."""
    with contextlib.suppress(NotPossible):  # a host that needs it is told
        importlib.import_module(".connection", __package__).library()
