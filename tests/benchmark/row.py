# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line of the result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What ours took, beside what a peer took for the same work in the same run. Less is better."""

    section: str
    name: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    at_most: float | None = None
    """The target of the ratio."""
    goal: float | None = None
    """The target of *ours* itself, in its unit."""

    @property
    def key(self) -> str:
        """What it is called in the committed result and in errors."""
        return f"{self.section}: {self.name}" + (f", beside {self.peer}" if self.peer else "")

    @property
    def ratio(self) -> float | None:
        """Ours in multiples of theirs. None if there is nothing to compare with."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether it meets its targets. None if it has none."""
        reached = []
        if self.at_most is not None and self.ratio is not None:
            reached.append(self.ratio <= self.at_most)
        if self.goal is not None:
            reached.append(self.ours <= self.goal)
        return all(reached) if reached else None


@dataclass(frozen=True)
class NotRun:
    """What was not measured, and why."""

    section: str
    name: str
    why: str
    failed: bool = False
    """Whether it ended with an error, and not because something is missing here."""
