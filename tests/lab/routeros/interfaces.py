# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces and addresses.

There is one table of interfaces, seen through ``/interface`` and one menu per type.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any

from .errors import ScriptError
from .kinds import ADDRESS, ADDRESS6, BOOL, INTERFACE, IP, MAC, STRING, VALUE, Prop, enum, number, reference
from .menus import COUNTERS, RESET_COUNTERS, BaseMenu, Item, ItemMenu, Table
from .values import Ip, Value, text

if TYPE_CHECKING:
    from .device import Router

COMMENT = Prop("comment", STRING)
DISABLED = Prop("disabled", BOOL, default=False, flag="X")
MTU = number(68, 65535)
_RUNNING = Prop("running", BOOL, read_only=True, flag="R")
DYNAMIC = Prop("dynamic", BOOL, read_only=True, flag="D")
INVALID = Prop("invalid", BOOL, default=False, read_only=True, flag="I")
_NAME = Prop("name", STRING, required=True, unique=True)


def mac_address(seed: str) -> str:
    """A stable locally administered MAC address."""
    digest = hashlib.sha256(seed.encode("latin-1", "replace")).hexdigest()[:10].upper()
    return ":".join(["0E", *(digest[at : at + 2] for at in range(0, 10, 2))])


class InterfaceMenu(ItemMenu):
    """The interfaces of one type, or all of them; numbers are the same in every view."""

    def __init__(self, path: str, *properties: Prop, type_name: str = "", **settings: Any) -> None:
        super().__init__(path, *properties, exported=bool(type_name), **settings)
        self.type_name = type_name

    def table(self, router: Router) -> Table:
        return router.tables.setdefault("interface", Table())

    def rows(self, router: Router) -> list[Item]:
        rows = self.table(router).items
        if router.uptime < router.cards_after:
            rows = [item for item in rows if item.value("type") != "ether"]
        return [item for item in rows if item.value("type") == self.type_name] if self.type_name else rows

    def check(self, router: Router, item: Item) -> None:
        values = item.values
        if not text(values.get("name")):
            raise ScriptError("failure: name can not be empty")
        values.setdefault("type", self.type_name)
        values.setdefault("mtu", 1500)
        values["actual-mtu"] = values["mtu"]
        for counter in _COUNTERS:
            values.setdefault(counter, 0)
        values.setdefault("mac-address", mac_address(router.system_id + text(values["name"])))
        values["running"] = values["type"] != "lo" and values.get("disabled") is not True or values["type"] == "lo"
        if any(row.number != item.number and row.value("name") == values["name"] for row in self.table(router).items):
            raise ScriptError(f"failure: already have interface with such {self.key}")

    def delete(self, router: Router, item: Item) -> None:
        name = item.value("name")
        self.table(router).items.remove(item)
        for path, field in (("interface bridge port", "bridge"), ("interface bridge port", "interface")):
            table = router.tables.get(path, Table())
            table.items[:] = [row for row in table.items if row.value(field) != name]


class EthernetMenu(InterfaceMenu):
    """The hardware interfaces; they come from the hypervisor."""

    def setup(self, router: Router) -> None:
        table = self.table(router)
        for name in router.hardware:
            values: dict[str, Value] = {"name": name, "default-name": name, "type": "ether", "disabled": False}
            values["mac-address"] = mac_address(router.system_id + name)
            self.check(router, Item(0, values))
            table.new(values, built_in=True)
        if router.number_version >= (7, 14):
            values = {"name": "lo", "type": "loopback", "mtu": 65536, "running": True, "disabled": False}
            values.update({"actual-mtu": 65536, **dict.fromkeys(_COUNTERS, 0)})
            table.new(values, True, True)
            table.items[-1].values["mac-address"] = "00:00:00:00:00:00"


class AddressMenu(ItemMenu):
    """``/ip address``: the network follows from the address."""

    def rows(self, router: Router) -> list[Item]:
        rows = super().rows(router)
        interfaces = {item.value("name") for item in router.items("interface")}
        for item in rows:
            item.values["invalid"] = item.value("interface") not in interfaces
        return rows

    def check(self, router: Router, item: Item) -> None:
        values = item.values
        interface = ipaddress.ip_interface(text(values["address"]))
        network = values.get("network")
        if not isinstance(network, Ip) or values.get("_for") != values["address"]:
            if not isinstance(network, Ip) or "_for" in values:
                values["network"] = Ip(interface.network.network_address)
            values["_for"] = values["address"]
        values["actual-interface"] = values["interface"]
        for row in self.rows(router):
            same = (row.value("address"), row.value("interface")) == (values["address"], values["interface"])
            if same and row.number != item.number:
                raise ScriptError("failure: already have such address")

    def setup(self, router: Router) -> None:
        if router.first_address and router.hardware:
            values: dict[str, Value] = {"address": router.first_address, "interface": router.hardware[0]}
            item = Item(0, {**self.defaults(router), **values})
            self.check(router, item)
            self.table(router).new(item.values, dynamic=True)


