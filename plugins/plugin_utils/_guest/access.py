# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""An API that a user logs in to with a password, as vSphere and XenAPI have it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .base import GuestOptions
from .errors import InvalidInput
from .https import address
from .sessions import Login, SharedSession


@dataclass(frozen=True)
class Access:
    """Where the API is and who asks. Times are in seconds."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    validate_certs: bool
    ca_path: str | None
    connect_timeout: float
    directory: Path

    @classmethod
    def of(cls, options: GuestOptions, port: int, what: str) -> t.Self:
        """What the options say; *port* where none is set, *what* the backend needs as a host. Raises InvalidInput."""
        host, port = address(options, port, what)
        if not options.api_user:
            raise InvalidInput(f"chr_api_user is not set for {options.vm!r}.")
        if options.api_password is None:
            raise InvalidInput(f"chr_api_password is not set for {options.vm!r}.")
        return cls(
            host=host,
            port=port,
            user=options.api_user,
            password=options.api_password,
            validate_certs=options.validate_certs,
            ca_path=options.ca_path,
            connect_timeout=options.connect_timeout,
            directory=options.runtime_directory,
        )

    @property
    def where(self) -> str:
        """The API, for messages."""
        return f"{self.host}:{self.port}"

    def session(self, kind: str) -> SharedSession:
        """The session of this user that all tasks share; *kind* as in Login."""
        return SharedSession(
            Login(
                kind=kind,
                where=self.where,
                user=self.user,
                password=self.password,
                directory=self.directory,
                wait=2 * self.connect_timeout,
            )
        )
