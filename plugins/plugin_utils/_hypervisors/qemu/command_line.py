# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What the command line of QEMU says about its VM.

Source: QEMU's manual (qemu-system-x86_64).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, Card

MODELS = {"virtio": "virtio-net-pci", "vmxnet3": "vmxnet3", "e1000": "e1000"}
"""QEMU's devices for the models of network cards."""
_SIZE = re.compile(r"(\d{1,12})([kmgt]?)(?:i?b)?", re.IGNORECASE)
_ORDER = {"a": "floppy", "d": "cdrom", "n": "network"}
_UNITS = {"k": 1 / 1024, "": 1, "m": 1, "g": 1024, "t": 1024 * 1024}


@dataclass(frozen=True)
class CommandLine:
    """The VM that a QEMU with these arguments runs. What the arguments do not say is None."""

    name: str | None
    cpus: int | None
    memory: int | None
    """In MiB."""
    cards: tuple[Card, ...]
    sockets: frozenset[str]
    """The paths of the sockets on which QEMU listens."""
    ports: frozenset[tuple[str, str]] = frozenset()
    """The virtio-serial ports, each as its name and the path of its socket."""
    boot: str = DISK
    """What it boots from first, as in ``Hardware``."""
    pid_file: str | None = None

    @classmethod
    def parse(cls, words: Sequence[str]) -> CommandLine:
        """Read the arguments of QEMU. Those that are not known are ignored."""
        options = [
            (f"-{option.lstrip('-')}", value)
            for option, value in zip(words, words[1:], strict=False)
            if option.startswith("-")
        ]
        values = dict(options)
        paths = {
            about.get("id"): path
            for option, value in options
            if option == "-chardev" and value.partition(",")[0] == "socket"
            for about in [_parts(value)]
            if (path := about.get("path"))
        }
        return cls(
            _first(values.get("-name", ""), "guest") or None,
            _number(_first(values.get("-smp", ""), "cpus")),
            _mebibytes(_first(values.get("-m", ""), "size")),
            tuple(_cards(options)),
            frozenset(paths.values()),
            frozenset(
                (about.get("name", ""), paths.get(about.get("chardev"), ""))
                for about in _devices(options, "virtserialport")
            ),
            _first_boot(options),
            values.get("-pidfile"),
        )


def start_words(script: str) -> list[str]:
    """The words of the file ``start`` in the folder of a VM, with the arguments of QEMU."""
    try:
        return shlex.split(script.replace("\\\n", " "), comments=True)
    except ValueError:
        return []


def _cards(options: list[tuple[str, str]]) -> list[Card]:
    backends = {}
    for option, value in options:
        kind, _unused, rest = value.partition(",")
        if option == "-netdev":
            about = _parts(rest)
            name = about.get("br") or about.get("ifname")
            backends[about.get("id")] = f"{kind}:{name}" if name else kind
    models = {device: model for model, device in MODELS.items()}
    return [
        Card(models[kind], about.get("mac"), backends.get(about.get("netdev"), "none"))
        for option, value in options
        if option == "-device" and (kind := value.partition(",")[0]) in models
        for about in [_parts(value.partition(",")[2])]
    ]


def _devices(options: list[tuple[str, str]], *kinds: str) -> list[dict[str, str]]:
    """The properties of the devices of these *kinds*, or of all."""
    return [
        _parts(value)
        for option, value in options
        if option == "-device" and (not kinds or value.partition(",")[0] in kinds)
    ]


def _first_boot(options: list[tuple[str, str]]) -> str:
    """The device with the lowest bootindex, or else the first letter of ``-boot``."""
    indexed = [(int(index), one) for one in _devices(options) if _number(index := one.get("bootindex", "")) is not None]
    if indexed:
        first = min(indexed, key=lambda one: one[0])[1]
        return DISK if "drive" in first else "network" if "mac" in first or "netdev" in first else "another device"
    order = _first(dict(options).get("-boot", ""), "order")
    return _ORDER.get(order[:1], DISK)


def _parts(options: str) -> dict[str, str]:
    """Return the properties in the value of an option. A comma in a value is written twice."""
    found = re.findall(r"((?:[^,]|,,)+)", options)
    return {name: value.replace(",,", ",") for name, _unused, value in (one.partition("=") for one in found)}


def _first(value: str, key: str) -> str:
    """The value of *key* in an option whose first part may go without the key."""
    parts = _parts(value)
    first = value.partition(",")[0]
    return parts.get(key) or (first if "=" not in first else "")


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _mebibytes(text: str) -> int | None:
    found = _SIZE.fullmatch(text)
    return int(int(found[1]) * _UNITS[found[2].lower()]) if found else None
