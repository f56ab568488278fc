# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The type of data that is sent in blocks."""

from __future__ import annotations

import typing as t


class Readable(t.Protocol):
    """A binary file, or something that can be read like one."""

    def read(self, size: int = ..., /) -> bytes:
        """Return the next bytes, at most *size*; an empty result means the end."""
