# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The VMs of all sources, and which of them are routers. Servers and agents are asked side by side.

The filters come between the two steps, in the plugin, because only Ansible can evaluate them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from collections.abc import Callable, Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._core.side_by_side import in_order, side_by_side
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import (
    agents_at_once,
    details,
    from_options,
    list_vms,
    open_guest,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm

from .sources import InventorySource

_SERVERS = 8  # servers that are asked at once
_ONE_AGENT = 5.0  # seconds
_DETAILS = 120.0  # seconds

_T = t.TypeVar("_T")
Recognised = tuple[FoundVm, str]
"""A router, and the rule that says so."""


class Answer(t.NamedTuple, t.Generic[_T]):
    """What came of a question to one server."""

    value: _T
    warnings: list[str]
    whole: bool = True
    """Whether nothing is missing that may be there the next time, so that it can be cached."""


def for_each(sources: Sequence[InventorySource], ask: Callable[[InventorySource], _T]) -> list[_T | ChrError]:
    """Call *ask* for each of *sources*, side by side. An error becomes the result of that one."""

    def one(source: InventorySource) -> _T | ChrError:
        try:
            return ask(source)
        except ChrError as error:
            return error
        except Exception as error:  # a fault of the collection, or of a library that it uses
            return ChrError(
                f"The collection failed in an unexpected way ({type(error).__name__}: {error}). Please report this."
            )

    return in_order(sources, one, _SERVERS)


def listed(source: InventorySource) -> Answer[list[FoundVm]]:
    """All VMs of *source*. Details are read of those that are ``wanted``. Raises ChrError."""
    vms = list_vms(source.options, Deadline(source.options.connect_timeout))
    if not source.details:
        return Answer(vms, [])
    others = [one for one in vms if _left_out(source, one)]
    known = details(source.options, wanted(source, vms), Deadline(_DETAILS))
    unread = _unread(source, known)
    return Answer([*known, *others], unread, not unread)


def _unread(source: InventorySource, vms: Sequence[FoundVm]) -> list[str]:
    """A warning if there are *vms* whose configurations were asked for and not read."""
    partial = [one for one in vms if one.partial]
    if not partial:
        return []
    return [
        f"{source.label}: {len(partial)} of {len(vms)} configurations of VMs were not read, for example that of "
        f"{called(partial[0])}. Such VMs may be missing, or lack variables. The list is not cached."
    ]


def called(vm: FoundVm) -> str:
    """A VM, for messages."""
    return repr(vm.name) if vm.name else f"VM {vm.id}"


def wanted(source: InventorySource, vms: Sequence[FoundVm]) -> list[FoundVm]:
    """Those of *vms* that *source* does not leave out because of their state."""
    return [one for one in vms if not _left_out(source, one)]


def _left_out(source: InventorySource, vm: FoundVm) -> bool:
    return "exclude" in _states(source, vm).values()


def _states(source: InventorySource, vm: FoundVm) -> dict[str, str]:
    """What is special about *vm*: the name of its group, and what *source* asks for."""
    return {
        group: choice
        for group, choice, there in (
            ("chr_powered_off", source.powered_off, vm.power == "off" and not vm.template),
            ("chr_templates", source.templates, vm.template),
            ("chr_offline", source.offline_nodes, not vm.node_online),
        )
        if there
    }


def groups(source: InventorySource, vm: FoundVm) -> list[str]:
    """The groups of *vm* that *source* asks for because of its state."""
    return [group for group, choice in _states(source, vm).items() if choice == "group"]


def recognised(source: InventorySource, vms: Sequence[FoundVm]) -> Answer[list[Recognised]]:
    """Those of *vms* that a rule of *source* takes for a router. Raises ChrError."""
    decided: dict[int, Recognised] = {}
    known = dict(enumerate(vms))
    warnings: list[str] = []
    unread: list[str] = []
    for rule in source.rules:
        open_ = [place for place in known if place not in decided]
        if not open_:
            break
        if rule.kind == "mark" and rule.asks:
            read = details(source.options, [known[one] for one in open_], Deadline(_DETAILS))
            known |= zip(open_, read, strict=True)
            unread = [] if source.details else _unread(source, read)  # listed() has said it
        if rule.kind == "agent":
            routers = _with_routeros(source, [known[place] for place in open_], warnings)
            fits = [place for place in open_ if known[place].id in routers]
        else:
            fits = [place for place in open_ if rule.matches(known[place])]
        decided |= {place: (known[place], rule.kind) for place in fits}
    found = [decided[place] for place in sorted(decided)]
    if nameless := [vm for place, vm in known.items() if place not in decided and not vm.name and not vm.node_online]:
        warnings.append(
            f"{source.label}: {len(nameless)} VM{'' if len(nameless) == 1 else 's'} of offline nodes cannot be recognised, "
            f"because their names and configurations are not known, for example {called(nameless[0])} of the node "
            f"{nameless[0].node}. Routers among them are missing."
        )
    if source.addresses:
        found = _with_addresses(source, found, warnings)
    return Answer(found, [*unread, *warnings], not unread)


def _with_routeros(source: InventorySource, vms: Sequence[FoundVm], warnings: list[str]) -> set[str]:
    """The ids of those of *vms* whose agent says that the system is RouterOS."""

    def is_routeros(guest: Guest) -> bool:
        return (guest.operating_system() or {}).get("id") == "routeros"

    answers = _ask_agents(source, vms, is_routeros, "whether they run RouterOS", warnings)
    return {id_ for id_, answer in answers.items() if answer}


def _with_addresses(source: InventorySource, found: list[Recognised], warnings: list[str]) -> list[Recognised]:
    def addresses(guest: Guest) -> tuple[str, ...]:
        return tuple(
            one.address for card in guest.report().interfaces or () for one in card.addresses if one.address is not None
        )

    silent = [vm for vm, _rule in found if not vm.addresses]
    answers = _ask_agents(source, silent, addresses, "for their addresses", warnings)
    return [(dataclasses.replace(vm, addresses=answers.get(vm.id, vm.addresses)), rule) for vm, rule in found]


def _ask_agents(
    source: InventorySource, vms: Sequence[FoundVm], question: Callable[[Guest], _T], what: str, warnings: list[str]
) -> dict[str, _T]:
    """Return the agents' answers by VM id. VMs that do not run or answer are left out."""
    running = [one for one in vms if one.power == "on" and one.node_online and not one.template]
    answers: dict[str, _T] = {}
    late: list[FoundVm] = []
    deadline = Deadline(source.agent_timeout)

    def in_time() -> t.Iterator[FoundVm]:
        for vm in running:
            if deadline.expired:
                late.append(vm)
            else:
                yield vm

    def ask(vm: FoundVm) -> None:
        with contextlib.suppress(ChrError):  # no agent, or another system's
            answers[vm.id] = question(_guest(source, vm, min(_ONE_AGENT, max(deadline.remaining, 1.0))))

    for _done in side_by_side(in_time(), ask, agents_at_once(source.options)):
        pass
    if late:
        warnings.append(
            f"{source.key('agent_timeout')}: {len(late)} of {len(running)} agents were not asked {what} within "
            f"{source.agent_timeout:g} s, for example the agent of {late[0].name!r}. Set a longer time."
        )
    return answers


def _guest(source: InventorySource, vm: FoundVm, seconds: float) -> Guest:
    """The guest of *vm*, which is asked for at most *seconds*. Raises ChrError."""
    options = {field.name: getattr(source.options, field.name) for field in dataclasses.fields(source.options)}
    own = {name.removeprefix("chr_"): value for name, value in vm.variables.items()}
    given = {**options, **own, "backend": source.options.backend, "vm": vm.id, "connect_timeout": seconds}
    return open_guest(from_options(given))
