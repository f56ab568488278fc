# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a guest's agent or tools say about themselves and the guest.

Backends avoid running a script for it if they can.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Address:
    """An IP address of an interface."""

    address: str | None
    prefix: int | None = None
    """The prefix length in bits; None if the tools do not tell it."""
    family: str | None = None
    """``ipv4`` or ``ipv6``; the default follows from *address*."""

    def __post_init__(self) -> None:
        if self.family is None and self.address is not None:
            object.__setattr__(self, "family", "ipv6" if ":" in self.address else "ipv4")


@dataclass(frozen=True)
class Interface:
    """A network interface of the guest."""

    name: str | None
    mac_address: str | None
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True)
class GuestReport:
    """What is known of a guest. A field is None if the agent did not tell its value."""

    agent_version: str
    agent_commands: tuple[str, ...] = ()
    """The commands that the agent lists and that are enabled, sorted."""
    os: dict[str, t.Any] | None = None
    """The operating system: ``id``, ``name``, ``version`` and others.

    ``id`` is ``routeros`` for a CHR that tells it.
    """
    host_name: str | None = None
    freeze_state: str | None = None
    """``frozen`` or ``thawed``."""
    time: float | None = None
    """The guest's clock, in seconds since 1970-01-01 UTC."""
    timezone_offset: int | None = None
    """Seconds east of UTC."""
    interfaces: tuple[Interface, ...] | None = None
    extra: dict[str, t.Any] = field(default_factory=dict)
    """Values that only this backend knows, by their names in results."""
    unreadable: tuple[str, ...] = ()
    """The agent's commands whose answers could not be read."""
