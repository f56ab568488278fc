# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Scripts that begin a command and do not wait for it. Pure functions."""

from __future__ import annotations

_BEFORE = 2  # seconds in which the script itself ends, and is removed where it would run again at a boot


def in_background(command: str) -> str:
    """Return a script that ends, and lets RouterOS run *command* two seconds later.

    *command* is for example ``/system reboot``.
    """
    return f':execute script=":delay {_BEFORE}s; {command}"'
