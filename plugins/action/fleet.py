# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import importlib
import typing as t

from ansible import constants as C
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import errors
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.before_fork import session_run
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.play_routers import PlayRouters, RouterConnection
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import Progress
from ansible_collections.outofband.chr.plugins.plugin_utils._core.side_by_side import side_by_side

session_run()
_MODULES = {None: "script", "license": "license_info", "facts": "facts", "doctor": "doctor"}
"""The action that does the work on one router, by the value of ``read``."""
_OF_ALL: dict[str, t.Any] = {
    "read": {"type": "str", "choices": ["license", "facts", "doctor"]},
    "timeout": {"type": "float"},
    "concurrency": {"type": "int", "default": 50},
    "max_fail_percentage": {"type": "float", "default": 100.0},
}
_ONCE = ("read", "concurrency", "max_fail_percentage")
_NAMED = 10  # routers, or warnings of routers, that the task shows
_NO_ROUTER = "No host of the play has the connection outofband.chr.guest_agent, so nothing was done."


def _module(read: str | None) -> t.Any:
    """Return the class of the action for *read*.

    It is imported here, in the worker: in Ansible's main process its import would load every
    backend and its library, which only one worker would use.
    """
    package = "ansible_collections.outofband.chr.plugins.action"
    return importlib.import_module(f"{package}.{_MODULES[read]}").ActionModule


class _Router(t.NamedTuple):
    """A router and what is to be done there."""

    name: str
    connection: RouterConnection
    arguments: dict[str, t.Any]


class _Tally(Progress):
    """What became of the routers of the play."""

    def __init__(self, say: t.Callable[[str], None], total: int) -> None:
        super().__init__(say, "fleet", total)
        self.results: dict[str, dict[str, t.Any]] = {}
        self.failed: list[str] = []
        self.unreachable: list[str] = []
        self.not_begun: list[str] = []
        self.others: list[str] = []

    def put(self, name: str, result: dict[str, t.Any]) -> None:
        """Take the *result* of the router *name*."""
        self.results[name] = result
        if result.get("unreachable"):
            self.unreachable.append(name)
        elif result.get("failed"):
            self.failed.append(name)
        self.add(1)

    def too_many_failed(self, percentage: float) -> bool:
        """Whether more than *percentage* of the routers failed or were not reached."""
        return 100 * (len(self.failed) + len(self.unreachable)) > percentage * self.total

    def line(self, pace: float) -> str:
        bad = (
            f", {len(self.failed)} failed, {len(self.unreachable)} unreachable"
            if self.failed or self.unreachable
            else ""
        )
        return f"{self.done} of {self.total} routers{bad}, {pace:.0f} a second"

    def summary(self) -> str:
        """Return a sentence about all routers, which names those that failed."""
        if not self.total:
            return _NO_ROUTER
        parts = [f"{len(self.results) - len(self.failed) - len(self.unreachable)} of {self.total} routers done"]
        for names, what in (
            (self.failed, "failed"),
            (self.unreachable, "unreachable"),
            (self.not_begun, "not begun because of these"),
        ):
            if names:
                more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                parts.append(f"{len(names)} {what} ({', '.join(names[:_NAMED])}{more})")
        return f"{', '.join(parts)}."

    def warnings(self) -> list[str]:
        """Return the first warnings of the routers, and how many more there are."""
        found = [one for result in self.results.values() for one in result.get("warnings", ())]
        if len(found) > _NAMED:
            found[_NAMED:] = [f"{len(found) - _NAMED} more warnings are in the results of the routers."]
        if not self.total and self.others:
            found.append(_NO_ROUTER)
        return found


