# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The limits of moving a file, which a guest could otherwise prolong for ever."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import TransferFailed

MAX_SIZE = 1024**3
"""The largest file that is moved if the task does not say another size, in bytes."""
SECONDS = 3600.0
"""The time for it."""


@dataclass
class TransferLimit:
    """How large a file may be, and how long all its transfers of one task may take."""

    size: int = MAX_SIZE
    """In bytes."""
    seconds: float = SECONDS
    room: t.Callable[[], int] | None = None
    """Returns the free bytes where the file is stored; None if it is not stored."""
    _deadline: Deadline = field(init=False)

    def __post_init__(self) -> None:
        self._deadline = Deadline(self.seconds)

    def announced(self, size: int, what: str) -> None:
        """Raise TransferFailed if a file of *size* bytes may not be moved or does not fit."""
        if size > self.size:
            raise TransferFailed(
                f"{what} has {size} bytes, and max_size is {self.size}. Nothing of it was moved. Give max_size if it should be."
            )
        if self.room is not None and size > (free := self.room()):
            raise TransferFailed(
                f"{what} has {size} bytes, and only {free} are free on the controller. Nothing of it was moved."
            )

    def moved(self, size: int, what: str) -> None:
        """Raise TransferFailed if *size* bytes are too many, or if they took too long."""
        if size > self.size:
            raise TransferFailed(f"{what} has more than {self.size} bytes (max_size), so the transfer was given up.")
        if self._deadline.expired:
            raise TransferFailed(
                f"{what} was not moved within {self.seconds:g} s (timeout): after {size} bytes, the transfer was given up."
            )
