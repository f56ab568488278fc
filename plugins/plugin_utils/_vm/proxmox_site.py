# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a Proxmox VE cluster offers a new VM. Everything here asks, and nothing changes anything. All errors are GuestError."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    GuestError,
    InvalidInput,
    NotPermitted,
    NotPossible,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.https import Interrupted
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.proxmox.api import Api, ApiError
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.qga_guest import true

MB = 1e6


@dataclass(frozen=True)
class Storage:
    """A storage, as one node sees it."""

    name: str
    content: frozenset[str]
    usable: bool
    """Enabled, and there."""
    free: int
    """Bytes."""

    def require(self, size: int, what: str) -> None:
        """Raise NotPossible where *size* bytes have no room."""
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

    def ask(self, path: str, values: dict[str, t.Any] | None = None) -> t.Any:
        """The answer to a GET. Raises ApiError for a refusal, AgentNotThere without an answer."""
        try:
            return self.api.call("GET", path, values, timeout=self._timeout)
        except Interrupted as error:
            raise AgentNotThere(str(error)) from None
        except ApiError as error:
            if error.status >= 595:
                raise AgentNotThere(f"The node cannot be reached from there: {error}") from None
            raise

    def node(self, wanted: str | None) -> str:
        """The node for a VM: *wanted*, or the only one. Raises InvalidInput, NotPossible."""
        known = {str(one["node"]): str(one.get("status")) for one in self._rows("/nodes")}
        if wanted is None and len(known) == 1:
            (wanted,) = known
        if wanted is None:
            raise InvalidInput(
                f"{self.api.where} has the nodes {_names(known)}: say with node, or chr_node, which one gets the VM."
            )
        if wanted not in known:
            raise InvalidInput(f"{self.api.where} has no node {wanted!r}, but {_names(known)}.")
        if known[wanted] == "offline":
            raise NotPossible(f"Node {wanted!r} of {self.api.where} is offline.")
        return wanted

    def storages(self, node: str) -> list[Storage]:
        """Those of *node* that this user may see, by name."""
        rows = self._rows(f"/nodes/{node}/storage")
        try:
            found = [
                Storage(
                    str(one["storage"]),
                    frozenset(str(one["content"]).split(",")),
                    true(one.get("enabled", 1)) and true(one.get("active", 1)),
                    int(one.get("avail") or 0),
                )
                for one in rows
            ]
        except (KeyError, TypeError, ValueError):
            raise self._nonsense(f"/nodes/{node}/storage") from None
        return sorted(found, key=lambda one: one.name)

    def storage(self, node: str, wanted: str | None, content: str) -> Storage:
        """The storage of *node* for *content*: *wanted*, or the only usable one. Raises InvalidInput, NotPossible."""
        known = self.storages(node)
        fitting = [one for one in known if content in one.content]
        if wanted is not None:
            named = next((one for one in known if one.name == wanted), None)
            if named is None:
                raise InvalidInput(
                    f"Node {node!r} shows {self.api.access.login} no storage {wanted!r}, but {_names(one.name for one in known)}. "
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
                f"Node {node!r} has these storages with content type {content!r}: {_names(one.name for one in usable)}. Say which "
                "one with the option storage."
            )
        return usable[0]

    def bridges(self, node: str) -> list[str] | None:
        """The bridges of *node* that this user may use; None: it may not ask."""
        try:
            return [str(one["iface"]) for one in self._rows(f"/nodes/{node}/network", {"type": "any_bridge"})]
        except (ApiError, NotPermitted):
            return None

    def vmid(self, wanted: int | None) -> int | None:
        """*wanted* if it is free, else None; or, with None, one that is free."""
        try:
            return int(self.ask("/cluster/nextid", {} if wanted is None else {"vmid": wanted}))
        except ApiError as error:
            if wanted is not None and "already exists" in error.said:
                return None
            raise
        except (TypeError, ValueError):
            raise self._nonsense("/cluster/nextid") from None

    def missing(self, privileges: t.Iterable[str], *paths: str) -> list[str]:
        """Those of *privileges* that this user has on none of *paths*; none where the server does not say."""
        held: set[str] = set()
        for path in paths:
            try:
                answer = self.ask("/access/permissions", {"path": path})
                held |= set(answer.get(path, {}))
            except (ApiError, NotPermitted, AttributeError, TypeError):
                return []
        return sorted(set(privileges) - held)

    def _rows(self, path: str, values: dict[str, t.Any] | None = None) -> list[dict[str, t.Any]]:
        answer = self.ask(path, values)
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise self._nonsense(path)
        return answer

    def _nonsense(self, path: str) -> GuestError:
        return GuestError(f"{self.api.where} answered GET {path} with something else than Proxmox VE does.")


def _names(names: t.Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
