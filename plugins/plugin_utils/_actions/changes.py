# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes to settings as the result of a task.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import typing as t
from collections.abc import Sequence


class MadeChange(t.Protocol):
    """A change to the settings of one object."""

    @property
    def of(self) -> str:
        """The object's name for people."""

    @property
    def before(self) -> dict[str, t.Any]:
        """The settings before the change."""

    @property
    def after(self) -> dict[str, t.Any]:
        """The settings after it."""


def as_result(changes: Sequence[MadeChange], *, diff: bool) -> dict[str, t.Any]:
    """Return the keys of a result for *changes*, with a diff if it was asked for."""
    result: dict[str, t.Any] = {
        "changed": bool(changes),
        "changes": [{"of": one.of, "before": one.before, "after": one.after} for one in changes],
    }
    if diff and changes:
        result["diff"] = [
            {
                "before_header": one.of,
                "after_header": one.of,
                "before": _lines(one.before),
                "after": _lines(one.after),
            }
            for one in changes
        ]
    return result


def _lines(settings: dict[str, t.Any]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in settings.items())
