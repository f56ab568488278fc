# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``xenstore``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions, SocketOptions


@dataclass(frozen=True, kw_only=True)
class XenstoreOptions(SocketOptions, GuestOptions):
    """Options of a Xen domain: the machine is dom0, the socket is the path of its xenstored."""

    backend: t.ClassVar[str] = "xenstore"
    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("socket", "commands")
