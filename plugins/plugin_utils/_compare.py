# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparing a file on the router with one here while it streams. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import FileNotThere


class _Differs(Exception):
    pass


class _Comparer:
    """A sink that raises _Differs at the first byte that is not the same in *other*."""

    def __init__(self, other: t.BinaryIO) -> None:
        self._other = other

    def write(self, data: bytes) -> int:
        if self._other.read(len(data)) != data:
            raise _Differs
        return len(data)


def same_content(guest: Guest, name: str, local: t.BinaryIO) -> bool | None:
    """Whether the router's file *name* has the bytes of *local* (from its position on); None: there is no such file.

    Reads the router's file up to the first difference.
    """
    try:
        guest.get(name, t.cast("t.BinaryIO", _Comparer(local)))
    except _Differs:
        return False
    except FileNotThere:
        return None
    return not local.read(1)
