# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``vmware``: guest operations through a vCenter or an ESXi host.

The vendor's manual says how a CHR serves them. StartProgramInGuest takes the program ``inline``
(``console`` in its sample) with the script as arguments, or ``import`` with a file's name.
ListProcessesInGuest tells ``endTime`` and an exit code of 0 or -1. It keeps a finished job for a
minute or until it was listed once. A script may take 120 s. There is no output, and files cannot be
moved.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import re
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotAnAgent,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    RouterLoginRefused,
    ScriptFailed,
    ScriptTimedOut,
    Unreachable,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import read_by_exit_code, small_files
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.capabilities import Capabilities
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import (
    Address,
    GuestReport,
    Interface,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job, ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware_tools import (
    POWER_ADVICE,
    STOPPED,
    exit_code,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import (
    contents,
    found,
    import_script,
    removal_script,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin

from . import privileges
from .checks import VmwareChecks
from .network import VmwareNetwork
from .options import VmwareOptions
from .power import VmwarePower, template
from .snapshots import VmwareSnapshots
from .tools import SCRIPTS, VmwareTools
from .vsphere import Vsphere, fault_words, library

PORT = 443
_BATCH = 48  # jobs at once: the last must be started well within the minute for which the first is kept
_STARTERS = 6  # calls at a time while starting them
_CLEARING = 30.0  # seconds for the removal of files
_READING = 30.0  # seconds for the jobs that read the words of a script that failed
_REPORT = 30  # seconds between two reports of the tools to VMware
_POWER = 60.0  # seconds after which a router that still runs stays up: RouterOS gives its power scripts 30
_FAILED = (
    "VmFailedToShutdownGuestEvent",
    "VmFailedToRebootGuestEvent",
    "VmFailedToPowerOffEvent",
    "VmFailedToResetEvent",
)
_AGAIN = 0.25  # seconds before jobs are listed again after an answer was lost
_LOST_AFTER = 1.0  # seconds for which no listing shows a job before it counts as lost
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff]")


def open_guest(options: VmwareOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput, NotPossible."""
    endpoint = PasswordLogin.from_options(options, PORT, "a vCenter or ESXi host")
    library()
    return VmwareGuest(options.vm, Vsphere(endpoint), options)


class VmwareGuest(small_files.SmallFiles):
    """A CHR behind VMware's guest operations."""

    backend = "vmware"
    # 1 MB reached the guest side of the simulator; what a CHR takes is unknown, so the bound is
    # that of the other backends.
    capabilities = Capabilities(output=False, files=False, max_script=256 * 1024, small_files=small_files.LARGEST)

    def __init__(self, vm: str, vsphere: Vsphere, options: VmwareOptions) -> None:
        super().__init__(vm, options.connect_timeout)
        self._vsphere = vsphere
        self.logins = options.logins
        self._login = 0 if len(self.logins) == 1 else None
        """Which of the logins RouterOS took last, as far as this task knows."""
        self._exec_mode = options.exec_mode
        self._known_moid: str | None = None
        self._readers = 0
        """How many contexts of ``exchange`` are open."""
        self._probes: list[str] = []
        """The jobs whose files are to be removed."""
        self._hidden: set[str] = set()
        """The jobs that had a secret and failed."""
        self._asked: tuple[str, datetime, float] | None = None  # the requested operation, the server's time, our time

    @property
    def _moid(self) -> str:
        if self._known_moid is None:
            self._known_moid = self._vsphere.find(self.vm)
        return self._known_moid

    def place(self) -> tuple[str, str]:
        return self._vsphere.endpoint.address, self._moid

    def reset(self) -> None:
        self._known_moid = None
        self._vsphere.forget()

    # -- state -------------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        deadline = Deadline(timeout or self.connect_timeout)
        while True:
            problem = self._absence()
            if problem is None:
                return
            if deadline.expired or not problem.silent:
                raise problem
            time.sleep(min(0.25, max(deadline.remaining, 0.01)))

    def _absence(self) -> Unreachable | None:
        """Why the guest cannot be reached, as VMware sees it.

        ``silent`` is set while the VM is on and the guest may still answer.
        """
        state = self._vsphere.properties(
            self._moid, ["runtime.powerState", "guest.toolsRunningStatus", "config.template"]
        )
        if state.get("config.template") is True:
            raise template(self._vsphere, self._moid, self.vm)
        if (power := str(state.get("runtime.powerState"))) != "poweredOn":
            return self._off(power)
        tools = str(state.get("guest.toolsRunningStatus"))
        if tools != "guestToolsRunning":
            return Unreachable(
                f"The tools of RouterOS do not run in the VM {self.vm!r}: VMware says {tools}. It may still be booting. "
                "An installation from the x86 ISO is not a CHR and has no tools.",
                silent=True,
            )
        return None

    def _off(self, power: str) -> Unreachable:
        then = "Resume it." if power == "suspended" else "Power it on."
        where = self._vsphere.endpoint.where
        return Unreachable(f"The VM {self.vm!r} of {where} is not running: VMware says {power}. {then}")

    def report(self) -> GuestReport:
        state = self._vsphere.properties(
            self._moid,
            ["name", "runtime.powerState", "guest.toolsRunningStatus", "guest.toolsVersion", "guest.hostName"]
            + ["guest.ipAddress", "guest.net", "guest.guestId", "guest.guestFullName", "config.tools"],
        )
        tools = state.get("config.tools")
        return GuestReport(
            str(state.get("guest.toolsVersion") or ""),
            os=_system(state),
            host_name=state.get("guest.hostName"),
            interfaces=_interfaces(state),
            extra={
                "power_state": str(state.get("runtime.powerState")),
                "tools_status": str(state.get("guest.toolsRunningStatus")),
                "moid": self._moid,
                "max_age": _REPORT,
                "time_sync": getattr(tools, "syncTimeWithHost", None),
                "power_scripts": {name: getattr(tools, of, None) for name, of in SCRIPTS.items()},
            },
        )

    def require_routeros(self) -> None:
        """Check that the guest is RouterOS, with a script. Raises NotAnAgent.

        Only RouterOS's tools run a script under the program names that are used here.
        """
        if not self.condition("true", 30.0):
            raise NotAnAgent(f"The guest of {self.vm!r} does not run RouterOS scripts, so nothing was done there.")

    def shutdown(self, mode: str) -> None:
        if mode == "halt":
            raise NotPossible("VMware cannot halt a guest. Use powerdown.")
        vm = self._moid
        self._asked = (mode, self._vsphere.now(), time.monotonic())
        call = "RebootGuest" if mode == "reboot" else "ShutdownGuest"

        def ask() -> None:
            getattr(self._vsphere.object("VirtualMachine", vm), call)()

        try:
            self._vsphere.call(call, ask, changes=True)
        except library().vmodl.MethodFault as error:
            raise self._explained(error, POWER_ADVICE) from error

    def power(self) -> VmwarePower:
        return VmwarePower(self._vsphere, self._moid, self.vm)

    def checks(self) -> VmwareChecks:
        return VmwareChecks(self._vsphere, lambda: self._moid)

    def why_it_stays_up(self) -> str | None:
        """Find out why the guest stays up.

        The reason comes from VMware's events about a failed operation. If there are none, the time
        since the request decides.
        """
        if not self._asked:
            return None
        mode, since, began = self._asked
        said: list[str] = []
        with contextlib.suppress(ChrError, library().vmodl.MethodFault):  # the user may not see events
            said = self._vsphere.events(self._moid, since, _FAILED)
        elapsed = time.monotonic() - began
        if not said and (elapsed < _POWER or self._absence() is not None):
            return None
        seen = f"VMware says: {said[-1].rstrip('.')}" if said else f"its tools still run after {elapsed:.0f} s"
        what = "reboot" if mode == "reboot" else "shut down"
        return f"RouterOS in {self.vm!r} was asked to {what} through VMware's tools and did not: {seen}. {POWER_ADVICE}"

    def snapshots(self) -> VmwareSnapshots:
        return VmwareSnapshots(self._vsphere, self._moid, self.vm)

    def tools(self) -> VmwareTools:
        """The settings of what VMware lets the tools of RouterOS do."""
        return VmwareTools(self._vsphere, self._moid, self.vm)

    def network(self) -> VmwareNetwork:
        """The networks of the guest's VM."""
        return VmwareNetwork(self._vsphere, self._moid, self.vm)

    # -- scripts -----------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        return self._start_text(_as_xml(source))

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        """Run a *source* with a secret, and remove the file with its output if it failed.

        A job that has not ended may still leave one.
        """
        check_source(source, self.capabilities)
        with self.exchange():
            result = self.wait(self._start_probe(_as_xml(source)), timeout)
            if result.rc == 0:
                self._probes.remove(result.job)
            else:
                self._hidden.add(result.job)
        return result

    def start_file(self, name: str) -> Job:
        if not name.strip() or _NOT_XML.search(name):
            raise InvalidInput(f"guest_file {name!r} is not a valid file name.")
        if self._exec_mode in ("auto", "import"):
            try:
                return self._start("import", name)
            except _UnknownProgram:
                if self._exec_mode == "import":
                    raise
        # Nothing was started: the file does not exist, or the router does not know the program. The
        # script tells which.
        return self._start_text(_as_xml(import_script(name)))

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
        """Start one program.

        While the tools are not running, nothing is started, and it tries again until
        ``connect_timeout`` is over.
        """
        vim = library().vim
        deadline = Deadline(self.connect_timeout)
        moid = self._moid
        spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath=program, arguments=arguments)
        while True:
            start = datetime.now(UTC)
            try:
                pid = self._logged_in(
                    "StartProgramInGuest",
                    lambda login: self._vsphere.guest_processes().StartProgramInGuest(
                        self._vsphere.object("VirtualMachine", moid), login, spec
                    ),
                    changes=True,
                )
            except library().vmodl.MethodFault as error:
                if isinstance(error, (vim.fault.FileNotFound, library().vmodl.fault.InvalidArgument)):
                    raise _UnknownProgram(
                        f"The guest of {self.vm!r} refused the program {program!r} ({fault_words(error)}). Nothing was started. "
                        "Set chr_exec_mode to auto, which tries the other ways."
                    ) from error
                explained = self._explained(error)
                if not (isinstance(explained, Unreachable) and explained.silent) or deadline.expired:
                    raise explained from error
                time.sleep(min(0.25, max(deadline.remaining, 0.01)))
                continue
            return Job(id=str(int(pid)), start=start, exec_mode=program)

    def _logged_in(self, what: str, call: t.Callable[[t.Any], t.Any], *, changes: bool = False) -> t.Any:
        """Return what the guest operation *call* returns with the first login that RouterOS takes.

        The login that it took last is tried first. RouterOS runs nothing under a login that it
        refuses, so nothing is repeated. Otherwise as ``Vsphere.call``.
        """
        last = self._vsphere.shared.noted(self._login_key) if self._login is None else self._login
        for at in (order := sorted(range(len(self.logins)), key=lambda at: at != last)):
            try:
                result = self._vsphere.call(
                    what, functools.partial(call, self._auth(*self.logins[at])), changes=changes
                )
            except library().vim.fault.InvalidGuestLogin:
                if at == order[-1]:
                    raise
                continue
            self._login = at
            if at != last:
                self._vsphere.shared.note(self._login_key, at)
            return result
        raise AssertionError("not reached")

    def _auth(self, user: str, password: str) -> t.Any:
        return library().vim.vm.guest.NamePasswordAuthentication(
            username=user, password=password, interactiveSession=False
        )

    def check_login(self) -> None:
        with self.exchange():
            self._succeed([read_by_exit_code.when("true")], _READING)

    def takes(self, user: str, password: str) -> bool | None:
        login = (user, password)
        other = copy.copy(self)
        other.logins, other._login, other._readers, other._probes = (login,), 0, 0, []
        try:
            other.check_login()
        except RouterLoginRefused:
            return False
        except NotPermitted as error:
            if not isinstance(error.__cause__, library().vim.fault.GuestPermissionDenied):
                raise
            return True  # it may run no scripts
        if login in self.logins:
            self._login = self.logins.index(login)
            self._vsphere.shared.note(self._login_key, self._login)
        return True

    @property
    def _login_key(self) -> str:
        return f"login of {self._moid}"

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        return self._collect([job], timeout)[0]

    def _collect(self, jobs: list[Job], timeout: float) -> list[ScriptResult]:
        """The results of *jobs*, in their order, each read once.

        Raises OutcomeUnknown for a job that VMware no longer knows.
        """
        results: dict[str, ScriptResult] = {}
        missed: dict[str, float] = {}
        began = time.monotonic()
        deadline = Deadline(timeout)
        while True:
            pending = [job for job in jobs if job.id not in results]
            listed = self._list([int(job.id) for job in pending], deadline)
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
                    f"The router of {self.vm!r} no longer knows job {lost[0].id}: it restarted, something else asked for the "
                    "job's end first, or the answer that told it was lost. Whether the script succeeded is unknown; it was not "
                    "repeated. Look at the router."
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

    def with_error_text(self, result: ScriptResult) -> ScriptResult:
        if result.rc != -1:
            return result
        names = " or ".join(f"name={quote(name)}" for name in _job_files(result.job))
        try:
            with self.exchange():
                output = read_by_exit_code.read_last_line(
                    f"[/file get [/file find where {names}] contents]",
                    lambda scripts: self._succeed(scripts, _READING),
                )
        except ChrError:
            return result  # the file is not there, or cannot be read
        return dataclasses.replace(result, output=output)

    def failure(self, result: ScriptResult, timeout: float) -> str:
        """A sentence that says where RouterOS keeps the reason, as VMware gives no output."""
        if result.rc is None or result.output:
            return super().failure(result, timeout)
        if result.rc == 1:
            return f"The router stopped the script on {self.vm!r} {STOPPED}"
        if result.job in self._hidden - {*self._probes}:
            return f"The script failed on {self.vm!r}. VMware does not tell why, and its output was removed from the router."
        return (
            f"The script failed on {self.vm!r}. VMware does not tell why. RouterOS writes the reason to the file "
            f"'{_job_files(result.job)[0]}' on the router (the blank is part of the name in the vendor's manual). "
            "outofband.chr.script reads its last line with read_error: true."
        )

    def _ended(self, job: Job, process: t.Any) -> ScriptResult:
        end = datetime.now(UTC)
        ran = (process.endTime - process.startTime).total_seconds() if process.startTime else 0.0
        rc = exit_code(bool(process.exitCode), job.start, end, ran)
        return ScriptResult(rc=rc, output=b"", start=job.start, end=end, job=job.id, exec_mode=job.exec_mode)

    def _list(self, pids: list[int], deadline: Deadline) -> dict[int, t.Any]:
        """What is known of the jobs *pids*.

        It is asked again until *deadline* while the server is not reached. A single lost answer is
        not the end, however long it was waited for. Raises OutcomeUnknown.
        """
        lost = False
        moid = self._moid
        while True:
            try:
                processes = self._logged_in(
                    "ListProcessesInGuest",
                    lambda login: self._vsphere.guest_processes().ListProcessesInGuest(
                        self._vsphere.object("VirtualMachine", moid), login, pids
                    ),
                )
            except library().vim.fault.InvalidGuestLogin as error:
                raise OutcomeUnknown(
                    f"RouterOS in {self.vm!r} took the login when job {pids[0]} was started, and {self._refused()} since. "
                    "The script may have changed the password. Its end is unknown; it was not repeated. Look at the router, "
                    "and give chr_guest_password the new and the old password as a list."
                ) from error
            except (ChrError, library().vmodl.MethodFault) as error:
                if isinstance(error, Unreachable) and not (deadline.expired and lost):
                    lost = True
                    time.sleep(min(_AGAIN, deadline.remaining))
                    continue
                said = str(error if isinstance(error, ChrError) else self._explained(error))
                raise OutcomeUnknown(
                    f"{said} The end of job {pids[0]} is unknown; the script was not repeated. Look at the router."
                ) from error
            return {int(one.pid): one for one in processes or []}

    def _explained(self, error: t.Any, advice: str = "") -> ChrError:
        """Turn a fault of a guest operation into an error. An unknown fault gets *advice*."""
        vim, vmodl = library().vim, library().vmodl
        endpoint = self._vsphere.endpoint
        if isinstance(error, vim.fault.InvalidGuestLogin):
            return RouterLoginRefused(
                f"RouterOS in {self.vm!r} {self._refused()}: wrong chr_guest_user or chr_guest_password, or a user that is "
                "disabled. Nothing was run."
            )
        if isinstance(error, vim.fault.GuestPermissionDenied):
            return NotPermitted(
                f"RouterOS in {self.vm!r} does not let {self._users()} do this; nothing was run. The user's group needs more "
                "policies."
            )
        if isinstance(error, vmodl.fault.SecurityError) and hasattr(error, "privilegeId"):
            return NotPermitted(
                f"{endpoint.user!r} may not do this to {self.vm!r}: the privilege {error.privilegeId} is missing. Scripts need "
                f"{privileges.EXECUTE.name} to start and {privileges.QUERY.name} to follow them."
            )
        if isinstance(error, vim.fault.InvalidPowerState):
            return self._absence() or self._off(str(error.existingState))
        if isinstance(error, (vim.fault.GuestOperationsUnavailable, vim.fault.ToolsUnavailable)):
            return self._absence() or Unreachable(
                f"The tools of RouterOS in {self.vm!r} do not accept scripts yet. It may still be booting.", silent=True
            )
        if isinstance(error, vmodl.fault.ManagedObjectNotFound):
            return VmNotFound(f"{endpoint.where} no longer has the VM {self.vm!r} ({self._moid}).")
        if isinstance(error, vim.fault.InvalidState):
            return NotPossible(
                f"The VM {self.vm!r} is in a state that allows no guest operation ({fault_words(error)}), such as a snapshot, "
                "a move or a suspension under way. Nothing was run; try again when that is over."
            )
        said = f"{endpoint.where} refused a guest operation on {self.vm!r}: {fault_words(error)}."
        return NotPossible(f"{said} {advice}".rstrip())

    def _users(self) -> str:
        return " or ".join(repr(user) for user in dict.fromkeys(user for user, _password in self.logins))

    def _refused(self) -> str:
        count = len({password for _user, password in self.logins})
        return f"refused the login of {self._users()}" + (f" with each of {count} passwords" if count > 1 else "")

    # -- values ------------------------------------------------------------------------------------

    def conditions(self, expressions: t.Sequence[str], timeout: float) -> list[bool]:
        with self.exchange():
            return read_by_exit_code.conditions(expressions, lambda scripts: self._succeed(scripts, timeout))

    def read(self, expression: str, timeout: float, likely: t.Sequence[bytes] = ()) -> bytes:
        with self.exchange():
            return read_by_exit_code.read_text(expression, lambda scripts: self._succeed(scripts, timeout), likely)

    def read_seconds(self, expression: str, timeout: float) -> float:
        with self.exchange():
            return read_by_exit_code.read_seconds(expression, lambda scripts: self._succeed(scripts, timeout))

    # -- small files -------------------------------------------------------------------------------

    room = capabilities.max_script

    def write_by(self, script: bytes, *, secret: bool) -> None:
        with self.exchange():
            result = self.run_secret(script, small_files.SCRIPT)
            if not secret:
                result = self.with_error_text(result)
        if result.rc != 0:
            raise (ScriptTimedOut if result.timed_out else ScriptFailed)(self.failure(result, small_files.SCRIPT))

    def compare(self, name: str, local: t.BinaryIO, limit: TransferLimit | None = None) -> bool | None:
        """Compare on the router, as its files cannot be read.

        A job that is lost counts as a difference, because only success is evidence.
        """
        there = f"[{found(name)}]"
        data = local.read(self.capabilities.small_files + 1)
        is_same = f"([:tonum [/file get {there} size]] = {len(data)}) && ([:tostr {contents(name)}] = {quote(data)})"
        questions = [f"[:len {there}] = 0", f"[:len {there}] > 0", is_same]
        with self.exchange():
            missing, exists, same = self._succeed(
                [read_by_exit_code.when(question) for question in questions], small_files.SCRIPT
            )
        if not (missing or exists or same):
            raise ScriptFailed(
                f"Whether {self.vm!r} has a file {name!r} cannot be found out: the jobs that ask all failed."
            )
        return None if missing else same

    @contextlib.contextmanager
    def exchange(self) -> t.Iterator[None]:
        """A context in which values are read.

        Each job that fails leaves a file on the router (vendor's manual). At the end of the
        outermost context, the files of the jobs that were started in it are removed, also after an
        error.
        """
        self._readers += 1
        try:
            yield
        except Unreachable:
            self._readers -= 1  # the next context removes them
            raise
        except BaseException:
            self._leave()
            raise
        else:
            self._leave()

    def _leave(self) -> None:
        self._readers -= 1
        if self._readers or not self._probes:
            return
        with contextlib.suppress(ChrError):
            names = [name for job in self._probes for name in _job_files(job)]
            clearing = self._start_text(removal_script(*names).decode())
            if self._collect([clearing], _CLEARING)[0].rc == 0:
                self._probes = []
            else:
                self._probes.append(clearing.id)

    def _succeed(self, scripts: list[str], timeout: float) -> list[bool]:
        """Run some harmless *scripts* at the same time, and return which of them succeeded.

        One listing collects the results of all.
        """
        outcomes: list[bool] = []
        sources = [_as_xml(encoded(script)) for script in scripts]
        while len(outcomes) < len(sources):
            batch = sources[len(outcomes) : len(outcomes) + (_BATCH if outcomes or len(sources) == 1 else 1)]
            # The first script runs alone: it finds out which program takes scripts, and whether the
            # login is right.
            if len(batch) == 1:
                jobs = [self._start_probe(batch[0])]
            else:
                with ThreadPoolExecutor(_STARTERS) as pool:
                    jobs = list(pool.map(self._start_probe, batch))
            results = self._collect(jobs, timeout)
            good = {result.job for result in results if result.rc == 0}
            self._probes = [job for job in self._probes if job not in good]
            for result in results:
                if result.timed_out:
                    raise ScriptTimedOut(f"A query to the router of {self.vm!r} did not end within {timeout:g} s.")
                outcomes.append(result.rc == 0)
        return outcomes

    def _start_probe(self, script: str) -> Job:
        job = self._start_text(script)
        self._probes.append(job.id)
        return job


def _job_files(job: str) -> list[str]:
    """The names that the file of a job that failed can have.

    The manual prints a blank before ".txt", which may be a misprint.
    """
    return [f"vix_job_{job} .txt", f"vix_job_{job}.txt"]


def _interfaces(state: dict[str, t.Any]) -> tuple[Interface, ...]:
    """The interfaces that the tools report.

    If they report only the VM's first address, it is an interface without a name.
    """
    interfaces = tuple(
        Interface(
            nic.network or None,
            nic.macAddress or None,
            tuple(Address(one.ipAddress, one.prefixLength) for one in (nic.ipConfig.ipAddress if nic.ipConfig else [])),
        )
        for nic in state.get("guest.net") or []
    )
    if not interfaces and state.get("guest.ipAddress"):
        return (Interface(None, None, (Address(str(state["guest.ipAddress"])),)),)
    return interfaces


def _system(state: dict[str, t.Any]) -> dict[str, str]:
    """The system that the tools report. It is not published what those of a CHR say."""
    id_, name = (str(state.get(one) or "") for one in ("guest.guestId", "guest.guestFullName"))
    return {"id": "routeros" if "routeros" in f"{id_} {name}".lower() else id_, "name": name}


class _UnknownProgram(NotPossible):
    """The guest does not know the program. Nothing was started."""


def _as_xml(source: bytes) -> str:
    """Decode *source*, and check that XML carries it unchanged. Raises InvalidInput."""
    script = source.decode("utf-8").replace("\r\n", "\n")
    if found := _NOT_XML.search(script):
        raise InvalidInput(
            f"The script has the control character 0x{ord(found[0]):02X} at character {found.start()}, which the vSphere API "
            f"cannot carry. Write it as the RouterOS escape \\{ord(found[0]):02X}."
        )
    return script
