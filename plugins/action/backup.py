# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import shutil
import time
import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import exports, local_file
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.own_files import removed_at_the_end
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.reboots import (
    by_uptime,
    settled_uptime,
    watch_boot,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import (
    Deadline,
    days_from_zero,
    positive_seconds,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    TimedOut,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message, readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import backup
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import text

_OWN = 30.0  # seconds for a short script
_LOADING = 60.0  # seconds for the command that loads a backup
_MODE = 0o600


class ActionModule(GuestAction):
    """Keep a router's export and backups on the controller, or load a backup."""

    SPEC = {
        "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
        "dest": {"type": "path"},
        "show_sensitive": {"type": "bool", "default": False},
        "binary": {"type": "bool", "default": False},
        "encrypt": {"type": "bool", "default": True},
        "password": {"type": "str", "no_log": True},
        "max_age": {"type": "float"},
        "keep": {"type": "int"},
        "src": {"type": "path"},
        "confirm": {"type": "bool", "default": False},
        "identity": {"type": "str"},
        "max_size": {"type": "str", "default": "64M"},
        "timeout": {"type": "float", "default": 300.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        if arguments["password"] == "":
            raise InvalidInput("password is empty. RouterOS would not encrypt the backup with it.")
        if arguments["state"] == "restored":
            return self._restored(guest, arguments)
        try:
            return self._present(guest, arguments)
        except OSError as error:
            raise InvalidInput(f"dest {arguments['dest']!r} cannot be used: {error.strerror or error}.") from error

    # -- from the router ---------------------------------------------------------------------------

    def _present(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        self._check_present(guest, arguments)
        names = backup.Names(self.router_name)
        folder = Path(self._loader.path_dwim(arguments["dest"]))
        path = folder / names.export(sensitive=arguments["show_sensitive"])
        guest.require_routeros()
        content = self._export(guest, arguments)
        before = path.read_bytes() if path.is_file() else None
        binaries = names.binaries(one.name for one in folder.iterdir()) if folder.is_dir() else []
        binary = new = None
        removed: list[backup.Binary] = []
        if arguments["binary"]:
            now, digest = datetime.now(UTC), backup.digest_of(content)
            if _outdated(binaries, digest, now, arguments["max_age"]):
                new = names.binary(digest, now)
            binary = new or binaries[-1]
            if arguments["keep"] is not None:
                others = [one for one in binaries if one.name != binary.name]
                removed = others[: max(0, len(others) - arguments["keep"] + 1)]
        if not self._task.check_mode:
            # The export comes last: if it is there, so is the backup of the same configuration.
            if new:
                self._save(guest, folder / new.name, arguments)
            if content != before:
                with local_file.replacing(path, _MODE) as target:
                    target.write(content)
            for one in removed:
                (folder / one.name).unlink(missing_ok=True)
        result: dict[str, t.Any] = {
            "changed": content != before or new is not None or bool(removed),
            "export": str(path),
            "export_changed": content != before,
            "binary": str(folder / binary.name) if binary else None,
            "binary_changed": new is not None,
            "removed": [str(folder / one.name) for one in removed],
        }
        if self._task.diff and content != before and not arguments["show_sensitive"] and not self._task.no_log:
            result["diff"] = {
                "before_header": str(path),
                "after_header": str(path),
                "before": local_file.shown_in_diff(before or b""),
                "after": local_file.shown_in_diff(content),
            }
        return result

    def _check_present(self, guest: Guest, arguments: dict[str, t.Any]) -> None:
        """Refuse what cannot be done, before anything is. Raises InvalidInput, NotPossible."""
        if arguments["dest"] is None:
            raise InvalidInput("dest is missing. It is the folder on the controller for the files.")
        if arguments["binary"]:
            if arguments["encrypt"] != (arguments["password"] is not None):
                raise InvalidInput(
                    "A binary backup holds the users and all secrets of the router. Give the password to encrypt it with, "
                    "or set encrypt: false; not both."
                )
        elif unused := [name for name in ("password", "keep", "max_age") if arguments[name] is not None]:
            raise InvalidInput(f"{', '.join(unused)}: only binary backups have this. Set binary: true.")
        if arguments["keep"] is not None and arguments["keep"] < 1:
            raise InvalidInput(f"keep is {arguments['keep']}: it must be 1 or more.")
        if arguments["max_age"] is not None:
            days_from_zero("max_age", arguments["max_age"])
        exports.check_possible(guest)
        if arguments["binary"] and not guest.capabilities.files:
            raise NotPossible(
                f"Backend {guest.backend} moves no files from {guest.vm!r}, so binary: true is not possible. "
                f"Without it, the export is possible if it is small. {exports.INSTEAD}"
            )

    def _export(self, guest: Guest, arguments: dict[str, t.Any]) -> bytes:
        """Return the router's export without its date. Raises ChrError."""
        version = text(guest.read("[/system resource get version]", _OWN)) if arguments["show_sensitive"] else None
        return exports.export(guest, version, self.script_timeout({}), self.transfer_limit(arguments))

    def _save(self, guest: Guest, path: Path, arguments: dict[str, t.Any]) -> None:
        """Save a backup on the router, and fetch it to *path*. Raises ChrError, OSError."""
        timeout = self.script_timeout({})
        password = arguments["password"] if arguments["encrypt"] else None
        source = backup.save_script(password).encode()
        limit = self.transfer_limit(arguments)
        with removed_at_the_end(guest, backup.SAVED):
            run = guest.run if password is None else guest.run_secret
            guest.checked(run(source, timeout), timeout)
            exports.settled_size(guest, backup.SAVED, timeout)
            with local_file.replacing(path, _MODE) as target:
                limit.room = lambda: shutil.disk_usage(path.parent).free
                guest.get(backup.SAVED, target, limit)

    # -- to the router -----------------------------------------------------------------------------

    def _restored(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        if arguments["src"] is None:
            raise InvalidInput("src is missing. It is the backup file on the controller.")
        path = local_file.find(self, "src", arguments["src"])
        seconds = positive_seconds("timeout", arguments["timeout"])
        if not guest.capabilities.files:
            raise NotPossible(
                f"Backend {guest.backend} moves no binary files to {guest.vm!r}, so the backup cannot be loaded. Let the "
                "router fetch the file itself (/tool fetch), and run /system backup load with outofband.chr.script."
            )
        if not arguments["confirm"]:
            raise InvalidInput(
                f"Nothing was done. {path.name} would replace the whole configuration of {guest.vm!r} with its users and "
                "passwords, and the router would reboot. Set confirm: true if it should."
            )
        guest.require_routeros()
        before = _who(guest)
        if self._task.check_mode:
            return {"changed": True, "msg": f"{path.name} would have been loaded, and the router rebooted."}
        began = time.monotonic()
        with removed_at_the_end(guest, backup.UPLOADED):
            try:
                with path.open("rb") as source:
                    guest.put(source, backup.UPLOADED, self.transfer_limit(arguments))
            except OSError as error:
                raise InvalidInput(f"src {arguments['src']!r} cannot be read: {error.strerror or error}.") from error
            self._load(guest, path.name, arguments["password"], seconds)
            after = _who(guest)
        expected = {**before, **({"identity": arguments["identity"]} if arguments["identity"] is not None else {})}
        result = {"changed": True, "before": before, "after": after, "elapsed": round(time.monotonic() - began, 3)}
        if wrong := [name for name in expected if after[name] != expected[name]]:
            told = ", ".join(f"{name} {after[name]!r} instead of {expected[name]!r}" for name in wrong)
            result |= {
                "failed": True,
                "msg": f"{path.name} was loaded, and {guest.vm!r} is back, but with {told}. Is it the backup of another "
                "router? If the new system identity is right, give it as identity.",
            }
        return result

    def _load(self, guest: Guest, name: str, password: str | None, seconds: float) -> None:
        """Load the backup on the router, and wait until it has rebooted. Raises ChrError.

        The reboot shows that the backup was loaded: the command reboots by itself, and whether a
        refusal is an error of the script is not known. So no reboot is ordered.
        """
        look = by_uptime(guest, settled_uptime(guest))
        asked, said = time.monotonic(), ""
        patience = min(_LOADING, seconds)
        try:
            result = guest.run_secret(backup.load_script(password).encode(), patience)
        except OutcomeUnknown:  # a router that goes down may not answer
            pass
        else:
            if result.timed_out or result.rc is None:
                raise TimedOut(
                    f"{guest.vm!r} has not ended the command that loads {name} within {patience:g} s. It may wait for an "
                    "answer that cannot be given. Look at the router."
                )
            if result.rc != 0:
                raise ScriptFailed(f"{name} was not loaded. {guest.failure(result, patience)}")
            said = message(result.output)
        try:
            watch_boot(guest, f"was told to load {name}", asked, Deadline(seconds), look)
        except ChrError as error:
            # A router that answers and has not rebooted has not loaded the backup.
            self._so_far["changed"] = isinstance(error, Unreachable)
            error.args = (f"{error}. RouterOS said: {said or 'nothing'}",)
            raise


def _outdated(binaries: list[backup.Binary], digest: str, now: datetime, max_age: float | None) -> bool:
    """Whether the newest of *binaries* is not a backup of the configuration with that *digest*.

    It is outdated as well if it is older than *max_age* days.
    """
    if not binaries or binaries[-1].digest != digest:
        return True
    return max_age is not None and now - binaries[-1].made > timedelta(days=max_age)


def _who(guest: Guest) -> dict[str, str | None]:
    """Return the system identity and, if the license shows it, the system id. Raises ChrError."""
    system_id = None
    with contextlib.suppress(ScriptFailed):
        system_id = readable(guest.read("[/system license get system-id]", _OWN))
    return {"identity": readable(guest.read("[/system identity get name]", _OWN)), "system_id": system_id}
