# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import errors, local_file, versions
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._image import checksum
from ansible_collections.outofband.chr.plugins.plugin_utils._image.download import Trust
from ansible_collections.outofband.chr.plugins.plugin_utils._image.prepare import FORMATS, Cache, Prepared, Recipe
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import source

_LARGEST_SCRIPT = 256 * 1024  # bytes, as for a script that the agent runs
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class ActionModule(ActionBase):
    """Prepare a disk image on the controller, without contact to a router."""

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
        "first_boot": {"type": "raw"},
        "first_boot_src": {"type": "path"},
        "cache": {"type": "path", "default": "~/.cache/outofband.chr"},
        "timeout": {"type": "float", "default": 1800.0},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
    }
    MUTUALLY_EXCLUSIVE: t.ClassVar[list[tuple[str, ...]]] = [("url", "src"), ("first_boot", "first_boot_src")]

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        return errors.outcome(result, lambda: self._perform(result), no_log=bool(self._task.no_log))

    def _perform(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do the task and return its result. Raises ChrError, AnsibleError."""
        _validation, arguments = self.validate_argument_spec(self.SPEC, mutually_exclusive=self.MUTUALLY_EXCLUSIVE)
        deadline = Deadline(positive_seconds("timeout", arguments["timeout"]))
        recipe = self._recipe(arguments)
        cache = Cache(Path(self._loader.path_dwim(arguments["cache"])), self._say)
        result |= {"format": recipe.format, "version": recipe.version}
        if self._task.check_mode:
            return _planned(recipe, cache)
        ca_path = arguments["ca_path"]
        trust = Trust(arguments["validate_certs"], self._loader.path_dwim(ca_path) if ca_path else None)
        return _shown(cache.prepare(recipe, trust, deadline))

    def _say(self, line: str) -> None:
        self._display.display(errors.told(line))

    def _recipe(self, arguments: dict[str, t.Any]) -> Recipe:
        """Make the recipe from the options. Raises InvalidInput, NotPossible."""
        versions.refuse_number(self, "version")
        version = arguments["version"]
        if version is not None and not re.fullmatch(r"[0-9][A-Za-z0-9._-]*", version):
            raise InvalidInput(f"version {version!r} is not a valid version of RouterOS, such as '7.22'.")
        place = self._local(arguments["src"]) if arguments["src"] is not None else _url(arguments["url"], version)
        if arguments["checksum"] is None and isinstance(place, str):
            raise InvalidInput(
                "checksum is missing. It must be that of the file at url, such as 'sha256:0a1b...'. With 'waived', the file is not "
                "checked."
            )
        return Recipe(
            source=place,
            checksum=checksum.parse(arguments["checksum"] or checksum.WAIVED),
            format=arguments["format"],
            size=_bytes(arguments["size"]),
            script=self._script(arguments),
            version=version,
        )

    def _local(self, src: str) -> Path:
        if "://" in src:
            raise InvalidInput("src must be a file on the controller; a URL must be given as url.")
        return local_file.find(self, "src", src)

    def _script(self, arguments: dict[str, t.Any]) -> bytes:
        """Return the script for the first boot, empty if there is none. Raises InvalidInput."""
        if arguments["first_boot"] is not None:
            script = source.script(arguments["first_boot"], "first_boot")
        elif arguments["first_boot_src"] is not None:
            script, _vaulted = local_file.script(self, "first_boot_src", arguments["first_boot_src"])
        else:
            return b""
        if len(script) > _LARGEST_SCRIPT:
            raise InvalidInput(
                f"The first-boot script has {len(script)} bytes, and at most {_LARGEST_SCRIPT} are accepted. Run the rest with "
                "outofband.chr.script when the router is up."
            )
        return script


def _url(pattern: str, version: str | None) -> str:
    if "{version}" in pattern and version is None:
        raise InvalidInput("version is missing, but url needs it. Give version, or src, or a url without {version}.")
    return pattern.replace("{version}", version or "").replace("{format}", "img")


def _bytes(size: str | None) -> int | None:
    """Convert ``1G``, ``512 MiB`` or a number of bytes to bytes. Raises InvalidInput."""
    if size is None:
        return None
    found = re.fullmatch(r"(\d{1,18})\s*([KMGT]?)(?:i?B)?", size.strip(), re.IGNORECASE)
    if not found:
        raise InvalidInput(f"size {size!r} is not a valid size, such as '1G', '512M', or a number of bytes.")
    return int(found[1]) * _UNITS[found[2].upper()]


def _planned(recipe: Recipe, cache: Cache) -> dict[str, t.Any]:
    planned = cache.planned(recipe)
    if isinstance(planned, Prepared):
        return _shown(planned)
    return {
        "changed": True,
        "cached": False,
        "path": str(planned) if planned else None,
        "msg": f"The image would have been made from {recipe.what}. Nothing was downloaded.",
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
            f"{prepared.path} has no boot code for a BIOS, with which the VMs of this collection boot. Its publisher may have "
            "another image for BIOS."
        ]
    return shown
