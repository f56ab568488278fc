# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the IP menus. Firewall matchers are kept as text; only names are checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .interfaces import COMMENT, DISABLED, DYNAMIC, INVALID
from .kinds import (
    BOOL,
    INTERFACE,
    IP,
    MAC,
    NETWORK,
    NETWORK6,
    STRING,
    TIME,
    VALUE,
    Prop,
    either,
    enum,
    number,
    reference,
    several,
)
from .menus import RESET_COUNTERS, BaseMenu, Item, ItemMenu, SettingsMenu
from .specs import CommandSpec, Param
from .values import Array, Time, Value, parse_ip, parse_prefix

if TYPE_CHECKING:
    from .device import Router

_PORT = number(1, 65535)
_NAME = Prop("name", STRING, required=True, unique=True)
_ANY_IP = either(IP, NETWORK)
_GATEWAY = parse_ip("10.0.2.2")

_MATCHERS = (
    *("protocol", "src-address", "dst-address", "src-address-list", "dst-address-list", "src-port", "dst-port", "port"),
    *("in-interface", "out-interface", "in-interface-list", "out-interface-list", "connection-mark"),
    *("packet-mark", "routing-mark", "icmp-options", "limit"),
    *("dst-limit", "src-address-type", "dst-address-type", "ipsec-policy", "layer7-protocol", "content"),
    *("packet-size", "time", "nth", "random", "ttl", "dscp", "hotspot", "connection-bytes", "connection-limit"),
    *("connection-rate", "connection-type", "fragment", "in-bridge-port", "in-bridge-port-list"),
    *("out-bridge-port", "out-bridge-port-list", "ingress-priority", "ipv4-options", "priority", "psd", "realm"),
    *("per-connection-classifier", "src-mac-address", "tcp-mss"),
)
_ACTION_PARTS = ("address-list", "address-list-timeout", "jump-target")
_OF_FILTER = ("connection-state", "connection-nat-state", "tcp-flags", "reject-with", "p2p", "tls-host")
_OF_NAT = ("to-addresses", "to-ports", "same-not-by-dst")
_OF_MANGLE = (
    *("connection-state", "connection-nat-state", "tcp-flags", "p2p", "tls-host", "passthrough", "route-dst"),
    *("new-connection-mark", "new-dscp", "new-mss", "new-packet-mark", "new-priority", "new-routing-mark", "new-ttl"),
    *("sniff-id", "sniff-target", "sniff-target-port"),
)
_OF_RAW = ("tcp-flags", "tls-host")
_NOT_IN_RAW = (
    *("connection-mark", "connection-bytes", "connection-limit", "connection-rate", "connection-type"),
    *("routing-mark", "layer7-protocol", "realm"),
)


def _rules(path: str, actions: str, own: tuple[str, ...], lacks: tuple[str, ...] = ()) -> ItemMenu:
    names = [name for name in (*_MATCHERS, *_ACTION_PARTS, *own) if name not in lacks]
    return ItemMenu(
        path,
        Prop("chain", STRING, required=True),
        Prop("action", enum(*actions.split()), default="accept"),
        *(Prop(name, STRING) for name in names),
        Prop("log", BOOL, default=False),
        Prop("log-prefix", STRING, default=""),
        *(Prop(name, VALUE, default=0, read_only=True, counter=True) for name in ("bytes", "packets")),
        DISABLED,
        INVALID,
        DYNAMIC,
        COMMENT,
        key=".id",
        ordered=True,
        without="brief",
        unset=(0,),
        more=(RESET_COUNTERS,),
        columns="chain action protocol src-address dst-address dst-port in-interface",
    )


class AddressListMenu(ItemMenu):
    """``/ip firewall address-list``."""

    def check(self, router: Router, item: Item) -> None:
        item.values.setdefault("creation-time", router.date_time(router.clock.now()))


class RouteMenu(ItemMenu):
    """``/ip route``."""

    def check(self, router: Router, item: Item) -> None:
        item.values["active"] = item.value("disabled") is not True
        item.values["static"] = True


class LeaseMenu(ItemMenu):
    """``/ip dhcp-server lease``."""

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        found = super().commands(version)
        active = (Param("active", "flag"),)
        return tuple(replace(spec, params=spec.params + active) if spec.name == "print" else spec for spec in found)

    def listed(self, router: Router, given: dict[str, Any]) -> list[Item]:
        rows = super().listed(router, given)
        return [item for item in rows if item.value("status") == "bound"] if "active" in given else rows

    def check(self, router: Router, item: Item) -> None:
        item.values.setdefault("status", "waiting")


