# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The names of hosts: which ones Ansible takes, and names that more than one host would have."""

from __future__ import annotations

import collections
import re
import typing as t
from collections.abc import Callable, Collection, Sequence

# Ansible's patterns give a meaning to spaces and , : [ ] * ? and to ! & ~ @ at the beginning. A
# name is also a file below host_vars, and a word in somebody's shell.
_VALID = re.compile(r"\w[\w.+()@#=-]*")
_NOT_VALID = re.compile(r"[^\w.+-]+")
_LONGEST = 200  # characters; a file name may have 255 bytes
RESERVED = frozenset({"localhost", "127.0.0.1", "all", "ungrouped", "_meta"})
"""Names with a meaning of their own in Ansible."""


def valid(name: str, taken: Collection[str] = ()) -> bool:
    """Whether Ansible takes *name* as that of a host. *taken*: names of groups."""
    return bool(_VALID.fullmatch(name)) and len(name) <= _LONGEST and name not in RESERVED and name not in taken


def similar(name: str, id_: str, taken: Collection[str] = ()) -> str:
    """A name that Ansible takes, made from a *name* that it does not take, and the VM's id."""
    base = _NOT_VALID.sub("_", name[:_LONGEST]).strip("_.+-")
    suffix = _NOT_VALID.sub("_", id_[-40:]).strip("_.+-")
    if base and valid(base, taken):
        return base
    return f"{base[: _LONGEST - 41]}_{suffix}".lstrip("_") or "vm"


class Named(t.NamedTuple):
    """A VM that needs a name of a host."""

    name: str
    """The wanted name, which Ansible takes."""
    source: str
    id: str


def distinct(vms: Sequence[Named], taken: Callable[[int, str], bool] = lambda place, name: False) -> list[str]:
    """Return a name for each of *vms*, in their order, so that no two have the same one.

    *taken* tells whether the VM at a place in *vms* cannot have a name, because a host has it.

    All VMs of one name get another one, with their source or their id in it. So it does not depend
    on the order of the list which of them keeps the name, and a new VM cannot take it over.
    """
    names = [one.name for one in vms]
    longer: list[t.Callable[[Named], str]] = [
        lambda vm: f"{vm.name}_{vm.source}",
        lambda vm: f"{vm.name}_{_NOT_VALID.sub('_', vm.id)}",
        lambda vm: f"{vm.name}_{vm.source}_{_NOT_VALID.sub('_', vm.id)}",
    ]
    for make in longer:
        places: dict[str, list[int]] = collections.defaultdict(list)
        for place, name in enumerate(names):
            places[name].append(place)
        twice = [
            group for name, group in places.items() if len(group) > 1 or any(taken(place, name) for place in group)
        ]
        if not twice:
            break
        for group in twice:
            made = [make(vms[place]) for place in group]
            free = len(set(made)) == len(made) and not set(made) & places.keys() and not any(map(taken, group, made))
            if free or make is longer[-1]:
                for place, name in zip(group, made, strict=True):
                    names[place] = name
    return _numbered(names, taken)


def _numbered(names: list[str], taken: Callable[[int, str], bool]) -> list[str]:
    """Number what is still the same, which needs two ids that differ only in odd characters."""
    seen: set[str] = set()
    result = []
    for place, name in enumerate(names):
        unique, number = name, 2
        while unique in seen or taken(place, unique):
            unique, number = f"{name}_{number}", number + 1
        seen.add(unique)
        result.append(unique)
    return result
