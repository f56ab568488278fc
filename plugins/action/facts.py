# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.outofband.chr.plugins.module_utils._routeros import facts
from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import readable
from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction, failure
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest, checked
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.bits import time
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    InvalidInput,
    NotPossible,
    OutputCut,
    ScriptFailed,
)

_PAGE = 4  # items of a menu in one script, where its output has a bound


class ActionModule(GuestAction):
    """RouterOS facts, under the names of community.routeros.facts."""

    SPEC = {"gather_subset": {"type": "list", "elements": "str", "default": ["!config"]}}

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = self.script_timeout(arguments)
        try:
            names = facts.subsets(arguments["gather_subset"])
        except ValueError as error:
            raise InvalidInput(f"gather_subset: {error}.") from error

        if self._task.check_mode and not guest.capabilities.live:
            return {
                "changed": False,
                "skipped": True,
                "msg": f"Facts of {guest.vm!r} need a boot, which check mode does without.",
            }
        if not guest.capabilities.output:
            return self._by_values(guest, arguments["gather_subset"], timeout)

        def read(script: str) -> bytes:
            return self.read(guest, script, timeout)

        def maybe(script: str) -> bytes | None:
            # A menu that this RouterOS does not have makes the whole script a syntax error; nothing of it has run then.
            result = guest.run(script.encode(), timeout)
            if result.timed_out:
                raise ScriptFailed(failure(guest, result, timeout))
            return checked(guest, result, timeout).output if result.rc == 0 else None

        try:
            with guest.exchange():
                gathered = facts.gather(names, read, maybe, _PAGE if guest.capabilities.max_output else None)
        except OutputCut as error:
            raise OutputCut(
                f"{error} Leave the subset that is so long out of gather_subset, such as config."
            ) from error
        except ValueError as error:
            raise ScriptFailed(f"The facts of {guest.vm!r} cannot be read: {error}.") from error
        return _result(gathered)

    def _by_values(self, guest: Guest, asked: list[str], timeout: float) -> dict[str, t.Any]:
        """What can be read where a script's output cannot: single values of the subset ``default``."""
        if more := sorted(name for name in asked if not name.startswith("!") and name not in ("default", "all")):
            raise NotPossible(
                f"Backend {guest.backend} reads single values only, so gather_subset {', '.join(more)} cannot be had from "
                f"{guest.vm!r}: use 'default'."
            )

        def value(expression: str, likely: t.Sequence[bytes]) -> str | None:
            try:
                return readable(guest.read(expression, timeout, likely))
            except ScriptFailed:
                return None  # this RouterOS has no such property

        gathered = facts.gather_values(value)
        with contextlib.suppress(ScriptFailed):
            gathered["uptime"] = time(int(guest.read_seconds("[/system resource get uptime]", timeout)))
        return _result(gathered)


def _result(gathered: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"changed": False, "ansible_facts": {f"ansible_net_{key}": value for key, value in gathered.items()}}
