# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import local_file
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import failure
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotBoolean,
    ScriptFailed,
    ScriptTimedOut,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message, readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.export import IMPORTED, gaps, says_imported
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import import_script
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import bounded, left_out, not_run
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.source import script


class ActionModule(GuestAction):
    """Run a RouterOS script, unless a condition on the router says that it is not needed."""

    SPEC = {
        "source": {"type": "raw"},
        "src": {"type": "path"},
        "guest_file": {"type": "str"},
        "timeout": {"type": "float"},
        "unless": {"type": "str"},
        "only_if": {"type": "str"},
        "read_error": {"type": "bool", "default": False},
    }
    MUTUALLY_EXCLUSIVE = [("source", "src", "guest_file")]
    REQUIRED_ONE_OF = [("source", "src", "guest_file")]

    _read_error = False
    _vaulted = False
    """Whether ``src`` was encrypted."""

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = self.script_timeout(arguments)
        self._read_error = arguments["read_error"]
        source = self._source(arguments)
        if source is not None:
            try:
                check_source(source, guest.capabilities)
            except InvalidInput as error:
                raise type(error)(f"{error} (src: {arguments['src']})" if arguments["src"] else str(error)) from None
        if self._task.check_mode and not guest.capabilities.runs_without_restart:
            return {
                "changed": True,
                "msg": "The script would have been run. Conditions need a boot, and were not evaluated.",
            }
        if reason := self._not_needed(guest, arguments, timeout):
            return {"changed": False, "skipped_reason": reason, "rc": 0, "stdout": "", "stdout_lines": []}
        if self._task.check_mode:
            return {"changed": True, "msg": "The script would have been run.", **self._diff(guest, source, arguments)}
        if source is not None:
            run = guest.run_secret if self._task.no_log else guest.run
            result = run(source, timeout)
            report = self._report(guest, result, timeout)
            report["changed"] = not (result.rc == -1 and result.exec_mode != "file" and not_run(source, result.output))
        else:
            result = guest.wait(guest.start_file(arguments["guest_file"]), timeout)
            report = self._imported(guest, result, arguments["guest_file"], self._report(guest, result, timeout))
        return {**report, **self._diff(guest, source, arguments)}

    def _diff(self, guest: Guest, source: bytes | None, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the script as the result's ``diff``, if it was asked for and is not secret."""
        if not self._task.diff or self._task.no_log:
            return {}
        shown = import_script(arguments["guest_file"]) if source is None else source
        after = "(the content of a vault is not shown)\n" if self._vaulted else readable(shown).rstrip("\n") + "\n"
        return {
            "diff": {
                "before_header": f"nothing run on {guest.vm}",
                "after_header": "script",
                "before": "",
                "after": after,
            }
        }

    def _source(self, arguments: dict[str, t.Any]) -> bytes | None:
        if arguments["source"] is not None:
            return script(arguments["source"], "source")
        if arguments["src"] is None:
            return None
        source, self._vaulted = local_file.script(self, "src", arguments["src"])
        return source

    def _not_needed(self, guest: Guest, arguments: dict[str, t.Any], timeout: float) -> str | None:
        for name, stop_when in (("unless", True), ("only_if", False)):
            if arguments[name] is not None and self._condition(guest, name, arguments[name], timeout) is stop_when:
                return f"{name} is {str(stop_when).lower()} on the router: {arguments[name]}"
        return None

    def _condition(self, guest: Guest, name: str, expression: str, timeout: float) -> bool:
        try:
            return guest.condition(script(expression, name).decode(), timeout)
        except ScriptFailed as error:
            raise ScriptFailed(f"The condition {name} ({expression}) cannot be evaluated. {error}") from error
        except NotBoolean as error:
            raise NotBoolean(
                f"{name} must be a RouterOS expression that is true or false. {error} "
                "An example is '[:len [/ip address find interface=ether1]] > 0'."
            ) from error

    def _imported(self, guest: Guest, result: ScriptResult, name: str, report: dict[str, t.Any]) -> dict[str, t.Any]:
        """Look for RouterOS's own word that the import of a file was a success.

        An import can end without an error although a line failed (7.23.3 and 7.24.4, one source).
        """
        seen: bool | None = None
        if result.rc == 0 and guest.capabilities.output and result.exec_mode != "path" and not report["truncated"]:
            seen = report["stdout"].rstrip().endswith(IMPORTED)  # a file can import others
        report["import_confirmed"] = seen
        if seen is not False:
            return report
        system = guest.operating_system() or {}
        version = str(system.get("version") or system.get("pretty_name") or "")
        text = (
            f"RouterOS ended the import of {name!r} on {guest.vm!r} without an error, but did not say {IMPORTED!r}, so a line of "
            "the file may have failed."
        )
        if not self._task.no_log:
            text += f" It printed: {message(result.output) or 'nothing'}"
        if says_imported(version):
            report.update(failure(text, ScriptFailed))
        else:
            report["warnings"].append(f"{text} Whether this version of RouterOS always says it is not known.")
        return report

    def _report(self, guest: Guest, result: ScriptResult, timeout: float) -> dict[str, t.Any]:
        output, cut = bounded(result.output, self.encoding())
        output = output.rstrip("\r\n")
        report = {
            "changed": True,
            "rc": result.rc,
            "stdout": output,
            "stdout_lines": output.splitlines(),
            "truncated": result.truncated or cut,
            "start": result.start.isoformat(),
            "end": result.end.isoformat(),
            "delta": str(result.end - result.start),
            "timed_out": result.timed_out,
            "job": result.job,
            "backend": guest.backend,
            "exec_mode": result.exec_mode,
            "output_available": guest.capabilities.output,
        }
        report["warnings"] = [guest.cut()] if result.truncated else []
        if cut:
            report["warnings"].append(left_out(guest.vm, len(result.output)))
        if missing := gaps(output):
            what = "RouterOS says so in its output" if self._task.no_log else missing
            report["warnings"].append(f"The export of {guest.vm!r} is not whole: {what}.")
        if result.rc != 0:
            if self._read_error and not self._task.no_log:
                result = guest.with_error_text(result)
            kind = ScriptTimedOut if result.timed_out else ScriptFailed
            report.update(failure(guest.failure(result, timeout), kind))
        return report
