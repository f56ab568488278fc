# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Access to a router's agent over TCP, which a hypervisor can open and close."""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput


@dataclass(frozen=True)
class Endpoint:
    """The place where the host listens: a literal IP address of the host, and a TCP port."""

    address: str
    port: int

    @property
    def socket(self) -> str:
        """The endpoint as a value for ``chr_socket``."""
        return f"tcp://{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"

    @property
    def private(self) -> bool:
        """Whether only the host itself can reach it."""
        return ipaddress.ip_address(self.address).is_loopback


def endpoint(address: str, port: int) -> Endpoint:
    """Check *address* and *port*. Raises InvalidInput if one of them is not valid."""
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        parsed = None
    if parsed is None or "%" in address:
        raise InvalidInput(f"address {address!r} is not a valid IP address, such as 127.0.0.1.")
    if parsed.is_unspecified or parsed.is_multicast:
        raise InvalidInput(
            f"address {address!r} is not the address of one host. The port has no authentication and no encryption, and whoever "
            "reaches it controls the router: use 127.0.0.1, or an address that only trusted machines reach."
        )
    if not 0 < port < 65536:
        raise InvalidInput(f"port {port} is not a valid TCP port.")
    return Endpoint(str(parsed), port)


@dataclass(frozen=True)
class PortPlan:
    """The present and the future state, as text for a diff."""

    before: str
    after: str
    restart_required: bool
    """The change takes effect only after the running VM was off and on again."""

    @property
    def changed(self) -> bool:
        return self.before != self.after


class AgentPort(ABC):
    """One channel of one VM. All errors are ChrError."""

    @abstractmethod
    def plan(self, wanted: Endpoint | None) -> PortPlan:
        """Plan the change that puts the agent at *wanted*, or makes it unreachable for None.

        Nothing is changed yet.
        """

    @abstractmethod
    def carry_out(self, wanted: Endpoint | None, plan: PortPlan) -> None:
        """Carry out *plan*. Raises OutcomeUnknown, NotPermitted, NotPossible."""
