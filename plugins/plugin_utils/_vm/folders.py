# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The folder of a machine in which VMs get folders of their own. It is made with the first VM, so it need not be there yet."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image

from .host import Host

_LOOK = """\
there=$1
while [ ! -d "$there" ]; do there=${there%/*}; there=${there:-/}; done
cd "$there" && pwd -P && printf '%s' "${1#"$there"}"
"""


@dataclass(frozen=True)
class Folder:
    """A folder on *host*, which may be yet to be made."""

    host: Host
    there: str
    """It, or the nearest one above it that is there; without symbolic links."""
    missing: str
    """The rest of its path; empty if it is there."""

    @classmethod
    def look(cls, host: Host, path: str) -> Folder:
        """Raises InvalidInput for a path that is not absolute, CommandFailed where nobody may look."""
        if not path.startswith("/"):
            raise InvalidInput(f"folder {path!r} is no absolute path.")
        there, missing = host.run(["sh", "-c", _LOOK, "sh", path.rstrip("/") or "/"]).split("\n", 1)
        return cls(host, there, missing)

    def __str__(self) -> str:
        return f"{self.there.rstrip('/')}/{self.missing.lstrip('/')}" if self.missing else self.there

    def check_room(self, image: Image) -> None:
        """Raise NotPossible where *image* does not fit."""
        free = self.host.free(self.there)
        if free < image.size:
            raise NotPossible(
                f"{self} on {self.host.name} has {free >> 20} MiB free, and the image {str(image.path)!r} has {image.size >> 20}. "
                "Nothing was made. Make room there, or choose another folder."
            )

    def holds(self, name: str) -> bool:
        """Whether a folder *name* is in it that has something in it."""
        return bool(self.host.run(["sh", "-c", 'ls -A "$1" 2>/dev/null || true', "sh", f"{self}/{name}"]).strip())
