# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Snapshots of a router's VM, taken by its hypervisor, and whether the guest's file systems were at rest meanwhile."""

from __future__ import annotations

import contextlib
import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass

from .deadline import Deadline
from .errors import AgentRefused, GuestError, OutcomeUnknown

_THAWS = 3


@dataclass(frozen=True)
class Taken:
    """A snapshot that was made."""

    unquiesced: str | None = None
    """Why the file systems were not at rest, None: they were frozen by the agent, or the VM was off."""
    trouble: str | None = None
    """What the operator must know of the guest afterwards (a thaw that failed), None: nothing."""
    still_frozen: bool = False
    """The guest could not be thawed: RouterOS may not be able to write."""


class Snapshots(ABC):
    """The snapshots of one VM. All errors are GuestError."""

    @abstractmethod
    def listed(self) -> dict[str, str]:
        """Descriptions by name."""

    @abstractmethod
    def check_name(self, name: str) -> None:
        """Raises InvalidInput for a name that this hypervisor does not take."""

    @abstractmethod
    def obstacle(self) -> str | None:
        """Why a snapshot taken now would not be quiesced, as far as that can be known before; None: nothing is known."""

    @abstractmethod
    def create(self, name: str, description: str, quiesce: bool, deadline: Deadline) -> Taken:
        """Take a snapshot of the disks (not of the memory) and wait for its end.

        Raises NotQuiesced when *quiesce* could not be done and there is no snapshot therefore; OutcomeUnknown after *deadline*.
        """

    @abstractmethod
    def remove(self, name: str, deadline: Deadline) -> None:
        """Remove the one snapshot of that name and wait for the end of that."""


def thaw(guest: str, frozen: t.Callable[[], bool], order: t.Callable[[], t.Any], by_hand: str) -> tuple[bool, str]:
    """Thaw *guest* if it is frozen: whether it is thawed now, and a sentence where something had to be done or is wrong.

    *by_hand*: how the operator does it.
    """
    help_text = f"Until it is thawed, RouterOS may be unable to write: thaw it ({by_hand}) or reset the VM."
    try:
        if not frozen():
            return True, ""
        for _attempt in range(_THAWS):
            with contextlib.suppress(AgentRefused, OutcomeUnknown):
                order()
            if not frozen():
                return True, f"{guest} was left frozen, and was thawed afterwards."
    except GuestError as error:
        return False, f"{guest} MAY STILL BE FROZEN, and its agent cannot be asked: {error} {help_text}"
    return False, f"{guest} IS STILL FROZEN, its agent does not thaw it. {help_text}"
