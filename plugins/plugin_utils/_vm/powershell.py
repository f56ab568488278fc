# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Cmdlets of a Windows machine, called one after the other in one PowerShell (5 or 7), with exactly the values that are given.

The script never changes: what to call comes to it as JSON in base64 and goes to the cmdlets as values (splatting), so no value can
become a part of the script, and no code page of a console spoils one. It answers in the same way. The command line is short and
always the same, as Windows takes 8191 characters; the script itself comes over standard input, as Ansible's modules do.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError, NotPermitted, NotPossible

_BOOTSTRAP = "Invoke-Expression ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String(($input | Out-String))))"
# Enumerations, such as the state of a VM, would become numbers in JSON; so every property is shown as text.
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


class PowerShellFailed(GuestError):
    """A cmdlet ended with an error. Attributes ``id`` and ``kind``: PowerShell's FullyQualifiedErrorId and category."""

    def __init__(self, text: str, id: str, kind: str) -> None:
        super().__init__(text)
        self.id, self.kind = id, kind


@dataclass(frozen=True)
class Of:
    """As a value: what the call with this label found."""

    label: str


@dataclass(frozen=True)
class Call:
    """A cmdlet with its parameters; a switch has the value True."""

    command: str
    given: t.Mapping[str, str | int | bool | Of]
    show: tuple[str, ...] = ()
    """The properties that are wanted of what it finds."""
    label: str = field(default="", kw_only=True)


class WindowsHost:
    """A machine with PowerShell, whatever the connection to it is. All errors are GuestError."""

    def __init__(
        self,
        name: str,
        execute: t.Callable[[str, bytes], tuple[int, bytes, bytes]],
        put: t.Callable[[str, str], None],
    ) -> None:
        """*execute* runs a command with a standard input, *put* copies a file of the controller there; both raise GuestError."""
        self.name = name
        self._execute = execute
        self.put = put

    def run(self, *calls: Call) -> dict[str, list[Row]]:
        """Call all, up to the first that fails: what each found, by its label.

        Raises PowerShellFailed, NotPermitted, NotPossible where there is no such cmdlet, and what the connection raises.
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
        # Spelled as the connection psrp of ansible-core before 2.20 knows it, which then runs it in its own session.
        command = f"PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand {encoded}"
        rc, output, errors = self._execute(command, base64.b64encode(script.encode()) + b"\n")
        answer = re.search(rb"<<([A-Za-z0-9+/=\s]*)>>", output)
        if not answer:
            said = (errors.strip() or output.strip() or b"it printed nothing").decode("utf-8", "replace")[-1000:]
            raise NotPossible(f"PowerShell on {self.name} did not run what it was given (exit code {rc}): {said}")
        result = json.loads(base64.b64decode(answer[1]))
        if result["failed"]:
            raise self._failure(**result["failed"])
        return t.cast("dict[str, list[Row]]", result["shown"])

    def _failure(self, command: str, id: str, kind: str, text: str) -> GuestError:
        what = f"{command} on {self.name} failed: {text.strip()}"
        if "CommandNotFoundException" in id:
            return NotPossible(f"{self.name} has no cmdlet {command}: {text.strip()}")
        if kind == "PermissionDenied" or "AccessDenied" in id or "UnauthorizedAccess" in id:
            return NotPermitted(what)
        return PowerShellFailed(what, id, kind)
