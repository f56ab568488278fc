# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""RouterOS facts under the names of community.routeros.facts, from records. Pure functions."""

from __future__ import annotations

import re
import typing as t

from . import records
from .output import readable

SUBSETS = ("default", "hardware", "interfaces", "routing", "config")

Read = t.Callable[[str], bytes]
"""Runs a script that changes nothing; its output. Raises what the caller wants to see."""

_ROUTING = {
    # fact: menus that hold it, newest first, and the property that names an entry
    "bgp_peer": (("/routing bgp connection", "/routing bgp peer"), "name"),
    "bgp_instance": (("/routing bgp instance",), "name"),
    "bgp_vpnv4_route": (("/routing bgp vpnv4-route",), "interface"),
    "ospf_instance": (("/routing ospf instance",), "name"),
    "ospf_neighbor": (("/routing ospf neighbor",), "instance"),
}

_TIMESTAMP = re.compile(r"^# .*\b(by RouterOS|RouterOS \d).*\n", re.MULTILINE)


def subsets(wanted: list[str]) -> list[str]:
    """The subsets that *wanted* (names, ``all``, ``!name``) means; ``default`` is always one. Raises ValueError."""
    chosen: set[str] = set()
    excluded: set[str] = set()
    for word in wanted:
        name = word.removeprefix("!")
        if name != "all" and name not in SUBSETS:
            raise ValueError(f"{word!r} is no subset: it is all, {', '.join(SUBSETS)}, or one of these behind a '!'")
        (excluded if word.startswith("!") else chosen).update(SUBSETS if name == "all" else [name])
    result = (chosen or set(SUBSETS)) - excluded | {"default"}
    return [name for name in SUBSETS if name in result]


def gather(
    names: list[str], read: Read, maybe: t.Callable[[str], bytes | None], page: int | None = None
) -> dict[str, t.Any]:
    """The facts of the subsets *names*, without the ``ansible_net_`` prefix.

    *maybe* is *read* for a script that a RouterOS may not know; it gives None then. *page*: see records.items. Raises ValueError
    for unreadable output.
    """
    facts: dict[str, t.Any] = {"gather_subset": names}
    resource = _one(read(records.properties("/system resource", _RESOURCE)))
    for name in names:
        if name == "default":
            facts.update(_default(resource, read, maybe))
        elif name == "hardware":
            facts.update(_hardware(resource))
        elif name == "interfaces":
            facts.update(_interfaces(read, maybe, page))
        elif name == "routing":
            facts.update(_routing(maybe, page))
        else:
            facts.update(_config(read))
    return facts


_RESOURCE = (
    "version",
    "uptime",
    "architecture-name",
    "board-name",
    "cpu-load",
    "free-memory",
    "total-memory",
    "free-hdd-space",
    "total-hdd-space",
)


def _one(output: bytes) -> dict[str, str]:
    found = records.parse(output)
    return found[0] if found else {}


def _default(resource: dict[str, str], read: Read, maybe: t.Callable[[str], bytes | None]) -> dict[str, t.Any]:
    identity = _one(read(records.properties("/system identity", ("name",))))
    board = _one(maybe(records.properties("/system routerboard", ("model", "serial-number"))) or b"")
    licence = _one(maybe(records.properties("/system license", ("system-id",))) or b"")
    return {
        "hostname": identity.get("name"),
        "version": resource.get("version"),
        "uptime": resource.get("uptime"),
        "arch": resource.get("architecture-name"),
        "cpu_load": resource.get("cpu-load"),
        # A CHR is no routerboard and has no serial number: the board name and the system id stand for them.
        "model": board.get("model") or resource.get("board-name"),
        "serialnum": board.get("serial-number") or licence.get("system-id"),
    }


def gather_values(value: t.Callable[[str, t.Sequence[bytes]], str | None]) -> dict[str, t.Any]:
    """The subset ``default`` where values cost much and are read one by one: without the load and the uptime.

    *value* gives an expression's value or None, the sooner if it is one of the likely values.
    """
    version = "[/system resource get version]"
    number = value(f'[:pick {version} 0 [:find ({version} . " ") " "]]', ())
    channels = (b" (stable)", b" (long-term)", b" (testing)", b" (development)", b"")
    channel = value(f'[:pick {version} [:find ({version} . " ") " "] [:len {version}]]', channels)
    boards = tuple(b"CHR " + name for name in (b"VMware, Inc. VMware7,1", b"VMware, Inc. VMware Virtual Platform"))
    return {
        "gather_subset": ["default"],
        "hostname": value("[/system identity get name]", (b"MikroTik",)),
        "version": number + (channel or "") if number else None,
        "arch": value("[/system resource get architecture-name]", (b"x86_64", b"x86")),
        "model": value("[/system resource get board-name]", (b"CHR", *boards)),
        "serialnum": value("[/system license get system-id]", ()),
    }


def _hardware(resource: dict[str, str]) -> dict[str, t.Any]:
    def mebibytes(name: str) -> float | None:
        text = resource.get(name, "")
        return round(int(text) / 2**20, 1) if text.isdigit() else None

    return {
        "spacefree_mb": mebibytes("free-hdd-space"),
        "spacetotal_mb": mebibytes("total-hdd-space"),
        "memfree_mb": mebibytes("free-memory"),
        "memtotal_mb": mebibytes("total-memory"),
    }


def _list(command: str, run: t.Callable[[str], bytes | None], page: int | None) -> list[dict[str, str]] | None:
    found = records.items(command, run, page)
    return found and [{key: value for key, value in item.items() if key != ".id"} for item in found]


def _interfaces(read: Read, maybe: t.Callable[[str], bytes | None], page: int | None) -> dict[str, t.Any]:
    interfaces: dict[str, dict[str, t.Any]] = {
        item["name"]: dict(item) for item in _list("/interface", read, page) or [] if "name" in item
    }
    facts: dict[str, t.Any] = {"interfaces": interfaces}
    for family, menu, run in (("ipv4", "/ip address", read), ("ipv6", "/ipv6 address", maybe)):
        addresses = []
        for item in _list(menu, run, page) or []:
            address, _unused, subnet = item.get("address", "").partition("/")
            addresses.append(address)
            of = interfaces.get(item.get("interface", ""))
            if of is not None:
                of.setdefault(family, []).append({"address": address, "subnet": subnet})
        facts[f"all_{family}_addresses"] = addresses
    neighbors = _list("/ip neighbor", maybe, page) or []
    facts["neighbors"] = {item["interface"]: item for item in neighbors if "interface" in item}
    return facts


def _routing(maybe: t.Callable[[str], bytes | None], page: int | None) -> dict[str, t.Any]:
    facts: dict[str, t.Any] = {}
    for fact, (menus, key) in _ROUTING.items():
        items = next((found for menu in menus if (found := _list(menu, maybe, page)) is not None), [])
        facts[fact] = {item[key]: item for item in items if key in item}
    routes: dict[str, list[dict[str, str]]] = {}
    for item in _list("/ip route", maybe, page) or []:
        routes.setdefault(item.get("routing-table") or item.get("routing-mark") or "main", []).append(item)
    facts["route"] = routes
    return facts


def _config(read: Read) -> dict[str, t.Any]:
    def export(command: str) -> str:
        return readable(read(command))

    # Without the line that carries the time, the short form is the same as long as the configuration is.
    return {"config": export("/export verbose"), "config_nonverbose": _TIMESTAMP.sub("", export("/export"))}
