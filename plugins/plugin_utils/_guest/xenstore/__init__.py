# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``xenstore``: a CHR below dom0's xenstore, on XenServer, XCP-ng and Xen Project."""

from __future__ import annotations

from .guest import open_guest

__all__ = ["open_guest"]
