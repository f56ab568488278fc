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

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, TimedOut

BLOCK = 1024 * 1024
_ZEROS = bytes(BLOCK)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def not_written(path: Path, error: OSError) -> ChrError:
    """Return the error for a file that cannot be written."""
    advice = "Free space there, or choose another folder with cache." if error.errno in _FULL else "Check cache."
    return ChrError(f"{path} cannot be written: {error.strerror or error}. {advice}")


@contextlib.contextmanager
def storing(path: Path) -> t.Iterator[None]:
    """Turn an OSError while *path* is written into a ChrError."""
    try:
        yield
    except OSError as error:
        raise not_written(path, error) from None


def pour(source: t.IO[bytes], target: Path, deadline: Deadline, largest: int) -> int:
    """Copy *source* into *target*, with holes for blocks of zeros. Returns the number of bytes.

    At most *largest* bytes are written. Raises ChrError if *target* cannot be written, TimedOut at
    *deadline*, and what reading *source* raises.
    """
    size = 0
    with storing(target):
        file = target.open("wb")
    with file:
        while size < largest and (block := source.read(min(BLOCK, largest - size))):
            if deadline.expired:
                raise TimedOut(f"{target} was not written within {deadline.seconds:g} s (timeout).")
            with storing(target):
                if block == _ZEROS[: len(block)]:
                    file.seek(len(block), 1)
                else:
                    file.write(block)
            size += len(block)
        with storing(target):
            file.truncate(size)
            file.flush()
    return size
