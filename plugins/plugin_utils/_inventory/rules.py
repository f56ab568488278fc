# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What counts as a CHR: the rules of ``recognise``, which are tried in order."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm

TAGS = ("chr", "routeros", "mikrotik")
"""The tags that rule ``tag`` takes if it names none."""
NAME = r"(?i)(?<![a-z])(chr|mikrotik|routeros)(?![a-z])"
OS = r"(?i)routeros|mikrotik"
KINDS = ("mark", "tag", "name", "os", "agent", "all")


@dataclass(frozen=True)
class Rule:
    """One rule, by its name in ``recognise``."""

    kind: str
    asks: bool
    """Whether it asks about each VM what the list of VMs does not tell."""
    matches: Callable[[FoundVm], bool]
    """Decides by what is known of a VM. Rule ``agent`` knows nothing: its agent must be asked."""


def read_rules(value: t.Any, place: str) -> tuple[Rule, ...]:
    """Read the option ``recognise``, a list of names of rules and of mappings with one name.

    None is the default: what the list of VMs tells, so that no VM is asked about on its own.
    *place* is the key in the file, for messages. Raises InvalidInput.
    """
    if value is None:
        return tuple(_rule(kind, None, place, asks=False) for kind in ("mark", "tag", "name", "os"))
    entries = value if isinstance(value, list) else [value]
    if not entries:
        raise InvalidInput(f"{place} is empty, so no VM would be a router: name at least one of {', '.join(KINDS)}.")
    return tuple(_entry(entry, f"{place}[{number}]") for number, entry in enumerate(entries))


def _entry(entry: t.Any, place: str) -> Rule:
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((kind, value),) = entry.items()
    elif isinstance(entry, str):
        kind, value = entry, None
    else:
        raise InvalidInput(f"{place} is neither the name of a rule nor one rule with its value, such as 'name: ^chr'.")
    if str(kind) not in KINDS:
        raise InvalidInput(f"{place}: {str(kind)!r} is not a rule. The rules are {', '.join(KINDS)}.")
    return _rule(str(kind), value, f"{place}.{kind}", asks=kind in ("mark", "agent"))


def _rule(kind: str, value: t.Any, place: str, *, asks: bool) -> Rule:
    if value is not None and kind in ("mark", "agent", "all"):
        raise InvalidInput(f"{place} takes no value.")
    if kind == "tag":
        tags = {one.casefold() for one in _texts(value, place)} if value is not None else set(TAGS)
        return Rule(kind, asks, lambda vm: any(tag.casefold() in tags for tag in vm.tags))
    if kind == "name":
        patterns = _patterns(value, NAME, place)
        return Rule(kind, asks, lambda vm: any(one.search(vm.name) for one in patterns))
    if kind == "os":
        patterns = _patterns(value, OS, place)
        return Rule(
            kind,
            asks,
            lambda vm: any(one.search(told) for one in patterns for told in (vm.reported_os, vm.configured_os) if told),
        )
    return Rule(
        kind, asks, {"mark": lambda vm: vm.mark is not None, "all": lambda vm: True}.get(kind, lambda vm: False)
    )


def _texts(value: t.Any, place: str) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(one, (str, int)) and str(one) for one in texts):
        raise InvalidInput(f"{place} must be a text or a list of texts.")
    if templates := [one for one in texts if "{{" in str(one)]:
        raise InvalidInput(f"{place} is {templates[0]!r}, and cannot be a template.")
    return [str(one) for one in texts]


def _patterns(value: t.Any, default: str, place: str) -> list[re.Pattern[str]]:
    found = []
    for text in [default] if value is None else _texts(value, place):
        try:
            found.append(re.compile(text))
        except re.error as error:
            raise InvalidInput(f"{place}: {text!r} is not a valid regular expression: {error}.") from None
    return found
