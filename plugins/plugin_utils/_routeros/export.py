# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What RouterOS says inside an ``/export`` and an ``/import`` about their own success.

Pure functions; the text is untrusted. Both commands can end without an error of the script although
something is missing (seen on 6.49, 7.23.3 and 7.24.4 by one source each).
"""

from __future__ import annotations

import re

IMPORTED = "Script file loaded and executed successfully"
"""The last line of a successful ``/import``."""
SAYS_IMPORTED = (7, 22)
"""The oldest RouterOS of which IMPORTED is known to come through a guest agent."""

_ERROR = re.compile(r"^#[ \t]*error exporting(.*)$", re.MULTILINE)
_INTERRUPTED = re.compile(r"^#[ \t]*interrupted\b", re.MULTILINE)
_VERSION = re.compile(r"\b(\d{1,2})\.(\d{1,3})")
_SHOWN = 10


def gaps(output: str) -> str | None:
    """Return what *output* says is missing from the export in it, or None if it is whole.

    The text names the menus, such as ``it lacks /interface/wifi (timeout)``.
    """
    menus = [menu.strip().replace('"', "") or "a menu without a name" for menu in _ERROR.findall(output)]
    said = []
    if menus:
        said.append(f"it lacks {', '.join(menus[:_SHOWN])}" + (" and more" if len(menus) > _SHOWN else ""))
    if _INTERRUPTED.search(output):
        said.append("it was interrupted, so everything after that is missing")
    return " and ".join(said) or None


def says_imported(version: str | None) -> bool:
    """Whether the RouterOS *version* is known to print IMPORTED after a successful import."""
    match = _VERSION.search(version or "")
    return match is not None and (int(match[1]), int(match[2])) >= SAYS_IMPORTED
