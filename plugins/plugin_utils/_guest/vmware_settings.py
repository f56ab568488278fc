# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What is set at a hypervisor for a router: found out first, then carried out, so that check mode tells what would be done."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .errors import GuestError, NotPermitted, NotPossible
from .vsphere import Vsphere, fault_words, library


@dataclass(frozen=True)
class Change:
    """Settings of one thing that are not as they should be."""

    of: str
    """The thing, for people: ``port group LAN on esx1``."""
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    """The same keys."""
    carry_out: t.Callable[[], object]
    """Raises GuestError."""


def differing(now: dict[str, t.Any], wanted: dict[str, t.Any]) -> dict[str, t.Any]:
    """What of *wanted* is not so *now*; None in *wanted* is nothing wanted."""
    return {key: value for key, value in wanted.items() if value is not None and now.get(key) != value}


def refused(vsphere: Vsphere, of: str, error: t.Any) -> GuestError:
    """A fault of the API as a sentence; *of*: what should have been changed."""
    where, user = vsphere.endpoint.where, vsphere.endpoint.user
    if isinstance(error, library().vim.fault.NoPermission):
        return NotPermitted(f"{user!r} may not change {of} at {where}: the privilege {error.privilegeId} is missing.")
    return NotPossible(f"{where} did not change {of}: {fault_words(error)}.")
