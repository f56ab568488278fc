# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What changed in a fleet since an earlier report.

Pure functions. The earlier report is a file, so it is untrusted.

A report is compared with the last one of an earlier day, and keeps what it was compared with. So
all reports of one day tell the same changes, and a second one need not be written.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime

from .license import LEVELS


@dataclass(frozen=True)
class LastReading:
    """What was last read of a router. All fields are None if it was never read."""

    system_id: str | None = None
    level: str | None = None
    deadline_at: str | None = None
    """In ISO 8601 without a zone."""
    renewal_due: bool | None = None

    @property
    def read(self) -> bool:
        return self.system_id is not None


@dataclass(frozen=True)
class EarlierReport:
    """The routers of an earlier report, by their names."""

    as_of: str
    """A date in ISO 8601."""
    routers: t.Mapping[str, LastReading]


@dataclass(frozen=True)
class ValueChange:
    """A value of a router that changed; None means that it had, or has, none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Changes:
    """What changed since an earlier report. Routers that were not read are only new or gone."""

    since: str
    """The date of the earlier report, in ISO 8601."""
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    renewed: tuple[ValueChange, ...] = ()
    """Those with a later deadline or a higher level; the values are the deadlines."""
    newly_due: tuple[str, ...] = ()
    id_changed: tuple[ValueChange, ...] = ()


def compare(earlier: EarlierReport, now: t.Mapping[str, LastReading]) -> Changes:
    """Return what changed between the *earlier* report and the routers *now*, in their order."""
    pairs = [
        (name, earlier.routers[name], known)
        for name, known in now.items()
        if name in earlier.routers and earlier.routers[name].read and known.read
    ]
    return Changes(
        earlier.as_of,
        new=tuple(name for name in now if name not in earlier.routers),
        gone=tuple(name for name in earlier.routers if name not in now),
        renewed=tuple(
            ValueChange(name, before.deadline_at, after.deadline_at)
            for name, before, after in pairs
            if _renewed(before, after)
        ),
        newly_due=tuple(name for name, before, after in pairs if after.renewal_due and not before.renewal_due),
        id_changed=tuple(
            ValueChange(name, before.system_id, after.system_id)
            for name, before, after in pairs
            if before.system_id != after.system_id
        ),
    )


def _renewed(before: LastReading, after: LastReading) -> bool:
    if _rank(after.level) > _rank(before.level):
        return True
    ended, ends = _moment(before.deadline_at), _moment(after.deadline_at)
    return ends is not None and after.level != "free" and (ended is None or ends > ended)


def _rank(level: str | None) -> int:
    return LEVELS.index(level) if level in LEVELS else -1


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo is None else None


def to_compare_with(last: t.Mapping[str, t.Any], as_of: str | None) -> EarlierReport | None:
    """Return the report to compare with, where *last* is the data of the last one in the folder.

    If the last one is of the same day as the new one, *as_of*, it is the one that the last one was
    compared with; None if there was none.
    """
    kept = _earlier(last.get("compared_with"))
    date = last.get("as_of")
    rows = last.get("routers")
    if not isinstance(date, str) or not isinstance(rows, list) or (as_of is not None and date >= as_of):
        return kept
    before = kept.routers if kept else {}
    routers = {}
    for row in rows:
        if isinstance(row, t.Mapping) and isinstance(row.get("name"), str):
            known = _known(row)
            # What was not read then is as it was known before.
            routers[row["name"]] = known if known.read else before.get(row["name"], known)
    return EarlierReport(date, routers)


def _earlier(data: object) -> EarlierReport | None:
    if not isinstance(data, t.Mapping):
        return None
    date, routers = data.get("as_of"), data.get("routers")
    if not isinstance(date, str) or not isinstance(routers, t.Mapping):
        return None
    return EarlierReport(date, {str(name): _known(row) for name, row in routers.items()})


def _known(row: object) -> LastReading:
    if not isinstance(row, t.Mapping):
        return LastReading()
    system_id, level, deadline_at = (
        value if isinstance(value := row.get(key), str) else None for key in ("system_id", "level", "deadline_at")
    )
    return LastReading(system_id, level, deadline_at, row.get("renewal_due") is True)
