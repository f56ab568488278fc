# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``xenapi``."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import (
    ApiOptions,
    GuestOptions,
    api_environment,
)


@dataclass(frozen=True, kw_only=True)
class XenapiServer(ApiOptions):
    """Options of XenServer or XCP-ng: the API of a host or a pool, and its login."""

    backend: t.ClassVar[str] = "xenapi"
    ENVIRONMENT: t.ClassVar[Mapping[str, Sequence[str]]] = api_environment("XENSERVER")


@dataclass(frozen=True, kw_only=True)
class XenapiOptions(XenapiServer, GuestOptions):
    """Options of a VM on XenServer or XCP-ng."""

    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("start", "reboot")

    @property
    def may_restart(self) -> bool:
        """Whether ``chr_exec_mode: reboot`` permits the restart of a running router."""
        return self.exec_mode == "reboot"
