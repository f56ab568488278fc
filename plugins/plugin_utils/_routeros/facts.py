# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""RouterOS facts under the names of community.routeros.facts, from records. Pure functions."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import readable

from . import records
from .export import gaps
from .values import duration, seconds

SUBSETS = ("default", "hardware", "interfaces", "routing", "config")

Read = t.Callable[[str], bytes]
"""Runs a script that changes nothing and returns its output. Its errors are passed on."""

_ROUTING = {
    # Each fact has the menus that hold it, newest first, and the property by which its entries are
    # grouped, or None if each has a name.
    "bgp_peer": (("/routing bgp connection", "/routing bgp peer"), None),
    "bgp_instance": (("/routing bgp instance",), None),
    "bgp_vpnv4_route": (("/routing bgp vpnv4-route",), "interface"),
    "ospf_instance": (("/routing ospf instance",), None),
    "ospf_neighbor": (("/routing ospf neighbor",), "instance"),
}

_TIMESTAMP = re.compile(r"^# .*\b(by RouterOS|RouterOS \d).*\n", re.MULTILINE)


def subsets(wanted: list[str]) -> list[str]:
    """Resolve *wanted* (names, ``all``, ``!name``) to subsets; ``default`` is always included.

    Raises ValueError.
    """
    chosen: set[str] = set()
    excluded: set[str] = set()
    for word in wanted:
        name = word.removeprefix("!")
        if name != "all" and name not in SUBSETS:
            raise ValueError(
                f"{word!r} is not a valid subset. Valid are all, {', '.join(SUBSETS)}, and each of these after a '!'"
            )
        (excluded if word.startswith("!") else chosen).update(SUBSETS if name == "all" else [name])
    result = (chosen or set(SUBSETS)) - excluded | {"default"}
    return [name for name in SUBSETS if name in result]


@dataclass
class FactSource:
    """How facts are read from a router."""

    read: Read
    maybe: t.Callable[[str], bytes | None]
    """As ``read``, but returns None for a script that this RouterOS does not know."""
    page: int | None = None
    """That of records.items."""
    limit: int | None = None
    """The largest number of items of one menu; None for all."""
    encoding: str | None = None
    """That of values that are not UTF-8; None if it is unknown."""
    export: t.Callable[[bool], str] | None = None
    """Brings an export through a file; its argument is whether it is verbose. None for output."""
    incomplete: list[str] = field(default_factory=list)
    """The menus with more items than ``limit``."""

    def one(self, script: str) -> dict[str, str]:
        return self._first(self.read(script))

    def one_or_none(self, script: str) -> dict[str, str]:
        return self._first(self.maybe(script) or b"")

    def _first(self, output: bytes) -> dict[str, str]:
        found = records.parse(output, lenient=True, encoding=self.encoding)
        return found[0] if found else {}

    def items(self, menu: str, *, needed: bool = False) -> list[dict[str, str]] | None:
        """Return the items of *menu*, with their ``.id``.

        Returns None if this RouterOS does not have a menu that is not *needed*.
        """
        found = records.items(menu, self.read if needed else self.maybe, self.page, self.limit, self.encoding)
        if found is not None and self.limit is not None and len(found) > self.limit:
            self.incomplete.append(menu)
            del found[self.limit :]
        return found

    def text(self, script: str) -> str:
        return readable(self.read(script), self.encoding)


def gather(names: list[str], source: FactSource) -> dict[str, t.Any]:
    """Gather the facts of the subsets *names*, without the ``ansible_net_`` prefix.

    Raises ValueError for an export that is not whole.
    """
    facts: dict[str, t.Any] = {"gather_subset": names}
    resource = source.one(records.properties("/system resource", _RESOURCE))
    for name in names:
        if name == "default":
            facts.update(_default(resource, source))
        elif name == "hardware":
            facts.update(_hardware(resource))
        elif name == "interfaces":
            facts.update(_interfaces(source))
        elif name == "routing":
            facts.update(_routing(source))
        else:
            facts.update(_config(source))
    return {**facts, "incomplete": source.incomplete}


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


