# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What RouterOS's tools for VMware do, by the vendor's manual, on every product of VMware."""

from __future__ import annotations

from datetime import datetime

LIMIT = 120.0
"""Seconds that RouterOS gives one script."""
STOPPED = (
    "at its own limit of 120 s, and keeps no output of it. Split the script, or let it start a script of the router with "
    "/system script run from a scheduler."
)
"""The end of a sentence about a script that the router stopped."""
POWER_ADVICE = (
    "RouterOS first runs its script 'poweroff', if it has one. When the script fails or takes longer than 30 s, the "
    "operation fails, and the script's output is in the file 'poweroff-script.log' on the router. Repeat the task: the second "
    "attempt ignores the script's errors (vendor's manual). Or use method: script, which does not need the tools."
)


def exit_code(failed: bool, start: datetime, end: datetime, ran: float | None = None) -> int:
    """The ``rc`` of a script that ended between *start* and *end*.

    *ran*: the seconds by the router's clock, which can be set during the script. A time longer than
    our own wait is not a time-out.
    """
    if not failed:
        return 0
    waited = (end - start).total_seconds()
    return 1 if min(waited, waited if ran is None else ran) >= LIMIT - 1 else -1
