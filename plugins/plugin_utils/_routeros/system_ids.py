# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Which of the routers that share a system id keeps it.

Pure functions. Every router decides for itself, so the decision depends only on what all of them
know: the order of the play and what was read before.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.identity import Identity

from .fleet import SCHEMA


class Foreign(ValueError):
    """What a host has stored was read from another router. The text is a sentence."""


@dataclass(frozen=True)
class KnownRouter:
    """A router whose system id is known."""

    name: str
    system_id: str
    identity: Identity | None = None

    def is_vm_of(self, other: KnownRouter) -> bool:
        """Whether both are names of one VM."""
        return bool(self.identity and other.identity and self.identity.key == other.identity.key)


@dataclass(frozen=True)
class Decision:
    """What becomes of the system id of a router."""

    keeper: str | None
    """The router that keeps the id instead of this one; None if this one keeps it."""
    aliases: tuple[str, ...]
    """Other names of this VM."""


def own_license(name: str, license: object) -> t.Mapping[str, t.Any] | None:
    """Return the *license* that the host *name* has stored, or None if it has none.

    Raises Foreign if it was read from the router of another host.
    """
    if not isinstance(license, t.Mapping) or not license.get("system_id"):
        return None
    identity = Identity.of(license.get("router"))
    if identity and identity.host != name:
        raise Foreign(
            f"The license that is stored for {name!r} was read from {identity.host!r}, {identity}. ansible-core 2.21 keeps one "
            "dictionary of facts for all hosts after a task with run_once that returns facts, and a task with delegate_to stores "
            "the facts of another router. Register the result of outofband.chr.license_info and use registered."
        )
    return license


def known(name: str, license: object) -> KnownRouter | None:
    """Return what *license*, which the host *name* has stored, tells. Raises Foreign."""
    found = own_license(name, license)
    return None if found is None else KnownRouter(name, str(found["system_id"]), Identity.of(found.get("router")))


def from_report(data: object) -> list[KnownRouter]:
    """Return the routers of a report that license_report wrote as JSON. Raises ValueError."""
    if not isinstance(data, t.Mapping) or data.get("schema") != SCHEMA or not isinstance(data.get("routers"), list):
        raise ValueError(f"it does not have the schema {SCHEMA}")
    rows = [row for row in data["routers"] if isinstance(row, t.Mapping) and row.get("system_id")]
    return [
        KnownRouter(str(row.get("name")), str(row["system_id"]), Identity.of({**row, "host": str(row.get("name"))}))
        for row in rows
    ]


def decide(me: KnownRouter, play: t.Sequence[KnownRouter], elsewhere: t.Sequence[KnownRouter]) -> Decision:
    """Decide whether *me* keeps its system id.

    *play* has the routers of the play in its order, *me* included. A router *elsewhere*, which this
    play does not change, keeps its id, otherwise the first one of the play does. A VM with several
    names counts once, at the place of the first one, and only the first name decides.
    """
    aliases = tuple(one.name for one in (*play, *elsewhere) if one.name != me.name and one.is_vm_of(me))
    order = [one.name for one in play]
    first = min(order.index(name) for name in (me.name, *aliases) if name in order)
    twins = [one for one in (*elsewhere, *play[:first]) if one.system_id == me.system_id and not one.is_vm_of(me)]
    keeper = twins[0].name if twins and order[first] == me.name else None
    return Decision(keeper, aliases)
