# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._image import checksum
from ansible_collections.outofband.chr.plugins.plugin_utils._image.download import Trust
from ansible_collections.outofband.chr.plugins.plugin_utils._image.prepare import FORMATS, Cache, Prepared, Recipe
from ansible_collections.outofband.chr.plugins.plugin_utils._no_log import hidden

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class ActionModule(ActionBase):
    """Have a disk image in the wanted form on the controller; no router is asked."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "version": {"type": "str"},
        "url": {
            "type": "str",
            "default": "https://download.mikrotik.com/routeros/{version}/chr-{version}.{format}.zip",
        },
        "src": {"type": "path"},
        "checksum": {"type": "str"},
        "format": {"type": "str", "choices": list(FORMATS), "default": "raw"},
        "size": {"type": "str"},
        "first_boot": {"type": "str"},
        "first_boot_src": {"type": "path"},
        "cache": {"type": "path", "default": "~/.cache/outofband.chr"},
        "timeout": {"type": "float", "default": 1800.0},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
    }
    MUTUALLY_EXCLUSIVE: t.ClassVar[list[tuple[str, ...]]] = [("url", "src"), ("first_boot", "first_boot_src")]

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(self.SPEC, mutually_exclusive=self.MUTUALLY_EXCLUSIVE)
        try:
            deadline = Deadline(positive_seconds("timeout", arguments["timeout"]))
            recipe = self._recipe(arguments)
            cache = Cache(Path(self._loader.path_dwim(arguments["cache"])), self._display.display)
            result |= {"format": recipe.format, "version": recipe.version}
            if self._task.check_mode:
                return result | _planned(recipe, cache)
            ca_path = arguments["ca_path"]
            trust = Trust(arguments["validate_certs"], self._loader.path_dwim(ca_path) if ca_path else None)
            prepared = cache.prepare(recipe, trust, deadline)
        except (GuestError, AnsibleError) as error:
            text = hidden(error) if self._task.no_log else str(error)
            return {**result, "failed": True, "changed": False, "msg": text}
        return result | _shown(prepared)

    def _recipe(self, arguments: dict[str, t.Any]) -> Recipe:
        """Raises InvalidInput, NotPossible."""
        version = arguments["version"]
        if version is not None and not re.fullmatch(r"[0-9][A-Za-z0-9._-]*", version):
            raise InvalidInput(f"version {version!r} is no version of RouterOS, such as '7.22'.")
        source = self._local(arguments["src"]) if arguments["src"] is not None else _url(arguments["url"], version)
        if arguments["checksum"] is None and isinstance(source, str):
            raise InvalidInput(
                "checksum is missing. It is that of the file at url, such as 'sha256:0a1b...'; 'waived' says that whatever comes "
                "from there is believed."
            )
        return Recipe(
            source=source,
            checksum=checksum.parse(arguments["checksum"] or checksum.WAIVED),
            format=arguments["format"],
            size=_bytes(arguments["size"]),
            script=self._script(arguments),
            version=version,
        )

    def _local(self, src: str) -> Path:
        if "://" in src:
            raise InvalidInput("src is a file of the controller; a URL goes into url.")
        return self._needle("src", src)

    def _script(self, arguments: dict[str, t.Any]) -> bytes:
        if arguments["first_boot"] is not None:
            return t.cast("bytes", to_bytes(arguments["first_boot"]))
        src = arguments["first_boot_src"]
        if src is None:
            return b""
        # Read in memory: a vaulted script must not lie decrypted in a temporary file.
        content, _plain = self._loader._get_file_contents(str(self._needle("first_boot_src", src)))
        return t.cast("bytes", content).removeprefix(b"\xef\xbb\xbf")  # the mark that some editors put before UTF-8

    def _needle(self, option: str, src: str) -> Path:
        try:
            return Path(self._find_needle("files", src))
        except AnsibleError:
            raise InvalidInput(
                f"{option} {src!r} was not found on the controller: it is looked for in files/ of the role or beside the playbook, "
                "then there itself."
            ) from None


def _url(pattern: str, version: str | None) -> str:
    if "{version}" in pattern and version is None:
        raise InvalidInput("version is missing, which goes into url. Without it, give src, or a url without {version}.")
    return pattern.replace("{version}", version or "").replace("{format}", "img")


def _bytes(size: str | None) -> int | None:
    """``1G``, ``512 MiB`` or a number of bytes."""
    if size is None:
        return None
    found = re.fullmatch(r"(\d{1,18})\s*([KMGT]?)(?:i?B)?", size.strip(), re.IGNORECASE)
    if not found:
        raise InvalidInput(f"size {size!r} is no size, such as '1G', '512M', or a number of bytes.")
    return int(found[1]) * _UNITS[found[2].upper()]


def _planned(recipe: Recipe, cache: Cache) -> dict[str, t.Any]:
    planned = cache.planned(recipe)
    if isinstance(planned, Prepared):
        return _shown(planned)
    return {
        "changed": True,
        "cached": False,
        "path": str(planned) if planned else None,
        "msg": f"The image would have been made of {recipe.what}. Nothing was downloaded.",
    }


def _shown(prepared: Prepared) -> dict[str, t.Any]:
    shown = {
        "changed": not prepared.cached,
        "path": str(prepared.path),
        "sha256": prepared.sha256,
        "size": prepared.size,
        "virtual_size": prepared.virtual_size,
        "source_sha256": prepared.source_sha256,
        "architecture": prepared.architecture,
        "cached": prepared.cached,
    }
    if not prepared.bios:
        shown["warnings"] = [
            f"{prepared.path} has no boot code for a BIOS, which the VMs of this collection boot with. Where it comes from, there "
            "may be another image for that."
        ]
    return shown
