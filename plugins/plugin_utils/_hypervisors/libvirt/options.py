# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of backend ``libvirt``."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions, HypervisorOptions

_KEY = re.compile(r"(?<=[?&])keyfile=[^&]*&?")


@dataclass(frozen=True, kw_only=True)
class LibvirtServer(HypervisorOptions):
    """Options of a daemon of libvirt."""

    backend: t.ClassVar[str] = "libvirt"

    libvirt_uri: str = "qemu:///system"


@dataclass(frozen=True, kw_only=True)
class LibvirtOptions(LibvirtServer, GuestOptions):
    """Options of a host that is a libvirt domain."""

    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ("inline", "import", "path")


def without_key(uri: str) -> str:
    """Return a URI without the path of a key.

    That path can be another one in each job, as in AWX, and does not tell which libvirt is meant.
    """
    return _KEY.sub("", uri).rstrip("?&")
