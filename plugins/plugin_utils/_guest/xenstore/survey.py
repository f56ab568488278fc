# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What the guest says of itself: by a script, and by what its tools have told xenstore."""

from __future__ import annotations

import re
import typing as t

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


def from_script(found: list[dict[str, str]]) -> dict[str, t.Any]:
    system, *others = found
    interfaces: dict[str, dict[str, t.Any]] = {}
    for one in others:
        if "name" in one:
            interfaces[one["name"]] = {"name": one["name"], "hardware-address": one.get("mac"), "ip-addresses": []}
        elif one.get("on") in interfaces:
            address, _slash, prefix = one["address"].partition("/")
            interfaces[one["on"]]["ip-addresses"].append(_address(address, int(prefix or 32)))
    version = system["version"]
    osinfo = {"id": "routeros", "name": "RouterOS", "pretty-name": f"RouterOS {version}", "version": version}
    return {
        "guest-get-osinfo": {**osinfo, "machine": system["arch"]},
        "guest-get-host-name": {"host-name": system["host"]},
        "guest-network-get-interfaces": list(interfaces.values()),
    }


def from_tools(tree: dict[str, str]) -> dict[str, t.Any]:
    """What XenServer's guest tools write: ``attr/vif/0/ipv4/0`` (before: ``attr/eth0/ip``) and ``data/os_*``."""
    interfaces: dict[str, dict[str, t.Any]] = {}
    for path, value in sorted(tree.items()):
        match = re.fullmatch(r"attr/(?:vif/(\d+)/ipv[46]/\d+|eth(\d+)/(?:ip|ipv6/\d+/addr))", path)
        if match and value:
            number = match[1] or match[2]
            mac = tree.get(f"device/vif/{number}/mac")
            interface = interfaces.setdefault(
                number, {"name": f"vif {number}", "hardware-address": mac, "ip-addresses": []}
            )
            if (address := _address(value, 0)) not in interface["ip-addresses"]:  # tools of today write both
                interface["ip-addresses"].append(address)
    answers: dict[str, t.Any] = {"guest-network-get-interfaces": list(interfaces.values())}
    if name := tree.get("data/os_name"):
        answers["guest-get-osinfo"] = {"id": tree.get("data/os_distro", ""), "name": name}
    return answers


def _address(address: str, prefix: int) -> dict[str, t.Any]:
    return {"ip-address": address, "prefix": prefix, "ip-address-type": "ipv6" if ":" in address else "ipv4"}
