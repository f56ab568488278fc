# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Conversion of RouterOS times. Pure functions; the text is untrusted."""

from __future__ import annotations

import re

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt

_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+):(\d+):(\d+)(?:\.\d+)?|(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)")

_LONGEST = 60  # characters; more digits are not a time


def seconds(time: str) -> float:
    """Convert ``1w2d03:04:05`` or ``1w2d3h4m5s`` to seconds. Raises ValueError."""
    match = _DURATION.fullmatch(time.strip())
    if not match or not any(match.groups()) or len(time) > _LONGEST:
        raise ValueError(f"{excerpt(time.strip(), 40)} is not a valid RouterOS time")
    week, day, hour, minute, second, h, m, s = (int(group or 0) for group in match.groups())
    return ((week * 7 + day) * 24 + hour + h) * 3600.0 + (minute + m) * 60 + second + s


def duration(seconds: int) -> str:
    """Convert *seconds* to a RouterOS time literal, such as ``1w2d3h4m5s``."""
    weeks, rest = divmod(seconds, 604800)
    days, rest = divmod(rest, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [
        f"{count}{unit}"
        for count, unit in ((weeks, "w"), (days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
        if count
    ]
    return "".join(parts) or "0s"
