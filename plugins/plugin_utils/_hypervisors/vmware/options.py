# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``vmware``."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import (
    ApiOptions,
    LoginOptions,
    api_environment,
)


@dataclass(frozen=True, kw_only=True)
class VmwareServer(ApiOptions):
    """Options of a vCenter or an ESXi host: the API and its login."""

    backend: t.ClassVar[str] = "vmware"
    ENVIRONMENT: t.ClassVar[Mapping[str, Sequence[str]]] = api_environment("VMWARE")


@dataclass(frozen=True, kw_only=True)
class VmwareOptions(VmwareServer, LoginOptions):
    """Options of a VM on VMware: those of the server, and the RouterOS user that runs scripts."""

    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("inline", "console", "import")
