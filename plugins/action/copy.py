# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.parsing.vault import is_encrypted

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import local_file
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    ScriptFailed,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import check_file_name

_SMALL = 256 * 1024  # bytes
_SECONDS = 30.0  # for a script that reads one value


class ActionModule(GuestAction):
    """Copy a file to the router, unless the router already has it with this content."""

    SPEC = {
        "src": {"type": "path"},
        "content": {"type": "raw"},
        "dest": {"type": "str"},
        **GuestAction.TRANSFER,
    }
    MUTUALLY_EXCLUSIVE = [("src", "content")]
    REQUIRED_ONE_OF = [("src", "content")]

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        guest.check_files()
        dest = arguments["dest"]
        if dest is None and arguments["src"] is None:
            raise InvalidInput("dest is missing. With content, it must give the name of the file on the router.")
        limit = self.transfer_limit(arguments)
        with self._open(arguments) as source:
            dest = check_file_name(dest if dest is not None else Path(arguments["src"]).name)
            guest.check_content(source, dest)
            guest.require_routeros()
            same = guest.compare(dest, source, limit)
            source.seek(0)
            digest = hashlib.sha1(usedforsecurity=False)
            size = 0
            while block := source.read(1 << 20):
                digest.update(block)
                size += len(block)
            limit.announced(size, f"The file for {dest!r}")
            result = {"changed": not same, "dest": dest, "size": size, "checksum": digest.hexdigest()}
            if self._task.diff and not same:
                source.seek(0)
                result["diff"] = self._diff(
                    guest, dest, source.read(local_file.DIFF_LIMIT + 1), existed=same is not None
                )
            if not same and not self._task.check_mode:
                source.seek(0)
                if same is None:
                    self._check_room(guest, size, dest)
                put = guest.put_secret if self._task.no_log else guest.put
                put(source, dest, limit)
        return result

    def _check_room(self, guest: Guest, size: int, dest: str) -> None:
        """Raise TransferFailed if the router says that it has not so much room.

        A small file is written without the question, which takes a script.
        """
        if size < _SMALL:
            return
        try:
            free = int(guest.read("[/system resource get free-hdd-space]", _SECONDS))
        except (ScriptFailed, ValueError):
            return  # writing it tells
        if free < size:
            raise TransferFailed(
                f"{dest!r} would have {size} bytes, and {guest.vm!r} has {free} free. Nothing was written. Remove files there."
            )

    def _open(self, arguments: dict[str, t.Any]) -> contextlib.AbstractContextManager[t.BinaryIO]:
        if arguments["content"] is not None:
            content = arguments["content"]
            if isinstance(content, (dict, list)):  # as in ansible.builtin.copy
                content = json.dumps(content)
            return io.BytesIO(to_bytes(content, nonstring="simplerepr", errors="surrogate_or_strict"))
        try:
            path = local_file.find(self, "src", arguments["src"])
            if path.is_dir():
                raise InvalidInput(f"src {arguments['src']!r} is a folder: only single files can be copied to a CHR.")
            source = path.open("rb")
            start = source.read(32)
            source.seek(0)
            if not is_encrypted(start):
                return source
            source.close()
            # Decrypted in memory, because a secret must not be in a temporary file.
            content, _plain = self._loader._get_file_contents(str(path))
            return io.BytesIO(content)
        except (AnsibleError, OSError) as error:
            raise InvalidInput(f"src {arguments['src']!r} cannot be read: {error}") from error

    def _diff(self, guest: Guest, dest: str, after: bytes, *, existed: bool) -> dict[str, t.Any]:
        before = _Beginning()
        unseen = ""
        if existed:
            try:
                guest.get(dest, t.cast("t.BinaryIO", before))
            except _Enough:
                pass
            except (NotPossible, TransferFailed) as error:
                if guest.capabilities.files:
                    raise
                unseen = f"({error})\n"
        return {
            "before_header": dest,
            "after_header": dest,
            "before": unseen or local_file.shown_in_diff(before.getvalue()),
            "after": local_file.shown_in_diff(after),
        }


class _Enough(Exception):
    pass


class _Beginning(io.BytesIO):
    """A sink that ends the transfer when it has more than the diff shows."""

    def write(self, data: t.Any) -> int:
        if self.tell() > local_file.DIFF_LIMIT:
            raise _Enough
        return super().write(data)
