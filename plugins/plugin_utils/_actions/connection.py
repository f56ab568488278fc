# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the connections of this collection have in common: the options and the router.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.connection import ConnectionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions, forget_empty_variables
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import known_encoding
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options, open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import ScriptResult

from .errors import ansible_error, shown
from .gather import SPEC, Gatherer, setup_facts
from .runtime_directory import runtime_directory

# Where a module's payload has its arguments, and where Ansible searches for Python.
_ARGUMENTS = re.compile('"ANSIBLE_MODULE_ARGS": ')
_PYTHON = "ansible_python_interpreter"
OF_ANSIBLE = ("ansible.builtin", "ansible.legacy", "")


class GuestConnection(ConnectionBase):
    """Makes a guest from the options of a connection, and answers what Ansible itself asks for."""

    has_pipelining = True
    always_pipeline_modules = True
    has_tty = False

    _guest: Guest | None = None
    _resolve_as: t.Callable[[str], dict[str, t.Any]] | None = None
    _mistaken_for: str | None = None
    _delegated_to: str | None = None
    _host = ""

    def _resolve_option_variables(self, variables: dict[str, t.Any], templar: t.Any) -> dict[str, t.Any]:
        """Resolve the variables, and keep a function that resolves them again for another name.

        ``set_options`` calls it with the router's own name.
        """

        def resolve_as(name: str) -> dict[str, t.Any]:
            given = variables["inventory_hostname"]
            variables["inventory_hostname"] = name
            try:
                return t.cast("dict[str, t.Any]", resolve(variables, templar))
            finally:
                variables["inventory_hostname"] = given

        resolve = super()._resolve_option_variables
        self._resolve_as = resolve_as
        return t.cast("dict[str, t.Any]", resolve(variables, templar))

    def set_options(
        self,
        task_keys: dict[str, t.Any] | None = None,
        var_options: dict[str, t.Any] | None = None,
        direct: dict[str, t.Any] | None = None,
    ) -> None:
        """Set the options, and resolve those of a delegated task with the router's own name.

        Ansible resolves the variables of the host that a task is delegated to with the
        inventory_hostname of the host that delegates it. So chr_vm, if it is left out or a
        template, would name another VM.
        """
        router = self._delegated_to = (task_keys or {}).get("delegate_to")
        delegated = bool(router and var_options and var_options.get("inventory_hostname") not in (None, router))
        if delegated and self._resolve_as:
            var_options = self._resolve_as(str(router))
            delegated = False
        self._mistaken_for = str((var_options or {}).get("inventory_hostname")) if delegated else None
        self._host = str(router or (var_options or {}).get("inventory_hostname"))
        forget_empty_variables()
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._guest = None  # in a loop, each item can name another router

    def update_vars(self, variables: dict[str, t.Any]) -> None:
        """Keep Ansible from searching for Python on the router and warning of what it finds.

        A module that Ansible itself needs, such as setup, is answered without Python.
        """
        super().update_vars(variables)
        if self._delegated_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._delegated_to, {})
        if str(variables.get(_PYTHON) or "auto").startswith("auto"):
            variables[_PYTHON] = sys.executable

    @property
    def guest(self) -> Guest:
        """Return the router of this host. Raises ChrError."""
        if self._guest is None:
            self._guest = open_guest(self.guest_options())
        return self._guest

    def guest_options(self) -> GuestOptions:
        """Return the options of this host's backend. Raises InvalidInput."""
        return from_options(self.option_values())

    def option_values(self) -> dict[str, t.Any]:
        """Return the options of this host by name, and the folder for sessions.

        Raises InvalidInput.
        """
        if self._mistaken_for is not None:
            raise InvalidInput(
                f"This task is delegated, and this ansible-core resolved the connection's variables with the name of the host "
                f"that delegates it ({self._mistaken_for!r}), so they may name another VM. Nothing was sent. Use a play on the "
                "router itself."
            )
        return {**super().get_options(), "runtime_directory": runtime_directory()}

    @property
    def script_timeout(self) -> float:
        """The seconds that a script has. Raises InvalidInput."""
        return positive_seconds("chr_script_timeout", self.get_option("script_timeout"))

    def set_become_plugin(self, plugin: t.Any) -> None:
        """Ignore ``become``: RouterOS cannot switch to another user."""

    def transport_test(self, connect_timeout: float) -> None:
        """Return when the agent answers; ``wait_for_connection`` calls this.

        *connect_timeout* is in seconds.
        """
        self._call(lambda guest: guest.ping(connect_timeout))

    def _call(self, function: t.Callable[[Guest], t.Any]) -> t.Any:
        try:
            return function(self.guest)
        except Exception as error:  # the text is complete, but Ansible would add the causes
            raise ansible_error(error, no_log=self.no_log) from None

    def run_script(self, guest: Guest, source: bytes) -> ScriptResult:
        """Run *source* within the script's timeout; under no_log, as a script with a secret.

        Raises the errors of ``Guest.run_secret``.
        """
        return (guest.run_secret if self.no_log else guest.run)(source, self.script_timeout)

    @property
    def no_log(self) -> bool:
        """Whether the task has no_log."""
        return bool(self._play_context.no_log)

    def _answered(self, payload: bytes) -> bytes | None:
        """Return the output of a module that Ansible itself runs, or None for other modules."""
        answer = self._answer(arguments_in(payload))
        if answer is None:
            return None
        return json.dumps(shown({**answer, "changed": False}, no_log=self.no_log)).encode()

    def _answer(self, arguments: dict[str, t.Any]) -> dict[str, t.Any] | None:
        collection, _unused, module = str(arguments.get("_ansible_module_name", "")).rpartition(".")
        if collection in OF_ANSIBLE and module == "ping":
            self._call(lambda guest: guest.ping())
            return {"ping": arguments.get("data", "pong")}
        if collection in OF_ANSIBLE and module == "setup":
            return {"ansible_facts": self._call(setup_facts)}
        if (collection, module) == ("outofband.chr", "facts"):
            return t.cast("dict[str, t.Any]", self._call(lambda guest: self._gather(guest, arguments)))
        return None

    def _gather(self, guest: Guest, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Gather facts for ``ansible_facts_modules: outofband.chr.facts``."""
        checked = ArgumentSpecValidator(SPEC).validate(
            {name: value for name, value in arguments.items() if not name.startswith("_ansible_")}
        )
        if checked.error_messages:
            raise InvalidInput(f"outofband.chr.facts: {', '.join(checked.error_messages)}.")
        if arguments.get("_ansible_check_mode") and not guest.capabilities.runs_without_restart:
            return {"skipped": True}
        gatherer = Gatherer(guest, self.script_timeout, known_encoding(self.get_option("encoding")))
        return {
            "ansible_facts": gatherer.gather(self._host, checked.validated_parameters),
            "warnings": gatherer.warnings,
        }


def arguments_in(payload: bytes) -> dict[str, t.Any]:
    """Return the arguments of the module in *payload*, or nothing if it shows none."""
    text = payload.decode("utf-8", "replace")
    match = _ARGUMENTS.search(text)
    with contextlib.suppress(ValueError):
        if match:
            found, _end = json.JSONDecoder().raw_decode(text, match.end())
            return found if isinstance(found, dict) else {}
    return {}
