# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A CHR behind XenAPI."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from .. import provision
from ..base import Capabilities, Guest, GuestOptions, Job, ScriptResult, check_source, encoded
from ..deadline import Deadline
from ..errors import AgentNotThere, InvalidInput, NotAnAgent, NotPossible
from .api import NULL, PORT, Access, Failure, Xapi
from .script import Delivery
from .vm import Record, Vm

_ORDERS = {"powerdown": "clean_shutdown", "reboot": "clean_reboot"}
_TAKEN = 30.0  # seconds in which an order fails that cannot be carried out
_SYSTEMS = ("debian", "ubuntu", "centos", "rhel", "fedora", "suse", "oracle", "windows")


def open_guest(options: GuestOptions) -> Guest:
    """Raises InvalidInput."""
    access = Access.of(options, PORT, "a host, or the coordinator of a pool")
    if options.exec_mode not in ("auto", *XenapiGuest.capabilities.exec_modes):
        raise InvalidInput(
            f"chr_exec_mode {options.exec_mode!r} is not one of the ways of backend xenapi: auto, start or reboot."
        )
    return XenapiGuest(Vm(Xapi(access), options.vm), options)


class XenapiGuest(Guest):
    """A CHR that takes a script when it boots, and whose toolstack says what became of it."""

    backend = "xenapi"
    capabilities = Capabilities(
        output=True,
        files=False,
        max_script=provision.MAX_SOURCE,
        exec_modes=("start", "reboot"),
        max_output=provision.MAX_STEP,
        live=False,
    )

    def __init__(self, vm: Vm, options: GuestOptions) -> None:
        super().__init__(options.vm, options.connect_timeout)
        self._vm = vm
        self._restart = options.exec_mode == "reboot"
        self._started = ""
        """The domid of the boot that a script of ours has caused."""
        self._deliveries: dict[str, Delivery] = {}

    def reset(self) -> None:
        self._vm.forget()

    # -- scripts -----------------------------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        plan = provision.plan(source)
        vm = self._vm
        vm.look()
        mode = self._way()
        delivery = Delivery(vm, plan)
        began = datetime.now(UTC)
        delivery.start()
        self._deliveries[delivery.id] = delivery
        return Job(id=delivery.id, start=began, exec_mode=mode)

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        provision.check_single(source)
        return self.run(source, timeout)

    def start_file(self, name: str) -> Job:
        return self.start(encoded(f"/import file-name={quote(name)}"))

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        result = self._deliveries.pop(job.id).wait(job, timeout)
        self._started = self._vm.domid
        return result

    def _way(self) -> str:
        """How a script gets to the VM as it was last seen. Raises NotPossible, with the ways out."""
        vm = self._vm
        if vm.power_state == "Halted":
            return "start"
        if vm.power_state != "Running":
            raise NotPossible(
                f"The VM {self.vm!r} is {vm.power_state.lower()}: a script is handed over when it starts. Resume it or shut it "
                "down first. Nothing was done to it."
            )
        if self._restart:
            self._refuse_other_systems()
        elif vm.domid != self._started:  # what we have just started ourselves, we may start again
            raise NotPossible(
                f"The VM {self.vm!r} runs, and XenAPI hands a script over only when a VM starts: what it writes into the "
                "xenstore of a running one is read-only for the router, so neither status nor output could come back. Nothing "
                "was done. There are three ways: chr_exec_mode: reboot lets the script come with a restart of the router; "
                "backend xenstore reaches a running one through dom0; or shut it down first (outofband.chr.power), and the "
                "script comes with its next start."
            )
        if "clean_reboot" not in vm.record["allowed_operations"]:
            raise NotPossible(
                f"XenAPI does not allow a clean reboot of {self.vm!r} now: its guest tools are not there yet, or something else is "
                "under way. Nothing was done. Try again later, or shut the VM down another way first."
            )
        return "reboot"

    # -- state -------------------------------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        deadline = Deadline(timeout or self.connect_timeout)
        metrics: Record = {}
        for _unused in self._vm.watch(None, lambda: min(deadline.remaining, 1.0)):
            self._require_running()
            metrics = self._vm.guest_metrics()
            if metrics.get("live"):
                return
        seen = "what they reported is old" if metrics else "they have reported nothing"
        raise AgentNotThere(
            f"The guest tools of {self.vm!r} are not there: {seen}. RouterOS may still be booting (it reports every 30 s), or "
            "this is no CHR.",
            silent=True,
        )

    def boot(self) -> str:
        self._vm.look()
        self._require_running()
        return str(self._vm.xapi.call("VM_metrics.get_start_time", self._vm.record["metrics"]))

    def require_routeros(self) -> None:
        self._vm.look()
        self._require_running()
        self._refuse_other_systems()

    def shutdown(self, mode: str) -> None:
        if mode not in _ORDERS:
            raise NotPossible("XenAPI knows no halt: use powerdown.")
        operation = _ORDERS[mode]
        try:
            task = self._vm.order(operation)
        except Failure as error:
            raise self._vm.failed(error) from None
        self._vm.settle(task, operation, Deadline(_TAKEN))

    def _require_running(self) -> None:
        """Raises AgentNotThere, with what to do."""
        if self._vm.power_state != "Running":
            raise AgentNotThere(
                f"The VM {self.vm!r} is off: XenAPI says {self._vm.power_state}. Start it; outofband.chr.script does so by "
                "itself when it is halted."
            )

    def _refuse_other_systems(self) -> None:
        """Raises NotAnAgent when the guest's tools say that it is something else. What a CHR says is not published."""
        told = {key: str(value) for key, value in self._vm.guest_metrics().get("os_version", {}).items()}
        text = " ".join(told.values()).lower()
        if "routeros" not in text and any(system in text for system in _SYSTEMS):
            raise NotAnAgent(
                f"The guest tools of {self.vm!r} say that it runs {told.get('name') or text!r}, which is not RouterOS, so "
                "nothing was done there. Is this another VM than the one you meant?"
            )

    # -- what is known without a script ------------------------------------------------------------------------------

    def agent_info(self) -> dict[str, t.Any]:
        record = self._vm.look()
        metrics = self._vm.guest_metrics()
        tools = metrics.get("PV_drivers_version") or {}
        numbers = ".".join(str(tools[key]) for key in ("major", "minor", "micro") if key in tools)
        host = str(record["resident_on"])
        return {
            "version": "-".join(str(part) for part in (numbers, tools.get("build")) if part),
            "commands": {},
            "questions": ["guest-get-osinfo", "guest-get-host-name", "guest-network-get-interfaces"],
            "extra": {
                "power_state": self._vm.power_state,
                "tools_status": "live" if metrics.get("live") else "absent",
                "uuid": str(record["uuid"]),
                "host": None if host == NULL else str(self._vm.xapi.call("host.get_name_label", host)),
            },
        }

    def query(self, commands: list[str]) -> dict[str, t.Any]:
        self._vm.look()
        metrics = self._vm.guest_metrics()
        system = dict(metrics.get("os_version") or {})
        if "routeros" in " ".join(map(str, system.values())).lower():
            system["id"] = "routeros"
        answers: dict[str, t.Any] = {
            "guest-get-osinfo": system,
            "guest-get-host-name": {"host-name": (metrics.get("netbios_name") or {}).get("host_name")},
        }
        if "guest-network-get-interfaces" in commands:
            answers["guest-network-get-interfaces"] = self._interfaces(metrics.get("networks") or {})
        return {command: answers[command] for command in commands if command in answers}

    def _interfaces(self, networks: dict[str, str]) -> list[dict[str, t.Any]]:
        """The VM's interfaces by their device number, with the addresses that the tools report."""
        found = []
        for ref in self._vm.record["VIFs"]:
            vif = self._vm.xapi.call("VIF.get_record", ref)
            device = str(vif["device"])
            found.append(
                {"name": device, "hardware-address": str(vif["MAC"]), "ip-addresses": _addresses(networks, device)}
            )
        return sorted(found, key=lambda one: (len(one["name"]), one["name"]))


def _addresses(networks: dict[str, str], device: str) -> list[dict[str, t.Any]]:
    """Of one interface, from keys like ``0/ip``, ``0/ipv4/0`` and ``0/ipv6/0``; the first is an old name of the second."""
    values: dict[str, None] = {}
    for key, value in sorted(networks.items()):
        if key.split("/")[0] == device:
            values.setdefault(value)
    return [
        {"ip-address": value, "prefix": 0, "ip-address-type": "ipv6" if ":" in value else "ipv4"} for value in values
    ]
