# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""JSON of servers and guests, which may be hostile, and values that they may send as text."""

from __future__ import annotations

import json
import math
import typing as t

_DEEPEST = 100  # objects and lists inside one another
_DIGITS = 40  # of a whole number


def loads(document: str | bytes) -> t.Any:
    """Parse JSON. Raises ValueError, also for what other code cannot work with.

    That are infinite numbers, whole numbers of more than 40 digits, and values that are nested more
    than 100 times.
    """
    # A name with an odd byte must not cost the whole document.
    text = document.decode("utf-8", "surrogateescape") if isinstance(document, bytes) else document
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None
    if text.count("{") + text.count("[") > _DEEPEST and _too_deep(value):
        raise ValueError("values are nested too deeply")
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:20]} is not a finite number")
    return value


def _whole(number: str) -> int:
    if len(number) > _DIGITS:
        raise ValueError(f"a number has {len(number)} digits")
    return int(number)


def _too_deep(value: t.Any) -> bool:
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list)))
        level, depth = [item for one in inner for item in one], depth + 1
    return depth > _DEEPEST


def as_int(value: t.Any) -> int:
    """Convert a JSON integer, which may come as a string. Raises ValueError."""
    return _whole(str(value).strip())


def as_bool(value: t.Any) -> bool:
    """Convert a JSON boolean, which may come as a number or a string."""
    return value is True or str(value).strip().lower() in ("1", "true", "yes")
