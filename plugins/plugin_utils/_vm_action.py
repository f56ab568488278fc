# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions share that make VMs and take them away. PRIVATE to the collection: may change in any release."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.module_utils._requirements import (
    HYPERVISORS,
    MIB,
    Machine,
    findings,
    memory_base,
    memory_required,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    GuestError,
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.private import locked
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image, inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._no_log import hidden
from ansible_collections.outofband.chr.plugins.plugin_utils._vm.base import (
    Nic,
    Platform,
    VmSpec,
    ensure_absent,
    ensure_present,
)

TRANSPORT = "outofband.chr.guest_agent"
_OTHERS = 60.0  # seconds for another run to finish with the VM

COMMON: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "running": {"type": "bool", "default": True},
    "image": {"type": "path"},
    "routeros": {"type": "str"},
    "cpus": {"type": "int", "default": 1},
    "memory": {"type": "int"},
    "memory_base": {"type": "int"},
    "nics": {
        "type": "list",
        "elements": "dict",
        "default": [{}],
        "options": {
            "network": {"type": "str"},
            "model": {"type": "str"},
            "mac": {"type": "str"},
            "vlan": {"type": "int"},
        },
    },
}
"""The options of doc_fragments/vm.py."""


class HypervisorAction(ActionBase):
    """An action that talks to the hypervisor of the host's router and not to the router. It runs in the controller's process."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, dict[str, t.Any]]]
    REQUIRED_IF: t.ClassVar[list[tuple[str, t.Any, tuple[str, ...]]]] = []

    def perform(self, arguments: dict[str, t.Any], result: dict[str, t.Any]) -> None:
        """Do it, and say in *result* what came of it. Raises GuestError."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = {**super().run(tmp, task_vars), "changed": False}
        self._task_vars = task_vars or {}
        try:
            _validation, arguments = self.validate_argument_spec(self.SPEC, required_if=self.REQUIRED_IF)
            self.perform(arguments, result)
        except (GuestError, AnsibleError) as error:
            result |= {"failed": True, "msg": hidden(error) if self._task.no_log else str(error)}
            result["changed"] = isinstance(error, OutcomeUnknown)  # it may have
        return result

    def options(self) -> GuestOptions:
        """The options of the host's connection: its hypervisor's address and login. Raises GuestError, AnsibleError."""
        connection: t.Any = self._connection
        if connection.transport != TRANSPORT:
            raise AnsibleError(
                f"{self._task.action} takes the hypervisor's address and login from the options of the connection {TRANSPORT}; "
                f"this host has {connection.transport!r}. Set ansible_connection: {TRANSPORT} for the router."
            )
        return t.cast("GuestOptions", connection.guest_options())

    def say(self, line: str) -> None:
        """Show a line while the task runs."""
        self._display.display(line)


class VmAction(HypervisorAction):
    """Has a VM of an image on one platform; a subclass says which with ``platform``."""

    HYPERVISOR: t.ClassVar[str]
    """The row of the requirements that holds."""
    SPEC = COMMON
    REQUIRED_IF = [("state", "present", ("image",))]

    def platform(self, spec: VmSpec, arguments: dict[str, t.Any]) -> Platform:
        """Raises GuestError."""
        raise NotImplementedError

    def perform(self, arguments: dict[str, t.Any], result: dict[str, t.Any]) -> None:
        name = arguments["name"] or str(self._task_vars.get("inventory_hostname"))
        platform = self.platform(self._spec(name, arguments, result), arguments)
        check_mode = bool(self._task.check_mode)
        with self._alone(f"{platform.title} {name}"):
            if arguments["state"] == "absent":
                outcome = ensure_absent(platform, check_mode=check_mode)
            else:
                outcome = ensure_present(platform, running=arguments["running"], check_mode=check_mode)
        if platform.warnings:
            result["warnings"] = [*result.get("warnings", []), *platform.warnings]
        result |= {
            "changed": outcome.changed,
            "name": name,
            "id": outcome.id,
            "state": outcome.after,
            "image": outcome.image,
        }
        if self._task.diff and outcome.changed:
            result["diff"] = {"before": f"{name}: {outcome.before}\n", "after": f"{name}: {outcome.after}\n"}

    @contextlib.contextmanager
    def _alone(self, vm: str) -> t.Iterator[None]:
        """Nobody else of this user on this controller works on *vm*: a worker of a run that was killed may.

        Raises NotPossible.
        """
        home = Path(str(C.config.get_config_value("ANSIBLE_HOME"))).expanduser()
        lock = f"vm-{hashlib.sha256(vm.encode()).hexdigest()[:20]}.lock"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(home / "cp" / lock, Deadline(_OTHERS)))
            except TimeoutError:
                raise NotPossible(
                    f"Another run on this controller has been working on {vm} for {_OTHERS:g} s. Nothing was done. Wait for its "
                    "end, or end its process."
                ) from None
            yield

    def _spec(self, name: str, arguments: dict[str, t.Any], result: dict[str, t.Any]) -> VmSpec:
        """The VM that is asked for, if a CHR can run in it. Raises InvalidInput."""
        if not name.strip() or not name.isprintable() or "/" in name or name.startswith("-"):
            raise InvalidInput(f"name {name!r} is no name for a VM.")
        default = HYPERVISORS[self.HYPERVISOR].nics[0]
        nics = tuple(Nic(one["network"], one["model"] or default, one["mac"], one["vlan"]) for one in arguments["nics"])
        image = None
        base = arguments["memory_base"]
        cpus, memory = arguments["cpus"], arguments["memory"]
        if arguments["state"] == "present":
            image = self.image(Path(self._loader.path_dwim(arguments["image"])))
            try:
                found = findings(
                    Machine(
                        hypervisor=self.HYPERVISOR,
                        routeros=arguments["routeros"],
                        cpus=cpus,
                        memory=memory,
                        memory_base=base,
                        disk=image.virtual_size // MIB,
                        disk_bus=arguments.get("disk_bus"),
                        nics=tuple(nic.model for nic in nics),
                    )
                )
                base = memory_base(arguments["routeros"]) if base is None else base
            except ValueError as error:
                raise InvalidInput(f"{error}.") from None
            if found.errors:
                raise InvalidInput(f"A CHR cannot run in the VM {name!r} as it is asked for. {' '.join(found.errors)}")
            if found.warnings:
                result["warnings"] = [f"{name}: {text}" for text in found.warnings]
        memory = memory_required(cpus, len(nics), base or 0) if memory is None else memory
        return VmSpec(name=name, cpus=cpus, memory=memory, nics=nics, image=image)

    def image(self, path: Path) -> Image:
        """What the option ``image`` names. Raises GuestError."""
        return inspect(path)
