# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``xenapi``: a CHR on XenServer or XCP-ng."""

from __future__ import annotations

from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NotAnAgent,
    NotPossible,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.capabilities import Capabilities
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import (
    Address,
    GuestReport,
    Interface,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job, ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import vm_data
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import import_script

from .api import NULL, PORT, Xapi, XenapiError, XenapiLogin
from .checks import XenapiChecks
from .delivery import Delivery
from .machine import Record, XenapiMachine
from .options import XenapiOptions
from .power import XenapiPower

_ORDERS = {"powerdown": "clean_shutdown", "reboot": "clean_reboot"}
_TAKEN = 30.0  # seconds in which an order that cannot be carried out fails
_SYSTEMS = ("debian", "ubuntu", "centos", "rhel", "fedora", "suse", "oracle", "windows")


def open_guest(options: XenapiOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput."""
    login = XenapiLogin.from_options(options, PORT, "a host, or the coordinator of a pool")
    return XenapiGuest(XenapiMachine(Xapi(login), options.vm), options)


class XenapiGuest(Guest):
    """A CHR that takes a script when it boots, and whose toolstack tells the result."""

    backend = "xenapi"
    capabilities = Capabilities(
        output=True,
        files=False,
        max_script=vm_data.MAX_SOURCE,
        max_output=vm_data.MAX_STEP,
        runs_without_restart=False,
    )

    def __init__(self, vm: XenapiMachine, options: XenapiOptions) -> None:
        super().__init__(options.vm, options.connect_timeout)
        self._vm = vm
        self._may_restart = options.may_restart
        self._started = ""
        """The domain id of the boot that our last script has caused. Empty before the first."""
        self._deliveries: dict[str, Delivery] = {}

    def place(self) -> tuple[str, str]:
        if not self._vm.record:
            self._vm.look()
        return self._vm.xapi.login.address, str(self._vm.record["uuid"])

    def reset(self) -> None:
        self._vm.forget()

    # -- scripts -----------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        plan = vm_data.plan(source)
        vm = self._vm
        vm.look()
        mode = self._way()
        delivery = Delivery(vm, plan)
        began = datetime.now(UTC)
        delivery.start()
        self._deliveries[delivery.id] = delivery
        return Job(id=delivery.id, start=began, exec_mode=mode)

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        vm_data.check_single(source)
        return self.run(source, timeout)

    def start_file(self, name: str) -> Job:
        return self.start(import_script(name))

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        result = self._deliveries.pop(job.id).wait(job, timeout)
        self._started = self._vm.domid
        return result

    def _way(self) -> str:
        """The way to hand a script to the VM in its last known state.

        Raises NotPossible, which says what to do instead.
        """
        vm = self._vm
        if vm.power_state == "Halted":
            return "start"
        if vm.power_state != "Running":
            raise NotPossible(
                f"The VM {self.vm!r} is {vm.power_state.lower()}, but a script is handed over when a VM starts. Nothing was done "
                "to it. Resume it or shut it down first."
            )
        if self._may_restart:
            self._refuse_other_systems()
        elif vm.domid != self._started:  # a VM that we have just started ourselves may be restarted
            raise NotPossible(
                f"The VM {self.vm!r} runs, and XenAPI hands a script over only when a VM starts: what it writes into the "
                "xenstore of a running one is read-only for the router, so neither status nor output could come back. Nothing "
                "was done. There are three ways: chr_exec_mode: reboot lets the script come with a restart of the router; "
                "backend xenstore reaches a running one through dom0; or shut it down first (outofband.chr.power), and the "
                "script comes with its next start."
            )
        if not self._may_reboot():
            raise NotPossible(
                f"XenAPI has not allowed a clean reboot of {self.vm!r} within {self.connect_timeout:g} s: its guest tools do not "
                "run yet, or another operation is under way. Nothing was done. Try again later, or shut the VM down in another "
                "way first."
            )
        return "reboot"

    def _may_reboot(self) -> bool:
        """Wait until XenAPI allows a clean reboot: when a router boots, its tools run late."""
        deadline = Deadline(self.connect_timeout)
        if "clean_reboot" in self._vm.record["allowed_operations"]:
            return True
        return any(
            "clean_reboot" in self._vm.record["allowed_operations"]
            for _unused in self._vm.watch(None, lambda: min(deadline.remaining, 1.0))
        )

    # -- state -------------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        deadline = Deadline(timeout or self.connect_timeout)
        metrics: Record = {}
        for _unused in self._vm.watch(None, lambda: min(deadline.remaining, 1.0)):
            self._require_running()
            metrics = self._vm.guest_metrics()
            if metrics.get("live"):
                return
        seen = "what they reported is old" if metrics else "they have reported nothing"
        raise Unreachable(
            f"The guest tools of {self.vm!r} do not run: {seen}. RouterOS may still be booting (it reports every 30 s), or "
            "this is not a CHR.",
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
            raise NotPossible("XenAPI cannot halt a guest. Use powerdown.")
        operation = _ORDERS[mode]
        try:
            task = self._vm.order(operation)
        except XenapiError as error:
            raise self._vm.failed(error) from None
        self._vm.settle(task, operation, Deadline(_TAKEN))

    def power(self) -> XenapiPower:
        return XenapiPower(self._vm)

    def checks(self) -> XenapiChecks:
        return XenapiChecks(self._vm)

    def _require_running(self) -> None:
        """Check that the VM runs. Raises Unreachable, which says what to do."""
        if self._vm.power_state != "Running":
            raise Unreachable(
                f"The VM {self.vm!r} is off: XenAPI says {self._vm.power_state}. Start it; outofband.chr.script does so by "
                "itself when it is halted."
            )

    def _refuse_other_systems(self) -> None:
        """Check the guest's system. Raises NotAnAgent if its tools say that it is another one.

        It is not published what the tools of a CHR say.
        """
        told = {key: str(value) for key, value in self._vm.guest_metrics().get("os_version", {}).items()}
        text = " ".join(told.values()).lower()
        if "routeros" not in text and any(system in text for system in _SYSTEMS):
            raise NotAnAgent(
                f"The guest tools of {self.vm!r} say that it runs {told.get('name') or text!r}, which is not RouterOS, so "
                "nothing was done there. Is this another VM than the one you meant?"
            )

    # -- what is known without a script ------------------------------------------------------------

    def report(self) -> GuestReport:
        record = self._vm.look()
        metrics = self._vm.guest_metrics()
        tools = metrics.get("PV_drivers_version") or {}
        numbers = ".".join(str(tools[key]) for key in ("major", "minor", "micro") if key in tools)
        system = {str(key).replace("-", "_"): value for key, value in (metrics.get("os_version") or {}).items()}
        if "routeros" in " ".join(map(str, system.values())).lower():
            system["id"] = "routeros"
        host = str(record["resident_on"])
        return GuestReport(
            "-".join(str(part) for part in (numbers, tools.get("build")) if part),
            os=system,
            host_name=(metrics.get("netbios_name") or {}).get("host_name"),
            interfaces=self._interfaces(metrics.get("networks") or {}),
            extra={
                "power_state": self._vm.power_state,
                "tools_status": "live" if metrics.get("live") else "absent",
                "uuid": str(record["uuid"]),
                "host": None if host == NULL else str(self._vm.xapi.call("host.get_name_label", host)),
            },
        )

    def _interfaces(self, networks: dict[str, str]) -> tuple[Interface, ...]:
        """The VM's interfaces by their device number, with the addresses that the tools report."""
        found = []
        for ref in self._vm.record["VIFs"]:
            vif = self._vm.xapi.call("VIF.get_record", ref)
            device = str(vif["device"])
            found.append(Interface(device, str(vif["MAC"]), addresses(networks, device)))
        return tuple(sorted(found, key=lambda one: (len(str(one.name)), str(one.name))))


def addresses(networks: dict[str, str], device: str | None = None) -> tuple[Address, ...]:
    """The addresses of one interface or all, from keys like ``0/ip``, ``0/ipv4/0``, ``0/ipv6/0``.

    The first is an old name of the second.
    """
    values = dict.fromkeys(
        value for key, value in sorted(networks.items()) if device is None or key.split("/")[0] == device
    )
    return tuple(map(Address, values))
