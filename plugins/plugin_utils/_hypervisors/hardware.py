# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The hardware of a VM in one form, for what a VM has and for what a task asks for.

``differences`` compares the two. Pure functions.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

DISK = "disk"
"""The value of ``Hardware.boot`` with which a CHR boots from its disk."""
UNTAGGED = 0
"""The value of ``Card.vlan`` for a card without a VLAN tag."""

Value = str | int | bool


@dataclass(frozen=True)
class Card:
    """A network card. What the platform does not tell, or the task does not ask for, is None."""

    model: str | None = None
    mac: str | None = None
    network: str | None = None
    """As in ``Nic``, if the platform tells it in that form."""
    vlan: int | None = None


@dataclass(frozen=True)
class Hardware:
    """The hardware of a VM.

    What the platform does not tell, or the task does not ask for, is None.
    """

    cpus: int | None = None
    memory: int | None = None
    """In MiB."""
    nics: tuple[Card, ...] | None = None
    agent: bool | None = None
    """Whether the VM has the channel of the guest agent."""
    boot: str | None = None
    """What the VM boots from first: ``disk``, or the platform's word for something else."""


@dataclass(frozen=True)
class Difference:
    """One thing that a VM has in another way than the task asks for."""

    what: str
    """``cpus``, ``memory``, ``agent``, ``boot``, ``image``, ``nics`` (the number of cards), or a
    field of ``Card``."""
    found: Value
    asked: Value
    card: int | None = None
    """The number of the card, 1 for ``ether1``. None if it is not about one card."""

    @property
    def interface(self) -> str | None:
        """RouterOS's name of the card."""
        return f"ether{self.card}" if self.card else None

    def __str__(self) -> str:
        return f"{self.label} {shown(self.what, self.found)} instead of {shown(self.what, self.asked)}"

    @property
    def label(self) -> str:
        """What is different, for people."""
        if self.interface:
            return f"{self.what} of {self.interface}"
        return {"nics": "number of network cards", "agent": "channel of the guest agent"}.get(self.what, self.what)


def shown(what: str, value: Value) -> str:
    """Return the value of *what* for people."""
    if isinstance(value, bool):
        return "present" if value else "missing"
    if what == "vlan" and value == UNTAGGED:
        return "untagged"
    return f"{value} MiB" if what == "memory" else str(value)


def differences(found: Hardware, asked: Hardware) -> tuple[Difference, ...]:
    """Compare the hardware *found* with what is *asked* for."""
    return tuple(_compared(found, asked))


def _compared(found: Hardware, asked: Hardware) -> t.Iterator[Difference]:
    yield from _fields(("cpus", "memory", "agent", "boot"), found, asked)
    if found.nics is None or asked.nics is None:
        return
    if len(found.nics) != len(asked.nics):
        yield Difference("nics", len(found.nics), len(asked.nics))
    for number, (card, wanted) in enumerate(zip(found.nics, asked.nics, strict=False), start=1):
        yield from _fields(("model", "mac", "network", "vlan"), card, wanted, number)


def _fields(
    names: t.Iterable[str], found: Hardware | Card, asked: Hardware | Card, card: int | None = None
) -> t.Iterator[Difference]:
    for name in names:
        there, wanted = getattr(found, name), getattr(asked, name)
        if there is not None and wanted is not None and str(there).lower() != str(wanted).lower():
            yield Difference(name, there, wanted, card)