class Address6Menu(ItemMenu):
    """``/ipv6 address``."""

    def check(self, router: Router, item: Item) -> None:
        values = item.values
        for row in self.rows(router):
            same = (row.value("address"), row.value("interface")) == (values["address"], values["interface"])
            if same and row.number != item.number:
                raise ScriptError("failure: already have such address")


class MemberMenu(ItemMenu):
    """Items that tie one interface to one group (bridge or list); a pair may exist once."""

    def __init__(self, path: str, *properties: Prop, pair: tuple[str, ...], **settings: Any) -> None:
        super().__init__(path, *properties, key=".id", columns="interface bridge list", **settings)
        self.pair = pair

    def check(self, router: Router, item: Item) -> None:
        wanted = [item.value(name) for name in self.pair]
        for row in self.rows(router):
            if row.number != item.number and [row.value(name) for name in self.pair] == wanted:
                raise ScriptError("failure: device already added as " + self.path.split()[-1])


_COUNTERS = sorted(COUNTERS - {"bytes", "packets"})
_ARP = enum("enabled", "disabled", "local-proxy-arp", "proxy-arp", "reply-only")
_COMMON = (
    Prop("mtu", MTU, default=1500),
    Prop("mac-address", MAC, read_only=True),
    _RUNNING,
    DISABLED,
    COMMENT,
)

MENUS: tuple[BaseMenu, ...] = (
    InterfaceMenu(
        "interface",
        _NAME,
        Prop("default-name", STRING, read_only=True),
        Prop("type", STRING, read_only=True),
        Prop("mtu", MTU),
        Prop("actual-mtu", MTU, read_only=True),
        Prop("mac-address", MAC, read_only=True),
        *(Prop(name, VALUE, read_only=True, counter=True) for name in _COUNTERS),
        _RUNNING,
        DISABLED,
        DYNAMIC,
        COMMENT,
        without="add remove",
        columns="name type mtu mac-address",
        more=(RESET_COUNTERS,),
    ),
    EthernetMenu(
        "interface ethernet",
        _NAME,
        Prop("default-name", STRING, read_only=True),
        Prop("mtu", MTU, default=1500),
        Prop("mac-address", MAC),
        Prop("arp", _ARP, default="enabled"),
        _RUNNING,
        DISABLED,
        COMMENT,
        type_name="ether",
        unset=(0,),
        more=(RESET_COUNTERS,),
        without="add remove",
        columns="name mtu mac-address arp",
    ),
    InterfaceMenu(
        "interface bridge",
        _NAME,
        *_COMMON,
        DYNAMIC,
        Prop("arp", _ARP, default="enabled"),
        Prop("protocol-mode", enum("none", "rstp", "stp", "mstp"), default="rstp"),
        Prop("vlan-filtering", BOOL, default=False),
        Prop("igmp-snooping", BOOL, default=False),
        type_name="bridge",
        unset=(7, 24),
        columns="name mtu mac-address protocol-mode",
    ),
    InterfaceMenu(
        "interface vlan",
        _NAME,
        Prop("vlan-id", number(1, 4095), default=1),
        Prop("interface", INTERFACE, required=True),
        *_COMMON,
        type_name="vlan",
        columns="name mtu vlan-id interface",
    ),
    MemberMenu(
        "interface bridge port",
        Prop("bridge", reference("interface bridge"), required=True),
        Prop("interface", INTERFACE, required=True),
        Prop("pvid", number(1, 4094), default=1),
        Prop("hw", BOOL, default=True),
        DISABLED,
        DYNAMIC,
        COMMENT,
        pair=("interface",),
        unset=(7, 14),
    ),
    ItemMenu(
        "interface list",
        _NAME,
        Prop("include", STRING),
        Prop("exclude", STRING),
        DYNAMIC,
        COMMENT,
        start=({"name": "all"}, {"name": "none"}, {"name": "dynamic"}, {"name": "static"}),
    ),
    MemberMenu(
        "interface list member",
        Prop("list", reference("interface list"), required=True),
        Prop("interface", INTERFACE, required=True),
        DISABLED,
        DYNAMIC,
        COMMENT,
        pair=("list", "interface"),
    ),
    AddressMenu(
        "ip address",
        Prop("address", ADDRESS, required=True),
        Prop("network", IP),
        Prop("interface", INTERFACE, required=True),
        Prop("actual-interface", STRING, read_only=True),
        DISABLED,
        INVALID,
        DYNAMIC,
        COMMENT,
        key=".id",
        columns="address network interface",
    ),
    Address6Menu(
        "ipv6 address",
        Prop("address", ADDRESS6, required=True),
        Prop("interface", INTERFACE, required=True),
        Prop("advertise", BOOL, default=True),
        Prop("eui-64", BOOL, default=False),
        DISABLED,
        INVALID,
        DYNAMIC,
        COMMENT,
        key=".id",
        columns="address interface advertise",
    ),
)
