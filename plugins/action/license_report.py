# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import typing as t
from collections import Counter
from dataclasses import replace
from pathlib import Path

from ansible import context
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from jinja2.exceptions import UndefinedError

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import errors
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.local_file import file_mode, write_report
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import days_from_zero
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.options import without_key
from ansible_collections.outofband.chr.plugins.plugin_utils._report.files import FORMATS, ending
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import fleet
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.system_ids import Foreign, own_license

_NOT_READ = "Its license was not read in this run."
_NOT_BEGUN = "Its license was not read, because too many other routers had failed or were not reached."
_LARGEST = 200 * 1024**2  # bytes of a report that is read
_NAMED = 20  # routers in a message
_HYPERVISORS = ("chr_api_host", "chr_ssh_host", "chr_libvirt_uri")
"""Variables that say where a VM is."""


class ActionModule(ActionBase):
    """Write a report of the routers' licenses, without contact to a router."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "dest": {"type": "path", "required": True},
        "name": {"type": "str", "default": "chr-licenses"},
        "formats": {"type": "list", "elements": "str", "choices": list(FORMATS), "default": ["html", "json", "csv"]},
        "mode": {"type": "raw", "default": "0600"},
        "fail_within_days": {"type": "float"},
        "hosts": {"type": "list", "elements": "str"},
        "registered": {"type": "str"},
        "routers": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "license": {"type": "raw"},
                "reason": {"type": "str"},
                "unreachable": {"type": "bool", "default": False},
            },
        },
    }
    MUTUALLY_EXCLUSIVE: t.ClassVar[list[tuple[str, ...]]] = [("hosts", "routers"), ("registered", "routers")]

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)

        def perform() -> None:
            _validation, arguments = self.validate_argument_spec(self.SPEC, mutually_exclusive=self.MUTUALLY_EXCLUSIVE)
            self._report(arguments, task_vars or {}, result)

        return errors.outcome(result, perform, no_log=bool(self._task.no_log))

    def _report(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any], result: dict[str, t.Any]) -> None:
        """Write the files, and put the outcome into *result*. Raises ChrError, AnsibleError."""
        mode = file_mode(arguments["mode"])
        if arguments["fail_within_days"] is not None:
            days_from_zero("fail_within_days", arguments["fail_within_days"])
        folder = Path(self._loader.path_dwim(arguments["dest"]))
        if arguments["name"] in ("", ".", "..") or "/" in arguments["name"]:
            raise InvalidInput(
                f"name {arguments['name']!r} is not a valid file name: the folder must be given as dest."
            )
        if not arguments["formats"]:
            raise InvalidInput("formats is empty, so no file would be written: it must name at least one format.")
        routers = self._routers(arguments, task_vars)
        if arguments["routers"] is None:
            routers = _located(routers, task_vars)
        whole = self._compared(fleet.fleet(routers), folder / f"{arguments['name']}.json", result)
        result |= {"changed": False, "paths": {}, "summary": fleet.summary(whole)}
        for kind in dict.fromkeys(arguments["formats"]):
            path = folder / f"{arguments['name']}.{ending(kind)}"
            content = FORMATS[kind](whole)
            before = write_report(path, content, mode, check_mode=self._task.check_mode)
            result["changed"] |= before is not None
            result["paths"][kind] = str(path)
            if before is not None and self._task.diff and kind == "csv":
                header = {"before_header": str(path), "after_header": str(path)}
                result["diff"] = {**header, "before": before, "after": content}
        if arguments["fail_within_days"] is not None:
            # Without a new file to compare with, a router that was removed would be gone for ever.
            whole_fleet = "json" in arguments["formats"] and not context.CLIARGS.get("subset")
            gone = _gone(whole) if whole_fleet else ""
            _alarm(whole, arguments["fail_within_days"], gone, result)

    def _compared(self, whole: fleet.Fleet, path: Path, result: dict[str, t.Any]) -> fleet.Fleet:
        """Return *whole*, compared with the last report; what hinders that is only a warning."""
        try:
            if not path.exists():
                return whole
            if path.stat().st_size > _LARGEST:
                raise ValueError(f"it has more than {_LARGEST // 1024**2} MiB")
            return fleet.compared(whole, json.loads(path.read_bytes()))
        except (OSError, ValueError, RecursionError) as error:
            result["warnings"] = [
                f"The last report {str(path)!r} cannot be read, so it is not told what changed since then: {error}."
            ]
            return whole

    def _routers(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> list[fleet.Router]:
        if arguments["routers"] is not None:
            twice = [name for name, count in Counter(one["name"] for one in arguments["routers"]).items() if count > 1]
            if twice:
                raise InvalidInput(f"routers has {twice[0]!r} twice; a report has each router once.")
            return [_given(one) for one in arguments["routers"]]
        # The result of a fleet is the same on all hosts, and too large to be resolved for each.
        whole = task_vars.get(arguments["registered"])
        hosts, others = arguments["hosts"], whole["other_hosts"] if _is_of_fleet(whole) else ()
        if hosts is None:
            hosts = [host for host in task_vars.get("ansible_play_hosts_all", []) if host not in others]
        return [
            _of_result(host, whole["results"][host])
            if _is_of_fleet(whole) and host in whole["results"]
            else _of_host(host, arguments["registered"], task_vars["hostvars"])
            for host in dict.fromkeys(hosts)
        ]


def _located(routers: list[fleet.Router], task_vars: dict[str, t.Any]) -> list[fleet.Router]:
    """Add what the inventory tells: groups, and the VM where no license tells which one it is."""
    hosts = {fleet.shown(host): host for host in task_vars["groups"].get("all", [])}
    groups: dict[str, list[str]] = {}
    for group, members in sorted(task_vars["groups"].items()):
        if group not in ("all", "ungrouped"):
            for host in members:
                groups.setdefault(host, []).append(group)
    found = []
    for router in routers:
        host = hosts.get(router.name)
        place, routeros = fleet.RouterPlace(), None
        if host is not None and (router.place.vm is None or router.routeros is None):
            place, routeros = _told(host, task_vars["hostvars"][host])
        found.append(fleet.located(router, replace(place, groups=tuple(groups.get(host or "", ()))), routeros))
    return found


def _told(host: str, variables: t.Mapping[str, t.Any]) -> tuple[fleet.RouterPlace, object]:
    """Return where a VM is by the variables of its host, and the version that is in its facts."""

    def value(name: str) -> str | None:
        with contextlib.suppress(AnsibleError, UndefinedError):
            return str(variables[name]) if variables.get(name) else None
        return None

    facts = variables.get("ansible_facts", {})
    version = facts.get("net_version") if isinstance(facts, t.Mapping) else None
    backend = value("chr_backend")
    if backend is None:
        return fleet.RouterPlace(), version
    hypervisor = next((found for name in _HYPERVISORS if (found := value(name))), None)
    # Without the path of a key, as the license tells it.
    return fleet.RouterPlace(backend, hypervisor and without_key(hypervisor), value("chr_vm") or host), version


def _alarm(whole: fleet.Fleet, days: float, gone: str, result: dict[str, t.Any]) -> None:
    """Let the task fail if a license has expired or expires within *days*, or may do so unseen.

    *gone* is a sentence about the routers that are missing.
    """
    found = [sentence for sentence in (_ending(whole, days), _unknown(whole), gone) if sentence]
    if found:
        files = ", ".join(result["paths"].values())
        result |= {"failed": True, "msg": f"{'. '.join(found)}; see {files}."}


def _ending(whole: fleet.Fleet, days: float) -> str:
    """Return a sentence without its end about the licenses that end within *days*, or nothing."""
    routers = whole.ending(days)
    if not routers:
        return ""
    count = f"{len(routers)} license{'' if len(routers) == 1 else 's'}"
    return (
        f"{count} expired, or will within {days:g} days: {_several([f'{one.name} ({_when(one)})' for one in routers])}"
    )


def _unknown(whole: fleet.Fleet) -> str:
    """Return sentences without the end about the routers that were not read, or nothing."""
    if not whole.routers:
        return "The report has no routers, so it is not known when any license ends"
    routers = whole.not_read
    if not routers:
        return ""
    one = len(routers) == 1
    count = f"{len(routers)} of {len(whole.routers)} routers {'was' if one else 'were'} not read"
    unknown = f"it is not known when {'its license ends' if one else 'their licenses end'}"
    named = _several([f"{one.name} (unreachable)" if one.unreachable else one.name for one in routers])
    return f"{count}, so {unknown}: {named}. The first reason is: {str(routers[0].reason).rstrip('.')}"


def _gone(whole: fleet.Fleet) -> str:
    """Return sentences without the end about routers that only the last report has, or nothing."""
    changes = whole.changes
    if changes is None or not changes.gone:
        return ""
    one = len(changes.gone) == 1
    count = f"{len(changes.gone)} router{'' if one else 's'} of the report of {changes.since}"
    hint = f"If {'it was' if one else 'they were'} removed, the report of another day has no such alarm"
    return f"{count} {'is' if one else 'are'} missing: {_several(list(changes.gone))}. {hint}"


def _several(names: list[str]) -> str:
    """Return the first *names*, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _when(router: fleet.Router) -> str:
    task = f", {router.to_do}" if router.to_do else ""
    if router.expired:
        return f"expired{task}"
    return (
        f"today{task}"
        if router.days_left == 0
        else f"in {router.days_left} day{'' if router.days_left == 1 else 's'}{task}"
    )


