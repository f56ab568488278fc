# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""One login per hypervisor, user and run, for all hosts and tasks.

What lies in the file gives the rights of the API user until the session ends, so the file is for its owner only (0600, see
private.py) and nothing of it is ever shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .deadline import Deadline
from .errors import AgentNotThere, LoginRefused, NotPossible
from .private import PrivateFile

# Seconds in which a refused password is not sent again by other hosts: servers lock an account after a few failures.
_REFUSED = 60.0
_OTHERS = 7  # passwords of one user, besides our own, of which something is kept


@dataclass(frozen=True)
class Login:
    """Who logs in, and where. *kind* is the backend; *wait* are the seconds for a login that another task has begun."""

    kind: str
    where: str
    user: str
    password: str = field(repr=False)
    directory: Path
    wait: float


class SharedSession:
    """The session that a login gives, whichever task made it. Values are JSON; all errors are GuestError."""

    def __init__(self, login: Login) -> None:
        self._login = login
        identity = hashlib.sha256(f"{login.where}\n{login.user}".encode()).hexdigest()[:20]
        self._file = PrivateFile(login.directory, f"{login.kind}-{identity}.json")

    def get(
        self, log_in: t.Callable[[], dict[str, t.Any]], refused: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        """The session that is kept, or, where there is none or the server *refused* it, what *log_in* returns.

        One task at a time calls *log_in*; when it raises LoginRefused, the same password is not sent again for a minute.
        """
        if session := self._kept(refused):
            return session
        with self._locked():
            if session := self._kept(refused):
                return session
            own, others = self._logins()
            if 0 <= time.time() - own.get("refused_at", 0.0) < _REFUSED:
                raise LoginRefused(
                    f"{self._login.where} refused the login of {self._login.user!r} a moment ago, so the same password was not "
                    "sent again: wrong user or password (chr_api_user, chr_api_password)."
                )
            own = {"salt": secrets.token_hex(16)}
            own["check"] = self._check(own)
            try:
                own["session"] = log_in()
            except LoginRefused:
                own["refused_at"] = time.time()
                raise
            finally:
                if len(own) > 2:
                    self._save({"notes": self._notes(), "logins": [own, *others[:_OTHERS]]})
            return dict(own["session"])

    def forget(self) -> None:
        """Let the next task log in anew."""
        with self._locked():
            if self._file.load():
                self._save({"notes": self._notes()})

    def noted(self, key: str) -> t.Any:
        """What ``note`` has left under that key; it is no secret, and outlives the session."""
        return self._notes().get(key)

    def note(self, key: str, value: t.Any) -> None:
        """Leave *value* for other tasks."""
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
        """What is known of the login with our password, and of those with others.

        Of one user, as a host with a wrong password must not end the session of those with the right one, nor theirs the memory
        that its password was refused.
        """
        listed = self._file.load().get("logins")
        known = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        own = [one for one in known if one.get("check") == self._check(one)]
        return (own or [{}])[0], [one for one in known if one not in own]

    def _check(self, login: dict[str, t.Any]) -> str:
        """A few bits of the password: enough to see that it is another one, too few to learn it from the file."""
        salt = str(login.get("salt", "")).encode()[:64]
        return hashlib.blake2b(self._login.password.encode(), key=salt, digest_size=2).hexdigest()

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[None]:
        deadline = Deadline(self._login.wait)
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._file.locked(deadline))
            except TimeoutError:
                raise AgentNotThere(
                    f"Another task has been logging in to {self._login.where} for {deadline.seconds:g} s."
                ) from None
            except OSError as error:
                raise self._unusable(error) from error
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
