# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at a router and the way to it, step by step, and changes nothing.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import secrets
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.bounded import Overrun, bounded
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible, ScriptFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import doctor
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.doctor import Check, Patient
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote

from .errors import fault
from .readiness import has_interfaces

_ONLY_AT_BOOT = (
    "Not looked at, because backend {backend} runs a script only when the router boots. outofband.chr.license_info reads the "
    "license with such a boot."
)
_SLOW = (
    "Not looked at, because backend {backend} reads it bit by bit, which takes minutes. outofband.chr.license_info reads the "
    "license."
)
_MANY_JOBS = 4  # times the seconds of a step for a license that is read bit by bit


class Examination:
    """One look at the router *guest*.

    *seconds*: for each step. *tasks*: those for which a missing privilege counts as wrong.
    *read_license*: returns what outofband.chr.license_info returns as ``license``.
    """

    def __init__(
        self, guest: Guest, seconds: float, tasks: t.Collection[str], read_license: t.Callable[[], dict[str, t.Any]]
    ) -> None:
        self._guest = guest
        self._seconds = seconds
        self._tasks = tasks
        self._read_license = read_license
        self._checks = guest.checks()
        self._place = "", ""
        self._commands: tuple[str, ...] = ()
        self._version = ""
        self._read: dict[str, t.Any] = {}
        self._made = {"settings": Check("settings", "good", "ok")}

    def patient(self, name: str) -> Patient:
        """Make all checks of the router *name*."""
        stuck = ""
        for step in list(doctor.TITLES)[1:]:
            skipped = doctor.not_made(step, self._made) or self._not_possible(step)
            if stuck:
                skipped = Check(step, "skipped", "-", f"Not looked at, because the step {stuck} has not ended.")
            if skipped:
                self._made[step] = skipped
                continue
            began = time.monotonic()
            seconds = self._seconds
            if step == "license" and not self._guest.capabilities.output:
                seconds *= _MANY_JOBS
            try:
                check = bounded(getattr(self, f"_{step}"), seconds)
            except ChrError as error:
                check = doctor.failed(step, error)
            except Overrun:
                check, stuck = doctor.overdue(step, seconds), doctor.TITLES[step]
            except Exception as error:  # of a library; it must not hide the other checks
                check = doctor.failed(step, fault(error))
            self._made[step] = doctor.timed(check, time.monotonic() - began)
        return Patient(name, self._guest.backend, *self._place, self._version, tuple(self._made.values()))

    def _not_possible(self, step: str) -> Check | None:
        if step in ("script", "license", "clock", "cards") and not self._guest.capabilities.runs_without_restart:
            return Check(step, "skipped", "at boot", _ONLY_AT_BOOT.format(backend=self._guest.backend))
        if step in ("license", "clock") and self._guest.capabilities.reads_slowly:
            return Check(step, "skipped", "slow", _SLOW.format(backend=self._guest.backend))
        return None

    # -- the hypervisor ----------------------------------------------------------------------------

    def _hypervisor(self) -> Check:
        return Check("hypervisor", "good", "ok", f"Reached {self._checks.reach()}.")

    def _vm(self) -> Check:
        self._place = self._guest.place()
        return Check("vm", "good", "ok", f"Found {self._place[1]} at {self._place[0]}.")

    def _privileges(self) -> Check:
        found = [(one.privilege.name, one.privilege.task, one.granted) for one in self._checks.privileges()]
        return doctor.privileges(found, self._tasks)

    def _power(self) -> Check:
        try:
            power = self._guest.power()
            is_on = power.is_on()
        except NotPossible as error:
            return Check("power", "note", "unknown", str(error), "Look whether the machine is on.")
        if "power" in self._tasks:
            try:
                power.check()
            except NotPossible as error:
                return Check("power", "wrong", "no switch", str(error), doctor.NO_SWITCH, hides=not is_on)
        if is_on:
            return Check("power", "good", "on", "The machine is on.")
        return Check(
            "power",
            "wrong",
            "off",
            f"The machine of {self._guest.vm!r} ({self._place[1]}) is off.",
            doctor.CURES["power"],
        )

    def _channel(self) -> Check:
        try:
            return Check("channel", "good", "ok", f"Scripts go through {self._checks.channel()}.")
        except NotPossible as error:
            cure = doctor.CURES["channel"] if self._guest.capabilities.agent else doctor.NO_AGENT
            return Check("channel", "wrong", "missing", str(error), cure)

    # -- the agent ---------------------------------------------------------------------------------

    def _agent(self) -> Check:
        began = time.monotonic()
        self._guest.ping(self._seconds / 2)
        return Check("agent", "good", _milliseconds(began), "The guest agent answers.")

    def _routeros(self) -> Check:
        report = self._guest.report()
        self._commands = report.agent_commands
        system = report.os or {}
        told = str(system.get("pretty_name") or system.get("name") or "")
        if report.os is None:
            return Check("routeros", "good", "not told", "The agent does not tell its system. A script shows it.")
        if system.get("id") != "routeros":
            self._guest.require_routeros()
        self._version = str(system.get("version") or told.removeprefix("RouterOS "))
        return Check("routeros", "good", self._version or "yes", f"The system is {told or 'RouterOS'}.")

    def _script(self) -> Check:
        nonce = f"outofband-{secrets.token_hex(8)}"
        began = time.monotonic()
        result = self._guest.checked(self._guest.run(f":put {quote(nonce)}".encode(), self._seconds), self._seconds)
        took = _milliseconds(began)
        if self._guest.capabilities.output and nonce.encode() not in result.output:
            raise ScriptFailed(f"A script printed {excerpt(result.output)} instead of the expected text.")
        return Check(
            "script", "good", f"{result.exec_mode} {took}", f"A script took {took} by the way {result.exec_mode}."
        )

    def _files(self) -> Check:
        can = self._guest.capabilities
        offered = not self._commands or "guest-file-open" in self._commands
        largest, why = None, ""
        try:
            largest = self._checks.largest_file()
        except ChrError as error:
            why = str(error)
        return doctor.files(can.files, largest, why, can.small_files, can.output, offered)

    # -- the router --------------------------------------------------------------------------------

    def _license(self) -> Check:
        self._read = self._read_license()
        self._version = self._read["routeros"] or self._version
        return doctor.license(self._read)

    def _clock(self) -> Check:
        return doctor.clock(self._read["clock_ahead"], self._read["clock_wrong"])

    def _cards(self) -> Check:
        addresses = self._checks.cards()
        wanted = 1 if addresses is None else len(addresses)
        with self._guest.exchange():
            enough = self._true(*has_interfaces(wanted).values())
            missing = [] if enough else [one for one in addresses or () if one and not self._true(_has_card(one))]
        return doctor.cards(addresses, missing, enough)

    def _true(self, expression: str) -> bool:
        return self._guest.condition(expression, self._seconds)


def _has_card(address: str) -> str:
    return f"[:len [/interface ethernet find where mac-address={quote(address)}]] > 0"


def _milliseconds(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.0f} ms"
