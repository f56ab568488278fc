# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts that MikroTik's account server has refused in this run of Ansible.

PRIVATE to the collection: may change in any release.

Ansible starts the next worker before it has stored the result of the last one, so a condition on
that result comes too late to stop it. The memory here is shared by Ansible's main process, which
imports this module, and all workers that it forks. It holds salted hashes only, and ends with the
run.
"""

from __future__ import annotations

import hashlib
import mmap
import secrets

_SIZE = 32  # bytes of a hash
_SLOTS = 128
_salt = secrets.token_bytes(16)
_memory = mmap.mmap(-1, _SIZE * _SLOTS)


def remember(account: str, password: str) -> None:
    """Remember that the account server refused *account* with *password*."""
    digest, slot = _place(account, password)
    _memory[slot] = digest


def known(account: str, password: str) -> bool:
    """Whether the account server has refused *account* with *password* in this run."""
    digest, slot = _place(account, password)
    return _memory[slot] == digest


def _place(account: str, password: str) -> tuple[bytes, slice]:
    """Return the hash of a login, and its place. Another login in that place takes it over."""
    login = f"{len(account)} {account}{password}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(login, digest_size=_SIZE, salt=_salt).digest()
    start = digest[0] % _SLOTS * _SIZE
    return digest, slice(start, start + _SIZE)
