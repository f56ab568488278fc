# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Files of a router: their names, and the scripts that look them up, run them and remove them.

Pure functions.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

from .quoting import quote


def check_file_name(name: str) -> str:
    """Return *name* if a CHR's agent can serve it. Raises InvalidInput otherwise.

    It serves flat names only (observed by tikoci/mikropkl on 7.22).
    """
    if not name.strip() or name in (".", ".."):
        raise InvalidInput(f"{name!r} is not a valid file name.")
    if "/" in name or "\\" in name:
        raise InvalidInput(
            f"{name!r} names a folder: the guest agent of a CHR serves only files in the root folder. "
            "Use a plain name such as 'setup.rsc' and move it with a script."
        )
    if not name.isprintable():
        raise InvalidInput(f"The file name {name!r} has a character that cannot be shown.")
    return name


def import_script(name: str) -> bytes:
    """Return a script that runs the script file *name* of the router, in any folder.

    Raises InvalidInput.
    """
    if not name.strip() or "\0" in name:
        raise InvalidInput(f"guest_file {name!r} is not a valid file name.")
    return f"/import file-name={quote(name)}".encode()


def look_up_script(name: str) -> bytes:
    """Return a script that looks for the file *name*; ``looked_up`` reads its output."""
    script = (
        f":local found [{found(name)}]\n:put [:len $found]\n:foreach one in=$found do={{ :put [/file get $one size] }}"
    )
    return script.encode()


def looked_up(output: bytes) -> tuple[int, int]:
    """Return how many files have the name, and the size of the first in bytes (or 0).

    Raises ValueError.
    """
    count, size = (*map(int, output.split()), 0)[:2]
    return count, size


def removal_script(*names: str) -> bytes:
    """Return a script that removes the files *names*, as far as they exist."""
    return "\n".join(f"/file remove [{found(name)}]" for name in names).encode()


def piece_script(name: str, start: int, end: int) -> str:
    """Return a script that prints the length of a part of the file *name*, ``:``, and the part.

    The part begins at the byte *start* and ends before *end*, or with the file.
    """
    part = f"[:pick [/file get [{found(name)}] contents] {start} {end}]"
    return f':local part {part}\n:put ([:len $part] . ":" . $part)'


def found(name: str) -> str:
    """Return the command that finds the file *name*."""
    return f"/file find name={quote(name)}"
