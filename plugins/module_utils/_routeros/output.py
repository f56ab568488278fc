# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a script printed. Pure functions; the output is untrusted."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def text(output: bytes) -> str:
    """*output* with line ends as ``\\n``; bytes that are not UTF-8 survive as surrogate escapes, as Ansible does it."""
    return output.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")


def readable(output: bytes) -> str:
    """*output* as text that can be kept and shown anywhere: odd bytes as ``\\xe9``, control characters as ``?``.

    A fact cache takes no surrogates, and a terminal would obey escape sequences.
    """
    decoded = output.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")
    return _CONTROL.sub("?", decoded)


def message(output: bytes, limit: int = 500) -> str:
    """The last lines of *output* fit for an error text: no control characters, at most *limit* characters."""
    lines = [line.rstrip() for line in readable(output).splitlines() if line.strip()]
    joined = "; ".join(lines[-3:])
    return joined if len(joined) <= limit else "..." + joined[-limit:]
