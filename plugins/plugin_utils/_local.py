# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the controller. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from pathlib import Path


@contextlib.contextmanager
def replacing(dest: Path, mode: int | None = None) -> t.Iterator[t.BinaryIO]:
    """A file beside *dest* that takes its place at the end, whole or not at all; its folder is made where it is missing.

    *mode*: None for that of the file that it replaces, or 0600. Raises OSError.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=dest.parent, prefix=".outofband.")
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
        if mode is None and dest.exists():
            mode = dest.stat().st_mode & 0o777
        if mode is not None:
            Path(beside).chmod(mode)
        Path(beside).replace(dest)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        raise
