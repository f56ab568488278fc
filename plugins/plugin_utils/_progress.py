# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Telling how far a transfer is."""

from __future__ import annotations

import time
import typing as t

MB = 1e6
_SILENT = 3.0
"""Seconds that a transfer may take without a word, and between two of them."""


class Progress:
    """Bytes of one transfer, told as one line every few seconds; a short transfer says nothing.

    *say* takes a line, such as ``chr1: uploading chr-7.22.img: 45 of 128 MB (35 %), 41 MB/s``.
    """

    def __init__(self, say: t.Callable[[str], None], what: str, total: int) -> None:
        self.done = 0
        self.total = total
        self._say, self._what = say, what
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> None:
        """*count* more bytes are through."""
        self.done += count
        now = time.monotonic()
        if now - self._said >= _SILENT:
            self._said = now
            pace = self.done / MB / max(now - self._began, 1e-9)
            share = f" of {self.total / MB:.0f} MB ({100 * self.done // self.total} %)" if self.total else " MB"
            self._say(f"{self._what}: {self.done / MB:.0f}{share}, {pace:.0f} MB/s")


class Source:
    """A binary file that is read from its beginning to its end, and tells its progress; for clients that send a file object."""

    def __init__(self, file: t.BinaryIO, progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress.add(len(data))
        return data