class ArpMenu(ItemMenu):
    """``/ip arp``: what the router has heard is dynamic, and forgotten at a reboot."""

    def setup(self, router: Router) -> None:
        if router.first_address and router.hardware:
            values = {"address": _GATEWAY, "mac-address": "52:55:0A:00:02:02", "interface": router.hardware[0]}
            self.table(router).new({**self.defaults(router), **values, "complete": True}, dynamic=True)

    def check(self, router: Router, item: Item) -> None:
        item.values["complete"] = "mac-address" in item.values


def _services() -> tuple[dict[str, Value], ...]:
    ports = {"ftp": 21, "ssh": 22, "telnet": 23, "www": 80, "www-ssl": 443}
    ports.update({"winbox": 8291, "api": 8728, "api-ssl": 8729})
    return tuple({"name": name, "port": port, "disabled": name == "www-ssl"} for name, port in ports.items())


_FILTER_ACTIONS = (
    "accept add-dst-to-address-list add-src-to-address-list drop fasttrack-connection jump log "
    "passthrough reject return tarpit"
)
_NAT_ACTIONS = (
    "accept add-dst-to-address-list add-src-to-address-list dst-nat jump log masquerade netmap "
    "passthrough redirect return same src-nat"
)
_MANGLE_ACTIONS = (
    "accept add-dst-to-address-list add-src-to-address-list change-dscp change-mss change-ttl clear-df "
    "fasttrack-connection jump log mark-connection mark-packet mark-routing passthrough return route "
    "set-priority sniff-pc sniff-tzsp strip-ipv4-options"
)
_RAW_ACTIONS = "accept add-dst-to-address-list add-src-to-address-list drop jump log notrack passthrough return"

