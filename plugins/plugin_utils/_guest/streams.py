# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What is sent in blocks."""

from __future__ import annotations

import typing as t


class Readable(t.Protocol):
    """A binary file, or something that can be read like one."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes, at most *size*; none at the end."""
