# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The expected checksum of a file."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

WAIVED = "waived"
_DIGITS = {"sha256": 64, "sha512": 128, "sha1": 40, "md5": 32}


@dataclass(frozen=True)
class Checksum:
    """The checksum of a whole file. ``digest`` is in lower-case hex."""

    algorithm: str
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"

    def of(self, path: Path) -> str:
        """The digest of the file in *path*, in hex. Raises OSError."""
        with path.open("rb") as source:
            return hashlib.file_digest(
                source, functools.partial(hashlib.new, self.algorithm, usedforsecurity=False)
            ).hexdigest()


def parse(text: str) -> Checksum | None:
    """Parse ``sha256:0a1b...``; ``waived`` gives None. Raises InvalidInput."""
    if text == WAIVED:
        return None
    algorithm, _colon, digest = (part.strip().lower() for part in text.partition(":"))
    if not re.fullmatch(r"[0-9a-f]+", digest) or len(digest) != _DIGITS.get(algorithm):
        known = ", ".join(f"{name} ({digits} digits)" for name, digits in _DIGITS.items())
        raise InvalidInput(
            f"checksum {text!r} is not {WAIVED!r}, and not an algorithm, a colon and hex digits, "
            f"such as 'sha256:0a1b...'. The algorithms are {known}."
        )
    return Checksum(algorithm, digest)


def sha256(path: Path) -> str:
    """The sha256 of the file in *path*, in hex. Raises OSError."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