MENUS: tuple[BaseMenu, ...] = (
    RouteMenu(
        "ip route",
        Prop("dst-address", NETWORK, default=parse_prefix("0.0.0.0/0")),
        Prop("gateway", STRING),
        Prop("distance", number(1, 255), default=1),
        Prop("routing-table", STRING, default="main", since=(7,)),
        Prop("pref-src", IP),
        Prop("check-gateway", enum("arp", "bfd", "none", "ping")),
        Prop("scope", number(0, 255), default=30),
        Prop("target-scope", number(0, 255), default=10),
        Prop("blackhole", BOOL),
        DISABLED,
        Prop("active", BOOL, read_only=True, flag="A"),
        Prop("static", BOOL, read_only=True, flag="S"),
        DYNAMIC,
        COMMENT,
        key=".id",
        unset=(0,),
        columns="dst-address gateway distance routing-table",
    ),
    ItemMenu(
        "ipv6 route",
        Prop("dst-address", NETWORK6),
        Prop("gateway", STRING),
        Prop("distance", number(1, 255), default=1),
        DISABLED,
        DYNAMIC,
        COMMENT,
        key=".id",
        unset=(0,),
        columns="dst-address gateway distance",
    ),
    SettingsMenu(
        "ip dns",
        Prop("servers", several(either(IP, STRING)), default=Array()),
        Prop("dynamic-servers", STRING, default="10.0.2.3", read_only=True),
        Prop("use-doh-server", STRING, default=""),
        Prop("verify-doh-cert", BOOL, default=False),
        Prop("allow-remote-requests", BOOL, default=False),
        Prop("max-udp-packet-size", number(50, 65507), default=4096),
        Prop("cache-size", number(64, 2**32), default=2048),
        Prop("cache-max-ttl", TIME, default=Time.of(604800)),
        Prop("cache-used", VALUE, default=40, read_only=True),
        Prop("max-concurrent-queries", number(1, 65535), default=100),
        Prop("max-concurrent-tcp-sessions", number(1, 65535), default=20),
        Prop("query-server-timeout", TIME, default=Time.of(2)),
        Prop("query-total-timeout", TIME, default=Time.of(10)),
        Prop("doh-max-concurrent-queries", number(1, 65535), default=50, since=(7, 8)),
        Prop("doh-max-server-connections", number(1, 65535), default=5, since=(7, 8)),
        Prop("doh-timeout", TIME, default=Time.of(5), since=(7, 8)),
        Prop("mdns-repeat-ifaces", several(INTERFACE), default=Array(), since=(7, 16)),
        Prop("vrf", enum("main"), default="main", since=(7, 16)),
    ),
    ItemMenu(
        "ip dns static",
        Prop("name", STRING),
        Prop("regexp", STRING),
        Prop("type", enum("A", "AAAA", "CNAME", "FWD", "MX", "NS", "NXDOMAIN", "SRV", "TXT"), default="A"),
        Prop("address", STRING),
        Prop("cname", STRING),
        Prop("text", STRING),
        Prop("ttl", TIME, default=Time.of(86400)),
        DISABLED,
        DYNAMIC,
        COMMENT,
    ),
    ItemMenu(
        "ip service",
        Prop("name", STRING, read_only=True),
        Prop("port", _PORT),
        Prop("address", STRING, default=""),
        Prop("certificate", STRING, default="none"),
        DISABLED,
        INVALID,
        DYNAMIC,
        without="add remove",
        start=_services(),
    ),
    _rules("ip firewall filter", _FILTER_ACTIONS, _OF_FILTER),
    _rules("ip firewall nat", _NAT_ACTIONS, _OF_NAT),
    _rules("ip firewall mangle", _MANGLE_ACTIONS, _OF_MANGLE),
    _rules("ip firewall raw", _RAW_ACTIONS, _OF_RAW, _NOT_IN_RAW),
    AddressListMenu(
        "ip firewall address-list",
        Prop("list", STRING, required=True),
        Prop("address", STRING, required=True),
        Prop("timeout", TIME),
        Prop("creation-time", STRING, read_only=True),
        DISABLED,
        DYNAMIC,
        COMMENT,
        key=".id",
        columns="list address timeout",
    ),
    ItemMenu("ip pool", _NAME, Prop("ranges", STRING, required=True), Prop("next-pool", STRING), COMMENT),
    ItemMenu(
        "ip pool used",
        *(Prop(name, STRING, read_only=True) for name in ("pool", "address", "owner", "info")),
        key=".id",
        without="add set remove from export",
        exported=False,
    ),
    ItemMenu(
        "ip firewall connection",
        *(Prop(name, STRING, read_only=True) for name in ("protocol", "src-address", "dst-address", "tcp-state")),
        key=".id",
        without="add set",
        exported=False,
    ),
    ItemMenu(
        "ip dhcp-client",
        Prop("interface", INTERFACE, required=True, unique=True),
        Prop("add-default-route", enum("no", "special-classless", "yes"), default="yes"),
        Prop("use-peer-dns", enum("no", "yes", "exclusively"), default="yes"),
        Prop("use-peer-ntp", BOOL, default=True),
        Prop("status", STRING, read_only=True),
        DISABLED,
        INVALID,
        DYNAMIC,
        COMMENT,
        key=".id",
        unset=(0,),
        columns="interface use-peer-dns add-default-route status",
    ),
    ItemMenu(
        "ip dhcp-server",
        _NAME,
        Prop("interface", INTERFACE, required=True),
        Prop("address-pool", reference("ip pool", "name", "static-only"), default="static-only"),
        Prop("lease-time", TIME, default=Time.of(1800)),
        DISABLED,
        INVALID,
        DYNAMIC,
        COMMENT,
        columns="name interface address-pool lease-time",
    ),
    ItemMenu(
        "ip dhcp-server network",
        Prop("address", NETWORK, required=True),
        Prop("gateway", several(IP)),
        Prop("dns-server", several(IP)),
        Prop("domain", STRING),
        DYNAMIC,
        COMMENT,
        key=".id",
        unset=(0,),
    ),
    LeaseMenu(
        "ip dhcp-server lease",
        Prop("address", _ANY_IP, required=True),
        Prop("mac-address", MAC),
        Prop("server", reference("ip dhcp-server", "name", "all"), default="all"),
        *(
            Prop(name, STRING, read_only=True)
            for name in ("status", "active-address", "active-mac-address", "host-name")
        ),
        DISABLED,
        DYNAMIC,
        COMMENT,
        key=".id",
        unset=(0,),
    ),
    ArpMenu(
        "ip arp",
        Prop("address", IP, required=True),
        Prop("mac-address", MAC),
        Prop("interface", INTERFACE, required=True),
        Prop("published", BOOL, default=False),
        Prop("complete", BOOL, read_only=True, flag="C"),
        DISABLED,
        INVALID,
        DYNAMIC,
        COMMENT,
        key=".id",
        columns="address mac-address interface",
    ),
    ItemMenu(
        "ip neighbor",
        Prop("interface", STRING, read_only=True),
        Prop("address", STRING, read_only=True),
        Prop("mac-address", STRING, read_only=True),
        Prop("identity", STRING, read_only=True),
        key=".id",
        without="add set remove",
        exported=False,
    ),
    ItemMenu(
        "routing ospf neighbor",
        Prop("instance", STRING, read_only=True),
        Prop("router-id", STRING, read_only=True),
        Prop("address", STRING, read_only=True),
        Prop("state", STRING, read_only=True),
        key=".id",
        without="add set remove brief export",
        exported=False,
    ),
)
