# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Calls cmdlets of a Windows machine in one PowerShell (5 or 7), one after the other.

The script never changes. It gets the calls as JSON in base64 and passes the values to the cmdlets
by splatting. So no value can become a part of the script, and no code page of a console changes a
value. It answers in the same way. The command line is short and always the same, as Windows takes
at most 8191 characters. The script itself comes over standard input, as Ansible's modules do.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPermitted, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import loads
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line, message

_BOOTSTRAP = "Invoke-Expression ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String(($input | Out-String))))"
# Enumerations, such as the state of a VM, would become numbers in JSON. So every property is shown
# as text.
_SCRIPT = r"""
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
$objects = @{}
$shown = @{}
$failed = $null
$command = ''
try {
    $calls = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('CALLS')) | ConvertFrom-Json
    foreach ($call in $calls) {
        $given = @{}
        foreach ($one in $call.given) {
            if ($one.of) { $given[$one.name] = $objects[$one.of] } else { $given[$one.name] = $one.value }
        }
        $command = $call.command
        $found = @(& $command @given)
        $objects[$call.label] = $found
        $rows = @()
        foreach ($object in $found) {
            $row = @{ text = [string]$object }
            foreach ($name in $call.show) { $row[$name] = [string]$object.$name }
            $rows += $row
        }
        $shown[$call.label] = $rows
    }
}
catch {
    $failed = @{ command = $command; id = $_.FullyQualifiedErrorId; kind = [string]$_.CategoryInfo.Category }
    $failed['text'] = $_.Exception.Message
}
$answer = ConvertTo-Json -Compress -Depth 5 -InputObject @{ failed = $failed; shown = $shown }
'<<' + [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($answer)) + '>>'
"""

Row = dict[str, str]
"""The properties of an object as text, and the whole object as ``text``."""


class PowerShellFailed(ChrError):
    """A cmdlet ended with an error.

    Attributes ``id`` and ``kind``: PowerShell's FullyQualifiedErrorId and category.
    """

    def __init__(self, text: str, id: str, kind: str) -> None:
        super().__init__(text)
        self.id, self.kind = id, kind


@dataclass(frozen=True)
class Of:
    """A value that stands for the objects that the call with this label found."""

    label: str


@dataclass(frozen=True)
class Call:
    """A cmdlet with its parameters; a switch has the value True."""

    command: str
    given: t.Mapping[str, str | int | bool | Of]
    show: tuple[str, ...] = ()
    """The properties to show of the objects that it finds."""
    label: str = field(default="", kw_only=True)


class WindowsHost:
    """A machine with PowerShell, reached over any connection. All errors are ChrError."""

    def __init__(
        self,
        name: str,
        execute: t.Callable[[str, bytes], tuple[int, bytes, bytes]],
        put: t.Callable[[str, str], None],
    ) -> None:
        """*execute* runs a command with a standard input. *put* copies a file to the machine.

        Both raise ChrError.
        """
        self.name = name
        self._execute = execute
        self.put = put

    def run(self, *calls: Call) -> dict[str, list[Row]]:
        """Run *calls* up to the first that fails, and return by label what each call found.

        Raises PowerShellFailed, NotPermitted, NotPossible if the machine does not have the cmdlet,
        and the errors of the connection.
        """
        wanted = [
            {
                "command": call.command,
                "given": [
                    {"name": name, "of": value.label} if isinstance(value, Of) else {"name": name, "value": value}
                    for name, value in call.given.items()
                ],
                "show": list(call.show),
                "label": call.label or str(number),
            }
            for number, call in enumerate(calls)
        ]
        script = _SCRIPT.replace("CALLS", base64.b64encode(json.dumps(wanted).encode()).decode())
        encoded = base64.b64encode(_BOOTSTRAP.encode("utf-16-le")).decode()
        # The connection psrp of ansible-core before 2.20 recognises this spelling, and runs the
        # command in its own session.
        command = f"PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand {encoded}"
        rc, output, errors = self._execute(command, base64.b64encode(script.encode()) + b"\n")
        answer = re.search(rb"<<([A-Za-z0-9+/=\s]*)>>", output)
        if not answer:
            said = message(errors, 1000) or message(output, 1000) or "it printed nothing"
            raise NotPossible(f"PowerShell on {self.name} did not run its script (exit code {rc}): {said}")
        try:
            result = loads(base64.b64decode(answer[1]))
            failed, shown = result["failed"], result["shown"]
            if failed:
                raise self._failure(*(str(failed[key]) for key in ("command", "id", "kind", "text")))
        except (KeyError, TypeError, ValueError):
            raise NotPossible(
                f"PowerShell on {self.name} answered with something other than the script's result."
            ) from None
        return t.cast("dict[str, list[Row]]", shown)

    def _failure(self, command: str, id: str, kind: str, text: str) -> ChrError:
        text = line(text, 1000)
        what = f"{command} on {self.name} failed: {text}"
        if "CommandNotFoundException" in id:
            return NotPossible(f"{self.name} has no cmdlet {command}: {text}")
        if kind == "PermissionDenied" or "AccessDenied" in id or "UnauthorizedAccess" in id:
            return NotPermitted(what)
        return PowerShellFailed(what, id, kind)
