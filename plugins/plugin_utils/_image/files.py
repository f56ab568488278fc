# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Large files that are mostly empty."""

from __future__ import annotations

import contextlib
import errno
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError

BLOCK = 1024 * 1024
_ZEROS = bytes(BLOCK)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def not_written(path: Path, error: OSError) -> GuestError:
    """The sentence about it."""
    advice = "Free space there, or choose another folder with cache." if error.errno in _FULL else "Check cache."
    return GuestError(f"{path} cannot be written: {error.strerror or error}. {advice}")


@contextlib.contextmanager
def storing(path: Path) -> t.Iterator[None]:
    """Turn the OSError of writing *path* into GuestError."""
    try:
        yield
    except OSError as error:
        raise not_written(path, error) from None


def pour(source: t.IO[bytes], target: Path) -> int:
    """Write *source* to its end into *target*, with holes for what is all zeros; the number of bytes. Raises GuestError."""
    size = 0
    with storing(target), target.open("wb") as file:
        while block := source.read(BLOCK):
            if block == _ZEROS[: len(block)]:
                file.seek(len(block), 1)
            else:
                file.write(block)
            size += len(block)
        file.truncate(size)
    return size