def _given(one: dict[str, t.Any]) -> fleet.Router:
    if one["license"] is not None:
        return fleet.read(one["name"], one["license"])
    return fleet.not_read(one["name"], one["reason"] or _NOT_READ, one["unreachable"])


def _of_host(host: str, registered: str | None, hostvars: t.Mapping[str, t.Any]) -> fleet.Router:
    """Make a router from the variables of its host.

    With *registered*, the fact is ignored: it may be older and from a cache.
    """
    if host not in hostvars:
        raise InvalidInput(f"The host {host!r} is not in the inventory.")
    variables = hostvars[host]
    if registered and registered not in variables:
        return fleet.not_read(host, f"{_NOT_READ} It has no variable {registered!r} with a result.")
    found = variables[registered] if registered else {"license": _fact(variables)}
    if not isinstance(found, t.Mapping):
        raise InvalidInput(f"registered: {registered!r} of {host!r} is not the result of a task.")
    if _is_of_fleet(found):
        found = found["results"].get(host, {"msg": _NOT_BEGUN if host in found["not_begun_hosts"] else None})
    return _of_result(host, found)


def _is_of_fleet(found: object) -> bool:
    """Whether *found* is the result of outofband.chr.fleet, which has those of all routers."""
    return isinstance(found, t.Mapping) and isinstance(found.get("results"), t.Mapping) and "other_hosts" in found


def _of_result(host: str, found: t.Mapping[str, t.Any]) -> fleet.Router:
    """Make a router from the result of the task that read its license."""
    try:
        own_license(host, found.get("license"))
    except Foreign as error:
        return fleet.not_read(host, error)
    if found.get("license") is not None:
        return fleet.read(host, found["license"], renewed_in_vain=found.get("ends_soon") is True)
    return fleet.not_read(host, found.get("msg") or _NOT_READ, bool(found.get("unreachable")))


def _fact(variables: t.Mapping[str, t.Any]) -> object:
    facts = variables.get("ansible_facts", {})
    return facts.get("chr_license") if isinstance(facts, t.Mapping) else None
