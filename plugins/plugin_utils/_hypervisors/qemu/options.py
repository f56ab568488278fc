# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``qemu``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions, SocketOptions, SshOptions

DIRECTORY = "/var/lib/outofband.chr"
"""Where outofband.chr.qemu_vm makes the folders of VMs by default."""


@dataclass(frozen=True, kw_only=True)
class QemuServer(SshOptions):
    """Options of a machine with QEMU processes, and where their agent channels are there."""

    backend: t.ClassVar[str] = "qemu"

    sockets: tuple[str, ...] = (f"{DIRECTORY}/*/agent.sock",)
    """Patterns of the shell for absolute paths; a folder stands for the sockets in it."""


@dataclass(frozen=True, kw_only=True)
class QemuOptions(SocketOptions, GuestOptions):
    """Options of a host whose socket is the agent channel: a path or ``tcp://host:port``."""

    backend: t.ClassVar[str] = "qemu"
    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("inline", "import", "path")
