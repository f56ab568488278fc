# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A report on the guest, from a script or from what its tools have told xenstore."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import (
    Address,
    GuestReport,
    Interface,
)

SURVEY = """\
:put "@"
:local say do={ :local t [:tostr $2]; :put ($1 . " " . [:len $t] . ":" . $t) }
$say version [/system resource get version]
$say arch [/system resource get architecture-name]
$say host [/system identity get name]
:foreach i in=[/interface find] do={
:put "@"
$say name [/interface get $i name]
:do { $say mac [/interface get $i mac-address] } on-error={}
}
:foreach i in=[/ip address find] do={
:put "@"
$say on [/ip address get $i interface]
$say address [/ip address get $i address]
}
"""


def from_script(found: list[dict[str, str]], tree: dict[str, str], extra: dict[str, t.Any]) -> GuestReport:
    """The report from the output of SURVEY. *tree*: see ``from_tools``.

    Raises KeyError or ValueError for another output.
    """
    system, *others = found
    macs: dict[str, str | None] = {}
    addresses: dict[str, list[Address]] = {}
    for one in others:
        if "name" in one:
            macs[one["name"]] = one.get("mac")
            addresses[one["name"]] = []
        elif one.get("on") in macs:
            address, _slash, prefix = one["address"].partition("/")
            addresses[one["on"]].append(Address(address, int(prefix) if prefix else None))
    version = system["version"]
    return GuestReport(
        _tools_version(tree),
        os={
            "id": "routeros",
            "name": "RouterOS",
            "pretty_name": f"RouterOS {version}",
            "version": version,
            "machine": system["arch"],
        },
        host_name=system["host"],
        interfaces=tuple(Interface(name, mac, tuple(addresses[name])) for name, mac in macs.items()),
        extra=extra,
    )


def from_tools(tree: dict[str, str], extra: dict[str, t.Any]) -> GuestReport:
    """The report from what XenServer's guest tools wrote into xenstore.

    *tree*: the domain's part of xenstore. The tools write ``attr/vif/0/ipv4/0`` (old versions
    ``attr/eth0/ip``) and ``data/os_*``.
    """
    addresses: dict[str, dict[Address, None]] = {}
    for path, value in sorted(tree.items()):
        match = re.fullmatch(r"attr/(?:vif/(\d+)/ipv[46]/\d+|eth(\d+)/(?:ip|ipv6/\d+/addr))", path)
        if match and value:
            addresses.setdefault(match[1] or match[2], {})[Address(value)] = None  # today's tools write both
    name = tree.get("data/os_name")
    return GuestReport(
        _tools_version(tree),
        os={"id": tree.get("data/os_distro", ""), "name": name} if name else None,
        interfaces=tuple(
            Interface(f"vif {number}", tree.get(f"device/vif/{number}/mac"), tuple(found))
            for number, found in addresses.items()
        ),
        extra=extra,
    )


def _tools_version(tree: dict[str, str]) -> str:
    numbers = [tree.get(f"attr/PVAddons/{part}Version") for part in ("Major", "Minor", "Micro", "Build")]
    return ".".join(number for number in numbers if number)
