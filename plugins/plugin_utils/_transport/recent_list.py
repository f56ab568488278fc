# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A hypervisor's list of VMs, which the tasks of one user share for a few seconds.

Without it, 1,000 tasks that look up one VM each ask 1,000 times for a list of 1,000 VMs.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible

from .private_file import PrivateFile

_AGE = 10.0  # seconds for which a list is used, from when it was asked for
_WAIT = 5.0  # seconds for which a task waits for the list that another one has asked for
_Row = t.Sequence[t.Any]


class RecentList:
    """Rows of JSON values, one for each VM. They hold no secrets."""

    def __init__(self, directory: Path, *key: str) -> None:
        """*key*: what the list is of, and who sees it."""
        digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()[:20]
        self._file = PrivateFile(directory, f"chr-list-{digest}.json")

    def find(
        self,
        ask: t.Callable[[], t.Sequence[_Row]],
        matching: t.Callable[[t.Sequence[_Row]], list[_Row]],
        holds: t.Callable[[_Row], bool],
    ) -> tuple[list[_Row], t.Sequence[_Row]]:
        """Return (the rows that are *matching*, all rows).

        *ask* gets the list from the hypervisor. A list from before this call is used only if one
        row matches and *holds* says that the hypervisor still has that VM as in the row. Raises
        what the three raise.
        """
        began = time.time()
        listed, asked = self._listed(began - _AGE, ask)
        found = matching(listed)
        if asked < began and not (len(found) == 1 and holds(found[0])):
            listed, asked = self._listed(began, ask)
            found = matching(listed)
        return found, listed

    def _listed(self, since: float, ask: t.Callable[[], t.Sequence[_Row]]) -> tuple[t.Sequence[_Row], float]:
        """A list that was asked for after *since*, and when that was, as of ``time.time``.

        One task at a time asks.
        """
        if kept := self._kept(since):
            return kept
        with contextlib.ExitStack() as held:
            # Without the file or the lock, each task asks for itself.
            with contextlib.suppress(TimeoutError, NotPossible):
                held.enter_context(self._file.locked(Deadline(_WAIT)))
            if kept := self._kept(since):
                return kept
            asked = time.time()
            rows = ask()
            with contextlib.suppress(OSError, NotPossible):
                self._file.save({"asked": asked, "rows": rows})
            return rows, asked

    def _kept(self, since: float) -> tuple[t.Sequence[_Row], float] | None:
        """The list of another task, if it was asked for after *since*."""
        kept = self._file.load()
        asked, rows = kept.get("asked"), kept.get("rows")
        if isinstance(rows, list) and isinstance(asked, float) and since <= asked <= time.time():
            return rows, asked
        return None
