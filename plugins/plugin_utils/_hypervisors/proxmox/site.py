# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a Proxmox VE cluster offers a new VM: nodes, storages, bridges, numbers, privileges.

Nothing here changes anything. All errors are ChrError.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPermitted,
    NotPossible,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_bool
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted

from .api import Api, ApiError, Ask
from .lost_answers import persist

MB = 1e6


@dataclass(frozen=True)
class Storage:
    """A storage, as one node sees it."""

    name: str
    content: frozenset[str]
    usable: bool
    """Whether it is enabled and can be reached."""
    free: int
    """Bytes."""

    def require(self, size: int, what: str) -> None:
        """Check that *size* bytes for *what* have room. Raises NotPossible if they do not."""
        if not self.usable:
            raise NotPossible(f"Storage {self.name!r}, where {what} would go, is disabled or cannot be reached.")
        if self.free < size:
            raise NotPossible(
                f"Storage {self.name!r} has {self.free / MB:.0f} MB free, and {what} needs {size / MB:.0f} MB. Make room there, or "
                "name another storage."
            )


class Site:
    """One cluster as one user sees it. *timeout*: seconds to reach it."""

    def __init__(self, api: Api, timeout: float) -> None:
        self.api = api
        self._timeout = timeout

    def ask(self, ask: Ask) -> t.Any:
        """Return the answer to a request that changes nothing, repeated if it gets lost.

        Raises ApiError if the server refuses, Unreachable if it does not answer.
        """
        try:
            return persist(lambda: self.api.call(ask, timeout=self._timeout), self._timeout)
        except Interrupted as error:
            raise Unreachable(str(error)) from None
        except ApiError as error:
            if error.status >= 595:
                raise Unreachable(f"The node that answers the API cannot reach the other node: {error}") from None
            raise

    def node(self, wanted: str | None) -> str:
        """The node for a VM: *wanted*, or the only node. Raises InvalidInput, NotPossible."""
        known = {
            str(one["node"]): str(one.get("status")) for one in self._rows("nodes", lambda pve: pve.nodes.get(), "node")
        }
        if wanted is None and len(known) == 1:
            (wanted,) = known
        if wanted is None:
            raise InvalidInput(
                f"{self.api.where} has the nodes {_names(known)}. Choose one for the VM with node or chr_node."
            )
        if wanted not in known:
            raise InvalidInput(f"{self.api.where} has no node {wanted!r}, but {_names(known)}.")
        if known[wanted] == "offline":
            raise NotPossible(f"Node {wanted!r} of {self.api.where} is offline.")
        return wanted

    def storages(self, node: str) -> list[Storage]:
        """The storages of *node* that this user may see, sorted by name."""
        rows = self._rows("storages", lambda pve: pve.nodes(node).storage.get(), "storage")
        try:
            found = [
                Storage(
                    str(one["storage"]),
                    frozenset(str(one["content"]).split(",")),
                    as_bool(one.get("enabled", 1)) and as_bool(one.get("active", 1)),
                    int(one.get("avail") or 0),
                )
                for one in rows
            ]
        except (KeyError, TypeError, ValueError):
            raise self._nonsense("storages") from None
        return sorted(found, key=lambda one: one.name)

    def storage(self, node: str, wanted: str | None, content: str) -> Storage:
        """The storage of *node* for *content*: *wanted*, or the only usable one.

        Raises InvalidInput, NotPossible.
        """
        known = self.storages(node)
        fitting = [one for one in known if content in one.content]
        if wanted is not None:
            named = next((one for one in known if one.name == wanted), None)
            if named is None:
                raise InvalidInput(
                    f"Node {node!r} shows {self.api.login.account} no storage {wanted!r}, but {_names(one.name for one in known)}. "
                    "It needs Datastore.Audit on a storage to see it."
                )
            if content not in named.content:
                raise NotPossible(
                    f"Storage {wanted!r} does not take content type {content!r}, but {_names(named.content)}. Take another one "
                    f"({_names(one.name for one in fitting)}), or add the content type in Datacenter, Storage."
                )
            return named
        usable = [one for one in fitting if one.usable]
        if len(usable) != 1:
            raise InvalidInput(
                f"Node {node!r} has these storages with content type {content!r}: {_names(one.name for one in usable)}. Choose "
                "one with the option storage."
            )
        return usable[0]

    def bridges(self, node: str) -> list[str] | None:
        """The bridges of *node* that this user may use. None if the user may not ask for them."""
        try:
            rows = self._rows("bridges", lambda pve: pve.nodes(node).network.get(type="any_bridge"), "iface")
            return [str(one["iface"]) for one in rows]
        except (ApiError, NotPermitted):
            return None

    def vmid(self, wanted: int | None) -> int | None:
        """Return *wanted* if that vmid is free, else None. If *wanted* is None, find a free one."""
        try:
            return int(self.ask(lambda pve: pve.cluster.nextid.get(vmid=wanted)))
        except ApiError as error:
            if wanted is not None and "already exists" in error.said:
                return None
            raise
        except (TypeError, ValueError):
            raise self._nonsense("a free vmid") from None

    def missing(self, privileges: t.Iterable[str], *paths: str) -> list[str]:
        """The *privileges* that this user has on none of *paths*.

        Empty if the server does not tell the user's privileges.
        """
        held: set[str] = set()
        for path in paths:
            try:
                held |= self._privileges(path)
            except (ApiError, NotPermitted, AttributeError, TypeError):
                return []
        return sorted(set(privileges) - held)

    def _privileges(self, path: str) -> set[str]:
        return set(self.ask(lambda pve: pve.access.permissions.get(path=path)).get(path, {}))

    def _rows(self, what: str, ask: Ask, key: str) -> list[dict[str, t.Any]]:
        """The answer to *ask*, a list of objects that have the *key*."""
        answer = self.ask(ask)
        if not isinstance(answer, list) or not all(isinstance(one, dict) and key in one for one in answer):
            raise self._nonsense(what)
        return answer

    def _nonsense(self, what: str) -> ChrError:
        return ChrError(f"{self.api.where} was asked for {what}, but answered with something else.")


def _names(names: t.Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
