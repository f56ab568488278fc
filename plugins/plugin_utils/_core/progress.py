# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Progress of what takes long, and a file that reports it."""

from __future__ import annotations

import time
import typing as t

MB = 1e6
_SILENT = 3.0
"""Seconds before the first progress line, and between two of them."""


class Progress:
    """The progress of one transfer, shown as a line every few seconds.

    A transfer that is over before that shows nothing. *say* takes a line, such as
    ``chr1: uploading chr-7.22.img: 45 of 128 MB (35 %), 41 MB/s``. Subclasses that count other
    things than bytes have a ``line`` of their own.
    """

    def __init__(self, say: t.Callable[[str], None], what: str, total: int) -> None:
        self.done = 0
        self.total = total
        self._say, self._what = say, what
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> None:
        """Count *count* more bytes as transferred."""
        self.done += count
        now = time.monotonic()
        if now - self._said >= _SILENT:
            self._said = now
            self._say(f"{self._what}: {self.line(self.done / max(now - self._began, 1e-9))}")

    def line(self, pace: float) -> str:
        """Return how far it is. *pace* is what was counted in a second."""
        share = f" of {self.total / MB:.0f} MB ({100 * self.done // self.total} %)" if self.total else " MB"
        return f"{self.done / MB:.0f}{share}, {pace / MB:.0f} MB/s"


class Source:
    """A binary file that reports progress while it is read, for clients that send a file object.

    It must be read from its beginning to its end.
    """

    def __init__(self, file: t.BinaryIO, progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress.add(len(data))
        return data
