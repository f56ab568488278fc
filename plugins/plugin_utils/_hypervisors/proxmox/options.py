# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``proxmox``."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import (
    ApiOptions,
    GuestOptions,
    SshOptions,
    api_environment,
)


@dataclass(frozen=True, kw_only=True)
class ProxmoxServer(ApiOptions, SshOptions):
    """Options of a Proxmox VE cluster: its API, its login, and a node if only that one is meant."""

    backend: t.ClassVar[str] = "proxmox"
    ENVIRONMENT: t.ClassVar[Mapping[str, Sequence[str]]] = {
        **api_environment("PROXMOX"),
        "api_token_id": ["PROXMOX_TOKEN_ID"],
        "api_token_secret": ["PROXMOX_TOKEN_SECRET"],
    }

    api_token_id: str | None = None
    api_token_secret: str | None = field(default=None, repr=False)
    node: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProxmoxOptions(ProxmoxServer, GuestOptions):
    """Options of a VM of Proxmox VE."""

    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("inline", "json", "file", "qm", "socket")
