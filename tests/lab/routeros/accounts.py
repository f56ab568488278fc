# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account server as a router sees it, in this process or at an address."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

ENVIRONMENT = "OUTOFBAND_LAB_ACCOUNTS"
"""Where routers find their account server unless they are given one: ``unix:/path`` or
``tcp:host:port``."""


@dataclass
class Answer:
    """What a router learns: ``done`` and its license, or an error and nothing else."""

    status: str
    level: str = ""
    next_renewal_at: datetime | None = None
    deadline_at: datetime | None = None
    limited_upgrades: bool = False


class Accounts(Protocol):
    """Both raise OSError where there is no way to the server."""

    def reach(self) -> None:
        """Return when there is a way."""

    def contact(
        self,
        system_id: str,
        machine: str,
        key_id: str | None = None,
        expired: bool = False,
        credentials: tuple[str, str] | None = None,
        level: str = "",
    ) -> Answer:
        """A renewal: by hand with the credentials of an account, without any by the router itself.

        *key_id* is the system id that the router's present key was made for.
        """


class Refused(Exception):
    """The account does not do what was asked of it on the web site."""


class RemoteAccounts:
    """An account server in another process."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, operation: str, **arguments: Any) -> Any:
        """One request. Raises OSError, Refused."""
        kind, _unused, where = self.address.partition(":")
        host, _unused, port = where.rpartition(":")
        connection = socket.socket(socket.AF_UNIX) if kind == "unix" else socket.socket()
        with connection:
            connection.connect(where if kind == "unix" else (host, int(port)))
            connection.sendall(json.dumps([operation, arguments]).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        if not line:
            raise ConnectionResetError("the account server went away")
        failed, value = json.loads(line)
        if failed == "OSError":
            raise ConnectionRefusedError(value)
        if failed:
            raise Refused(value)
        return value

    def reach(self) -> None:
        self.ask("reach")

    def contact(self, system_id: str, machine: str, *given: Any, **named: Any) -> Answer:
        names = ("key_id", "expired", "credentials", "level")
        answer = self.ask("contact", system_id=system_id, machine=machine, **dict(zip(names, given)), **named)  # noqa: B905
        for name in ("next_renewal_at", "deadline_at"):
            answer[name] = datetime.fromisoformat(answer[name]) if answer[name] else None
        return Answer(**answer)


def from_environment() -> Accounts | None:
    """The account server that this process was started with."""
    address = os.environ.get(ENVIRONMENT)
    return RemoteAccounts(address) if address else None
