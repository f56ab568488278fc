# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all sections of a run share."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab.cache import cache

from .row import NotRun, Row

TESTS = Path(__file__).resolve().parents[1]
CACHE = cache()
"""Where the lab and the collections of others are kept."""


@dataclass(frozen=True)
class Stage:
    folder: Path
    """For files of this run."""
    quick: bool
    forks: int = 20

    @property
    def rounds(self) -> int:
        """How often a thing is measured; the median counts."""
        return 1 if self.quick else 5

    def of(self, quick: t.Any, whole: t.Any) -> t.Any:
        """*quick* in a quick run, otherwise *whole*."""
        return quick if self.quick else whole

    @property
    def hosts(self) -> tuple[int, ...]:
        """The numbers of hosts for tasks."""
        return self.of((10,), (1, 10, 50, 200, 1000))


Section = t.Callable[[Stage], t.Iterator[Row | NotRun]]
