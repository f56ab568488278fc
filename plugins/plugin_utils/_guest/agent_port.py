# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Access to a router's agent over TCP, which a hypervisor gives or takes away."""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from dataclasses import dataclass

from .errors import InvalidInput


@dataclass(frozen=True)
class Endpoint:
    """Where the host listens: a literal address of it, and a TCP port."""

    address: str
    port: int

    @property
    def socket(self) -> str:
        """As ``chr_socket`` takes it."""
        return f"tcp://{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"

    @property
    def private(self) -> bool:
        """Only the host itself reaches it."""
        return ipaddress.ip_address(self.address).is_loopback


def endpoint(address: str, port: int) -> Endpoint:
    """Raises InvalidInput for what is no address of one host, or no port."""
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        parsed = None
    if parsed is None or "%" in address:
        raise InvalidInput(f"address {address!r} is no IP address, such as 127.0.0.1.")
    if parsed.is_unspecified or parsed.is_multicast:
        raise InvalidInput(
            f"address {address!r} is not the address of one host. The port has no authentication and no encryption, and whoever "
            "reaches it controls the router: use 127.0.0.1, or an address that only trusted machines reach."
        )
    if not 0 < port < 65536:
        raise InvalidInput(f"port {port} is no TCP port.")
    return Endpoint(str(parsed), port)


@dataclass(frozen=True)
class Plan:
    """What is, and what is to be, as text for a diff."""

    before: str
    after: str
    restart_required: bool
    """With *after* in place, the running VM does not have it (or still has it) until it was off and on again."""

    @property
    def changed(self) -> bool:
        return self.before != self.after


class AgentPort(ABC):
    """One channel of one VM. All errors are GuestError."""

    @abstractmethod
    def plan(self, wanted: Endpoint | None) -> Plan:
        """What must change so that the agent is at *wanted*, or not reachable; nothing is changed yet."""

    @abstractmethod
    def carry_out(self, wanted: Endpoint | None, plan: Plan) -> None:
        """Change it as planned. Raises OutcomeUnknown, NotPermitted, NotPossible."""
