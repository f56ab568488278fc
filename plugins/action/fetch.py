# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.module_utils._guest.base import Guest, check_file_name
from ansible_collections.outofband.chr.plugins.module_utils._guest.errors import FileNotThere, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._compare import same_content


class ActionModule(GuestAction):
    """Copy a file of the router to the controller, if it is not there with this content already."""

    SPEC = {
        "src": {"type": "str", "required": True},
        "dest": {"type": "path", "required": True},
        "flat": {"type": "bool", "default": False},
        "fail_on_missing": {"type": "bool", "default": True},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        name = check_file_name(arguments["src"])
        dest = self._destination(arguments, name)
        try:
            if dest.is_file():
                with dest.open("rb") as local:
                    same = bool(same_content(guest, name, local))
            else:
                same = False
            if self._task.check_mode or same:
                if not same:
                    guest.get(
                        name, t.cast("t.BinaryIO", _Nowhere())
                    )  # so that a missing file is told in check mode too
                return {"changed": not same, "dest": str(dest), **(_facts(dest) if same else {})}
            self._fetch(guest, name, dest)
        except FileNotThere as error:
            if arguments["fail_on_missing"]:
                raise
            return {"changed": False, "dest": str(dest), "msg": str(error)}
        return {"changed": True, "dest": str(dest), **_facts(dest)}

    def _destination(self, arguments: dict[str, t.Any], name: str) -> Path:
        text = self._loader.path_dwim(arguments["dest"])
        dest = Path(text)
        if not arguments["flat"]:
            return dest / self._task_vars.get("inventory_hostname", self._connection.get_option("vm")) / name
        if arguments["dest"].endswith(os.sep) or dest.is_dir():
            return dest / name
        return dest

    def _fetch(self, guest: Guest, name: str, dest: Path) -> None:
        """Whole or not at all: into a file beside *dest* that then takes its place."""
        try:
            dest.parent.mkdir(parents=True, exist_ok=True)
            descriptor, beside = tempfile.mkstemp(dir=dest.parent, prefix=f".{dest.name}.")
            try:
                with os.fdopen(descriptor, "wb") as target:
                    guest.get(name, target)
                if dest.exists():
                    Path(beside).chmod(dest.stat().st_mode & 0o777)
                Path(beside).replace(dest)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(beside).unlink()
                raise
        except OSError as error:
            raise InvalidInput(f"dest {str(dest)!r} cannot be written: {error.strerror}.") from error


class _Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)


def _facts(path: Path) -> dict[str, t.Any]:
    with path.open("rb") as content:
        checksum = hashlib.file_digest(content, "sha1").hexdigest()
    return {"checksum": checksum, "size": path.stat().st_size}
