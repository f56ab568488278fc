# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction, failure
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest, ScriptResult, check_source, cut
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, NotBoolean, ScriptFailed


class ActionModule(GuestAction):
    """Run a RouterOS script, unless a condition on the router says that there is no need."""

    SPEC = {
        "source": {"type": "str"},
        "src": {"type": "path"},
        "guest_file": {"type": "str"},
        "timeout": {"type": "float"},
        "unless": {"type": "str"},
        "only_if": {"type": "str"},
    }
    MUTUALLY_EXCLUSIVE = [("source", "src", "guest_file")]
    REQUIRED_ONE_OF = [("source", "src", "guest_file")]

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = self.script_timeout(arguments)
        source = self._source(arguments)
        if source is not None:
            try:
                check_source(source, guest.capabilities)
            except InvalidInput as error:
                raise type(error)(f"{error} (src: {arguments['src']})" if arguments["src"] else str(error)) from None
        if self._task.check_mode and not guest.capabilities.live:
            return {
                "changed": True,
                "msg": "The script would have been run. Conditions need a boot, and were not evaluated.",
            }
        if reason := self._not_needed(guest, arguments, timeout):
            return {"changed": False, "skipped_reason": reason, "rc": 0, "stdout": "", "stdout_lines": []}
        if self._task.check_mode:
            return {"changed": True, "msg": "The script would have been run."}
        if source is not None:
            run = guest.run_secret if self._task.no_log else guest.run
            return self._report(guest, run(source, timeout), timeout)
        return self._report(guest, guest.wait(guest.start_file(arguments["guest_file"]), timeout), timeout)

    def _source(self, arguments: dict[str, t.Any]) -> bytes | None:
        if arguments["source"] is not None:
            try:
                return to_bytes(arguments["source"], errors="strict")
            except UnicodeEncodeError as error:
                raise InvalidInput(f"source is not valid UTF-8 at character {error.start}.") from None
        if arguments["src"] is None:
            return None
        try:
            # Read in memory: a vaulted script must not lie decrypted in a temporary file.
            content, _plain = self._loader._get_file_contents(self.local_file(arguments["src"]))
        except AnsibleError as error:
            raise InvalidInput(f"src {arguments['src']!r} cannot be read: {error}") from error
        return content.removeprefix(b"\xef\xbb\xbf")  # the mark that some editors put before UTF-8

    def _not_needed(self, guest: Guest, arguments: dict[str, t.Any], timeout: float) -> str | None:
        for name, stop_when in (("unless", True), ("only_if", False)):
            if arguments[name] is not None and self._condition(guest, name, arguments[name], timeout) is stop_when:
                return f"{name} is {str(stop_when).lower()} on the router: {arguments[name]}"
        return None

    def _condition(self, guest: Guest, name: str, expression: str, timeout: float) -> bool:
        try:
            return guest.condition(expression, timeout)
        except ScriptFailed as error:
            raise ScriptFailed(f"The condition {name} ({expression}) cannot be evaluated. {error}") from error
        except NotBoolean as error:
            raise InvalidInput(
                f"{name} must be a RouterOS expression that is true or false. {error} "
                "Example: [:len [/ip address find interface=ether1]] > 0"
            ) from error

    def _report(self, guest: Guest, result: ScriptResult, timeout: float) -> dict[str, t.Any]:
        output = text(result.output)
        report = {
            "changed": True,
            "rc": result.rc,
            "stdout": output,
            "stdout_lines": output.splitlines(),
            "start": result.start.isoformat(),
            "end": result.end.isoformat(),
            "delta": str(result.end - result.start),
            "timed_out": result.timed_out,
            "job": result.job,
            "backend": guest.backend,
            "exec_mode": result.exec_mode,
            "output_available": guest.capabilities.output,
        }
        if result.truncated:
            report["warnings"] = [cut(guest)]
        if result.rc != 0:
            report.update(failed=True, msg=failure(guest, result, timeout))
        return report
