# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import secrets
import typing as t
from collections.abc import Mapping

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import changes
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.guest import GuestAction
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.own_files import removed_at_the_end
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPossible,
    ScriptFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import protect
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded, readable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import first_login as router
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.first_login import ADMIN, FULL, SERVICES, Key
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote

_READING = 30.0  # seconds for scripts that only read
_RANDOM = 24  # bytes of a password that nobody is told


class _Step(t.NamedTuple):
    """A change, and the script that makes it."""

    of: str
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    source: str
    key: Key | None = None
    """The key that the script adds. A RouterOS without that command takes it from a file."""

    @property
    def secret(self) -> bool:
        """Whether the script has a password in it."""
        return "password" in self.after


class ActionModule(GuestAction):
    """Set a password, add a user and its keys, close services, and take admin away."""

    SPEC = {
        "user": {"type": "str", "default": ADMIN},
        "group": {"type": "str", "default": FULL},
        "password": {"type": "str", "no_log": True},
        "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "on_create"},
        "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "admin": {"type": "str", "choices": ["present", "disabled", "absent"], "default": "present"},
        "disable_services": {"type": "list", "elements": "str"},
        "keep_services": {"type": "list", "elements": "str"},
        "identity": {"type": "str"},
    }
    MUTUALLY_EXCLUSIVE = [("disable_services", "keep_services")]

    _keys: list[Key]
    _options: Mapping[str, t.Any]

    def perform(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        self._options, self._keys = arguments, [router.parse_key(one) for one in arguments["ssh_keys"]]
        if (password := arguments["password"]) is not None:
            protect(quote(password)[1:-1])  # a script has it in this form
        _check(arguments)
        _check_logins(guest, arguments)
        if not guest.capabilities.runs_without_restart:
            raise NotPossible(
                f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, and its database would show "
                "the password. Use chr_backend: xenstore in dom0, or a script for the first boot (role image_import)."
            )
        guest.require_routeros()
        facts, goals, last = self._facts(), self._goals(), self._admin_goal()
        answers = _ask(guest, facts | goals | last)
        self._check_facts(guest, answers)
        works = None
        if password is not None and answers["enabled"]:
            works = guest.takes(arguments["user"], password)
        result: dict[str, t.Any] = {"user": arguments["user"], "login_works": works}
        result["warnings"] = self._warnings(answers, works)
        steps, admin_steps = self._steps(guest, answers, works), self._admin_steps(answers)
        if self._task.check_mode:
            return result | changes.as_result(steps + admin_steps, diff=self._task.diff)
        done: list[_Step] = []
        try:
            for step in steps:
                self._carry_out(guest, step)
                done.append(step)
            if steps or admin_steps:
                _verify(guest, goals)
                result["login_works"] = self._check_new_login(guest, steps, admin_steps)
            for step in admin_steps:
                self._carry_out(guest, step)
                done.append(step)
                _verify(guest, last)
        except ChrError:
            self._so_far |= result | changes.as_result(done, diff=self._task.diff)
            raise
        return result | changes.as_result(done, diff=self._task.diff)

    # -- what is, and what should be ---------------------------------------------------------------

    def _facts(self) -> dict[str, str]:
        """Questions about the router as it is, by a short name."""
        user = self._options["user"]
        named = self._options["disable_services"] or self._options["keep_services"] or []
        return {
            "exists": router.exists(user),
            "enabled": router.is_enabled(user),
            "marked": router.is_marked(user),
            "group": router.is_a_group(self._options["group"]),
            "admin open": f"({router.is_enabled(ADMIN)}) && !({router.is_marked(ADMIN)})",
            **{f"service {name}": router.is_a_service(name) for name in named},
        }

    def _goals(self) -> dict[str, str]:
        """What must be true before admin is touched, by what is wrong as long as it is not."""
        user, group, identity = (self._options[name] for name in ("user", "group", "identity"))
        goals = {_not_in_group(user, group): router.is_in_group(user, group)}
        goals |= {_no_key(one): router.has_key(user, one) for one in self._keys}
        if identity is not None:
            goals[_WRONG_IDENTITY] = router.has_identity(identity)
        goals |= {_still_open(name): router.is_closed(name) for name in self._to_close()}
        if self._options["keep_services"] is not None:
            goals[_OTHERS_OPEN] = router.others_are_closed(self._options["keep_services"])
        return goals

    def _admin_goal(self) -> dict[str, str]:
        state = self._options["admin"]
        if state == "present":
            return {}
        there = router.exists(ADMIN) if state == "absent" else router.is_enabled(ADMIN)
        return {f"the user {ADMIN!r} is not {state}": f"!({there})"}

    def _to_close(self) -> list[str]:
        """The names of the services that must be closed. There may be others on this router."""
        if self._options["keep_services"] is not None:
            return [name for name in SERVICES if name not in self._options["keep_services"]]
        return list(dict.fromkeys(self._options["disable_services"] or []))

    def _check_facts(self, guest: Guest, answers: Mapping[str, bool]) -> None:
        """Refuse what would be wrong on this router. Raises InvalidInput, NotPossible."""
        user, group = self._options["user"], self._options["group"]
        if not answers["group"]:
            raise InvalidInput(f"{guest.vm!r} has no group {group!r} (/user group). Nothing was changed.")
        named = self._options["disable_services"] or self._options["keep_services"] or []
        if unknown := [name for name in named if not answers[f"service {name}"]]:
            raise InvalidInput(
                f"{guest.vm!r} has no service {', '.join(map(repr, unknown))} (/ip service). Nothing was changed."
            )
        if user == ADMIN and not answers["enabled"]:
            raise NotPossible(
                f"The user {ADMIN!r} of {guest.vm!r} was removed or disabled, and this task does not bring it back. "
                "Nothing was changed. Name the user that it is about (user)."
            )
        if not answers["exists"] and self._options["password"] is None and not self._keys:
            raise InvalidInput(
                f"{guest.vm!r} has no user {user!r}. Give it a password or ssh_keys, without which nobody could log in."
            )

    def _warnings(self, answers: Mapping[str, bool], works: bool | None) -> list[str]:
        user, warnings = self._options["user"], []
        if works is False and not self._sets_password(answers, works):
            warnings.append(
                f"The user {user!r} has another password than the given one. It was set before, so it was left. "
                "Set update_password: always to change it."
            )
        if user != ADMIN and self._options["admin"] == "present" and answers["admin open"]:
            warnings.append(
                f"The user {ADMIN!r} is enabled, and this collection has not set its password. That of a new router is "
                "empty. Set admin: disabled or absent, or set its password in a task of its own."
            )
        return warnings

    def _sets_password(self, answers: Mapping[str, bool], works: bool | None) -> bool:
        """Whether the password of a user that exists must be set."""
        if self._options["password"] is None or works:
            return False
        return self._options["update_password"] == "always" or not answers["marked"]

    # -- the steps ---------------------------------------------------------------------------------

    def _steps(self, guest: Guest, answers: Mapping[str, bool], works: bool | None) -> list[_Step]:
        """What has to be done, in this order, before admin is touched."""
        user, group, password, identity = (self._options[name] for name in ("user", "group", "password", "identity"))
        of, steps = f"user {user}", []
        if not answers["exists"]:
            random = secrets.token_urlsafe(_RANDOM)
            protect(random)
            added = {"state": "enabled", "group": group, "password": "random" if password is None else "set"}
            source = router.add_user(user, group, password or random, marked=password is not None)
            steps.append(_Step(of, {"state": "absent"}, added, source))
        else:
            if not answers[_not_in_group(user, group)]:
                before = {"state": "enabled" if answers["enabled"] else "disabled", "group": _group_of(guest, user)}
                after = {"state": "enabled", "group": group}
                steps.append(_Step(of, before, after, router.set_group(user, group)))
            if self._sets_password(answers, works):
                source = router.set_password(user, password, marked=answers["marked"])
                steps.append(_Step(of, {"password": "another one or unknown"}, {"password": "set"}, source))
        for key in self._keys:
            if not answers[_no_key(key)]:
                after = {"key": f"{key.kind} {key.name}"}
                steps.append(_Step(f"SSH keys of {user}", {}, after, router.add_key(user, key), key))
        if identity is not None and not answers[_WRONG_IDENTITY]:
            before = {"identity": readable(guest.read("[/system identity get name]", _READING, _IDENTITIES))}
            steps.append(_Step("identity", before, {"identity": identity}, router.set_identity(identity)))
        return steps + self._service_steps(answers)

    def _service_steps(self, answers: Mapping[str, bool]) -> list[_Step]:
        open_ = [name for name in self._to_close() if not answers[_still_open(name)]]
        keep = self._options["keep_services"]
        if keep is not None and not answers[_OTHERS_OPEN]:
            names, source = open_ or ["others"], router.close_others(keep)
        elif open_:
            names, source = open_, router.close(open_)
        else:
            return []
        before, after = dict.fromkeys(names, "enabled"), dict.fromkeys(names, "disabled")
        return [_Step("services", before, after, source)]

    def _admin_steps(self, answers: Mapping[str, bool]) -> list[_Step]:
        state = self._options["admin"]
        if all(answers[goal] for goal in self._admin_goal()):
            return []
        source = router.remove(ADMIN) if state == "absent" else router.disable(ADMIN)
        return [_Step(f"user {ADMIN}", {"state": "present"}, {"state": state}, source)]

    def _carry_out(self, guest: Guest, step: _Step) -> None:
        timeout = self.script_timeout({})
        if step.key is None or _adds_keys(guest):
            with guest.exchange():
                run = guest.run_secret if step.secret else guest.run
                result = guest.with_error_text(run(encoded(step.source), timeout))
            guest.checked(result, timeout)
            return
        with removed_at_the_end(guest, router.KEY_FILE):
            guest.put(io.BytesIO(encoded(f"{step.key.line}\n")), router.KEY_FILE)
            source = encoded(router.import_key(self._options["user"]))
            guest.checked(guest.with_error_text(guest.run(source, timeout)), timeout)

    def _check_new_login(self, guest: Guest, steps: list[_Step], admin_steps: list[_Step]) -> bool | None:
        """Check that the user can log in, where that can be found out, before admin is touched.

        Raises ScriptFailed.
        """
        user, password = self._options["user"], self._options["password"]
        works = None if password is None else guest.takes(user, password)
        if works is False and (admin_steps or any(step.after.get("password") == "set" for step in steps)):
            kept = f" The user {ADMIN!r} was left as it is." if admin_steps else ""
            raise ScriptFailed(f"{guest.vm!r} refuses the login of {user!r} with the given password.{kept}")
        own = [login for login in guest.logins if login[0] == user]
        if admin_steps and ADMIN in _users(guest) and not works and not any(guest.takes(*login) for login in own):
            raise ScriptFailed(
                f"{guest.vm!r} refuses the login of {user!r} with chr_guest_password, and scripts run as {ADMIN!r}. "
                f"So the user {ADMIN!r} was left as it is."
            )
        return works


_IDENTITIES = (b"MikroTik", b"CHR")
_GROUPS = (b"full", b"write", b"read")
_WRONG_IDENTITY = "the identity is another one"
_OTHERS_OPEN = "a service that is not in keep_services is open"


def _not_in_group(user: str, group: str) -> str:
    return f"the user {user!r} is not enabled in the group {group!r}"


def _no_key(key: Key) -> str:
    return f"RouterOS does not show the SSH key {key.name!r}"


def _still_open(name: str) -> str:
    return f"the service {name} is open"


def _check(options: Mapping[str, t.Any]) -> None:
    """Raises InvalidInput for what cannot be right on any router."""
    user, password = options["user"], options["password"]
    if not user.strip() or not user.isprintable():
        raise InvalidInput(f"user {user!r} is not a valid name.")
    if password is not None and (not password or not password.isprintable()):
        raise InvalidInput("password is empty, or has a line end or another control character. Nothing was done.")
    if options["identity"] is not None and not options["identity"].strip():
        raise InvalidInput("identity is empty.")
    if options["admin"] != "present" and (user == ADMIN or options["group"] != FULL):
        raise InvalidInput(
            f"admin: {options['admin']} needs another user in the group {FULL!r} first. Give it as user, with group: {FULL}. "
            "Nothing was done."
        )


def _check_logins(guest: Guest, options: Mapping[str, t.Any]) -> None:
    """Refuse what would lock out the login that scripts run with. Raises InvalidInput."""
    user, users = options["user"], _users(guest)
    if user in users and options["password"] is not None and (user, options["password"]) not in guest.logins:
        raise InvalidInput(
            f"Scripts run in {guest.vm!r} as {user!r}, and chr_guest_password does not have the password that this task "
            "would set, so the next task could not log in. Nothing was done. Give chr_guest_password the new and the old "
            "password as a list."
        )
    if options["admin"] != "present" and ADMIN in users and user not in users:
        raise InvalidInput(
            f"Scripts run in {guest.vm!r} as {ADMIN!r}, so the next task could not log in. Nothing was done. Set "
            f"chr_guest_user: [{user}, {ADMIN}]"
        )


def _users(guest: Guest) -> set[str]:
    return {user for user, _password in guest.logins}


def _ask(guest: Guest, questions: Mapping[str, str]) -> dict[str, bool]:
    return dict(zip(questions, guest.conditions(list(questions.values()), _READING), strict=True))


def _verify(guest: Guest, goals: Mapping[str, str]) -> None:
    """Check that all *goals* are reached now. Raises ScriptFailed."""
    if wrong := [problem for problem, reached in _ask(guest, goals).items() if not reached]:
        raise ScriptFailed(f"RouterOS reported no error, but on {guest.vm!r} {', '.join(wrong)}.")


def _group_of(guest: Guest, user: str) -> str:
    return readable(guest.read(router.group_of(user), _READING, _GROUPS))


def _adds_keys(guest: Guest) -> bool:
    """Whether this RouterOS takes a key in a command."""
    try:
        return guest.condition(router.KNOWS_ADD_KEY, _READING)
    except ScriptFailed:
        return False
