# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""RouterOS values in text. Pure functions; the text is untrusted."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+):(\d+):(\d+)(?:\.\d+)?|(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)")


def seconds(duration: str) -> float:
    """``1w2d03:04:05`` or ``1w2d3h4m5s`` in seconds. Raises ValueError."""
    match = _DURATION.fullmatch(duration.strip())
    if not match or not any(match.groups()):
        raise ValueError(f"{duration.strip()[:40]!r} is no RouterOS time")
    week, day, hour, minute, second, h, m, s = (int(group or 0) for group in match.groups())
    return ((week * 7 + day) * 24 + hour + h) * 3600.0 + (minute + m) * 60 + second + s
