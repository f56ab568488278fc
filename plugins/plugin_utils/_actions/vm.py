# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base classes of the actions that create and remove VMs.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    TimedOut,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import HypervisorOptions, SshOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options, open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    DISK,
    UNTAGGED,
    Card,
    Hardware,
    shown,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    AnyPlatform,
    Found,
    Nic,
    Outcome,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image, inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.requirements import (
    HYPERVISORS,
    MIB,
    PlannedVm,
    findings,
    memory_base,
    memory_required,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import locked

from . import before_fork, errors, switching, versions
from .removal import PATIENCE, Held
from .router import router_connection
from .runtime_directory import runtime_directory

before_fork.preload()

# All in seconds.
_OTHERS = 60.0  # for another run to finish with the VM
_SHUTDOWN = 60.0  # for a router to shut down

COMMON: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "running": {"type": "bool", "default": True},
    "adopt": {"type": "bool", "default": False},
    "reconcile": {"type": "bool", "default": False},
    "restart": {"type": "bool", "default": False},
    "confirm_licensed": {"type": "bool", "default": False},
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
    """An action that talks to the hypervisor of the host's router, not to the router itself.

    It runs in the controller's process.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    OPTIONS: t.ClassVar[type[HypervisorOptions]] = SshOptions
    """The class of the options that say how the hypervisor is reached."""
    SPEC: t.ClassVar[dict[str, dict[str, t.Any]]]
    REQUIRED_IF: t.ClassVar[list[tuple[str, t.Any, tuple[str, ...]]]] = []

    def perform(self, arguments: dict[str, t.Any], result: dict[str, t.Any]) -> None:
        """Do the task, and put the outcome into *result*. Raises ChrError."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = {**super().run(tmp, task_vars), "changed": False}
        self._task_vars = task_vars or {}

        def perform() -> None:
            _validation, arguments = self.validate_argument_spec(self.SPEC, required_if=self.REQUIRED_IF)
            self.perform(arguments, result)

        return errors.outcome(result, perform, no_log=bool(self._task.no_log))

    def options(self) -> t.Any:
        """Read the hypervisor's address and login from the options of the host's connection.

        Raises ChrError, AnsibleError.
        """
        return self.OPTIONS.from_options(self._connection_values())

    def _connection_values(self) -> dict[str, t.Any]:
        connection = router_connection(
            self, "takes the hypervisor's address and login from the options of the connection {transport}"
        )
        values: dict[str, t.Any] = connection.option_values()
        return values

    def say(self, line: str) -> None:
        """Show a line while the task runs."""
        self._display.display(errors.told(line))


class VmAction(HypervisorAction):
    """An action that creates or removes a VM on one platform.

    A subclass declares the platform and the options of its task.
    """

    HYPERVISOR: t.ClassVar[str]
    """The hypervisor's name in the table of requirements."""
    SPEC = COMMON
    REQUIRED_IF = [("state", "present", ("image",))]
    AGENT: t.ClassVar[bool] = True
    """Whether the hypervisor is the backend of a guest agent, by the same name."""
    SETTINGS: t.ClassVar[type[VmSettings]]
    PLATFORM: t.ClassVar[type[AnyPlatform]]

    def reach(self) -> t.Any:
        """Return what the platform takes to reach its hypervisor, by default the options.

        Raises ChrError, AnsibleError.
        """
        return self.options()

    def perform(self, arguments: dict[str, t.Any], result: dict[str, t.Any]) -> None:
        with contextlib.ExitStack() as held:
            image = None
            if arguments["state"] == "present":
                image = held.enter_context(self.image(Path(self._loader.path_dwim(arguments["image"]))))
            self._ensure(arguments, image, result)

    @contextlib.contextmanager
    def image(self, path: Path) -> t.Iterator[Image]:
        """Open the image in the file *path*. Raises ChrError."""
        yield inspect(path)

    def _ensure(self, arguments: dict[str, t.Any], image: Image | None, result: dict[str, t.Any]) -> None:
        name = arguments["name"] or str(self._task_vars.get("inventory_hostname"))
        spec = self._spec(name, arguments, image, result)
        platform = self.PLATFORM(spec, self.reach(), self.SETTINGS.from_arguments(arguments), self.say)
        check_mode = bool(self._task.check_mode)
        try:
            with self._alone(f"{platform.title} {name}"):
                if arguments["state"] == "absent":
                    look = functools.partial(self._check_license, platform, result, arguments["confirm_licensed"])
                    outcome = ensure_absent(platform, check_mode=check_mode, before_removal=look)
                else:
                    allowed = Allowed(
                        arguments["adopt"],
                        arguments["reconcile"],
                        arguments["restart"],
                        functools.partial(self._shut_down, platform),
                    )
                    outcome = ensure_present(
                        platform, running=arguments["running"], check_mode=check_mode, allowed=allowed
                    )
                    result |= _compared(outcome)
        finally:
            result["changed"] = platform.created or platform.touched
            if platform.warnings:
                result["warnings"] = [*result.get("warnings", []), *platform.warnings]
        result |= {
            "changed": outcome.changed,
            "name": name,
            "id": outcome.id,
            "state": outcome.after,
            "image": outcome.image,
            **platform.extra(outcome),
        }
        if self._task.diff and outcome.changed:
            result["diff"] = _diff(name, outcome)
        if outcome.after == "running" and not check_mode:
            platform.settle()

    def _check_license(self, platform: AnyPlatform, result: dict[str, t.Any], confirmed: bool, found: Found) -> None:
        """Warn of the license of *found*. Raises NotPossible if it must be confirmed."""
        held = self._license(platform, found)
        result["license"] = {"level": held.level, "system_id": held.system_id} if held.level else None
        if warning := held.check(f"{platform.spec.name!r} ({found.id}) of {platform.title}", confirmed=confirmed):
            platform.warnings.append(warning)

    def _license(self, platform: AnyPlatform, found: Found) -> Held:
        if not self.AGENT:
            return Held(why_not=f"This module has no way to a router on {HYPERVISORS[self.HYPERVISOR].title}.")
        if not found.running:
            return Held(why_not="The VM is off.")
        try:
            return Held.by(self._guest(platform, found))
        except (ChrError, AnsibleError) as error:
            return Held(why_not=str(error))

    def _shut_down(self, platform: AnyPlatform, found: Found) -> None:
        """Ask the router to shut down, and wait until it is off or has not done so in time."""
        if not self.AGENT:
            return
        with contextlib.suppress(ChrError, AnsibleError):
            guest = self._guest(platform, found)
            guest.require_routeros()
            # Whatever goes wrong, the platform turns the VM off next.
            switching.shut_down(guest, "first", lambda: guest.shutdown("powerdown"), Deadline(_SHUTDOWN), "")

    def _guest(self, platform: AnyPlatform, found: Found) -> Guest:
        """The guest of *found*, which must answer soon. Raises ChrError, AnsibleError."""
        values = self._connection_values() | platform.guest_options(found) | {"backend": self.HYPERVISOR}
        values["connect_timeout"] = min(PATIENCE, float(values["connect_timeout"]))
        return open_guest(from_options(values))

    @contextlib.contextmanager
    def _alone(self, vm: str) -> t.Iterator[None]:
        """Keep other runs of this user on this controller from working on *vm*.

        A worker of a run that was killed may still be at work. Raises TimedOut.
        """
        lock = f"vm-{hashlib.sha256(vm.encode()).hexdigest()[:20]}.lock"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(runtime_directory() / lock, Deadline(_OTHERS)))
            except TimeoutError:
                raise TimedOut(
                    f"Another run on this controller has been working on {vm} for {_OTHERS:g} s. "
                    "Nothing was done. Wait for its end, or end its process."
                ) from None
            yield

    def _spec(self, name: str, arguments: dict[str, t.Any], image: Image | None, result: dict[str, t.Any]) -> VmSpec:
        """Describe the requested VM. Raises InvalidInput if a CHR cannot run in it."""
        versions.refuse_number(self, "routeros")
        if not name.strip() or not name.isprintable() or "/" in name or name.startswith("-"):
            raise InvalidInput(f"name {name!r} is not a valid name for a VM.")
        default = HYPERVISORS[self.HYPERVISOR].nics[0]
        nics = tuple(Nic(one["network"], one["model"] or default, one["mac"], one["vlan"]) for one in arguments["nics"])
        base = arguments["memory_base"]
        cpus, memory = arguments["cpus"], arguments["memory"]
        if image is not None:
            try:
                found = findings(
                    PlannedVm(
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
                raise InvalidInput(f"A CHR cannot run in the VM {name!r} as requested. {' '.join(found.errors)}")
            if found.warnings:
                result["warnings"] = [f"{name}: {text}" for text in found.warnings]
        memory = memory_required(cpus, len(nics), base or 0) if memory is None else memory
        return VmSpec(name=name, cpus=cpus, memory=memory, nics=nics, image=image, asked=self._asked(arguments, nics))

    def _asked(self, arguments: dict[str, t.Any], nics: tuple[Nic, ...]) -> Hardware:
        """What the task asks for by its own options, and what every CHR needs.

        The network and the VLAN of a card belong together: they say where it is connected.
        """
        given = {name for name in ("cpus", "memory", "nics") if self._task.args.get(name) is not None}
        cards = tuple(
            Card(one["model"], nic.mac, one["network"], UNTAGGED if one["network"] and nic.vlan is None else nic.vlan)
            for one, nic in zip(arguments["nics"], nics, strict=True)
        )
        return Hardware(
            cpus=arguments["cpus"] if "cpus" in given else None,
            memory=arguments["memory"] if "memory" in given else None,
            nics=cards if "nics" in given else None,
            agent=True,
            boot=DISK,
        )


def _compared(outcome: Outcome) -> dict[str, t.Any]:
    """What an existing VM has, and the differences, as values for the result."""
    found = None if outcome.hardware is None else {"state": outcome.before, **dataclasses.asdict(outcome.hardware)}
    if found and found["nics"] is not None:
        found["nics"] = list(found["nics"])
    return {
        "found": found,
        "adopted": outcome.adopted,
        "differences": [
            {
                "what": one.what,
                "interface": one.interface,
                "is": one.found,
                "asked": one.asked,
                "reconciled": one in outcome.reconciled,
            }
            for one in outcome.differences
        ],
    }


def _diff(name: str, outcome: Outcome) -> dict[str, str]:
    before, after = [f"{name}: {outcome.before}"], [f"{name}: {outcome.after}"]
    if outcome.adopted:
        before.append("adopted: no")
        after.append("adopted: yes")
        about = [line for line in _lines(outcome.hardware) if line]
        before += about
        after += about
    for one in outcome.reconciled:
        before.append(f"{one.label}: {shown(one.what, one.found)}")
        after.append(f"{one.label}: {shown(one.what, one.asked)}")
    return {"before": "\n".join([*before, ""]), "after": "\n".join([*after, ""])}


def _lines(hardware: Hardware | None) -> t.Iterator[str]:
    """The hardware of a VM for people."""
    if hardware is None:
        return
    for name in ("cpus", "memory", "agent", "boot"):
        if (value := getattr(hardware, name)) is not None:
            yield f"{name}: {shown(name, value)}"
    for number, card in enumerate(hardware.nics or (), start=1):
        about = [f"{key} {shown(key, value)}" for key, value in dataclasses.asdict(card).items() if value is not None]
        yield f"ether{number}: {', '.join(about)}"
