# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``vmware``: guest operations through a vCenter or an ESXi host.

The vendor's manual says how a CHR serves them: StartProgramInGuest with the program ``inline`` (its sample: ``console``) and the
script as arguments, or ``import`` and a file's name; ListProcessesInGuest tells ``endTime`` and an exit code of 0 or -1, keeps a
finished job for a minute or until it was listed once; 120 s for one script; no output, no files.
"""

from __future__ import annotations

import contextlib
import re
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from . import bits
from .access import Access
from .base import Capabilities, Guest, GuestOptions, Job, ScriptResult, check_source, encoded
from .deadline import Deadline, poll_interval
from .errors import AgentNotThere, GuestError, InvalidInput, NotAnAgent, NotPossible, OutcomeUnknown, ScriptFailed
from .vmware_network import VmwareNetwork
from .vmware_snapshots import VmwareSnapshots
from .vmware_tools import SCRIPTS, VmwareTools
from .vsphere import Vsphere, fault_words, library

PORT = 443
_LIMIT = 120.0  # seconds that RouterOS gives one script
_BATCH = 48  # jobs started side by side, so that the last is started well within the minute in which the first is kept
_STARTERS = 6  # calls at a time while starting them
_REPORT = 30  # seconds between two reports of the tools to VMware
_POWER = 60.0  # seconds until a router that still runs will not go down: RouterOS gives its power scripts 30
_FAILED = (
    "VmFailedToShutdownGuestEvent",
    "VmFailedToRebootGuestEvent",
    "VmFailedToPowerOffEvent",
    "VmFailedToResetEvent",
)
_LOST_AFTER = 1.0  # seconds of looks that do not show a job until it counts as lost
_POWER_ADVICE = (
    "RouterOS runs its script 'poweroff' first, where there is one; when that has an error or takes longer than 30 s, the "
    "operation fails, and what it printed is in the file 'poweroff-script.log' on the router. Repeat the task: the second attempt "
    "ignores the script's errors and completes (vendor's manual). method: script does it without the tools."
)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff]")


def open_guest(options: GuestOptions) -> Guest:
    """Raises InvalidInput, NotPossible."""
    endpoint = Access.of(options, PORT, "a vCenter or ESXi host")
    if options.exec_mode not in ("auto", *VmwareGuest.capabilities.exec_modes):
        raise InvalidInput(f"chr_exec_mode {options.exec_mode!r} is not one of the ways of backend vmware.")
    library()
    return VmwareGuest(options.vm, Vsphere(endpoint), options)


class VmwareGuest(Guest):
    """A CHR behind VMware's guest operations."""

    backend = "vmware"
    # 1 MB reached the guest side of the simulator; what a CHR takes is unknown, so the bound is that of the other backends.
    capabilities = Capabilities(
        output=False, files=False, max_script=256 * 1024, exec_modes=("inline", "console", "import")
    )

    def __init__(self, vm: str, vsphere: Vsphere, options: GuestOptions) -> None:
        super().__init__(vm, options.connect_timeout)
        self._vsphere = vsphere
        self._login = (options.guest_user, options.guest_password)
        self._exec_mode = options.exec_mode
        self._known_moid: str | None = None
        self._asked: tuple[str, datetime, float] | None = None  # to do what, the server's time, ours

    @property
    def _moid(self) -> str:
        if self._known_moid is None:
            self._known_moid = self._vsphere.find(self.vm)
        return self._known_moid

    def reset(self) -> None:
        self._known_moid = None
        self._vsphere.forget()

    # -- state -------------------------------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        deadline = Deadline(timeout or self.connect_timeout)
        while True:
            problem = self._absence()
            if problem is None:
                return
            if deadline.expired or not problem.silent:
                raise problem
            time.sleep(min(0.25, max(deadline.remaining, 0.01)))

    def _absence(self) -> AgentNotThere | None:
        """Why the guest cannot be spoken to, as VMware sees it; ``silent`` while it is on and may still come."""
        state = self._vsphere.properties(
            self._moid, ["runtime.powerState", "guest.toolsRunningStatus", "config.template"]
        )
        if state.get("config.template") is True:
            raise InvalidInput(
                f"{self.vm!r} ({self._moid}) is a template of {self._vsphere.endpoint.where}, which never runs. Nothing was sent. "
                "Name a VM that was made of it in chr_vm."
            )
        if (power := str(state.get("runtime.powerState"))) != "poweredOn":
            return self._off(power)
        tools = str(state.get("guest.toolsRunningStatus"))
        if tools != "guestToolsRunning":
            return AgentNotThere(
                f"The tools of RouterOS do not run in the VM {self.vm!r}: VMware says {tools}. It may still be booting; an "
                "installation from the x86 ISO, which is no CHR, has none.",
                silent=True,
            )
        return None

    def _off(self, power: str) -> AgentNotThere:
        then = "Resume it." if power == "suspended" else "Power it on."
        where = self._vsphere.endpoint.where
        return AgentNotThere(f"The VM {self.vm!r} of {where} is not running: VMware says {power}. {then}")

    def agent_info(self) -> dict[str, t.Any]:
        self._state = self._vsphere.properties(
            self._moid,
            ["name", "runtime.powerState", "guest.toolsRunningStatus", "guest.toolsVersion", "guest.hostName"]
            + ["guest.ipAddress", "guest.net", "guest.guestId", "guest.guestFullName", "config.tools"],
        )
        state = self._state
        tools = state.get("config.tools")
        return {
            "version": str(state.get("guest.toolsVersion") or ""),
            "commands": {},
            "questions": ["guest-get-osinfo", "guest-get-host-name", "guest-network-get-interfaces"],
            "extra": {
                "power_state": str(state.get("runtime.powerState")),
                "tools_status": str(state.get("guest.toolsRunningStatus")),
                "moid": self._moid,
                "max_age": _REPORT,
                "time_sync": getattr(tools, "syncTimeWithHost", None),
                "power_scripts": {name: getattr(tools, of, None) for name, of in SCRIPTS.items()},
            },
        }

    def query(self, commands: list[str]) -> dict[str, t.Any]:
        self.agent_info()
        state = self._state
        interfaces = [
            {
                "name": nic.network or "",
                "hardware-address": nic.macAddress or "",
                "ip-addresses": [
                    {
                        "ip-address": one.ipAddress,
                        "prefix": one.prefixLength or 0,
                        "ip-address-type": "ipv6" if ":" in one.ipAddress else "ipv4",
                    }
                    for one in (nic.ipConfig.ipAddress if nic.ipConfig else [])
                ],
            }
            for nic in state.get("guest.net") or []
        ]
        if not interfaces and state.get("guest.ipAddress"):
            address = str(state["guest.ipAddress"])
            kind = "ipv6" if ":" in address else "ipv4"
            interfaces = [
                {
                    "name": "",
                    "hardware-address": "",
                    "ip-addresses": [{"ip-address": address, "prefix": 0, "ip-address-type": kind}],
                }
            ]
        answers: dict[str, t.Any] = {
            "guest-get-osinfo": {
                "id": str(state.get("guest.guestId") or ""),
                "name": str(state.get("guest.guestFullName") or ""),
            },
            "guest-get-host-name": {"host-name": state.get("guest.hostName")},
            "guest-network-get-interfaces": interfaces,
        }
        return {command: answers[command] for command in commands if command in answers}

    def require_routeros(self) -> None:
        """By a script: only RouterOS's tools run one under the names that are used here."""
        if not self.condition("true", 30.0):
            raise NotAnAgent(f"The guest of {self.vm!r} does not run RouterOS scripts, so nothing was done there.")

    def shutdown(self, mode: str) -> None:
        if mode == "halt":
            raise NotPossible("VMware knows no halt: use powerdown.")
        vm = self._moid
        self._asked = (mode, self._vsphere.now(), time.monotonic())
        call = "RebootGuest" if mode == "reboot" else "ShutdownGuest"

        def ask() -> None:
            getattr(self._vsphere.object("VirtualMachine", vm), call)()

        try:
            self._vsphere.call(call, ask, changes=True)
        except library().vmodl.MethodFault as error:
            raise self._explained(error, _POWER_ADVICE) from error

    def refusal(self) -> str | None:
        """By the events that VMware keeps of an operation that failed; where there is none, by the time that has passed."""
        if not self._asked:
            return None
        mode, since, began = self._asked
        said: list[str] = []
        with contextlib.suppress(GuestError, library().vmodl.MethodFault):  # the user may not see events
            said = self._vsphere.events(self._moid, since, _FAILED)
        elapsed = time.monotonic() - began
        if not said and elapsed < _POWER:
            return None
        seen = f"VMware says: {said[-1].rstrip('.')}" if said else f"its tools still run after {elapsed:.0f} s"
        what = "reboot" if mode == "reboot" else "shut down"
        return (
            f"RouterOS in {self.vm!r} was asked to {what} through VMware's tools and did not: {seen}. {_POWER_ADVICE}"
        )

    def snapshots(self) -> VmwareSnapshots:
        return VmwareSnapshots(self._vsphere, self._moid, self.vm)

    def vmware_tools(self) -> VmwareTools:
        return VmwareTools(self._vsphere, self._moid, self.vm)

    def vmware_network(self) -> VmwareNetwork:
        return VmwareNetwork(self._vsphere, self._moid, self.vm)

    # -- scripts -----------------------------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        return self._start_text(_as_xml(source))

    def start_file(self, name: str) -> Job:
        if not name.strip() or _NOT_XML.search(name):
            raise InvalidInput(f"guest_file {name!r} is no file name.")
        if self._exec_mode in ("auto", "import"):
            try:
                return self._start("import", name)
            except _UnknownProgram:
                if self._exec_mode == "import":
                    raise
        # Nothing was started: a file that is not there, or a router that knows no such program. The script tells which.
        return self._start_text(f"/import file-name={quote(name)}")

    def _start_text(self, script: str) -> Job:
        forced = self._exec_mode if self._exec_mode in ("inline", "console") else None
        first = forced or self._vsphere.shared.noted(self._moid) or "inline"
        second = "console" if first == "inline" else "inline"
        try:
            job = self._start(first, script)
        except _UnknownProgram:
            if forced:
                raise
            job = self._start(second, script)
            self._vsphere.shared.note(self._moid, second)
        return job

    def _start(self, program: str, arguments: str) -> Job:
        """Start one program; while the tools are not running, again until ``connect_timeout``: nothing was started then."""
        vim = library().vim
        deadline = Deadline(self.connect_timeout)
        moid = self._moid
        spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath=program, arguments=arguments)
        while True:
            start = datetime.now(UTC)
            try:
                pid = self._vsphere.call(
                    "StartProgramInGuest",
                    lambda: self._vsphere.guest_processes().StartProgramInGuest(
                        self._vsphere.object("VirtualMachine", moid), self._auth(), spec
                    ),
                    changes=True,
                )
            except library().vmodl.MethodFault as error:
                if isinstance(error, (vim.fault.FileNotFound, library().vmodl.fault.InvalidArgument)):
                    raise _UnknownProgram(
                        f"The guest of {self.vm!r} refused the program {program!r} ({fault_words(error)}); nothing was started. "
                        "chr_exec_mode: auto tries the others."
                    ) from error
                explained = self._explained(error)
                if not (isinstance(explained, AgentNotThere) and explained.silent) or deadline.expired:
                    raise explained from error
                time.sleep(min(0.25, max(deadline.remaining, 0.01)))
                continue
            return Job(id=str(int(pid)), start=start, exec_mode=program)

    def _auth(self) -> t.Any:
        user, password = self._login
        return library().vim.vm.guest.NamePasswordAuthentication(
            username=user, password=password, interactiveSession=False
        )

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        return self._collect([job], timeout)[0]

    def _collect(self, jobs: list[Job], timeout: float) -> list[ScriptResult]:
        """The results of *jobs*, in their order, each read once. Raises OutcomeUnknown for a job that VMware no longer knows."""
        results: dict[str, ScriptResult] = {}
        missed: dict[str, float] = {}
        began = time.monotonic()
        while True:
            pending = [job for job in jobs if job.id not in results]
            listed = self._list([int(job.id) for job in pending])
            for job in pending:
                process = listed.get(int(job.id))
                if process is None:
                    missed.setdefault(job.id, time.monotonic())
                elif process.endTime is not None:
                    results[job.id] = self._ended(job, process)
            if len(results) == len(jobs):
                return [results[job.id] for job in jobs]
            now = time.monotonic()
            if lost := [job for job in jobs if job.id not in results and now - missed.get(job.id, now) >= _LOST_AFTER]:
                raise OutcomeUnknown(
                    f"The router of {self.vm!r} no longer knows job {lost[0].id}: it restarted, or something else asked for "
                    "the job's end first. Whether the script went through is unknown; it was not repeated. Look at the router."
                )
            elapsed = time.monotonic() - began
            if elapsed >= timeout:
                end = datetime.now(UTC)
                return [
                    results.get(job.id)
                    or ScriptResult(rc=None, output=b"", start=job.start, end=end, job=job.id, exec_mode=job.exec_mode)
                    for job in jobs
                ]
            time.sleep(min(poll_interval(elapsed), max(timeout - elapsed, 0.001)))

    def _ended(self, job: Job, process: t.Any) -> ScriptResult:
        rc = int(process.exitCode or 0)
        end = datetime.now(UTC)
        if rc != 0:
            ran = (process.endTime - process.startTime).total_seconds() if process.startTime else 0.0
            # Times of the router, whose clock can be set meanwhile: what is longer than our own wait is no time-out.
            rc = 1 if min(ran, (end - job.start).total_seconds()) >= _LIMIT - 1 else -1
        return ScriptResult(rc=rc, output=b"", start=job.start, end=end, job=job.id, exec_mode=job.exec_mode)

    def _list(self, pids: list[int]) -> dict[int, t.Any]:
        moid = self._moid
        try:
            processes = self._vsphere.call(
                "ListProcessesInGuest",
                lambda: self._vsphere.guest_processes().ListProcessesInGuest(
                    self._vsphere.object("VirtualMachine", moid), self._auth(), pids
                ),
            )
        except (GuestError, library().vmodl.MethodFault) as error:
            said = str(error if isinstance(error, GuestError) else self._explained(error))
            raise OutcomeUnknown(
                f"{said} The end of job {pids[0]} is unknown; the script was not repeated. Look at the router."
            ) from error
        return {int(one.pid): one for one in processes or []}

    def _explained(self, error: t.Any, advice: str = "") -> GuestError:
        """A fault of a guest operation as a sentence, with *advice* where nothing else is known of it."""
        vim, vmodl = library().vim, library().vmodl
        endpoint = self._vsphere.endpoint
        if isinstance(error, vim.fault.InvalidGuestLogin):
            return NotPossible(
                f"RouterOS in {self.vm!r} refused the login of {self._login[0]!r}: wrong chr_guest_user or chr_guest_password, or "
                "a user that is disabled. Nothing was run."
            )
        if isinstance(error, vim.fault.GuestPermissionDenied):
            return NotPossible(
                f"RouterOS in {self.vm!r} does not let {self._login[0]!r} do this; nothing was run. The user's group needs more "
                "policies."
            )
        if isinstance(error, vmodl.fault.SecurityError) and hasattr(error, "privilegeId"):
            return NotPossible(
                f"{endpoint.user!r} may not do this to {self.vm!r}: the privilege {error.privilegeId} is missing. Scripts need "
                "VirtualMachine.GuestOperations.Execute to start and VirtualMachine.GuestOperations.Query to follow them."
            )
        if isinstance(error, vim.fault.InvalidPowerState):
            return self._absence() or self._off(str(error.existingState))
        if isinstance(error, (vim.fault.GuestOperationsUnavailable, vim.fault.ToolsUnavailable)):
            return self._absence() or AgentNotThere(
                f"The tools of RouterOS in {self.vm!r} do not take scripts yet. It may still be booting.", silent=True
            )
        if isinstance(error, vmodl.fault.ManagedObjectNotFound):
            return InvalidInput(f"{endpoint.where} no longer has the VM {self.vm!r} ({self._moid}).")
        if isinstance(error, vim.fault.InvalidState):
            return NotPossible(
                f"The VM {self.vm!r} is in a state that allows no guest operation ({fault_words(error)}), such as a snapshot, "
                "a move or a suspension under way. Nothing was run; try again when that is over."
            )
        said = f"{endpoint.where} refused a guest operation on {self.vm!r}: {fault_words(error)}."
        return NotPossible(f"{said} {advice}".rstrip())

    # -- values ------------------------------------------------------------------------------------------------------

    def condition(self, expression: str, timeout: float) -> bool:
        return bits.condition(expression.strip(), lambda scripts: self._succeed(scripts, timeout))

    def read(self, expression: str, timeout: float, likely: t.Sequence[bytes] = ()) -> bytes:
        return bits.read_text(expression, lambda scripts: self._succeed(scripts, timeout), likely)

    def read_seconds(self, expression: str, timeout: float) -> float:
        return bits.read_seconds(expression, lambda scripts: self._succeed(scripts, timeout))

    def _succeed(self, scripts: list[str], timeout: float) -> list[bool]:
        """Which of some harmless *scripts* succeed: started side by side, collected in one listing a look."""
        outcomes: list[bool] = []
        sources = [_as_xml(encoded(script)) for script in scripts]
        while len(outcomes) < len(sources):
            batch = sources[len(outcomes) : len(outcomes) + (_BATCH if outcomes or len(sources) == 1 else 1)]
            # The first goes alone: it finds out which program takes scripts, and whether the login is right.
            if len(batch) == 1:
                jobs = [self._start_text(batch[0])]
            else:
                with ThreadPoolExecutor(_STARTERS) as pool:
                    jobs = list(pool.map(self._start_text, batch))
            for result in self._collect(jobs, timeout):
                if result.timed_out:
                    raise ScriptFailed(f"A question to the router of {self.vm!r} did not end within {timeout:g} s.")
                outcomes.append(result.rc == 0)
        return outcomes


class _UnknownProgram(NotPossible):
    """The guest does not take that program; nothing was started."""


def _as_xml(source: bytes) -> str:
    """*source* as text that XML carries unchanged. Raises InvalidInput."""
    script = source.decode("utf-8").replace("\r\n", "\n")
    if found := _NOT_XML.search(script):
        raise InvalidInput(
            f"The script has the control character 0x{ord(found[0]):02X} at character {found.start()}, which the vSphere API "
            f"cannot carry. Write it as the RouterOS escape \\{ord(found[0]):02X}."
        )
    return script
