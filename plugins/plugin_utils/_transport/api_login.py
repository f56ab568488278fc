# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The address of a hypervisor's API and the login for it."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import ApiOptions

from .https import Https, address
from .shared_session import Login, SharedSession

_SERVER = ("host", "port", "validate_certs", "ca_path")
_GOODBYE = 5.0  # seconds for a server at the end of a run


@dataclass(frozen=True)
class ApiLogin:
    """The address and login that all APIs need.

    Times are in seconds. The representation shows no secret.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    validate_certs: bool
    ca_path: str | None
    connect_timeout: float
    directory: Path
    """Where the session is kept for other tasks."""

    @classmethod
    def read(cls, options: ApiOptions, port: int, what: str, **own: t.Any) -> t.Self:
        """Take the fields from *options*, and those that only a subclass has from *own*.

        *port* is the default. *what* describes the host that the backend needs, for messages.
        Raises InvalidInput.
        """
        host, port = address(options, port, what)
        return cls(
            host=host,
            port=port,
            user=(options.api_user or "").strip(),
            password=options.api_password or "",
            validate_certs=options.validate_certs,
            ca_path=options.ca_path,
            connect_timeout=options.connect_timeout,
            directory=options.runtime_directory,
            **own,
        )

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def of_server(cls, server: dict[str, t.Any]) -> t.Self:
        """Return the address of a *server* that a session was kept for, without a login."""
        return cls(
            **{name: server[name] for name in _SERVER},
            user="",
            password="",
            connect_timeout=_GOODBYE,
            directory=Path(os.devnull),
        )

    @property
    def where(self) -> str:
        """The API, for messages."""
        return self.address

    def session(self, kind: str, wait: float | None = None) -> SharedSession:
        """Open the session of this user that all tasks share.

        *kind* and *wait* are those of Login.
        """
        return SharedSession(
            Login(
                kind=kind,
                where=self.where,
                user=self.user,
                password=self.password,
                directory=self.directory,
                wait=2 * self.connect_timeout if wait is None else wait,
                server={name: getattr(self, name) for name in _SERVER},
            )
        )

    def server(self, where: str, host: str, *, authority: str, keep: float) -> Https:
        """Make the HTTPS client for *host*, which has the port and the certificates of this API.

        Arguments as in Https.
        """
        return Https(
            where,
            (host, self.port),
            validate_certs=self.validate_certs,
            ca_path=self.ca_path,
            authority=authority,
            keep=keep,
        )
