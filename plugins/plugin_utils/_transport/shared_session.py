# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One login per hypervisor, user and run, for all hosts and tasks.

Until the session ends, the file gives the rights of the API user. So only its owner can read it
(0600, see private_file.py), and nothing of it is ever shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import LoginRefused, NotPossible, Unreachable

from . import runs
from .private_file import PrivateFile

# Seconds in which a refused password is not sent again by other hosts: servers lock an account
# after a few failures.
_REFUSED = 60.0
_OTHERS = 7  # other passwords of the same user whose logins are kept


@dataclass(frozen=True)
class Login:
    """Who logs in, and where.

    *kind* is the backend. *wait* is how many seconds to wait for a login of another task.
    """

    kind: str
    where: str
    user: str
    password: str = field(repr=False)
    directory: Path
    wait: float
    server: dict[str, t.Any] = field(default_factory=dict)
    """What is needed to end the session later, beside the session itself. It is not a secret."""


class SharedSession:
    """The session of a login, whichever task logged in.

    Values are JSON. All errors are ChrErrors.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        identity = hashlib.sha256(f"{login.where}\n{login.user}".encode()).hexdigest()[:20]
        self._file = PrivateFile(login.directory, f"{login.kind}-{identity}.json")

    def get(
        self, log_in: t.Callable[[], dict[str, t.Any]], refused: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        """Return the session that is kept, or a new one from *log_in*.

        A new one is made if none is kept, or if the server *refused* the one that is. One task at a
        time calls *log_in*. When it raises LoginRefused, the same password is not sent again for a
        minute.
        """
        run = runs.current()
        if (session := self._kept(refused)) and (run is None or run.uses(self._logins()[0])):
            return session
        with self._locked():
            own, others = self._logins()
            if session := self._kept(refused):
                if run:
                    run.add_to(own)
                    self._save({"notes": self._notes(), "logins": [own, *others]})
                return session
            if 0 <= time.time() - own.get("refused_at", 0.0) < _REFUSED:
                raise LoginRefused(
                    f"{self._login.where} refused the login of {self._login.user!r} a moment ago, so the same password was not "
                    "sent again: wrong user or password (chr_api_user, chr_api_password)."
                )
            own = {"salt": secrets.token_hex(16)}
            own["check"] = self._check(own)
            try:
                own["session"] = log_in()
                own["server"] = self._login.server
                if run:
                    run.add_to(own)
            except LoginRefused:
                own["refused_at"] = time.time()
                raise
            finally:
                if len(own) > 2:
                    self._save({"notes": self._notes(), "logins": [own, *others[:_OTHERS]]})
            return dict(own["session"])

    def forget(self) -> dict[str, t.Any] | None:
        """Let the next task log in anew. Returns the session that was kept."""
        with self._locked():
            session = self._kept(None)
            if self._file.load():
                self._save({"notes": self._notes()})
        return session

    def noted(self, key: str) -> t.Any:
        """Return the value that ``note`` has kept under *key*, or None.

        It is not a secret, and it outlives the session.
        """
        return self._notes().get(key)

    def note(self, key: str, value: t.Any) -> None:
        """Keep *value* under *key* for other tasks."""
        with self._locked():
            notes = self._notes()
            if notes.get(key) != value:
                self._save({**self._file.load(), "notes": {**notes, key: value}})

    def _kept(self, refused: dict[str, t.Any] | None) -> dict[str, t.Any] | None:
        session = self._logins()[0].get("session")
        return session if isinstance(session, dict) and session != refused else None

    def _notes(self) -> dict[str, t.Any]:
        notes = self._file.load().get("notes")
        return notes if isinstance(notes, dict) else {}

    def _logins(self) -> tuple[dict[str, t.Any], list[dict[str, t.Any]]]:
        """Return what is known of the login with this password, and of this user's other logins.

        They are kept apart, so that a host with a wrong password does not end the session of the
        hosts with the right one, and their session does not erase that its password was refused.
        """
        listed = self._file.load().get("logins")
        known = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        own = [one for one in known if one.get("check") == self._check(one)]
        return (own or [{}])[0], [one for one in known if one not in own]

    def _check(self, login: dict[str, t.Any]) -> str:
        """Return a few bits of a hash of the password.

        They are enough to recognize another password, and too few to learn it from the file.
        """
        salt = str(login.get("salt", "")).encode()[:64]
        return hashlib.blake2b(self._login.password.encode(), key=salt, digest_size=2).hexdigest()

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[None]:
        deadline = Deadline(self._login.wait)
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._file.locked(deadline))
            except TimeoutError:
                raise Unreachable(
                    f"Another task has been logging in to {self._login.where} for {deadline.seconds:g} s."
                ) from None
            yield

    def _save(self, known: dict[str, t.Any]) -> None:
        try:
            self._file.save(known)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> NotPossible:
        return NotPossible(
            f"The session of {self._login.where} cannot be kept in {error.filename or self._file.path}: {error.strerror}."
        )
