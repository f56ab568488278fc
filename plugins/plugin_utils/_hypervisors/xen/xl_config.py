# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The hardware in a configuration file of ``xl``, and how it is changed. Pure functions.

Source: xl.cfg(5) and xl-network-configuration(5) of Xen 4.6 and later versions.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    DISK,
    Card,
    Difference,
    Hardware,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic

CHANGEABLE = frozenset({"cpus", "memory", "boot", "nics", "model", "mac", "network"})
_VIF = re.compile(r"^vif\s*=\s*\[(.*?)\]", re.MULTILINE | re.DOTALL)
_DEFAULT = "default"
"""The network of a card without a bridge, which xl connects to the bridge of its own settings."""
_DEVICES = {"c": DISK, "d": "cdrom", "n": "network"}


def card_of(nic: Nic) -> str:
    """A network card for xl.

    The type ``vif`` is only paravirtualised, ``ioemu`` is also emulated.
    """
    mac = nic.mac or "00:16:3e:" + ":".join(f"{byte:02x}" for byte in (secrets.randbelow(128), *secrets.token_bytes(2)))
    bridge = f",bridge={nic.network}" if nic.network else ""
    return f"{_kind(nic.model)},mac={mac}{bridge}"


def hardware_of(config: str) -> Hardware:
    """Return the hardware that *config* describes. Raises ValueError, KeyError."""
    values = dict(re.findall(r"^(vcpus|memory|boot) *= *[\"']?([^\"'#\n]*?)[\"']? *(?:#.*)?$", config, re.MULTILINE))
    cards = []
    for card in _cards(config):
        about = {name.strip(): value for name, _unused, value in (one.partition("=") for one in card.split(","))}
        model = "netfront" if about.get("type") == "vif" else about.get("model")
        cards.append(Card(model, about.get("mac"), about.get("bridge", _DEFAULT)))
    boot = values.get("boot", "c")[:1]
    return Hardware(
        int(values.get("vcpus", 1)), int(values["memory"]), tuple(cards), boot=_DEVICES.get(boot, boot or None)
    )


def changed(config: str, wanted: Sequence[Difference], nics: Sequence[Nic], card: Callable[[Nic], str]) -> str:
    """Return *config* with what is *wanted*.

    *nics*: the cards that the task describes. *card* makes a new one.
    """
    cards = _cards(config)
    for one in wanted:
        if one.what == "cpus":
            config = _set(_without(config, "maxvcpus"), "vcpus", str(one.asked))
        elif one.what == "memory":
            config = _set(_set(config, "memory", str(one.asked)), "maxmem", str(one.asked))
        elif one.what == "boot":
            config = _set(config, "boot", '"c"')
        elif one.card and one.what == "model":
            cards[one.card - 1] = ",".join([_kind(str(one.asked)), _properties(cards[one.card - 1], "type", "model")])
        elif one.card:
            name = {"network": "bridge"}.get(one.what, one.what)
            cards[one.card - 1] = f"{_properties(cards[one.card - 1], name)},{name}={one.asked}"
    if any(one.what == "nics" for one in wanted):
        cards = [*cards[: len(nics)], *map(card, nics[len(cards) :])]
    if cards == _cards(config):
        return config
    line = f"vif = [ {', '.join(f'{chr(34)}{one}{chr(34)}' for one in cards)} ]"
    return _VIF.sub(lambda _old: line, config, count=1) if _VIF.search(config) else f"{config.rstrip()}\n{line}\n"


def _cards(config: str) -> list[str]:
    found = _VIF.search(config)
    return [one[0] or one[1] for one in re.findall(r"\"([^\"]*)\"|'([^']*)'", found[1])] if found else []


def _kind(model: str) -> str:
    return "type=vif" if model == "netfront" else f"type=ioemu,model={model}"


def _properties(card: str, *without: str) -> str:
    kept = [one.strip() for one in card.split(",") if one.partition("=")[0].strip() not in without]
    return ",".join(one for one in kept if one)


def _set(config: str, name: str, value: str) -> str:
    line = re.compile(rf"^{name} *=.*$", re.MULTILINE)
    if line.search(config):
        return line.sub(f"{name} = {value}", config)
    return f"{config.rstrip()}\n{name} = {value}\n"


def _without(config: str, name: str) -> str:
    return re.sub(rf"^{name} *=.*\n", "", config, flags=re.MULTILINE)
