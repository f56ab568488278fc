# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import errors
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.local_file import file_mode, write_report
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._report.doctor import as_json, page
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import doctor
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.doctor import Patient


class ActionModule(ActionBase):
    """Show what the routers of a play lack, and write it to files, without contact to a router."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "registered": {"type": "str", "required": True},
        "json": {"type": "path"},
        "html": {"type": "path"},
        "mode": {"type": "raw", "default": "0600"},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)

        def perform() -> None:
            _validation, arguments = self.validate_argument_spec(self.SPEC)
            self._report(arguments, task_vars or {}, result)

        return errors.outcome(result, perform, no_log=bool(self._task.no_log))

    def _report(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any], result: dict[str, t.Any]) -> None:
        """Show the table, write the files, and fail if something is wrong. Raises ChrError."""
        patients = _patients(arguments["registered"], task_vars)
        result |= {"changed": False, "summary": doctor.summary(patients), "paths": {}}
        for line in doctor.table(patients):
            self._display.display(errors.told(line))
        mode = file_mode(arguments["mode"])
        for kind, content in (("json", as_json), ("html", page)):
            if arguments[kind]:
                path = Path(self._loader.path_dwim(arguments[kind]))
                written = write_report(path, content(patients), mode, check_mode=self._task.check_mode)
                result["changed"] |= written is not None
                result["paths"][kind] = str(path)
        if result["summary"]["wrong"]:
            files = "".join(f" The report is in {path}." for path in result["paths"].values())
            result |= {"failed": True, "msg": f"{doctor.verdict(patients)}{files}"}
        else:
            result["msg"] = doctor.verdict(patients)


def _patients(registered: str, task_vars: dict[str, t.Any]) -> list[Patient]:
    """The routers of the play. Raises InvalidInput."""
    whole = task_vars.get(registered)
    if not isinstance(whole, dict) or "results" not in whole and "msg" not in whole:
        raise InvalidInput(f"registered {registered!r} is not the result of outofband.chr.fleet with read: doctor.")
    results = whole.get("results", {})
    others = whole.get("other_hosts", ())
    hosts = [host for host in task_vars.get("ansible_play_hosts_all", []) if host not in others]
    return [_patient(host, results.get(host, whole)) for host in hosts]


def _patient(host: str, found: dict[str, t.Any]) -> Patient:
    if "doctor" in found:
        try:
            return doctor.from_data(found["doctor"])
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
            raise InvalidInput(f"What was registered of {host} is not a result of outofband.chr.doctor.") from None
    return doctor.unexamined(host, str(found.get("msg") or ""))
