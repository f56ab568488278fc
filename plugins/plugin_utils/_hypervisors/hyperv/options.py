# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``hyperv``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions, SshOptions


@dataclass(frozen=True, kw_only=True)
class HyperVOptions(SshOptions, GuestOptions):
    """Options of a VM of Hyper-V, on a Windows machine with OpenSSH's server."""

    backend: t.ClassVar[str] = "hyperv"
