# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Values of RouterOS in the form in which its API shows them.

A script prints them as ``:tostr`` makes them. That differs for times (``00:30:00``, where the API
has ``30m``) and for lists.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import duration

_TIME = re.compile(rb"(-?)(?:(\d{1,9})w)?(?:(\d{1,9})d)?(\d{1,9}):(\d\d):(\d\d)(?:\.(\d{1,9}))?\Z")
# Times of day are times in a script, too, and the API shows them as they are.
_TIMES_OF_DAY = {("system", "clock"): b"time", ("system", "scheduler"): b"start-time", ("log",): b"time"}
_KEY = re.compile(rb"(.*)([,;])([a-z0-9-]+)", re.DOTALL)
_VOID = (b"nothing", b"nil")


@dataclass(frozen=True)
class Value:
    """A value: the type that ``:typeof`` gives, and its text in the API."""

    kind: bytes
    text: bytes


Record = dict[bytes, Value]


def record(menu: tuple[str, ...], printed: t.Mapping[bytes, bytes]) -> Record:
    """Return an item of *menu* from its *printed* form, ``name,type`` with the value.

    What is not set is left out, as the API does. A key ``name;type`` is of a property that print
    did not show, so it is not set if it is empty.
    """
    found: Record = {}
    for key, text in printed.items():
        match = _KEY.fullmatch(key)
        name, sign, kind = match.groups() if match else (key, b",", b"str")
        if kind in _VOID or (not text and (name == b"comment" or sign == b";")):
            continue
        found[name] = Value(kind, _shown(kind, text, name == _TIMES_OF_DAY.get(menu)))
    return found


def _shown(kind: bytes, text: bytes, time_of_day: bool) -> bytes:
    if kind == b"array":
        return text.removeprefix(b",")
    if kind == b"time" and not time_of_day and (match := _TIME.match(text)):
        sign, weeks, days, hours, minutes, seconds, fraction = match.groups()
        whole = (int(weeks or 0) * 7 + int(days or 0)) * 86400
        whole += int(hours) * 3600 + int(minutes) * 60 + int(seconds)
        micros = int((fraction or b"0").ljust(6, b"0")[:6])
        parts = duration(whole) if whole or not micros else ""
        parts += f"{micros // 1000}ms" if micros >= 1000 else ""
        parts += f"{micros % 1000}us" if micros % 1000 else ""
        return sign + parts.encode()
    return text
