# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import itertools
import time
import typing as t

from ansible_collections.outofband.chr.plugins.module_utils._routeros import renewal
from ansible_collections.outofband.chr.plugins.module_utils._routeros.licence import (
    LEVELS,
    READ_SCRIPT,
    Reading,
    Unreadable,
    from_output,
    refusal,
)
from ansible_collections.outofband.chr.plugins.module_utils._routeros.renewal import Renewal, RenewalOutcome
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    GuestError,
    InvalidInput,
    OutcomeUnknown,
    ScriptFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._licence import (
    READ_TIMEOUT,
    LicenceAction,
    as_result,
    lines,
)

_DURATION = 30  # seconds that the router may talk with the account server
_MARK = "outofband: the licence after the renewal"
_LOOKS = (0.0, 1.0, 2.0, 3.0, 5.0)  # seconds before each look at the licence; the last one again and again

_ENDS = {
    Renewal.UNAUTHORIZED: "The account server refused the account or the password (account, password: those of mikrotik.com).",
    Renewal.TOO_MANY_TRIALS: "The account has no trial left. Buy a licence for the router in the account, or use another account.",
    Renewal.EXPIRED: "The licence has expired for good: only a prepaid key, put on the router in the account, licenses it again.",
    Renewal.UNREACHABLE: "The router cannot reach the account server (licence.mikrotik.com): look at its route, DNS and firewall.",
    Renewal.CONNECTING: (
        f"The router did not reach the account server (licence.mikrotik.com) within {_DURATION} s: look at its route, DNS and "
        "firewall."
    ),
    Renewal.MISSING_ARGUMENT: "RouterOS missed an argument of its renew command.",
    Renewal.FAILED: "The account server or RouterOS refused the renewal.",
}
_REFUSES_ACCOUNT = (Renewal.UNAUTHORIZED, Renewal.TOO_MANY_TRIALS)


