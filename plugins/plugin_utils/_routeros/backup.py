# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Exports and backups: the scripts that make and load them, and the names of their files.

Pure functions. The files of a router are on the controller as ``<host>.rsc``, or
``<host>.sensitive.rsc`` for an export with secrets in it, and
``<host>-<date>-<digest of the export>.backup``.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

from .files import removal_script
from .quoting import quote

EXPORTED = "outofband-backup.rsc"
SAVED = "outofband-backup.backup"
UPLOADED = "outofband-restore.backup"
"""The names of the files that are on the router for a moment."""

_DATE = "%Y%m%dT%H%M%SZ"
_BINARY = re.compile(r"-(\d{8}T\d{6}Z)-([0-9a-f]{16})\.backup")
# The first line of an export: "# 2026-11-30 10:00:00 by RouterOS 7.22", or with nov/30/2026.
_WRITTEN_AT = re.compile(rb"\A# [^\n]*\d\d:\d\d:\d\d by RouterOS [^\n]*\n")
_LINE_END = re.compile(rb"\r*\n")


def export_script(version: str | None = None, *, verbose: bool = False) -> str:
    """Return a script that exports the configuration to the file EXPORTED.

    With *verbose*, it has the values that are the default as well.

    Without secrets, it is the same in all versions. *version* is that of the RouterOS if secrets
    are wanted: RouterOS 6 shows them by default.
    """
    sensitive = "hide-sensitive" if version is None else "show-sensitive" * (not version.startswith("6."))
    command = "/export verbose" if verbose else "/export"
    return _anew(EXPORTED, f"{command} file={quote(EXPORTED.removesuffix('.rsc'))} {sensitive}".rstrip())


def save_script(password: str | None) -> str:
    """Return a script that saves a backup to the file SAVED, without encryption if it is None."""
    way = "dont-encrypt=yes" if password is None else f"encryption=aes-sha256 password={quote(password)}"
    return _anew(SAVED, f"/system backup save name={quote(SAVED.removesuffix('.backup'))} {way}")


def _anew(name: str, command: str) -> str:
    """Return *command* after the removal of what a run that was killed may have left."""
    return f"{removal_script(name).decode()}\n{command}"


def load_script(password: str | None) -> str:
    """Return a script that loads the backup in the file UPLOADED.

    It always gives a password, because RouterOS could ask for one that is left out.
    """
    return f"/system backup load name={quote(UPLOADED)} password={quote(password or '')}"


def without_date(export: bytes) -> bytes:
    """Return *export* with plain line ends and without the line of its date."""
    return _WRITTEN_AT.sub(b"", _LINE_END.sub(b"\n", export))


def digest_of(export: bytes) -> str:
    """Return what tells one export from the next in the name of a backup."""
    return hashlib.sha256(export).hexdigest()[:16]


@dataclass(frozen=True)
class Binary:
    """A backup file on the controller, by its name."""

    name: str
    made: datetime
    digest: str
    """That of the export of the same moment."""


@dataclass(frozen=True)
class Names:
    """The names of the files of *host* on the controller. Raises InvalidInput."""

    host: str

    def __post_init__(self) -> None:
        if self.host.startswith(".") or not self.host.isprintable() or not self.host or set("/\\") & set(self.host):
            raise InvalidInput(f"The host's name {self.host!r} cannot be the beginning of a file's name.")

    def export(self, *, sensitive: bool) -> str:
        return f"{self.host}.sensitive.rsc" if sensitive else f"{self.host}.rsc"

    def binary(self, digest: str, now: datetime) -> Binary:
        made = now.astimezone(UTC).replace(microsecond=0)
        return Binary(f"{self.host}-{made.strftime(_DATE)}-{digest}.backup", made, digest)

    def binaries(self, names: t.Iterable[str]) -> list[Binary]:
        """Return those of *names* that this host's backups have, the oldest one first."""
        found = []
        for name in names:
            match = _BINARY.fullmatch(name.removeprefix(self.host)) if name.startswith(self.host) else None
            if match:
                try:
                    made = datetime.strptime(match[1], _DATE).replace(tzinfo=UTC)
                except ValueError:
                    continue  # not a date, so it is not ours
                found.append(Binary(name, made, match[2]))
        return sorted(found, key=lambda one: (one.made, one.name))
