# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Files of a router: their names, and the scripts that look them up, run them and remove them.

Pure functions.
"""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

from . import pages
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


def contents(name: str) -> str:
    """Return the expression for the content of the file *name*."""
    return f"[/file get [{found(name)}] contents]"


def writing(name: str, data: bytes, room: int) -> tuple[list[bytes], bytes]:
    """Return the scripts that write the file *name*, and one that removes what they keep meanwhile.

    Only the last script touches the file. If all of *data* fits into a script of *room* bytes, it
    is the only one, and there is nothing to remove (an empty script). Otherwise the others put the
    content together in a global variable.
    """
    write = (
        f"\n:local f [{found(name)}]\n"
        f":if ([:len $f] = 0) do={{ /file add name={quote(name)} contents=$c }} else={{ /file set $f contents=$c }}"
    ).encode()
    whole = b":local c " + quote(data).encode() + write
    if len(whole) <= room:
        return [whole], b""
    kept = pages.variable()
    scripts, written = [], 0
    while written < len(data):
        before, after = f":global {kept} ", ""
        if written:
            before, after = f"{_kept(kept, written)}:set {kept} (${kept} . ", ")"
        piece = _quoted_prefix(data, written, room - len(before) - len(after))
        scripts.append((before + quote(data[written : written + piece]) + after).encode())
        written += piece
    last = f"{_kept(kept, written)}:local c ${kept}\n{pages.forget(kept)}".encode() + write
    return [*scripts, last], pages.forget(kept).encode()


def _kept(name: str, length: int) -> str:
    """The beginning of a script that goes on with *length* bytes of the global variable *name*."""
    return (
        f":global {name}\n:if ([:len ${name}] != {length}) do="
        '{ :error "the router has another part of the file than it should" }\n'
    )


def _quoted_prefix(data: bytes, start: int, room: int) -> int:
    """How many bytes of *data* from *start* fit into *room* bytes when they are quoted."""
    end, length = start, 2
    while end < len(data):
        length += len(quote(data[end : end + 1])) - 2
        if length > room:
            break
        end += 1
    return end - start


def removal_script(*names: str) -> bytes:
    """Return a script that removes the files *names*, as far as they exist."""
    return "\n".join(f"/file remove [{found(name)}]" for name in names).encode()


def found(name: str) -> str:
    """Return the command that finds the file *name*."""
    return f"/file find name={quote(name)}"
