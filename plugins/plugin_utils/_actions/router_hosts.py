# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts of an inventory are routers.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping

from ansible import context
from ansible.errors import AnsibleError
from ansible.utils.display import Display
from jinja2.exceptions import UndefinedError

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

from .router import TRANSPORT

CONNECTIONS = frozenset({TRANSPORT})
"""The connections of this collection. A host that has one of them is a router."""
_LISTINGS = ("syntax", "listhosts", "listtasks", "listtags")
"""Options of ansible-playbook with which no play begins, so that no variables are known."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]")


def is_router(variables: Mapping[str, t.Any]) -> bool:
    """Tell from a host's *variables* whether it is a router.

    It is not if the value of ``ansible_connection`` cannot be evaluated.
    """
    try:
        return _connection(variables) in CONNECTIONS
    except (AnsibleError, UndefinedError):
        return False


def _connection(variables: Mapping[str, t.Any]) -> str:
    """Return the host's connection. Raises AnsibleError or UndefinedError."""
    value = str(variables.get("ansible_connection") or context.CLIARGS.get("connection"))
    if "{{" in value:  # what ansible-core 2.18 could not evaluate
        raise AnsibleError(value)
    return value


def pattern_of_routers(variables: Mapping[str, t.Any], *, none_is_ok: bool = False) -> str:
    """Return a pattern of hosts that matches all routers among the hosts of the play.

    *variables* are those with which Ansible evaluates the play's ``hosts``. With *none_is_ok*, the
    pattern matches no host if none is a router. Raises InvalidInput if none of the hosts is a
    router and *none_is_ok* is false, or if no play has begun yet.
    """
    hosts: list[str] = variables.get("ansible_play_hosts_all") or []
    hostvars = variables.get("hostvars")
    if hostvars is None and any(context.CLIARGS.get(option) for option in _LISTINGS):
        return "all"
    if hostvars is None and hosts:
        raise InvalidInput(
            "outofband.chr.router_hosts needs the variables of the hosts, which are known only after a play has begun: put "
            "a play with 'hosts: all' and without tasks before this one."
        )
    routers = [name for name in hosts if _connects(name, hostvars[name])] if hostvars is not None else []
    if not routers and none_is_ok:
        return "!all"
    if not routers:
        raise InvalidInput(f"There is no router to act on: {_why_none(len(hosts))}")
    return _exactly(routers, variables.get("groups") or {})


def _why_none(hosts: int) -> str:
    if not hosts:
        return "the inventory has no hosts. If a source of it could not be read, a warning above says why."
    limit = context.CLIARGS.get("subset")
    return (
        f"none of the {hosts} hosts of {'this --limit' if limit else 'the inventory'} has the connection {TRANSPORT}. "
        f"{'Name routers in --limit, or set' if limit else 'Set'} ansible_connection: {TRANSPORT} for the routers, for "
        "example in the variables of their group."
    )


def given_pattern(pattern: str, variables: Mapping[str, t.Any], *, none_is_ok: bool = False) -> str:
    """Return the *pattern* that was given instead.

    Raises InvalidInput if it matches no host and *none_is_ok* is false: Ansible would skip the
    play, and the playbook would succeed although nothing was done.
    """
    inventory = getattr(variables.get("hostvars"), "_inventory", None)
    if inventory is not None and not none_is_ok and not inventory.get_hosts(pattern):
        within = " within this --limit" if context.CLIARGS.get("subset") else ""
        raise InvalidInput(f"There is no router to act on: the pattern {pattern!r} matches no host{within}.")
    return pattern


def _connects(name: str, variables: Mapping[str, t.Any]) -> bool:
    try:
        return _connection(variables) in CONNECTIONS
    except (AnsibleError, UndefinedError) as error:
        Display().warning(f"{name} is left alone, because its ansible_connection cannot be evaluated: {error}")
        return False


def _exactly(names: Iterable[str], groups: Mapping[str, Iterable[str]]) -> str:
    """Return a pattern for the hosts *names*, and for no others.

    Ansible splits patterns at commas, colons, blanks and brackets, and takes an expression for one
    of groups, too: the other hosts of a group that has the name of a router are excluded.
    """
    wanted = dict.fromkeys(names)
    pattern = f"~({'|'.join(map(_escaped, wanted))})\\Z"
    strays = {one: None for name in wanted if name in groups for one in groups[name] if one not in wanted}
    return f"{pattern},!~({'|'.join(map(_escaped, strays))})\\Z" if strays else pattern


def _escaped(name: str) -> str:
    return "".join(one if _PLAIN.match(one) else f"\\U{ord(one):08x}" for one in name)
