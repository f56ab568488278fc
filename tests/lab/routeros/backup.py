# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/system backup``. The format of the file is the lab's own."""

from __future__ import annotations

import hashlib
import os
import pickle
from itertools import cycle
from typing import TYPE_CHECKING

from .errors import PowerEvent, ScriptError
from .evaluate import Call
from .menus import SettingsMenu
from .specs import CommandSpec, Param, params
from .values import Value, text

if TYPE_CHECKING:
    from .device import Router

PLAIN, ENCRYPTED = b"lab-backup-plain", b"lab-backup-crypt"
_HELD = ("identity", "tables", "settings")
_WORDS = "Restore and reboot? [y/N]:"
_FOR_EVER = 3600.0


def pack(router: Router, password: str) -> bytes:
    """Return a backup of the configuration and the users, encrypted if there is a *password*."""
    with router.lock:
        state = pickle.dumps({name: getattr(router, name) for name in _HELD})
    if not password:
        return PLAIN + state
    salt = os.urandom(16)
    return ENCRYPTED + salt + _crypt(hashlib.sha256(state).digest() + state, password, salt)


def unpack(data: bytes, password: str) -> dict[str, Value]:
    """Return what ``pack`` has packed. Raises ScriptError."""
    if data.startswith(PLAIN):
        state = data.removeprefix(PLAIN)
    elif data.startswith(ENCRYPTED):
        rest = data.removeprefix(ENCRYPTED)
        whole = _crypt(rest[16:], password, rest[:16])
        state = whole[32:]
        if hashlib.sha256(state).digest() != whole[:32]:
            raise ScriptError("failure: wrong password")
    else:
        raise ScriptError("failure: not a backup file")
    return pickle.loads(state)  # type: ignore[no-any-return]


def _crypt(data: bytes, password: str, salt: bytes) -> bytes:
    key = hashlib.shake_256(salt + password.encode()).digest(4096)
    return bytes(one ^ other for one, other in zip(data, cycle(key), strict=False))


def _save(call: Call) -> Value:
    router, password = call.router, text(call.get("password", ""))
    if text(call.get("encryption", "aes-sha256")) not in ("aes-sha256", "rc4"):
        raise ScriptError("input does not match any value of encryption")
    name = text(call.get("name", router.identity)).removesuffix(".backup")
    plain = call.get("dont-encrypt") is True
    call.output.line("Saving system configuration")
    router.write_late(f"{name}.backup", pack(router, "" if plain else password))
    call.output.line("Configuration backup saved")
    return None


def _load(call: Call) -> Value:
    router = call.router
    name = text(call.args["name"])
    if router.load_asks:
        call.output.line(_WORDS)
        call.interpreter.sleep(_FOR_EVER)
    with router.lock:
        file = router.files.get(name if name.endswith(".backup") else f"{name}.backup")
        try:
            if file is None:
                raise ScriptError(f"failure: file {name} not found")
            state = unpack(file.data, text(call.get("password", "")))
        except ScriptError as error:
            if router.load_error_fails:
                raise
            call.output.line(error.text)
            return None
        vars(router).update(state)
    call.output.line("System configuration restored, rebooting now")
    if router.load_reboots:
        raise PowerEvent("reboot")
    return None


class BackupMenu(SettingsMenu):
    """It has commands only."""

    def commands(self, version: tuple[int, ...]) -> tuple[CommandSpec, ...]:
        named = params("text", "name", "password")
        upgrade = (Param("force-v6-to-v7-configuration-upgrade", "yes-no"),) if version >= (7,) else ()
        return (
            CommandSpec("save", _save, (*named, Param("dont-encrypt", "yes-no"), Param("encryption", "text"))),
            CommandSpec("load", _load, (*named, *upgrade), required=("name",), locked=False),
        )


MENUS = (BackupMenu("system backup", exported=False, without="export"),)