class ActionModule(LicenceAction):
    """Give the router at least a level, or have it renew its licence."""

    SPEC = {
        "account": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
        "level": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "renewed"], "default": "present"},
        "renew_before": {"type": "float"},
        "purchased": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 120.0},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        self._secrets: list[str] = []
        result = super().run(tmp, task_vars)
        for key in ("msg", "warnings"):  # texts in which an agent may have quoted what it was given
            if key in result:
                result[key] = _redacted(result[key], self._secrets)
        return result

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = positive_seconds("timeout", arguments["timeout"])
        account, password = _credentials(arguments)
        self._secrets = [password]
        wanted, renewed = arguments["level"], arguments["state"] == "renewed"
        if wanted is not None and wanted not in LEVELS[1:]:
            raise InvalidInput(_no_level(wanted))
        if wanted is None and not renewed and arguments["renew_before"] is None:
            raise InvalidInput("level is missing: state present makes sure of at least that level.")
        if self._task.check_mode and not guest.capabilities.live:
            return {
                "changed": True,
                "needed": True,
                "msg": f"The licence of {guest.vm!r} cannot be read without a boot, which check mode does without.",
            }

        before = self.reading(guest)
        result = self._result(guest, before, before, arguments)
        level = self._level(guest, before, arguments)
        result["needed"] = level is not None
        if level is None:
            return result
        if self._task.check_mode:
            result["changed"] = True
            if self._task.diff:
                result["diff"] = {"before": lines(result["before"]), "after": f"level: {level}\n(renewed)\n"}
            return result
        try:
            outcome, after = self._renew(guest, before, (account, password, level), timeout)
        finally:
            if not guest.capabilities.output:
                with contextlib.suppress(GuestError):
                    guest.run(renewal.remove_status().encode(), READ_TIMEOUT)
        return self._ended(guest, before, after, outcome, arguments, level)

    # -- is it needed ------------------------------------------------------------------------------------------------

    def _level(self, guest: Guest, before: Reading, arguments: dict[str, t.Any]) -> str | None:
        """The level to ask for; None where nothing is to be done. Raises InvalidInput for what must not be asked."""
        licence, wanted = before.licence, arguments["level"]
        rank = LEVELS.index(licence.level)
        higher = wanted is not None and LEVELS.index(wanted) > rank
        within = arguments["renew_before"]
        due = within is not None and licence.renewal_due(before.clock.local, within)
        if arguments["state"] == "renewed":
            needed = within is None or due
            level = wanted or licence.level
        else:
            needed = higher or due
            level = wanted if higher else licence.level
        if not needed:
            return None
        if level == "free":
            raise InvalidInput(f"{guest.vm!r} has no licence yet, so level is needed: {', '.join(LEVELS[1:])}.")
        if reason := refusal(licence, level, arguments["purchased"]):
            raise InvalidInput(f"The licence of {guest.vm!r} was left alone. {reason}")
        return str(level)

    # -- renewing ----------------------------------------------------------------------------------------------------

    def _renew(
        self, guest: Guest, before: Reading, request: tuple[str, str, str], timeout: float
    ) -> tuple[RenewalOutcome, Reading | None]:
        """(what the router said of it, the licence afterwards); no licence where it cannot be read any more."""
        deadline = Deadline(timeout)
        level = request[2]
        outcome, after = self._ask(guest, request, timeout)
        if not guest.capabilities.output:
            after = self._look(guest)
            if not _arrived(before, after, level, outcome):
                outcome = self._reason(guest) or outcome
        if outcome.kind in _ENDS:
            return outcome, after or self._look(guest)
        pauses = itertools.chain(_LOOKS, itertools.repeat(_LOOKS[-1]))
        while not _arrived(before, after, level, outcome):
            if deadline.expired or (after and not guest.capabilities.live):  # a look costs a boot there
                break
            time.sleep(min(next(pauses), deadline.remaining))
            after = self._look(guest) or after
        return outcome, after

    def _ask(
        self, guest: Guest, request: tuple[str, str, str], timeout: float
    ) -> tuple[RenewalOutcome, Reading | None]:
        """Run the command, and read the licence in the same script where its output comes back."""
        duration = max(1, min(_DURATION, int(timeout)))
        script = renewal.renew_script(*request, duration)
        patience = duration + 30.0
        try:
            if not guest.capabilities.output:
                return self._ask_silently(guest, script, patience), None
            result = guest.run_secret(f'{script}\n:put "{_MARK}"\n{READ_SCRIPT}'.encode(), patience)
        except OutcomeUnknown as error:  # such as a router that restarts meanwhile
            return RenewalOutcome(Renewal.RENEWING, str(error)), None
        if result.rc is None:
            return RenewalOutcome(Renewal.RENEWING, f"The command did not end within {patience:g} s."), None
        said, marked, licence = result.output.partition(_MARK.encode())
        outcome = renewal.renewal_outcome(said, [request[1]])
        if not marked or result.rc != 0:
            return outcome, None
        try:
            return outcome, from_output(licence)
        except Unreadable:
            return outcome, None

    def _ask_silently(self, guest: Guest, script: str, patience: float) -> RenewalOutcome:
        """Where no output comes back, the router keeps the status in a file, if its version can: asked before, as the account

        server must not be asked twice.
        """
        if guest.run(renewal.KNOWS_STATUS_FILE.encode(), READ_TIMEOUT).rc == 0:
            script += f" file={renewal.STATUS_FILE}"
        result = guest.run_secret(script.encode(), patience)
        return RenewalOutcome(Renewal.RENEWING if result.rc is None else Renewal.SILENT, "")

    def _look(self, guest: Guest) -> Reading | None:
        try:
            return self.reading(guest)
        except (AgentNotThere, ScriptFailed, OutcomeUnknown):
            return None  # it may restart, or renew just now

    def _reason(self, guest: Guest) -> RenewalOutcome | None:
        """Where no output comes back: what the router wrote into the file of the status, as far as questions can tell."""
        found = None
        with contextlib.suppress(ScriptFailed, InvalidInput):  # this RouterOS writes no such file
            found = next(
                (kind for kind in renewal.STATUS_WORDS if guest.condition(renewal.status_has(kind[1]), READ_TIMEOUT)),
                None,
            )
        return RenewalOutcome(*found) if found else None

    # -- the result --------------------------------------------------------------------------------------------------

    def _ended(
        self,
        guest: Guest,
        before: Reading,
        after: Reading | None,
        outcome: RenewalOutcome,
        arguments: dict[str, t.Any],
        level: str,
    ) -> dict[str, t.Any]:
        result = self._result(guest, before, after or before, arguments)
        result["renewal"] = {"outcome": outcome.kind.value, "text": _redacted(outcome.text, self._secrets)}
        result["account_refused"] = outcome.kind in _REFUSES_ACCOUNT
        result["needed"] = True
        if _arrived(before, after, level, outcome):
            return result
        said = f" It said: {outcome.text}." if outcome.text else ""
        if after is None:
            text = (
                f"{guest.vm!r} was told to renew its licence and cannot be asked since, so the outcome is unknown.{said} "
                "It is safe to run this again: it looks at the licence first."
            )
            return {**result, "failed": True, "changed": True, "msg": text, "license": None}
        if outcome.kind in _ENDS:
            text = f"The licence of {guest.vm!r} was not renewed. {_ENDS[outcome.kind]}{said}"
        elif outcome.kind is Renewal.DONE:
            text = (
                f"The account server answered {guest.vm!r} with done, and its licence is still {after.licence.level} after "
                f"{arguments['timeout']:g} s. Look at it in the account at mikrotik.com."
            )
        else:
            text = (
                f"{guest.vm!r} was told to renew its licence, and nothing of that is to be seen after {arguments['timeout']:g} s."
                f"{said} It may still come. It is safe to run this again: it looks at the licence first."
            )
        return {**result, "failed": True, "msg": text}

    def _result(self, guest: Guest, before: Reading, after: Reading, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        within = arguments["renew_before"] or 0.0
        result = self.report(guest, after, within)
        result |= {
            "changed": after.licence != before.licence,
            "before": as_result(before, within),
            "renewal": None,
            "account_refused": False,
        }
        if self._task.diff:
            result["diff"] = {"before": lines(result["before"]), "after": lines(result["license"])}
        return result


def _credentials(arguments: dict[str, t.Any]) -> tuple[str, str]:
    for name in ("account", "password"):
        if not arguments[name]:
            raise InvalidInput(
                f"{name} is missing or empty: the router renews its licence with an account of mikrotik.com. Nothing was done."
            )
    return str(arguments["account"]), str(arguments["password"])


def _no_level(wanted: str) -> str:
    more = " A licence never goes down to free." if wanted == "free" else ""
    return f"level {wanted!r} cannot be asked for: it is {', '.join(LEVELS[1:])}.{more}"


def _arrived(before: Reading, after: Reading | None, level: str, outcome: RenewalOutcome) -> bool:
    """Whether the licence shows that the renewal went through."""
    if after is None or after.licence.free:
        return False
    enough = LEVELS.index(after.licence.level) >= LEVELS.index(level)
    if not enough or after.licence.expired(after.clock.local):
        return False
    answered = outcome.kind in (Renewal.DONE, Renewal.ALREADY_RENEWED)
    return after.licence != before.licence or answered


def _redacted(value: t.Any, secrets: list[str]) -> t.Any:
    if isinstance(value, list):
        return [_redacted(one, secrets) for one in value]
    return renewal.redacted(value, secrets) if isinstance(value, str) else value
