# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of what can be looked at on the way to a router, without changing anything.

The package of a backend has a module ``privileges`` with the table of the privileges that tasks
need. The guide of the hypervisor names the same ones, and a test compares them.
"""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TASKS = ("script", "power", "snapshot", "tools")
"""What privileges are for: scripts and all that uses them; and the modules of these names."""


@dataclass(frozen=True)
class Privilege:
    """A privilege of a hypervisor, and the tasks that need it."""

    name: str
    """The hypervisor's own name for it."""
    task: str
    """One of TASKS."""


@dataclass(frozen=True)
class HeldPrivilege:
    """A privilege, and whether the login has it. None if the hypervisor does not tell."""

    privilege: Privilege
    granted: bool | None


def held(table: Iterable[Privilege], granted: Mapping[str, bool] | None) -> list[HeldPrivilege]:
    """Return *table* with what is known of each privilege. *granted*: by name, if it is known."""
    return [HeldPrivilege(one, None if granted is None else granted.get(one.name)) for one in table]


class Checks(ABC):
    """What a hypervisor tells about the way to one VM. All errors are ChrError."""

    @abstractmethod
    def reach(self) -> str:
        """Reach the hypervisor and log in, and return what it is.

        Raises UntrustedCertificate, LoginRefused, NotPermitted, Unreachable, InvalidInput.
        """

    @abstractmethod
    def privileges(self) -> list[HeldPrivilege]:
        """The privileges that the login has on the VM. Raises as ``Guest.place``."""

    @abstractmethod
    def channel(self) -> str:
        """Check that the VM has what carries scripts, and return what it is.

        Raises NotPossible, which says how to add it.
        """

    def largest_file(self) -> int | None:
        """The size in bytes of the largest file that can be moved. None if practically unlimited.

        Raises Unreachable if what moves larger ones is set up and does not work.
        """
        return None

    def cards(self) -> tuple[str, ...] | None:
        """The MAC addresses of the VM's network cards. None if the hypervisor does not tell."""
        return None


def addresses(cards: Iterable[t.Any]) -> tuple[str, ...]:
    """The MAC addresses of *cards*, which are those of ``Hardware.nics``."""
    return tuple(str(card.mac or "").upper() for card in cards)
