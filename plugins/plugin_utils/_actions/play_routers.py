# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routers of a play, for an action that works on all of them at once.

PRIVATE to the collection: may change in any release.

Ansible resolves the connection of one host for each task. This does the same for every host, with
Ansible's own functions: the variables of the host within this play and this task, the connection's
method that resolves those of its options, and the configuration's one that finds the value of an
option. Options of which a host has no variable are the same for all hosts, so they are looked up
once. It is the only file that knows how Ansible's task executor does that.
"""

from __future__ import annotations

import functools
import itertools
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.mod_args import ModuleArgsParser
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible.template import Templar

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options, open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest

from .router import TRANSPORT

# What the strategy and the task executor add to the variables of a task.
_OF_THE_TASK = ("ansible_current_hosts", "ansible_failed_hosts", "ansible_loop")


class RouterConnection:
    """What an action needs of the connection of a router: its options, and the guest."""

    transport = TRANSPORT

    def __init__(self, options: dict[str, t.Any]) -> None:
        self._options = options

    def get_option(self, name: str) -> t.Any:
        return self._options[name]

    @functools.cached_property
    def guest(self) -> Guest:
        """The router. Raises ChrError."""
        return open_guest(self.guest_options())

    def guest_options(self) -> GuestOptions:
        """Return the options of this router's backend. Raises InvalidInput."""
        return from_options(self._options)


class PlayRouters:
    """Resolves the hosts of the batch of *action*'s play, one after the other.

    *task_vars* are those of the host that Ansible runs the action for. The arguments *once* of the
    task are the same for all hosts.
    """

    def __init__(self, action: ActionBase, task_vars: dict[str, t.Any], once: t.Collection[str]) -> None:
        self._task = action._task
        self._variables = task_vars["hostvars"]._variable_manager
        self._inventory = task_vars["hostvars"]._inventory
        self._play = self._task.get_play()
        self._all = list(task_vars["ansible_play_hosts_all"])
        self.hosts: list[str] = list(task_vars["ansible_play_batch"])
        """The hosts of the batch that have not failed, in the play's order."""
        loop = self._task.loop_control
        names = (*_OF_THE_TASK, *((loop.loop_var or "item", loop.index_var) if loop else ("item",)))
        self._added = {name: task_vars[name] for name in names if name and name in task_vars}
        self._templar = Templar(loader=action._loader, variables={})
        self._connection: t.Any = connection_loader.get(TRANSPORT, action._play_context)
        self._keywords = self._task.dump_attrs()
        del self._keywords["retries"]
        self._connection.set_options(task_keys=self._keywords, var_options={})
        self._without_variables = self._connection.option_values()
        self._options_of: dict[str, list[str]] = {}
        """The options that a variable sets, by its name."""
        for option, definition in self._connection.option_definitions.items():
            for variable in definition.get("vars") or ():
                self._options_of.setdefault(variable["name"], []).append(option)
        written = self._written()
        self.defaults: list[str] = [name for name in self._task.args if name not in written]
        """The arguments that module_defaults give, which are the same for all hosts."""
        self._templates_of_hosts = {
            key: value for key, value in written.items() if key not in once and self._templar.is_template(value)
        }
        self._same = {key: value for key, value in self._task.args.items() if key not in self._templates_of_hosts}

    @property
    def differ(self) -> bool:
        """Whether the arguments of the task can differ from host to host."""
        return bool(self._templates_of_hosts)

    def resolve(self, host: str) -> tuple[dict[str, t.Any], dict[str, t.Any]] | None:
        """Return the options of *host*'s connection and the arguments of the task for this host.

        Returns None if the host has another connection. Raises AnsibleError, and InvalidInput that
        names a variable which cannot be evaluated.
        """
        variables = self._variables.get_vars(
            play=self._play,
            host=self._inventory.get_host(host),
            task=self._task,
            _hosts=self.hosts,
            _hosts_all=self._all,
        )
        variables.update(self._added)
        self._templar.available_variables = variables
        connection = variables.get("ansible_connection")
        name = self._task.connection if connection is None else self._evaluated("ansible_connection", connection)
        if not _is_ours(str(name)):
            return None
        try:
            resolved = self._connection._resolve_option_variables(variables, self._templar)
        except AnsibleError:
            for variable in self._options_of:
                self._evaluated(variable, variables.get(variable))
            raise
        options = dict(self._without_variables)
        for option in itertools.chain(*(self._options_of.get(variable, ()) for variable in resolved)):
            options[option] = C.config.get_config_value(
                option,
                plugin_type="connection",
                plugin_name=self._connection._load_name,
                keys=self._keywords,
                variables=resolved,
            )
        own = self._templar.template(self._templates_of_hosts) if self.differ else {}
        omitted = variables.get("omit")  # a text that ansible-core 2.18 leaves in its place
        own = {key: value for key, value in own.items() if omitted is None or value != omitted}
        return options, {**self._same, **own}

    def _evaluated(self, name: str, value: t.Any) -> t.Any:
        """Return the *value* of a variable with its templates resolved. Raises InvalidInput."""
        try:
            return self._templar.template(value)
        except AnsibleError as error:
            raise InvalidInput(f"The variable {name} cannot be evaluated: {error}") from error

    def _written(self) -> dict[str, t.Any]:
        """Return the arguments of the task as they are written, with their templates.

        Ansible has resolved these for the first host of the play. Raises ChrError if that hides
        which ones they are.
        """
        _action, arguments, _delegate_to = ModuleArgsParser(
            task_ds=self._task.get_ds(), collection_list=self._task.collections
        ).parse(skip_action_validation=True)
        hidden = arguments.get("_variable_params")
        if hidden and self._templar.is_template(hidden):
            raise ChrError("args must not be a template as a whole: write the options under the name of the module.")
        return t.cast("dict[str, t.Any]", arguments)


@functools.cache
def _is_ours(connection: str) -> bool:
    """Whether the name *connection* means the one of this collection."""
    if connection == TRANSPORT:
        return True
    plugin = connection_loader.get(connection, class_only=True)
    return getattr(plugin, "transport", None) == TRANSPORT
