# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``proxmox``: a CHR behind the REST interface of Proxmox VE 6.2 to 9."""

from __future__ import annotations

from .guest import open_guest

__all__ = ["open_guest"]
