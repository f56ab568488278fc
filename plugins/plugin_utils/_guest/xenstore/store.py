# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What the backend needs of dom0's xenstore, whichever way it is reached."""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass


class StoreLost(Exception):
    """The way to xenstore broke, or nothing came back in time; whether the last request was carried out is unknown.

    Attribute ``refused``: it never worked, so nothing was sent.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


class StoreRefused(Exception):
    """xenstore answered with an error, and nothing was changed; the text has its name, such as EACCES."""


class Moved(Exception):
    """The domain is not, or no longer, the one that was found: nothing was changed."""


class NotOurs(Exception):
    """The script in the store is not the one that was expected, or there is none: nothing was changed."""


class Busy(Exception):
    """The router runs a script: nothing was changed."""


@dataclass(frozen=True)
class Domain:
    """A domain that runs. It has another ``domid`` after each boot."""

    domid: int
    name: str
    vm: str
    """The path of the VM, ``/vm/<uuid>``; empty where the toolstack writes none."""

    @property
    def path(self) -> str:
        return f"/local/domain/{self.domid}"

    @property
    def uuid(self) -> str:
        return self.vm.removeprefix("/vm/")

    def __str__(self) -> str:
        return f"domain {self.domid} ({self.name!r}{f', {self.uuid}' if self.vm else ''})"


@dataclass(frozen=True)
class Node:
    """One node."""

    value: str
    permissions: tuple[str, ...]
    """Its owner with what others may do, such as ``n3``, then single domains, such as ``r0``."""


@dataclass(frozen=True)
class Change:
    """One change of a node; *path* is relative to the domain's. With neither value nor permissions: remove it and all below."""

    path: str
    value: str | None = None
    permissions: tuple[str, ...] | None = None
    """In place of a value: whose the node is to be, such as ``("n3",)``."""


@dataclass(frozen=True)
class Seen:
    """A look at the nodes of the provisioning protocol."""

    values: dict[str, str]
    """Those that exist, by their path below the domain's."""
    status_changes: int
    """How often the status changed since the watch was set, as far as that can be told."""
    gone: bool = False
    """The domain is no more."""


class Store(ABC):
    """dom0's xenstore. Raises StoreLost, StoreRefused; paths are absolute where nothing else is said."""

    mode: t.ClassVar[str]

    @abstractmethod
    def domains(self) -> list[Domain]:
        """All but dom0 itself."""

    @abstractmethod
    def domain(self, domid: int) -> Domain | None:
        """One of them, as it is now."""

    @abstractmethod
    def tree(self, path: str) -> dict[str, str]:
        """The nodes below *path*, by their path relative to it."""

    @abstractmethod
    def nodes(self, domain: Domain) -> dict[str, Node]:
        """``vm-data`` and all nodes below it, by their path below the domain's; none where the domain is gone."""

    @abstractmethod
    def change(
        self, domain: Domain, changes: t.Sequence[Change], *, unless_busy: bool, script: t.Sequence[str] = ()
    ) -> None:
        """Carry out *changes*, all or none where the way has transactions, if the domain is still *domain*.

        Raises Moved; NotOurs if *script* is given and the script in the store is none of these; Busy if *unless_busy* and a
        script runs.
        """

    @abstractmethod
    def follow(self, domain: Domain, changes: t.Sequence[Change]) -> Follower:
        """Watch the script of *domain*, then ``change`` (unless busy)."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open."""


class Follower(ABC):
    """A watch on a domain's script."""

    @abstractmethod
    def look(self, timeout: float) -> Seen:
        """The nodes once they differ from the last look, at the latest after *timeout* seconds. Raises StoreLost."""

    @abstractmethod
    def close(self) -> None:
        """End the watch."""
