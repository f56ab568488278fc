# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Comparison of a file on the router with one on the controller, without a copy."""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import FileMissing


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


def same_content(get: t.Callable[[t.BinaryIO], t.Any], local: t.BinaryIO) -> bool | None:
    """Whether *get*, which copies a file of the router, brings the rest of *local*.

    Returns None if the router has no such file. Reads the file up to the first difference.
    """
    try:
        get(t.cast("t.BinaryIO", _Comparer(local)))
    except _Differs:
        return False
    except FileMissing:
        return None
    return not local.read(1)
