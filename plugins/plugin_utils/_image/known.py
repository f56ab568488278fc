# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A file with cached metadata (its hash, for example) in a sidecar file."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import PrivateFile

from .files import storing


class Known:
    """A file with its metadata in a sidecar file.

    The metadata is written last, and is valid as long as the file keeps its size and time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._about = PrivateFile(path.parent, f"{path.name}.json")

    def read(self) -> dict[str, t.Any] | None:
        """Return the metadata, or None if the file does not exist, is not whole or was changed."""
        about = self._about.load()
        try:
            return about if about.get("as_it_was") == self._now() else None
        except OSError:
            return None

    def write(self, about: dict[str, t.Any]) -> None:
        """Save the metadata of the file as it is now. Raises ChrError."""
        with storing(self.path):
            self._about.save({**about, "as_it_was": self._now()})

    def forget(self) -> None:
        """Remove the metadata before the file is replaced. Raises ChrError."""
        with storing(self.path):
            self._about.path.unlink(missing_ok=True)

    def _now(self) -> list[int]:
        status = self.path.stat()
        return [status.st_size, status.st_mtime_ns]
