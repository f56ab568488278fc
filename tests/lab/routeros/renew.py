# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``/system license renew``.

It is of the monitor type, which watches the router talk to the account server.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from .accounts import Answer
from .errors import ScriptError
from .evaluate import Call, Scope
from .kinds import TIME, enum
from .specs import CommandSpec, Param, params
from .values import Array, Time, Value, text

if TYPE_CHECKING:
    from .device import Router

_LEVEL = enum("p1", "p10", "p-unlimited")
_AGAIN = 0.05
"""Seconds between attempts to reach the account server."""


class _Process:
    """A renewal in the router.

    ``states`` are its states, of which the last is final once ``ended`` is true.
    """

    def __init__(self, router: Router, account: str, password: str, level: str) -> None:
        self.states = ["connecting"]
        self.ended = False
        self.changed = threading.Event()
        self.abandoned = False
        self._router = router
        self._booted_at = router.booted_at
        self._credentials = (account, password)
        self._level = level
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        answer = None
        give_up = time.monotonic() + self._router.license_switches.renew_runs_on
        while answer is None:
            try:
                answer = self._contact()
            except OSError:
                time.sleep(_AGAIN)
            if answer is None and (self.abandoned or self._rebooted() or time.monotonic() > give_up):
                return
        with self._router.lock:
            kept = not self.abandoned or self._router.license_switches.renew_late == "applied"
            if answer.status == "done" and kept and not self._rebooted():
                self._router.license.accept(answer)
                self._router.license.renewals += 1
        self._say(answer.status)
        self.ended = True
        self.changed.set()

    def _contact(self) -> Answer:
        router = self._router
        if router.accounts is None:
            raise ConnectionRefusedError("no way to the account server")
        router.accounts.reach()
        if self.abandoned:
            raise ConnectionAbortedError("nobody waits for it")
        self._say("renewing")
        with router.lock:
            router.license.catch_up(router)
            license = router.license
            expired = bool(license.limited_upgrades) and license.level != "free"
        return router.accounts.contact(
            license.system_id, router.machine, license.key_id, expired, self._credentials, self._level
        )

    def _rebooted(self) -> bool:
        return self._router.booted_at != self._booted_at

    def _say(self, state: str) -> None:
        if self.states[-1] != state:
            self.states.append(state)
        self.changed.set()


_ASKED = ("account", "password", "level")  # a command without one of them is not read (routeros-lsp, of 7.21.4)


def _renew(call: Call) -> Value:
    router, switches = call.router, call.router.license_switches
    # Without a terminal there is nobody to ask for what is missing.
    if missing := [name for name in _ASKED if not text(call.get(name))]:
        raise ScriptError(f"missing value(s) of argument(s) {' '.join(missing)}")
    level = text(_LEVEL.read(router, "level", call.args["level"]))
    interval = _seconds(call, "interval", 1.0)
    if not 0.02 <= interval <= 5:
        raise ScriptError("value of interval out of range (00:00:00.020..00:00:05)")
    duration = _seconds(call, "duration", switches.renew_runs_on)
    process = _Process(router, _utf8(call.args["account"]), _utf8(call.args["password"]), level)
    sections = _Sections(call)
    if "once" in call.args:
        sections.add(process.states[0])
        return sections.result()
    ends_early = "duration" in call.args and switches.renew_ends_early
    shown, due, end = 0, 0.0, time.monotonic() + duration
    try:
        while True:
            process.changed.clear()
            ended, now = process.ended, time.monotonic()
            fresh = process.states[shown:]
            if not fresh and now >= due:
                fresh = process.states[-1:]
            for state in fresh:
                sections.add(state)
                due = now + interval
            shown = max(shown, len(process.states) if fresh else 0)
            if (ended and ends_early and shown == len(process.states)) or now >= end:
                return sections.result()
            process.changed.wait(min(max(due - now, 0.001), end - now, 0.05))
            call.interpreter.check()
    finally:
        process.abandoned = True


def _seconds(call: Call, name: str, default: float) -> float:
    if name not in call.args:
        return default
    value = TIME.read(call.router, name, call.args[name])
    return value.seconds if isinstance(value, Time) else default


class _Sections:
    """What the command shows, section by section."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._found: list[str] = []
        self._all = call.router.license_switches.renew_sections == "all"

    def add(self, state: str) -> None:
        call = self._call
        self._found.append(state)
        if "do" in call.args:
            scope = Scope(call.scope.shared, call.scope)
            scope.local.update({".section": len(self._found) - 1, "status": state})
            call.block("do", scope)
        elif self._all and not {"as-value", "file"} & set(call.args):
            call.output.line(f"  status: {state}")

    def result(self) -> Value:
        call, states = self._call, self._found if self._all else self._found[-1:]
        value = self._shown(states)
        if call.router.license_switches.renew_error_fails and states and states[-1].startswith("ERROR"):
            raise ScriptError(states[-1])
        return value

    def _shown(self, states: list[str]) -> Value:
        call = self._call
        if "as-value" in call.args:
            found = [Array([], {".section": at, "status": state}) for at, state in enumerate(self._found)]
            return Array(list(found)) if self._all else found[-1]
        lines = [f"  status: {state}" for state in states]
        if "file" in call.args:
            name, newline = f"{text(call.args['file'])}.txt", call.output.newline
            old = call.router.files[name].data if "append" in call.args and name in call.router.files else b""
            call.router.write_file(name, old + "".join(line + newline for line in lines).encode("latin-1"))
        elif not self._all and "do" not in call.args:
            call.output.line(lines[0])
        return None


_PARAMS = (
    *params("text", "account", "password", "level", "duration", "interval"),
    *params("flag", "once", "as-value", "without-paging"),
    Param("do", "block"),
)
_SEEN = (*params("text", "file"), *params("flag", "append"))  # observed from 7.9 on; before, nobody has looked
RENEW = tuple(
    CommandSpec("renew", _renew, _PARAMS + more, required=_ASKED, since=since, locked=False)
    for since, more in (((0,), ()), ((7, 9), _SEEN), ((7, 22), (*_SEEN, *params("text", "freeze-frame-interval"))))
)


def _utf8(value: Value | None) -> str:
    """Bytes, as RouterOS has them, as the text that the server is told."""
    return text(value).encode("latin-1").decode("utf-8", "surrogateescape")
