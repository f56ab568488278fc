# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparison of a file on the router with one on the controller, without a copy.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import FileMissing
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit


class _Differs(Exception):
    pass


class _Comparer:
    """A sink that raises _Differs at the first byte that differs from *other*."""

    def __init__(self, other: t.BinaryIO) -> None:
        self._other = other

    def write(self, data: bytes) -> int:
        if self._other.read(len(data)) != data:
            raise _Differs
        return len(data)


def same_content(guest: Guest, name: str, local: t.BinaryIO, limit: TransferLimit) -> bool | None:
    """Whether the router's file *name* has the bytes of *local*, from its position on.

    Returns None if the router has no such file. Reads the file up to the first difference.
    """
    try:
        guest.get(name, t.cast("t.BinaryIO", _Comparer(local)), limit)
    except _Differs:
        return False
    except FileMissing:
        return None
    return not local.read(1)
