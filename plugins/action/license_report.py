# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from collections import Counter
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.module_utils._routeros import fleet
from ansible_collections.outofband.chr.plugins.plugin_utils._local import replacing
from ansible_collections.outofband.chr.plugins.plugin_utils._report.files import FORMATS

_NOT_READ = "Its licence was not read in this run."


class ActionModule(ActionBase):
    """Write a report of the routers' licences on the controller; no router is asked."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "dest": {"type": "path", "required": True},
        "name": {"type": "str", "default": "chr-licenses"},
        "formats": {"type": "list", "elements": "str", "choices": ["html", "json", "csv"], "default": list(FORMATS)},
        "mode": {"type": "raw", "default": "0600"},
        "hosts": {"type": "list", "elements": "str"},
        "registered": {"type": "str"},
        "routers": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "license": {"type": "raw"},
                "reason": {"type": "str"},
                "unreachable": {"type": "bool", "default": False},
            },
        },
    }
    MUTUALLY_EXCLUSIVE: t.ClassVar[list[tuple[str, ...]]] = [("hosts", "routers"), ("registered", "routers")]

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(self.SPEC, mutually_exclusive=self.MUTUALLY_EXCLUSIVE)
        mode = _mode(arguments["mode"])
        folder = Path(self._loader.path_dwim(arguments["dest"]))
        if arguments["name"] in ("", ".", "..") or "/" in arguments["name"]:
            raise AnsibleError(f"name {arguments['name']!r} is no file name: the folder belongs into dest.")
        whole = fleet.fleet(self._routers(arguments, task_vars or {}))
        result |= {"changed": False, "paths": {}, "summary": fleet.summary(whole)}
        for ending in dict.fromkeys(arguments["formats"]):
            path = folder / f"{arguments['name']}.{ending}"
            content = FORMATS[ending](whole)
            try:
                before = self._write(path, content, mode)
            except (OSError, ValueError) as error:
                raise AnsibleError(f"The report {str(path)!r} cannot be written: {error}.") from error
            result["changed"] |= before is not None
            result["paths"][ending] = str(path)
            if before is not None and self._task.diff and ending == "csv":
                header = {"before_header": str(path), "after_header": str(path)}
                result["diff"] = {**header, "before": before, "after": content}
        return result

    def _routers(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> list[fleet.Router]:
        if arguments["routers"] is not None:
            twice = [name for name, count in Counter(one["name"] for one in arguments["routers"]).items() if count > 1]
            if twice:
                raise AnsibleError(f"routers has {twice[0]!r} twice; a report has each router once.")
            return [_given(one) for one in arguments["routers"]]
        hosts = arguments["hosts"] if arguments["hosts"] is not None else task_vars.get("ansible_play_hosts_all", [])
        return [_of_host(host, arguments["registered"], task_vars["hostvars"]) for host in dict.fromkeys(hosts)]

    def _write(self, path: Path, content: str, mode: int) -> str | None:
        """What was in the file before, or None if there was nothing to change. In check mode only that is found out."""
        data = content.encode()
        before = path.read_bytes() if path.exists() else b""
        if before == data and path.stat().st_mode & 0o7777 == mode:
            return None
        if not self._task.check_mode:
            with replacing(path, mode) as target:
                target.write(data)
        return before.decode(errors="replace")


def _given(one: dict[str, t.Any]) -> fleet.Router:
    if one["license"] is not None:
        return fleet.read(one["name"], one["license"])
    return fleet.not_read(one["name"], one["reason"] or _NOT_READ, one["unreachable"])


def _of_host(host: str, registered: str | None, hostvars: t.Mapping[str, t.Any]) -> fleet.Router:
    """A router from what its host has. With *registered*, an older fact, perhaps from a cache, does not count."""
    if host not in hostvars:
        raise AnsibleError(f"There is no host {host!r} in the inventory.")
    variables = hostvars[host]
    found = variables.get(registered, {}) if registered else {"license": _fact(variables)}
    if not isinstance(found, t.Mapping):
        raise AnsibleError(f"registered: {registered!r} of {host!r} is no result of a task.")
    if found.get("license") is not None:
        return fleet.read(host, found["license"])
    return fleet.not_read(host, found.get("msg") or _NOT_READ, bool(found.get("unreachable")))


def _fact(variables: t.Mapping[str, t.Any]) -> object:
    facts = variables.get("ansible_facts", {})
    return facts.get("chr_license") if isinstance(facts, t.Mapping) else None


def _mode(value: object) -> int:
    """``"0640"``, or the number that YAML makes of 0640 without quotes."""
    text = f"{value:o}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise AnsibleError(f"mode {text!r} is no file mode of three octal digits, such as '0640'.")
    return int(text, 8)
