# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The router's wall clock, which tests can move."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

UTC = timezone(timedelta(0), "UTC")


class Clock:
    """Real time plus an offset."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """The router's time, in UTC and aware of it."""
        return datetime.now(UTC) + self.offset

    def shift(self, seconds: float) -> None:
        """Moves the clock forward, or back with a negative number of seconds."""
        self.offset += timedelta(seconds=seconds)
