# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of the ways to dom0's xenstore."""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass


class StoreLost(Exception):
    """The connection to xenstore broke, or no answer came in time.

    Whether the last request was carried out is unknown. Attribute ``refused``: the connection never
    worked, so nothing was sent.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


class StoreRefused(Exception):
    """xenstore answered with an error, and nothing was changed.

    The text has the name of the error, such as EACCES.
    """


class Moved(Exception):
    """The domain is not the one that was found. Nothing was changed."""


class NotOurs(Exception):
    """The store has another script than expected, or no script. Nothing was changed."""


class Busy(Exception):
    """The router runs a script. Nothing was changed."""


@dataclass(frozen=True)
class Domain:
    """A running domain. It has another ``domid`` after each boot."""

    domid: int
    name: str
    vm: str
    """The path of the VM, ``/vm/<uuid>``. Empty if the toolstack does not write it."""

    @property
    def path(self) -> str:
        return f"/local/domain/{self.domid}"

    @property
    def uuid(self) -> str:
        return self.vm.removeprefix("/vm/")

    def __str__(self) -> str:
        return f"domain {self.domid} ({self.name!r}{f', {self.uuid}' if self.vm else ''})"


@dataclass(frozen=True)
class StoreNode:
    """One node of xenstore."""

    value: str
    permissions: tuple[str, ...]
    """The permissions: the owner and everybody's right (``n3``), then other domains' (``r0``)."""


@dataclass(frozen=True)
class StoreChange:
    """One change of a node; *path* is relative to the domain's.

    Without value and permissions, it removes the node and everything below it.
    """

    path: str
    value: str | None = None
    permissions: tuple[str, ...] | None = None
    """The new permissions of the node, such as ``("n3",)``, instead of a value."""


@dataclass(frozen=True)
class Seen:
    """The state of the nodes of the provisioning protocol at one moment."""

    values: dict[str, str]
    """The values of the existing nodes, by their path below the domain's."""
    status_changes: int
    """How often the status was seen to change since the watch was set."""
    gone: bool = False
    """Whether the domain has ended."""


class Store(ABC):
    """dom0's xenstore.

    All methods raise StoreLost and StoreRefused. Paths are absolute unless stated otherwise.
    """

    mode: t.ClassVar[str]

    @abstractmethod
    def domains(self) -> list[Domain]:
        """All running domains except dom0."""

    @abstractmethod
    def domain(self, domid: int) -> Domain | None:
        """The present state of one domain. None if it does not run."""

    @abstractmethod
    def tree(self, path: str) -> dict[str, str]:
        """The values of the nodes below *path*, by their path relative to it."""

    @abstractmethod
    def nodes(self, domain: Domain) -> dict[str, StoreNode]:
        """``vm-data`` and all nodes below it, by their path below the domain's.

        Empty if the domain has ended.
        """

    @abstractmethod
    def change(
        self, domain: Domain, changes: t.Sequence[StoreChange], *, unless_busy: bool, script: t.Sequence[str] = ()
    ) -> None:
        """Carry out *changes* if the domain is still *domain*.

        A way with transactions carries out all or none. Raises Moved if it is another domain,
        NotOurs if *script* is given and does not contain the script in the store, and Busy if
        *unless_busy* is set and a script runs.
        """

    @abstractmethod
    def follow(self, domain: Domain, changes: t.Sequence[StoreChange]) -> Follower:
        """Watch the script of *domain*, then make *changes* as ``change`` with *unless_busy*."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class Follower(ABC):
    """A watch on a domain's script."""

    @abstractmethod
    def look(self, timeout: float) -> Seen:
        """Wait until the nodes differ from the last call, at most *timeout* seconds.

        Returns their present state. Raises StoreLost.
        """

    @abstractmethod
    def close(self) -> None:
        """End the watch."""
