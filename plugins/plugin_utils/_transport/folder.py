# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The folder on a machine that holds one folder for each VM.

It is made with the first VM, so it may not exist yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible

from .machine import Machine

_LOOK = """\
there=$1
while [ ! -d "$there" ]; do there=${there%/*}; there=${there:-/}; done
cd "$there" && pwd -P && printf '%s' "${1#"$there"}"
"""


@dataclass(frozen=True)
class Folder:
    """A folder on *machine* that may not exist yet."""

    machine: Machine
    there: str
    """The folder, or the nearest one above it that exists; without symbolic links."""
    missing: str
    """The rest of its path; empty if the folder exists."""

    @classmethod
    def look(cls, machine: Machine, path: str) -> Folder:
        """Look at the folder *path* on *machine*.

        Raises InvalidInput for a path that is not absolute, CommandFailed if it cannot be read.
        """
        if not path.startswith("/"):
            raise InvalidInput(f"folder {path!r} is not an absolute path.")
        there, missing = machine.run(["sh", "-c", _LOOK, "sh", path.rstrip("/") or "/"]).split("\n", 1)
        return cls(machine, there, missing)

    def __str__(self) -> str:
        return f"{self.there.rstrip('/')}/{self.missing.lstrip('/')}" if self.missing else self.there

    def check_room(self, size: int, name: str) -> None:
        """Raise NotPossible if *size* bytes of *name* do not fit into the folder."""
        free = self.machine.free(self.there)
        if free < size:
            raise NotPossible(
                f"{self} on {self.machine.name} has {free >> 20} MiB free, and {name} has "
                f"{size >> 20} MiB. Nothing was made. Make room there, or choose another folder."
            )

    def holds(self, name: str) -> bool:
        """Whether the folder has a subfolder *name* that is not empty."""
        return bool(self.machine.run(["sh", "-c", 'ls -A "$1" 2>/dev/null || true', "sh", f"{self}/{name}"]).strip())