class ActionModule(ActionBase):
    """Run a script or read something on all routers of the play at once, in one process."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    @classmethod
    def spec(cls) -> dict[str, t.Any]:
        """Return the specification of all arguments."""
        return {**_module(None).SPEC, **_module("facts").SPEC, **_module("doctor").SPEC, **_OF_ALL}

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        # Without this, Ansible registers the result on the first host only.
        self._task.run_once = True
        delegated, self._task.delegate_to = self._task.delegate_to, None
        of_routers: dict[str, t.Any] = {}

        def perform() -> dict[str, t.Any]:
            if delegated not in (None, *C.LOCALHOST):
                raise InvalidInput(
                    f"fleet works on the routers of the play and cannot be delegated to {delegated}. It runs on the controller: "
                    "delegate it to localhost, or not at all."
                )
            return self._perform(task_vars or {}, of_routers)

        result = errors.outcome(result, perform, no_log=bool(self._task.no_log))
        return {**result, **of_routers}

    def _perform(self, task_vars: dict[str, t.Any], of_routers: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do the task and return its result. Raises ChrError, AnsibleError.

        What the routers returned is put into *of_routers*: it is masked already.
        """
        arguments = self._validated(self._task.args)
        module = _module(arguments["read"])
        percentage = arguments["max_fail_percentage"]
        hosts = PlayRouters(self, task_vars, once=_ONCE)
        if scripts := [name for name in hosts.defaults if name in _module(None).SPEC and name != "timeout"]:
            raise InvalidInput(
                f"{scripts[0]} comes from module_defaults, whose templates Ansible resolves for the first host only. Write it in "
                "the task, so that each router gets the script that its own variables make."
            )
        tally = _Tally(self._say, len(hosts.hosts))
        todo = self._routers(hosts, arguments, tally)
        if percentage < 100:
            todo = iter(list(todo))  # which hosts are routers must be known before the share of failures is

        def begin() -> t.Iterator[_Router]:
            for router in todo:
                if tally.too_many_failed(percentage):
                    tally.not_begun.append(router.name)
                else:
                    yield router

        loader = _ReadOnce(self._loader)

        def work(router: _Router) -> dict[str, t.Any]:
            action = module(
                self._task, router.connection, self._play_context, loader, self._templar, self._shared_loader_obj
            )
            result = action.run_for(router.name, router.arguments)
            if arguments["read"] == "license":
                result.pop("ansible_facts", None)  # the license once more
            return result

        for router, result in side_by_side(begin(), work, arguments["concurrency"]):
            tally.put(router.name, result)
        return self._result(tally, hosts.hosts, of_routers)

    def _routers(self, hosts: PlayRouters, arguments: dict[str, t.Any], tally: _Tally) -> t.Iterator[_Router]:
        """Resolve the hosts one after the other, and count those that are not routers.

        A host whose variables cannot be resolved has failed.
        """
        for name in hosts.hosts:
            found, result = self._found(name, hosts, arguments)
            if not found:
                tally.put(name, result)
            elif (router := found[0]) is None:
                tally.others.append(name)
                tally.total -= 1
            else:
                yield router

    def _found(
        self, name: str, hosts: PlayRouters, arguments: dict[str, t.Any]
    ) -> tuple[list[_Router | None], dict[str, t.Any]]:
        """Return the result of ``_router`` in a list, or an empty one with that of a failure."""
        found: list[_Router | None] = []
        result = errors.outcome(
            {}, lambda: found.append(self._router(name, hosts, arguments)), no_log=bool(self._task.no_log)
        )
        return found, result

    def _router(self, name: str, hosts: PlayRouters, arguments: dict[str, t.Any]) -> _Router | None:
        """Return the router *name*, or None if that host has another connection.

        Raises ChrError, AnsibleError.
        """
        resolved = hosts.resolve(name)
        if resolved is None:
            return None
        options, given = resolved
        if hosts.differ:
            arguments = self._validated(given)
        if arguments["timeout"] is not None:
            options["script_timeout"] = arguments["timeout"]
        return _Router(name, RouterConnection(options), {**arguments, "timeout": None})

    def _validated(self, given: dict[str, t.Any]) -> dict[str, t.Any]:
        """Check the arguments *given*, and complete them. Raises InvalidInput."""
        read = given.get("read")
        script = _module(None)
        module = _module(read) if read in _MODULES else script
        spec = {**_OF_ALL, **module.SPEC}
        if foreign := [name for name in given if name in self.spec() and name not in spec]:
            raise InvalidInput(f"{foreign[0]} cannot be used with {f'read: {read}' if read else 'a script'}.")
        ways = ("read", *script.REQUIRED_ONE_OF[0])
        checked = ArgumentSpecValidator(spec, mutually_exclusive=[ways], required_one_of=[ways]).validate(given)
        if checked.error_messages:
            raise InvalidInput(f"{'. '.join(checked.error_messages)}.")
        arguments: dict[str, t.Any] = checked.validated_parameters
        if arguments["timeout"] is not None:
            positive_seconds("timeout", arguments["timeout"])
        if arguments["concurrency"] < 1:
            raise InvalidInput(f"concurrency {arguments['concurrency']} must be at least 1.")
        if not 0 <= arguments["max_fail_percentage"] <= 100:
            raise InvalidInput(f"max_fail_percentage {arguments['max_fail_percentage']:g} must be from 0 to 100.")
        return arguments

    def _result(self, tally: _Tally, hosts: list[str], of_routers: dict[str, t.Any]) -> dict[str, t.Any]:
        for names in (tally.failed, tally.unreachable):
            names.sort(key=hosts.index)
        results = {name: tally.results[name] for name in hosts if name in tally.results}
        of_routers["results"] = results
        if diffs := [one["diff"] for one in results.values() if "diff" in one]:
            of_routers["diff"] = diffs
        result: dict[str, t.Any] = {
            "changed": any(one.get("changed") for one in results.values()),
            "msg": tally.summary(),
            "failed_hosts": tally.failed,
            "unreachable_hosts": tally.unreachable,
            "not_begun_hosts": tally.not_begun,
            "other_hosts": tally.others,
            "warnings": tally.warnings(),
        }
        if tally.failed or tally.unreachable:
            result["failed"] = True
        return result

    def _say(self, line: str) -> None:
        self._display.display(errors.told(line))


class _ReadOnce:
    """The loader of the task, which reads and decrypts each file once for all routers."""

    def __init__(self, loader: t.Any) -> None:
        self._loader = loader
        self._get_file_contents = functools.cache(loader._get_file_contents)

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._loader, name)
