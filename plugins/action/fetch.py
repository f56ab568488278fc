# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import os
import shutil
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.local_file import remove_leftovers, replacing
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import FileMissing, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import check_file_name


class ActionModule(GuestAction):
    """Copy a file from the router, unless the controller already has it with this content."""

    SPEC = {
        "src": {"type": "str", "required": True},
        "dest": {"type": "path", "required": True},
        "flat": {"type": "bool", "default": False},
        "fail_on_missing": {"type": "bool", "default": True},
        **GuestAction.TRANSFER,
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        guest.check_files(reading=True)
        name = check_file_name(arguments["src"])
        dest = self._destination(arguments, name)
        limit = self.transfer_limit(arguments)
        guest.require_routeros()
        if not self._task.check_mode:
            remove_leftovers(dest.parent)
        try:
            same = self._same(guest, name, dest, limit)
            if not same and not self._task.check_mode:
                limit.room = lambda: shutil.disk_usage(dest.parent).free
                with replacing(dest) as target:
                    guest.get(name, target, limit)
            return {
                "changed": not same,
                "dest": str(dest),
                **(_facts(dest) if same or not self._task.check_mode else {}),
            }
        except FileMissing as error:
            if arguments["fail_on_missing"]:
                raise
            return {"changed": False, "dest": str(dest), "msg": str(error)}
        except OSError as error:
            raise InvalidInput(f"dest {str(dest)!r} cannot be used: {error.strerror or error}.") from error

    def _destination(self, arguments: dict[str, t.Any], name: str) -> Path:
        dest = Path(self._loader.path_dwim(arguments["dest"]))
        if not arguments["flat"]:
            host = self._task_vars.get("inventory_hostname", "")
            if host in ("", ".", "..") or "/" in host:
                raise InvalidInput(f"The host's name {host!r} cannot be the name of a folder below dest: use flat.")
            return dest / host / name
        if arguments["dest"].endswith(os.sep) or dest.is_dir():
            return dest / name
        return dest

    def _same(self, guest: Guest, name: str, dest: Path, limit: TransferLimit) -> bool:
        """Whether *dest* has the content of the router's file *name*. Raises FileMissing."""
        with dest.open("rb") if dest.is_file() else io.BytesIO() as local:
            same = guest.compare(name, local, limit)
        if same is None:
            raise FileMissing(f"The file {name!r} does not exist on {guest.vm!r}.")
        return same and dest.is_file()


def _facts(path: Path) -> dict[str, t.Any]:
    with path.open("rb") as content:
        checksum = hashlib.file_digest(content, "sha1").hexdigest()
    return {"checksum": checksum, "size": path.stat().st_size}
