# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of snapshots that a hypervisor takes of a router's VM.

On request, the guest's agent quiesces the file systems first.
"""

from __future__ import annotations

import contextlib
import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    NotQuiesced,
    OutcomeUnknown,
)

_THAWS = 3


@dataclass(frozen=True)
class SnapshotResult:
    """A snapshot that was made."""

    unquiesced: str | None = None
    """Why the snapshot was not quiesced.

    None if the agent had frozen the file systems or the VM was off.
    """
    trouble: str | None = None
    """What the operator must know about the guest afterwards, such as a thaw that failed.

    None if there is nothing to say.
    """
    still_frozen: bool = False
    """The guest could not be thawed: RouterOS may not be able to write."""


@dataclass(frozen=True)
class ListedSnapshot:
    """A snapshot that the hypervisor lists."""

    description: str
    unfinished: str | None = None
    """Why it does not count as a snapshot, and what to do: it is being made or removed, or what did
    that has failed. None for a whole one."""


class Snapshots(ABC):
    """The snapshots of one VM. All errors are ChrError."""

    reverts: t.ClassVar[bool] = False
    """It can go back to a snapshot."""

    @abstractmethod
    def listed(self) -> dict[str, ListedSnapshot]:
        """All snapshots by name, also unfinished ones."""

    def descriptions(self) -> dict[str, str]:
        """The descriptions of the whole snapshots by name."""
        return {name: one.description for name, one in self.listed().items() if not one.unfinished}

    @abstractmethod
    def check_name(self, name: str) -> None:
        """Check that this hypervisor takes *name*. Raises InvalidInput."""

    @abstractmethod
    def why_not_quiesced(self) -> str | None:
        """Why a snapshot taken now would not be quiesced. None if no reason is known beforehand."""

    @abstractmethod
    def create(self, name: str, description: str, quiesce: bool, deadline: Deadline) -> SnapshotResult:
        """Take a snapshot of the disks (not of the memory) and wait for its end.

        Raises NotQuiesced if *quiesce* was asked for and failed; no snapshot exists then. Raises
        OutcomeUnknown after *deadline*.
        """

    @abstractmethod
    def remove(self, name: str, deadline: Deadline) -> None:
        """Remove the one snapshot called *name*, and return when it is gone."""

    def revert(self, name: str, deadline: Deadline) -> None:
        """Go back to the one snapshot called *name* while the machine is off. It stays off.

        Only if ``reverts``. Raises OutcomeUnknown after *deadline*.
        """
        raise NotImplementedError


def take_if_possible(
    snapshots: Snapshots, name: str, description: str, quiesce: bool, deadline: Deadline
) -> tuple[SnapshotResult, str | None]:
    """Take a snapshot, and take it again without quiescing if that failed.

    Returns also why it is not quiesced, if that is known. Raises as ``create``.
    """
    try:
        taken = snapshots.create(name, description, quiesce, deadline)
    except NotQuiesced as error:
        return snapshots.create(name, description, False, deadline), str(error).rstrip(".")
    return taken, taken.unquiesced


def thaw(guest: str, frozen: t.Callable[[], bool], order: t.Callable[[], t.Any], by_hand: str) -> tuple[bool, str]:
    """Thaw *guest* if it is frozen.

    Returns whether it is thawed now, and a sentence for the operator: empty if nothing had to be
    done and nothing is wrong. *by_hand*: how the operator thaws it.
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
    except ChrError as error:
        return False, f"{guest} MAY STILL BE FROZEN, and its agent cannot be asked: {error} {help_text}"
    return False, f"{guest} IS STILL FROZEN: its agent does not thaw it. {help_text}"
