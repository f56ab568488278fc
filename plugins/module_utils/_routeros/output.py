# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a script printed. Pure functions; the output is untrusted."""

from __future__ import annotations


def text(output: bytes) -> str:
    """*output* with line ends as ``\\n``; bytes that are not UTF-8 survive as surrogate escapes, as Ansible does it."""
    return output.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")


def message(output: bytes, limit: int = 500) -> str:
    """The last lines of *output* fit for an error text: no control characters, at most *limit* characters."""
    shown = output.replace(b"\r\n", b"\n").decode("utf-8", "replace").strip()
    shown = "".join(character if character.isprintable() or character == "\n" else "?" for character in shown)
    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    joined = "; ".join(lines[-3:])
    return joined if len(joined) <= limit else "..." + joined[-limit:]
