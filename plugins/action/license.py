# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import itertools
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import refused_accounts
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import failure
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.license import (
    READ_TIMEOUT,
    LicenseAction,
    as_result,
    lines,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import (
    Deadline,
    days_from_zero,
    positive_seconds,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    LoginRefused,
    OutcomeUnknown,
    ScriptFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import renewal
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import (
    LEVELS,
    READ_SCRIPT,
    Reading,
    Unreadable,
    from_output,
    why_not_renew,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.renewal import Renewal, RenewalOutcome

_DURATION = 30  # seconds for the router's talk with the account server
_MARK = "outofband: the license after the renewal"
_LOOKS = (0.0, 1.0, 2.0, 3.0, 5.0)  # seconds before each reading of the license; the last one repeats

_ENDS = {
    Renewal.UNAUTHORIZED: "The account server refused the account or the password (account, password: those of mikrotik.com).",
    Renewal.TOO_MANY_TRIALS: "The account has no trial left. Buy a license for the router in the account, or use another account.",
    Renewal.EXPIRED: "The license has expired for good. Only a prepaid key, assigned to the router in the account, renews it.",
    Renewal.UNREACHABLE: "The router cannot reach the account server (licence.mikrotik.com): check its route, DNS and firewall.",
    Renewal.CONNECTING: (
        f"The router did not reach the account server (licence.mikrotik.com) within {_DURATION} s: check its route, DNS and "
        "firewall."
    ),
    Renewal.MISSING_ARGUMENT: "RouterOS reported that an argument of its renew command is missing.",
    Renewal.FAILED: "The account server or RouterOS refused the renewal.",
}
_REFUSES_ACCOUNT = (Renewal.UNAUTHORIZED, Renewal.TOO_MANY_TRIALS)


class ActionModule(LicenseAction):
    """Ensure a license of at least a given level, or renew the license."""

    SPEC = {
        "account": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
        "level": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "renewed"], "default": "present"},
        "renew_before": {"type": "float"},
        "purchased": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 120.0},
    }

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = positive_seconds("timeout", arguments["timeout"])
        if arguments["renew_before"] is not None:
            days_from_zero("renew_before", arguments["renew_before"])
        account, password = _credentials(arguments)
        protect(quote(password)[1:-1])  # a script has it in this form, and an agent can show the script in base64
        wanted, renewed = arguments["level"], arguments["state"] == "renewed"
        if wanted is not None and wanted not in LEVELS[1:]:
            raise InvalidInput(_no_level(wanted))
        if wanted is None and not renewed and arguments["renew_before"] is None:
            raise InvalidInput(
                "level and renew_before are missing: state present needs the level that the router shall have at least, or the "
                "days before the deadline in which its license is renewed."
            )
        if self._task.check_mode and not guest.capabilities.runs_without_restart:
            return {
                "changed": True,
                "needed": True,
                "msg": f"The license of {guest.vm!r} was not read: that needs a boot, which check mode does not do.",
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
        if refused_accounts.known(account, password):
            return {**result, "account_refused": True, **failure(_already_refused(guest), LoginRefused)}
        try:
            outcome, after = self._renew(guest, before, (account, password, level), timeout)
        finally:
            if not guest.capabilities.output:
                with contextlib.suppress(ChrError):
                    guest.run(renewal.remove_status().encode(), READ_TIMEOUT)
        if outcome.kind is Renewal.UNAUTHORIZED:
            refused_accounts.remember(account, password)
        return self._ended(guest, before, after, outcome, arguments, level)

    # -- is it needed ------------------------------------------------------------------------------

    def _level(self, guest: Guest, before: Reading, arguments: dict[str, t.Any]) -> str | None:
        """Return the level to request, or None if nothing has to be done.

        Raises InvalidInput for a level that must not be requested.
        """
        license, wanted = before.license, arguments["level"]
        rank = LEVELS.index(license.level)
        higher = wanted is not None and LEVELS.index(wanted) > rank
        within = arguments["renew_before"]
        due = within is not None and license.renewal_due(before.clock.local, within)
        if arguments["state"] == "renewed":
            needed = within is None or due
            level = wanted or license.level
        else:
            needed = higher or due
            level = wanted if higher else license.level
        if not needed:
            return None
        if level == "free":  # no level is wanted, and there is nothing to renew
            return None
        if reason := why_not_renew(license, level, arguments["purchased"]):
            raise InvalidInput(f"The license of {guest.vm!r} was not changed. {reason}")
        return str(level)

    # -- renewing ----------------------------------------------------------------------------------

    def _renew(
        self, guest: Guest, before: Reading, request: tuple[str, str, str], timeout: float
    ) -> tuple[RenewalOutcome, Reading | None]:
        """Renew, and return the outcome by the router's output, and the license afterwards.

        The license is None if it could not be read any more.
        """
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
            if deadline.expired or (after and not guest.capabilities.runs_without_restart):  # reading costs a boot
                break
            time.sleep(min(next(pauses), deadline.remaining))
            after = self._look(guest) or after
        return outcome, after

    def _ask(
        self, guest: Guest, request: tuple[str, str, str], timeout: float
    ) -> tuple[RenewalOutcome, Reading | None]:
        """Run the command; read the license in the same script if its output can be read."""
        duration = max(1, min(_DURATION, int(timeout)))
        script = renewal.renew_script(*request, duration)
        patience = duration + 30.0
        try:
            if not guest.capabilities.output:
                return self._ask_silently(guest, script, patience), None
            result = guest.run_secret(f'{script}\n:put "{_MARK}"\n{READ_SCRIPT}'.encode(), patience)
        except OutcomeUnknown as error:  # the router may restart, for example
            return RenewalOutcome(Renewal.RENEWING, str(error)), None
        if result.rc is None:
            return RenewalOutcome(Renewal.RENEWING, f"The command did not end within {patience:g} s."), None
        said, marked, license = result.output.partition(_MARK.encode())
        outcome = renewal.renewal_outcome(said)
        if not marked or result.rc != 0:
            return outcome, None
        try:
            return outcome, from_output(license)
        except Unreadable:
            return outcome, None

    def _ask_silently(self, guest: Guest, script: str, patience: float) -> RenewalOutcome:
        """Run the command where a script's output cannot be read.

        If this RouterOS can, it writes the status into a file. This is found out before, because
        the account server must not be asked twice.
        """
        if guest.run(renewal.KNOWS_STATUS_FILE.encode(), READ_TIMEOUT).rc == 0:
            script += f" file={renewal.STATUS_FILE}"
        result = guest.run_secret(script.encode(), patience)
        return RenewalOutcome(Renewal.RENEWING if result.rc is None else Renewal.SILENT, "")

    def _look(self, guest: Guest) -> Reading | None:
        try:
            return self.reading(guest)
        except (Unreachable, ScriptFailed, OutcomeUnknown):
            return None  # it may restart, or be renewing

    def _reason(self, guest: Guest) -> RenewalOutcome | None:
        """Find the outcome in the status file by conditions, where output cannot be read."""
        found = None
        with contextlib.suppress(ScriptFailed, InvalidInput):  # this RouterOS does not write this file
            found = next(
                (kind for kind in renewal.STATUS_WORDS if guest.condition(renewal.status_has(kind[1]), READ_TIMEOUT)),
                None,
            )
        return RenewalOutcome(*found) if found else None

    # -- the result --------------------------------------------------------------------------------

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
        result["renewal"] = {"outcome": outcome.kind.value, "text": outcome.text}
        result["account_refused"] = outcome.kind in _REFUSES_ACCOUNT
        result["needed"] = True
        if after is not None and _arrived(before, after, level, outcome):
            left, within = after.license.days_left(after.clock.local), arguments["renew_before"]
            if left is not None and within is not None and left < within:
                result["ends_soon"] = True
                result["warnings"].append(
                    f"The license of {guest.vm!r} was renewed, but still ends in {left:.1f} days, sooner than the {within:g} of "
                    "renew_before. The end of a trial cannot be moved: buy a license for the router in the account at "
                    "mikrotik.com, then renew again."
                )
            return result
        said = f" The router said: {outcome.text}." if outcome.text else ""
        if after is None:
            text = (
                f"{guest.vm!r} was told to renew its license and has not answered since, so the outcome is unknown.{said} "
                "It is safe to run this again: the license is read first."
            )
            return {**result, **failure(text, OutcomeUnknown), "changed": True, "license": None}
        if outcome.kind in _ENDS:
            text = f"The license of {guest.vm!r} was not renewed. {_ENDS[outcome.kind]}{said}"
        elif outcome.kind is Renewal.DONE:
            text = (
                f"The account server answered {guest.vm!r} with done, but its license is still {after.license.level} after "
                f"{arguments['timeout']:g} s. Check it in the account at mikrotik.com."
            )
        else:
            text = (
                f"{guest.vm!r} was told to renew its license, but its license has not changed after {arguments['timeout']:g} s."
                f"{said} It may still change. It is safe to run this again: the license is read first."
            )
        return {**result, "failed": True, "msg": text}

    def _result(self, guest: Guest, before: Reading, after: Reading, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        within = arguments["renew_before"] or 0.0
        result = self.report(guest, after, within)
        result |= {
            "changed": after.license != before.license,
            "before": as_result(before, within),
            "renewal": None,
            "account_refused": False,
            "ends_soon": False,
        }
        if self._task.diff:
            result["diff"] = {"before": lines(result["before"]), "after": lines(result["license"])}
        return result


def _credentials(arguments: dict[str, t.Any]) -> tuple[str, str]:
    for name in ("account", "password"):
        if not arguments[name]:
            raise InvalidInput(
                f"{name} is missing or empty: the router renews its license with an account of mikrotik.com. Nothing was done."
            )
    return str(arguments["account"]), str(arguments["password"])


def _already_refused(guest: Guest) -> str:
    return (
        "The account server has refused this account or its password (account, password: those of mikrotik.com) before in this "
        f"run, so it was not asked again, and nothing was sent to {guest.vm!r}. Correct them, and run this again."
    )


def _no_level(wanted: str) -> str:
    more = " A license is never downgraded to free." if wanted == "free" else ""
    return f"level {wanted!r} cannot be requested. Valid are {', '.join(LEVELS[1:])}.{more}"


def _arrived(before: Reading, after: Reading | None, level: str, outcome: RenewalOutcome) -> bool:
    """Whether the license shows that the renewal succeeded."""
    if after is None or after.license.free:
        return False
    enough = LEVELS.index(after.license.level) >= LEVELS.index(level)
    if not enough or after.license.expired(after.clock.local):
        return False
    answered = outcome.kind in (Renewal.DONE, Renewal.ALREADY_RENEWED)
    return after.license != before.license or answered
