# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``vmrun``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import LoginOptions, SshOptions


@dataclass(frozen=True, kw_only=True)
class VmrunOptions(SshOptions, LoginOptions):
    """Options of a VM of Workstation or Fusion, and the RouterOS user that runs scripts."""

    backend: t.ClassVar[str] = "vmrun"
    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("inline", "console")

    vmrun_product: str = "ws"
    vmrun_program: str | None = None
    vmrun_password_in_arguments: bool = False
