# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Users, their SSH keys, services and the identity of a router: questions and scripts.

Pure functions. RouterOS tells neither a password nor a key again. So what this collection has set
is marked: a password in the comment of its user, and a key in its own comment.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput

from .quoting import quote

ADMIN = "admin"
"""The user that a new router has, with an empty password."""
FULL = "full"
"""RouterOS's own group of users who may do everything."""
SERVICES = ("api", "api-ssl", "ftp", "ssh", "telnet", "winbox", "www", "www-ssl")
"""The names in /ip service that every RouterOS version has."""
MARK = "password set by outofband.chr.first_login"
KEY_FILE = "outofband-first-login.pub"
"""The file that is on a router for a moment, if its RouterOS takes keys only from files."""

_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+")
_DIGEST = 16  # characters of a key's hash in its comment


@dataclass(frozen=True)
class Key:
    """A public key of SSH."""

    kind: str
    blob: str
    comment: str

    @property
    def digest(self) -> str:
        """The beginning of the key's hash, by which it is recognized on the router."""
        return hashlib.sha256(base64.b64decode(self.blob)).hexdigest()[:_DIGEST]

    @property
    def name(self) -> str:
        """The comment that the key has on the router: without blanks, and with the digest."""
        return "-".join([*self.comment.split(), self.digest])

    @property
    def line(self) -> str:
        """The key as it is given to the router."""
        return f"{self.kind} {self.blob} {self.name}"


def parse_key(text: str) -> Key:
    """Read a public key as in a file *.pub*. Raises InvalidInput, which does not quote *text*."""
    if "PRIVATE KEY" in text:
        raise InvalidInput("ssh_keys has a private key. Give it the public key, which is in the file with .pub.")
    kind, blob, comment = [*text.strip().split(None, 2), "", "", ""][:3]
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not _KEY_TYPE.fullmatch(kind) or data[4 : 4 + len(kind)] != kind.encode() or "\n" in comment:
        raise InvalidInput(
            "ssh_keys has an item that is not one public key of OpenSSH, such as 'ssh-ed25519 AAAA... ops@example.com'."
        )
    return Key(kind, blob, comment)


# -- questions -------------------------------------------------------------------------------------


def exists(user: str) -> str:
    """An expression that is true if the router has *user*."""
    return f"[:len [/user find where name={quote(user)}]] > 0"


def is_enabled(user: str) -> str:
    """An expression that is true if the router has *user*, and it can log in."""
    return f"[:len [/user find where name={quote(user)} and disabled=no]] > 0"


def is_in_group(user: str, group: str) -> str:
    """An expression that is true if *user* can log in and is in *group*."""
    return f"[:len [/user find where name={quote(user)} and group={quote(group)} and disabled=no]] > 0"


def group_of(user: str) -> str:
    """An expression for the group of *user*."""
    return f"[/user get [/user find where name={quote(user)}] group]"


def is_marked(user: str) -> str:
    """An expression that is true if this collection has set the password of *user*."""
    return f"[:len [/user find where name={quote(user)} and comment~{quote(MARK)}]] > 0"


def is_a_group(group: str) -> str:
    """An expression that is true if the router has *group*."""
    return f"[:len [/user group find where name={quote(group)}]] > 0"


def has_key(user: str, key: Key) -> str:
    """An expression that is true if *user* has *key*, as far as this collection added it.

    The property with the comment of a key has another name in new versions.
    """
    listed = f"[:tostr [/user ssh-keys print as-value where user={quote(user)}]]"
    return f'[:typeof [:find {listed} {quote(key.digest)}]] = "num"'


def is_a_service(name: str) -> str:
    """An expression that is true if the router has the service *name*."""
    return f"[:len [/ip service find where name={quote(name)}]] > 0"


def is_closed(name: str) -> str:
    """An expression that is true if the service *name* is not enabled."""
    return f"[:len {_open(f'name={quote(name)}')}] = 0"


def others_are_closed(names: Sequence[str]) -> str:
    """An expression that is true if no service is enabled but those with one of these *names*."""
    return f"[:len {_open(_none_of(names))}] = 0"


def has_identity(name: str) -> str:
    """An expression that is true if that is the name of the router."""
    return f"[/system identity get name] = {quote(name)}"


def _open(filter: str) -> str:
    """The enabled services. New versions also list the connections of users, which are dynamic."""
    return f"[/ip service find where disabled=no and !(dynamic=yes) and ({filter})]"


def _none_of(names: Sequence[str]) -> str:
    return " and ".join(f"name!={quote(name)}" for name in names) or 'name!=""'


# -- scripts ---------------------------------------------------------------------------------------


def add_user(user: str, group: str, password: str, *, marked: bool) -> str:
    """Return a script, with a secret in it, that adds *user*."""
    mark = f" comment={quote(MARK)}" if marked else ""
    return f"/user add name={quote(user)} group={quote(group)} password={quote(password)}{mark}"


def set_group(user: str, group: str) -> str:
    """Return a script that puts *user* into *group* and lets it log in."""
    return f"/user set [/user find where name={quote(user)}] group={quote(group)} disabled=no"


def set_password(user: str, password: str, *, marked: bool) -> str:
    """Return a script, with a secret in it, that sets the password of *user*.

    The same command sets the mark, so there is never only one of both. *marked* says that the user
    has it already.
    """
    found = f"[/user find where name={quote(user)}]"
    if marked:
        return f"/user set {found} password={quote(password)}"
    return (
        f":local c [:tostr [/user get {found} comment]]\n"
        ':if ([:len $c] > 0) do={ :set c ($c . "; ") }\n'
        f"/user set {found} password={quote(password)} comment=($c . {quote(MARK)})"
    )


def add_key(user: str, key: Key) -> str:
    """Return a script that adds *key* to *user*."""
    return f"/user ssh-keys add user={quote(user)} key={quote(key.line)}"


def import_key(user: str) -> str:
    """Return a script that adds the key in the file KEY_FILE to *user*."""
    return f"/user ssh-keys import user={quote(user)} public-key-file={quote(KEY_FILE)}"


KNOWS_ADD_KEY = f'[:typeof [:parse {quote("/user ssh-keys add user=admin key=key")}]] != "nothing"'
"""An expression that fails unless this RouterOS has ``/user ssh-keys add``. It adds nothing."""


def set_identity(name: str) -> str:
    return f"/system identity set name={quote(name)}"


def close(names: Sequence[str]) -> str:
    """Return a script that disables the services *names*."""
    return f"/ip service disable {_open(' or '.join(f'name={quote(name)}' for name in names))}"


def close_others(names: Sequence[str]) -> str:
    """Return a script that disables all services but *names*."""
    return f"/ip service disable {_open(_none_of(names))}"


def disable(user: str) -> str:
    return f"/user disable [/user find where name={quote(user)}]"


def remove(user: str) -> str:
    return f"/user remove [/user find where name={quote(user)}]"
