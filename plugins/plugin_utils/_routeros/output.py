# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Decoding of a script's output. Pure functions; the output is untrusted."""

from __future__ import annotations

import contextlib
import re

# RouterOS gives line and column of what it could not parse; errors of a script that runs have none.
_REFUSED = re.compile(rb"[^\r\n]+ \(line \d+ column \d+\)")
# A script with one of these may have run before such an error came.
_PARSES = re.compile(rb"\b(parse|import|run|execute|script)\b")


def text(output: bytes, encoding: str | None = None) -> str:
    """Decode *output*, with ``\\n`` as line ends.

    What is not UTF-8 has *encoding*. Without one, its bytes become surrogate escapes, as in
    Ansible.
    """
    data = output.replace(b"\r\n", b"\n")
    for each in ("utf-8", encoding):
        if each:
            with contextlib.suppress(UnicodeDecodeError):
                return data.decode(each)
    return data.decode("utf-8", "surrogateescape")


def not_run(source: bytes, output: bytes) -> bool:
    """Whether the failed script *source* was refused as a whole, so that nothing of it has run.

    A parse error anywhere prevents the whole script. The answer is False if that is not certain.
    """
    return bool(_REFUSED.fullmatch(output.strip())) and not _PARSES.search(source)


LARGEST = 4 * 1024 * 1024
"""The largest output of a script that a task returns, in bytes."""
MOST_LINES = 100_000
"""The most lines of it. A list of millions of lines takes gigabytes in each of Ansible's steps."""


def bounded(output: bytes, encoding: str | None = None) -> tuple[str, bool]:
    """Return the beginning of *output* as text, and whether something was left out."""
    shown = text(output[:LARGEST], encoding)
    lines = shown.splitlines(keepends=True)
    cut = len(output) > LARGEST or len(lines) > MOST_LINES
    if len(lines) > MOST_LINES:
        shown = "".join(lines[:MOST_LINES])
    return shown, cut


def left_out(vm: str, size: int) -> str:
    """Return a sentence about an output of *size* bytes that is not returned as a whole."""
    return (
        f"The script on {vm!r} printed {size} bytes. At most {LARGEST >> 20} MiB and {MOST_LINES} lines of it are returned. "
        "Let it print less, or write a file (file=) and fetch that with outofband.chr.fetch."
    )
