# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import (
    Deadline,
    poll_interval,
    positive_seconds,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    TimedOut,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import seconds

# All in seconds.
_LOOK = 3.0  # for one check whether the router answers
_GOING_DOWN = 1.0  # for the answer to a command that ends the agent
_SETTLED = 3.0  # the uptime from which two boots can be distinguished
_BEFORE = 2  # between an order and its execution, so that the script can be removed first
_OWN = 30.0  # for a short script
_PACE = 0.25  # the shortest time between two looks at a machine that goes down


class _Refused(NotPossible):
    """The router was told to restart or shut down, and refused."""


class ActionModule(GuestAction):
    """Reboot the router or shut it down, and wait until this has happened."""

    SPEC = {
        "state": {"type": "str", "choices": ["rebooted", "shutdown"], "required": True},
        "method": {"type": "str", "choices": ["auto", "script", "agent"], "default": "auto"},
        "timeout": {"type": "float", "default": 300.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        deadline = Deadline(positive_seconds("timeout", arguments["timeout"]))
        guest.require_routeros()
        if self._task.check_mode:
            return {
                "changed": True,
                "state": arguments["state"],
                "msg": f"The router would have been asked for state {arguments['state']}.",
            }
        began = time.monotonic()
        method = arguments["method"]
        if method == "script" and not guest.capabilities.runs_without_restart:
            raise NotPossible(
                f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so a script cannot restart it "
                "or shut it down: it would run again after the restart. Use method: agent."
            )
        if arguments["state"] == "rebooted":
            # RouterOS's own command is known to work; it is not known whether its agent honours the
            # mode "reboot".
            own = "script" if guest.capabilities.runs_without_restart else "agent"
            method = own if method == "auto" else method
            self._reboot(guest, method, deadline)
        else:
            method = "agent" if method == "auto" else method
            self._shutdown(guest, method, deadline)
        elapsed = round(time.monotonic() - began, 3)
        return {"changed": True, "state": arguments["state"], "method": method, "elapsed": elapsed}

    def _reboot(self, guest: Guest, method: str, deadline: Deadline) -> None:
        if not guest.capabilities.runs_without_restart:
            self._reboot_by_boots(guest, method, deadline)
            return
        if not guest.capabilities.output:
            self._reboot_by_conditions(guest, method, deadline)
            return
        before = self._uptime(guest)
        if before < _SETTLED:  # the uptimes of the old and the new boot must differ
            time.sleep(_SETTLED - before)
            before = self._uptime(guest)

        def look(elapsed: float) -> str | None:
            uptime = self._uptime(guest)
            return None if uptime < before + elapsed - 2 else f"has been up for {uptime:g} s"

        self._watch_reboot(guest, method, deadline, look)

    def _reboot_by_conditions(self, guest: Guest, method: str, deadline: Deadline) -> None:
        """Reboot where only conditions can be read.

        The uptime must be longer than _SETTLED before, and shorter than the time since the order
        afterwards.
        """
        while not guest.condition(f"[/system resource get uptime] > {_SETTLED:.0f}s", 10.0):
            if deadline.expired:
                raise TimedOut(
                    f"{guest.vm!r} did not reach an uptime of {_SETTLED:g} s within {deadline.seconds:g} s. Without it, a reboot "
                    "could not be recognized, so it was not rebooted."
                )
            time.sleep(0.5)

        def look(elapsed: float) -> str | None:
            since = int(elapsed) + 1
            again = guest.condition(f"[/system resource get uptime] < {since}s", 10.0)
            return None if again else f"has been up for {since} s or more"

        self._watch_reboot(guest, method, deadline, look)

    def _reboot_by_boots(self, guest: Guest, method: str, deadline: Deadline) -> None:
        """Reboot where the hypervisor tells one boot from the next, without a script."""
        before = guest.boot()

        def look(_elapsed: float) -> str | None:
            return "is in the same boot" if guest.boot() == before else None

        self._watch_reboot(guest, method, deadline, look)

    def _watch_reboot(
        self, guest: Guest, method: str, deadline: Deadline, look: t.Callable[[float], str | None]
    ) -> None:
        """Order a reboot and wait for it.

        *look* takes the seconds since the order. It returns None after another boot, or else what
        it saw.
        """
        asked = time.monotonic()
        self._ask(guest, method, "reboot", "/system reboot")
        last: ChrError = Unreachable("it was not reached again")
        while not deadline.expired:
            time.sleep(0.25)
            try:
                guest.ping(_LOOK)
                seen = look(time.monotonic() - asked)
                if seen is None:
                    return
                if reason := guest.why_it_stays_up():
                    raise _Refused(reason)
                last = TimedOut(f"it answers, but {seen}, so it did not reboot")
            except _Refused:
                raise
            except ChrError as error:
                last = error
        kind = Unreachable if isinstance(last, Unreachable) else TimedOut
        raise kind(f"{guest.vm!r} was told to reboot, but is not back after {deadline.seconds:g} s: {last}")

    def _shutdown(self, guest: Guest, method: str, deadline: Deadline) -> None:
        """Order a shutdown and wait until the hypervisor says that the machine is off.

        Nothing else ends that wait: a silent agent, or a server that cannot be reached, says
        nothing about the machine.
        """
        if guest.is_off():
            raise NotPossible(
                f"{guest.vm!r} was not told to shut down: it answers, although backend {guest.backend} says that its machine is "
                "off. So the end of the shutdown could not be seen. Is another machine in between?"
            )
        self._ask(guest, method, "powerdown", "/system shutdown")
        asked = time.monotonic()
        unseen: ChrError | None = None
        while not deadline.expired:
            try:
                if guest.is_off():
                    return
                unseen = None
                reason = guest.why_it_stays_up()
            except ChrError as error:
                unseen, reason = error, None
            if reason:
                raise _Refused(reason)
            time.sleep(min(max(_PACE, poll_interval(time.monotonic() - asked)), deadline.remaining))
        told = f"{guest.vm!r} was told to shut down ({method})"
        if unseen:
            kind = Unreachable if isinstance(unseen, Unreachable) else TimedOut
            raise kind(f"{told}, but whether it is off could not be seen after {deadline.seconds:g} s: {unseen}")
        raise TimedOut(
            f"{told}, but has not done so after {deadline.seconds:g} s: its machine still runs. "
            f"Try method: {'script' if method == 'agent' else 'agent'}."
        )

    def _ask(self, guest: Guest, method: str, mode: str, command: str) -> None:
        if method == "agent":
            guest.shutdown(mode)
            return
        if guest.capabilities.may_run_again_at_boot:
            # In the background, because the script must have ended and been removed before the
            # router goes down.
            self.read(guest, f':execute script=":delay {_BEFORE}s; {command}"', _OWN)
            return
        with contextlib.suppress(OutcomeUnknown):  # a router that goes down may not answer; it is watched next
            result = guest.run(command.encode(), _GOING_DOWN)
            if result.rc:
                raise ScriptFailed(guest.failure(result, _GOING_DOWN))

    def _uptime(self, guest: Guest) -> float:
        try:
            return seconds(text(self.read(guest, ":put [/system resource get uptime]", 10.0)))
        except ValueError as error:
            raise ScriptFailed(f"The uptime of {guest.vm!r} cannot be read: {error}.") from error
