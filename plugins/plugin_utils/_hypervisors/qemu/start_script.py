# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The shell script ``start`` of a VM: how its command line of QEMU is changed. Pure functions."""

from __future__ import annotations

import re
import shlex
import typing as t
from collections.abc import Callable, Iterable, Sequence

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Difference
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic

from .command_line import MODELS, start_words

CHANGEABLE = frozenset({"cpus", "memory", "agent", "boot", "nics", "model", "mac", "network"})
_REST = "$@"

Words = list[list[str]]
"""The arguments of QEMU, each option in a list with its value."""


class StartScript:
    """The script *where*, which has this *text*.

    Raises NotPossible if it is not of the kind that this collection writes.
    """

    def __init__(self, text: str, where: str) -> None:
        head, found, _rest = text.partition("exec ")
        words = start_words(text.removeprefix(head))
        if (
            not found
            or words[:1] != ["exec"]
            or words[-1:] != [_REST]
            or any(re.search("[$`]", one) for one in words[:-1])
        ):
            raise NotPossible(
                f"{where} is not a script as outofband.chr.qemu_vm writes it: it does not end with one command line of QEMU, or "
                "that has variables. It was not changed. Change it yourself."
            )
        self._head = head
        self.options = list(_grouped(words[1:-1]))

    def __str__(self) -> str:
        return text_of(self._head, self.options)

    def change(
        self,
        wanted: Sequence[Difference],
        nics: Sequence[Nic],
        card: Callable[[int, Nic], Iterable[list[str]]],
        agent: Iterable[list[str]],
    ) -> None:
        """Change the options to what is *wanted*.

        *nics*: the cards that the task describes. *card* returns the options of a card with a
        number that no other has. *agent*: the options of the agent's channel.
        """
        devices = [option for option in self.options if _is_card(option)]
        for one in wanted:
            if one.what == "cpus":
                self._set("-smp", str(one.asked))
            elif one.what == "memory":
                self._set("-m", f"{one.asked}M")
            elif one.what == "agent":
                new = self._missing(agent)
                self.options += new
            elif one.what == "boot":
                self._boot_from_disk()
            elif one.what == "nics":
                for device in devices[len(nics) :]:
                    self._disconnect(device)
                    self.options.remove(device)
                for nic in nics[len(devices) :]:
                    self.options += card(self._free(), nic)
            elif one.card:
                self._change_card(devices[one.card - 1], one, nics[one.card - 1], card)

    def _change_card(
        self, device: list[str], wanted: Difference, nic: Nic, card: Callable[[int, Nic], Iterable[list[str]]]
    ) -> None:
        kind, *properties = device[1].split(",")
        if wanted.what == "model":
            device[1] = ",".join([MODELS[nic.model], *properties])
        elif wanted.what == "mac":
            device[1] = _with(device[1], "mac", str(wanted.asked))
        else:
            self._disconnect(device)
            backend = [one for one in card(self._free(), nic) if one[0] == "-netdev"]
            self.options[self.options.index(device) : self.options.index(device)] = backend
            if backend:
                device[1] = _with(device[1], "netdev", _property(backend[0][1], "id"))

    def _disconnect(self, device: list[str]) -> None:
        """Take the network from a card."""
        network = _property(device[1], "netdev")
        self.options = [
            one for one in self.options if not (network and one[0] == "-netdev" and _property(one[1], "id") == network)
        ]
        device[1] = _with(device[1], "netdev", "")

    def _boot_from_disk(self) -> None:
        self.options = [one for one in self.options if one[0] != "-boot"]
        devices = [one for one in self.options if one[0] == "-device"]
        for one in devices:
            one[1] = _with(one[1], "bootindex", "")
        disk = next((one for one in devices if _property(one[1], "drive")), None)
        if disk is None:
            raise NotPossible("The command line of QEMU has no disk that it could boot from. Nothing was changed.")
        disk[1] = _with(disk[1], "bootindex", "1")

    def _set(self, option: str, value: str) -> None:
        self.options = [one for one in self.options if one[0] != option]
        self.options.insert(1, [option, value])

    def _missing(self, options: Iterable[list[str]]) -> list[list[str]]:
        """Remove what has the names of *options*, and return those that are then missing."""
        new = list(options)
        ids = {(one[0], _property(one[1], "id")) for one in new} - {(one[0], "") for one in new}
        chardevs = {_property(one[1], "chardev") for one in new} - {""}
        self.options = [
            one
            for one in self.options
            if (one[0], _property(one[-1], "id")) not in ids
            and not (one[-1].startswith("virtserialport,") and _property(one[-1], "chardev") in chardevs)
        ]
        return [one for one in new if one not in self.options]

    def _free(self) -> int:
        """The lowest number that no network has."""
        taken = {_property(one[-1], "id") for one in self.options if one[0] == "-netdev"}
        return next(number for number in range(len(taken) + 1) if f"net{number}" not in taken)


def text_of(head: str, options: Iterable[list[str]]) -> str:
    """The text of a script that runs QEMU, which gets the arguments of the script, too."""
    return f"{head}exec " + " \\\n    ".join([*(shlex.join(words) for words in options), f'"{_REST}"']) + "\n"


def _grouped(words: Sequence[str]) -> t.Iterator[list[str]]:
    """The words, each option with its value."""
    group: list[str] = []
    for word in words:
        if word.startswith("-") and group:
            yield group
            group = []
        group.append(word)
    yield group


def _is_card(option: list[str]) -> bool:
    return option[0] == "-device" and option[-1].partition(",")[0] in MODELS.values()


def _property(value: str, name: str) -> str:
    found = [text for key, _unused, text in (one.partition("=") for one in value.split(",")) if key == name]
    return found[0] if found else ""


def _with(value: str, name: str, text: str) -> str:
    """The *value* of an option with this property, or without it if *text* is empty."""
    kept = [one for one in value.split(",") if one.partition("=")[0] != name]
    return ",".join([*kept, *([f"{name}={text}"] if text else [])])
