# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``xenapi``: a CHR on XenServer or XCP-ng, through the hypervisor's own interface."""

from __future__ import annotations

from .guest import open_guest

__all__ = ["open_guest"]
