# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.module_utils._routeros.values import seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._action import GuestAction, failure
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    GuestError,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
)

# Seconds: for one look whether the router is there, for a command that ends the agent, until an uptime tells two boots apart,
# between an order and its execution where the order must be cleared away first, for a script that does nothing slow.
_LOOK = 3.0
_GOING_DOWN = 1.0
_SETTLED = 3.0
_BEFORE = 2
_OWN = 30.0
_SILENCE = 15.0  # how long an open channel must stay silent until the machine behind it counts as off


class _Refused(NotPossible):
    """The router was asked to go down and will not."""


class ActionModule(GuestAction):
    """Reboot the router or shut it down, and wait until that is so."""

    SPEC = {
        "state": {"type": "str", "choices": ["rebooted", "shutdown"], "required": True},
        "method": {"type": "str", "choices": ["auto", "script", "agent"], "default": "auto"},
        "timeout": {"type": "float", "default": 300.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        deadline = Deadline(positive_seconds("timeout", arguments["timeout"]))
        guest.require_routeros()
        if self._task.check_mode:
            return {"changed": True, "state": arguments["state"], "msg": f"Would be done: {arguments['state']}."}
        began = time.monotonic()
        method = arguments["method"]
        if method == "script" and not guest.capabilities.live:
            raise NotPossible(
                f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so none can restart it or shut it "
                "down: it would run again after the restart. Use method: agent."
            )
        if arguments["state"] == "rebooted":
            # RouterOS's own command is seen to work; whether its agent honours the mode "reboot" is not established.
            own = "script" if guest.capabilities.live else "agent"
            method = own if method == "auto" else method
            self._reboot(guest, method, deadline)
        else:
            method = "agent" if method == "auto" else method
            self._shutdown(guest, method, deadline)
        elapsed = round(time.monotonic() - began, 3)
        return {"changed": True, "state": arguments["state"], "method": method, "elapsed": elapsed}

    def _reboot(self, guest: Guest, method: str, deadline: Deadline) -> None:
        if not guest.capabilities.live:
            self._reboot_by_boots(guest, method, deadline)
            return
        if not guest.capabilities.output:
            self._reboot_by_conditions(guest, method, deadline)
            return
        before = self._uptime(guest)
        if before < _SETTLED:  # else an uptime could not tell the new boot from the old one
            time.sleep(_SETTLED - before)
            before = self._uptime(guest)

        def look(elapsed: float) -> str | None:
            uptime = self._uptime(guest)
            return None if uptime < before + elapsed - 2 else f"has been up for {uptime:g} s"

        self._watch_reboot(guest, method, deadline, look)

    def _reboot_by_conditions(self, guest: Guest, method: str, deadline: Deadline) -> None:
        """The same where only a condition can be read: up for longer than _SETTLED before, and for less than since then after."""
        while not guest.condition(f"[/system resource get uptime] > {_SETTLED:.0f}s", 10.0):
            if deadline.expired:
                raise NotPossible(
                    f"{guest.vm!r} did not say within {deadline.seconds:g} s that it has been up for {_SETTLED:g} s, so a reboot "
                    "could not be told from none. It was not rebooted."
                )
            time.sleep(0.5)

        def look(elapsed: float) -> str | None:
            since = int(elapsed) + 1
            again = guest.condition(f"[/system resource get uptime] < {since}s", 10.0)
            return None if again else f"has been up for {since} s or more"

        self._watch_reboot(guest, method, deadline, look)

    def _reboot_by_boots(self, guest: Guest, method: str, deadline: Deadline) -> None:
        """The same where the hypervisor tells one boot from the next, and no script needs to be run."""
        before = guest.boot()

        def look(_elapsed: float) -> str | None:
            return "is in the same boot" if guest.boot() == before else None

        self._watch_reboot(guest, method, deadline, look)

    def _watch_reboot(
        self, guest: Guest, method: str, deadline: Deadline, look: t.Callable[[float], str | None]
    ) -> None:
        """Order a reboot and wait for it. *look* takes the seconds since then; None: it is another boot, else what was seen."""
        asked = time.monotonic()
        self._ask(guest, method, "reboot", "/system reboot")
        last: GuestError = AgentNotThere("it was not reached again")
        while not deadline.expired:
            time.sleep(0.25)
            try:
                guest.ping(_LOOK)
                seen = look(time.monotonic() - asked)
                if seen is None:
                    return
                if reason := guest.refusal():
                    raise _Refused(reason)
                last = NotPossible(f"it answers, and {seen}: it did not reboot")
            except _Refused:
                raise
            except GuestError as error:
                last = error
        kind = AgentNotThere if isinstance(last, AgentNotThere) else NotPossible
        raise kind(f"{guest.vm!r} was told to reboot, and is not back after {deadline.seconds:g} s: {last}")

    def _shutdown(self, guest: Guest, method: str, deadline: Deadline) -> None:
        self._ask(guest, method, "powerdown", "/system shutdown")
        silent_since: float | None = None
        while not deadline.expired:
            try:
                guest.ping(_LOOK)
                silent_since = None
                if reason := guest.refusal():
                    raise _Refused(reason)
            except AgentNotThere as error:
                silent_since = silent_since or time.monotonic() - _LOOK
                if not error.silent or time.monotonic() - silent_since >= _SILENCE:
                    return
            time.sleep(0.25)
        raise NotPossible(
            f"{guest.vm!r} was told to shut down ({method}), and that is not so after {deadline.seconds:g} s. "
            f"Try method: {'script' if method == 'agent' else 'agent'}."
        )

    def _ask(self, guest: Guest, method: str, mode: str, command: str) -> None:
        if method == "agent":
            guest.shutdown(mode)
            return
        if guest.capabilities.replays:
            # In the background: the script itself must have ended, and be gone, when the router goes down.
            self.read(guest, f':execute script=":delay {_BEFORE}s; {command}"', _OWN)
            return
        with contextlib.suppress(OutcomeUnknown):  # a router that goes down may not answer any more; it is watched next
            result = guest.run(command.encode(), _GOING_DOWN)
            if result.rc:
                raise ScriptFailed(failure(guest, result, _GOING_DOWN))

    def _uptime(self, guest: Guest) -> float:
        try:
            return seconds(text(self.read(guest, ":put [/system resource get uptime]", 10.0)))
        except ValueError as error:
            raise ScriptFailed(f"The uptime of {guest.vm!r} cannot be read: {error}.") from error
