# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Changes to settings of a hypervisor for a router.

They are planned first and carried out afterwards, so that check mode tells what would be done.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPermitted, NotPossible

from .vsphere import Vsphere, fault_words, library


@dataclass(frozen=True)
class Change:
    """A change to the settings of one object."""

    of: str
    """The object's name for people: ``port group LAN on esx1``."""
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    """The new values, with the same keys."""
    carry_out: t.Callable[[], object]
    """Carries out the change. Raises ChrError."""


def differing(now: dict[str, t.Any], wanted: dict[str, t.Any]) -> dict[str, t.Any]:
    """The part of *wanted* that differs from *now*. None in *wanted* means any value."""
    return {key: value for key, value in wanted.items() if value is not None and now.get(key) != value}


def refused(vsphere: Vsphere, of: str, error: t.Any) -> ChrError:
    """Turn a fault of the API into an error. *of*: the object that should have been changed."""
    where, user = vsphere.endpoint.where, vsphere.endpoint.user
    if isinstance(error, library().vim.fault.NoPermission):
        return NotPermitted(f"{user!r} may not change {of} at {where}: the privilege {error.privilegeId} is missing.")
    return NotPossible(f"{where} did not change {of}: {fault_words(error)}.")