def _default(resource: dict[str, str], source: FactSource) -> dict[str, t.Any]:
    identity = source.one(records.properties("/system identity", ("name",)))
    board = source.one_or_none(records.properties("/system routerboard", ("model", "serial-number")))
    license = source.one_or_none(records.properties("/system license", ("system-id",)))
    return {
        "hostname": identity.get("name"),
        "version": resource.get("version"),
        "uptime": _uptime(resource.get("uptime")),
        "arch": resource.get("architecture-name"),
        "cpu_load": resource.get("cpu-load"),
        # A CHR is not a routerboard and has no serial number, so the board name and the system id
        # are given in their place.
        "model": board.get("model") or resource.get("board-name"),
        "serialnum": board.get("serial-number") or license.get("system-id"),
    }


def _uptime(shown: str | None) -> str | None:
    """Return an uptime in the form in which ``/system resource print`` shows it (1w2d3h4m5s)."""
    try:
        return shown and duration(int(seconds(shown)))
    except ValueError:
        return shown


def gather_values(value: t.Callable[[str, t.Sequence[bytes]], str | None]) -> dict[str, t.Any]:
    """Gather the subset ``default`` value by value, where each read is slow.

    The load and the uptime are left out. *value* returns the value of an expression or None; it is
    faster if the value is one of the likely ones.
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


def _named(items: t.Iterable[dict[str, str]]) -> dict[str, dict[str, t.Any]]:
    """Return *items* by name.

    An item without a name, or with that of another one, is kept under its ``.id``.
    """
    found: dict[str, dict[str, t.Any]] = {}
    for number, item in enumerate(items):
        name = item.get("name", "")
        if not name or name in found:
            name = f"{name} {item.get('.id') or f'*{number + 1}'}".strip()
        found[name] = _properties(item)
    return found


def _properties(item: dict[str, str]) -> dict[str, t.Any]:
    return {key: value for key, value in item.items() if key != ".id"}


def _interfaces(source: FactSource) -> dict[str, t.Any]:
    interfaces = _named(source.items("/interface", needed=True) or [])
    facts: dict[str, t.Any] = {"interfaces": interfaces}
    for family, menu in (("ipv4", "/ip address"), ("ipv6", "/ipv6 address")):
        addresses = []
        for item in source.items(menu, needed=family == "ipv4") or []:
            address, _unused, subnet = item.get("address", "").partition("/")
            if not address:
                continue
            addresses.append(address)
            of = interfaces.get(item.get("interface", ""))
            if of is not None:
                of.setdefault(family, []).append({"address": address, "subnet": subnet or None})
        facts[f"all_{family}_addresses"] = addresses
    facts["neighbors"] = [_properties(item) for item in source.items("/ip neighbor") or []]
    return facts


def _routing(source: FactSource) -> dict[str, t.Any]:
    facts: dict[str, t.Any] = {}
    for fact, (menus, group) in _ROUTING.items():
        items = next((found for menu in menus if (found := source.items(menu)) is not None), [])
        facts[fact] = _named(items) if group is None else _grouped(items, group)
    facts["route"] = _grouped(source.items("/ip route") or [], "routing-table", "routing-mark", default="main")
    return facts


def _grouped(items: t.Iterable[dict[str, str]], *keys: str, default: str = "") -> dict[str, list[dict[str, t.Any]]]:
    """Return lists of *items* by the first of *keys* that an item has, or else by *default*."""
    found: dict[str, list[dict[str, t.Any]]] = {}
    for item in items:
        found.setdefault(next((item[key] for key in keys if item.get(key)), default), []).append(_properties(item))
    return found


def _config(source: FactSource) -> dict[str, t.Any]:
    def export(command: str) -> str:
        if source.export is not None:
            return source.export("verbose" in command)
        exported = source.text(command)
        if missing := gaps(exported):
            raise ValueError(f"{command} is not whole: {missing}. Try again, or look at these menus on the router")
        return exported

    # Without the line with the time, the short form stays the same until the configuration changes.
    return {"config": export("/export verbose"), "config_nonverbose": _TIMESTAMP.sub("", export("/export"))}
