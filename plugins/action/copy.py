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
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.parsing.vault import is_encrypted

from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._compare import same_content
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest, check_file_name
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput

DIFF_LIMIT = 100_000


class ActionModule(GuestAction):
    """Put a file on the router, if it is not there with this content already."""

    SPEC = {
        "src": {"type": "path"},
        "content": {"type": "raw"},
        "dest": {"type": "str"},
    }
    MUTUALLY_EXCLUSIVE = [("src", "content")]
    REQUIRED_ONE_OF = [("src", "content")]

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        guest.check_files()
        dest = arguments["dest"]
        if dest is None and arguments["src"] is None:
            raise InvalidInput("dest is missing: content needs the name of the file on the router.")
        with self._open(arguments) as source:
            dest = check_file_name(dest if dest is not None else Path(arguments["src"]).name)
            guest.require_routeros()
            same = same_content(guest, dest, source)
            source.seek(0)
            digest = hashlib.sha1(usedforsecurity=False)
            size = 0
            while block := source.read(1 << 20):
                digest.update(block)
                size += len(block)
            result = {"changed": not same, "dest": dest, "size": size, "checksum": digest.hexdigest()}
            if self._task.diff and not same:
                source.seek(0)
                result["diff"] = self._diff(guest, dest, source.read(DIFF_LIMIT + 1), existed=same is not None)
            if not same and not self._task.check_mode:
                source.seek(0)
                guest.put(source, dest)
        return result

    def _open(self, arguments: dict[str, t.Any]) -> contextlib.AbstractContextManager[t.BinaryIO]:
        if arguments["content"] is not None:
            content = arguments["content"]
            if isinstance(content, (dict, list)):  # as ansible.builtin.copy does it
                content = json.dumps(content)
            return io.BytesIO(to_bytes(content, nonstring="simplerepr", errors="surrogate_or_strict"))
        try:
            path = Path(self.local_file(arguments["src"]))
            if path.is_dir():
                raise InvalidInput(f"src {arguments['src']!r} is a folder: a CHR's agent takes single files only.")
            source = path.open("rb")
            start = source.read(32)
            source.seek(0)
            if not is_encrypted(start):
                return source
            source.close()
            # Decrypted in memory: it must not lie in a temporary file.
            content, _plain = self._loader._get_file_contents(str(path))
            return io.BytesIO(content)
        except (AnsibleError, OSError) as error:
            raise InvalidInput(f"src {arguments['src']!r} cannot be read: {error}") from error

    def _diff(self, guest: Guest, dest: str, after: bytes, *, existed: bool) -> dict[str, t.Any]:
        before = _Beginning()
        if existed:
            with contextlib.suppress(_Enough):
                guest.get(dest, t.cast("t.BinaryIO", before))
        return {
            "before_header": dest,
            "after_header": dest,
            "before": _shown(before.getvalue()),
            "after": _shown(after),
        }


class _Enough(Exception):
    pass


class _Beginning(io.BytesIO):
    """A sink that ends the transfer when it has more than is shown."""

    def write(self, data: t.Any) -> int:
        if self.tell() > DIFF_LIMIT:
            raise _Enough
        return super().write(data)


def _shown(content: bytes) -> str:
    if len(content) > DIFF_LIMIT:
        return f"(more than {DIFF_LIMIT} bytes)\n"
    if b"\0" in content:
        return f"(binary, {len(content)} bytes, sha1 {hashlib.sha1(content, usedforsecurity=False).hexdigest()})\n"
    return to_text(content, errors="surrogate_or_replace")
