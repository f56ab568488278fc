# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All targets."""

from . import bridge, core, hypervisors, images, qga, routeros, xen

__all__ = ["bridge", "core", "hypervisors", "images", "qga", "routeros", "xen"]
