# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Checks that a backend can hand over a script."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, TooLarge
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.source import script

from .capabilities import Capabilities


def check_source(source: bytes, capabilities: Capabilities, instead: str = "") -> None:
    """Refuse a *source* that cannot be a script. Nothing is sent. Raises InvalidInput, TooLarge.

    *instead*: a sentence that says what to do with one that is too large, if the backend has more
    than one answer.
    """
    if not source.strip():
        raise InvalidInput("The script is empty: there is nothing to run.")
    script(source)
    if len(source) > capabilities.max_script:
        if not instead:
            instead = "Put it on the router with outofband.chr.copy and run it with guest_file, or split it."
        if not capabilities.files and len(source) > capabilities.small_files:
            instead = "Split it, or let the router fetch it itself (/tool fetch, then /import)."
        raise TooLarge(
            f"The script has {len(source)} bytes; this way to the router takes at most {capabilities.max_script}. {instead}"
        )
