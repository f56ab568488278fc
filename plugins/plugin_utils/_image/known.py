# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A large file of which something is known that it would take long to find out again."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.private import PrivateFile

from .files import storing


class Known:
    """A file, and beside it what is known of it. That is written last, and counts as long as the file keeps its size and time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._about = PrivateFile(path.parent, f"{path.name}.json")

    def read(self) -> dict[str, t.Any] | None:
        """What is known; None for a file that is not there, not whole, or was changed since."""
        about = self._about.load()
        try:
            return about if about.get("as_it_was") == self._now() else None
        except OSError:
            return None

    def write(self, about: dict[str, t.Any]) -> None:
        """Raises GuestError."""
        with storing(self.path):
            self._about.save({**about, "as_it_was": self._now()})

    def forget(self) -> None:
        """The file is going to be replaced. Raises GuestError."""
        with storing(self.path):
            self._about.path.unlink(missing_ok=True)

    def _now(self) -> list[int]:
        status = self.path.stat()
        return [status.st_size, status.st_mtime_ns]
