# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``vmrun``: a VM of VMware Workstation or Fusion, through ``vmrun runScriptInGuest``.

The vendor's manual names the command. It tells whether a script succeeded, and nothing else. vmrun
takes the script and the guest's password as arguments, and nothing from standard input or a file
(VMware's "Using vmrun to Control Virtual Machines"). So a script with a secret is refused, and a
password is given only with the user's consent. Both come to the machine through standard input, so
that they are in the arguments of vmrun alone.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
import uuid
from datetime import UTC, datetime
from functools import cached_property

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NoSecretWay,
    NotAnAgent,
    NotPossible,
    OutcomeUnknown,
    RouterLoginRefused,
    ScriptTimedOut,
    Unreachable,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded, line
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import read_by_exit_code
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.capabilities import Capabilities
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import GuestReport
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job, ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware_tools import (
    POWER_ADVICE,
    STOPPED,
    exit_code,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import import_script
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.programs import Lost, NotStarted

from .checks import VmrunChecks
from .options import VmrunOptions
from .power import VmrunPower
from .vmrun import FOLDERS, Vmrun
from .vmx import Vmx

# Prints the path of the first existing file without symbolic links, as "vmrun list" shows it, and
# the file itself. Relative paths are those of the user's home.
_LOOK = """\
cd || exit 1
for vmx in "$@"; do
    [ -f "$vmx" ] || continue
    folder=$(cd -P -- "$(dirname -- "$vmx")" && pwd -P) || exit 1
    printf '%s/%s\\n' "$folder" "$(basename -- "$vmx")"
    exec cat -- "$vmx"
done
exit 9
"""
_RUN = """\
IFS= read -r password
script=$(cat; echo x)
exec "$1" -T "$2" -gu "$3" -gp "$password" runScriptInGuest "$4" "$5" "${script%x}"
"""
_FAILED = "Guest program exited with non-zero exit code"
_WRONG_LOGIN = "Invalid user name or password for the guest OS"
_OFF = "The virtual machine is not powered on"
_NO_TOOLS = "The VMware Tools are not running"
_SWITCH = 300.0  # seconds for an order to the guest
_CLEARING = 30.0  # seconds for the removal of files
# With the login, one request takes 64 KiB (open-vm-tools: VIX_COMMAND_MAX_USER_INPUT_SIZE).
_LARGEST = 60_000


def open_guest(options: VmrunOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput."""
    if any("\n" in password for _user, password in options.logins):
        raise InvalidInput("chr_guest_password has a line end, which vmrun cannot be given.")
    return VmrunGuest(options)


class VmrunGuest(Guest):
    """A CHR behind ``vmrun``."""

    backend = "vmrun"
    capabilities = Capabilities(output=False, files=False, max_script=_LARGEST, reads_slowly=True)

    def __init__(self, options: VmrunOptions) -> None:
        super().__init__(options.vm, options.connect_timeout)
        self.logins = options.logins
        self._login = 0
        """The one of the logins that RouterOS took last."""
        self._password_in_arguments = options.vmrun_password_in_arguments
        self._interpreter = "" if options.exec_mode == "auto" else options.exec_mode
        self._vmrun = Vmrun(Machine(options), options.vmrun_product, options.vmrun_program, "chr_vmrun_program")
        self._waiting: dict[str, bytes] = {}

    def place(self) -> tuple[str, str]:
        return self._vmrun.title, self._vmx

    def reset(self) -> None:
        self.__dict__.pop("_vmx", None)

    @cached_property
    def _vmx(self) -> str:
        """The path of the VM's .vmx. Raises VmNotFound, NotPossible."""
        folder = FOLDERS[self._vmrun.product]
        names = [self.vm] if "/" in self.vm else [f"{folder}/{self.vm}{end}/{self.vm}.vmx" for end in ("", ".vmwarevm")]
        done = self._vmrun.machine.try_run(["sh", "-c", _LOOK, "sh", *names], changes=False)
        if done.rc:
            said = "" if done.rc == 9 else f" ({done.said})"
            raise VmNotFound(
                f"{self._vmrun.machine.name} has no file {' or '.join(names)}{said}. Set chr_vm to the path of the VM's .vmx. "
                "Nothing was sent."
            )
        path, _end, text = done.stdout.partition("\n")
        if any(name.startswith("encryption.") for name in Vmx(text).values):
            raise NotPossible(
                f"The VM {path} of {self._vmrun.title} is encrypted. vmrun takes its password only as an argument, which "
                "everybody can see who lists the processes there, so nothing was sent. Remove the encryption, or use the window."
            )
        return path

    # -- state -------------------------------------------------------------------------------------

    def ping(self, timeout: float | None = None) -> None:
        deadline = Deadline(timeout or self.connect_timeout)
        while (state := self._vmrun.tools(self._vmx)) != "running":
            problem = self._absence(f"vmrun says {state}")
            if deadline.expired or not problem.silent:
                raise problem
            time.sleep(min(0.5, max(deadline.remaining, 0.01)))

    def _absence(self, said: str) -> Unreachable:
        """Why nobody answers. ``silent`` is set while the VM is on: the guest may still answer."""
        if not self._vmrun.running(self._vmx):
            return Unreachable(f"The VM {self._vmx} of {self._vmrun.title} is not running. Turn it on.")
        return Unreachable(
            f"The tools of RouterOS do not run in the VM {self._vmx}: {said}. It may still be booting.", silent=True
        )

    def report(self) -> GuestReport:
        power = "poweredOn" if self._vmrun.running(self._vmx) else "poweredOff"
        return GuestReport("", extra={"power_state": power, "tools_status": self._vmrun.tools(self._vmx)})

    def require_routeros(self) -> None:
        """Check that the guest is RouterOS, with a script. Raises NotAnAgent."""
        if not self.condition("true", 30.0):
            raise NotAnAgent(f"The guest of {self.vm!r} does not run RouterOS scripts, so nothing was done there.")

    def shutdown(self, mode: str) -> None:
        if mode == "halt":
            raise NotPossible("VMware cannot halt a guest. Use powerdown.")
        order = "reset" if mode == "reboot" else "stop"
        done, said = self._vmrun.attempt(order, self._vmx, "soft", seconds=_SWITCH)
        if not done:
            raise NotPossible(
                f"RouterOS in {self.vm!r} did not {'reboot' if mode == 'reboot' else 'shut down'}: vmrun says {line(said)}. "
                f"{POWER_ADVICE}"
            )

    def checks(self) -> VmrunChecks:
        return VmrunChecks(self._vmrun, lambda: self._vmx)

    def power(self) -> VmrunPower:
        return VmrunPower(self._vmrun, self._vmx)

    # -- scripts -----------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        """Check that *source* can be run. ``wait`` runs it, because vmrun itself waits."""
        check_source(source, self.capabilities)
        if not self._password_in_arguments and any(password for _user, password in self.logins):
            raise NotPossible(
                f"Nothing was run on {self.vm!r}: vmrun takes chr_guest_password only as an argument, which everybody can see "
                f"who lists the processes of {self._vmrun.machine.name}. If that is acceptable there, set "
                "chr_vmrun_password_in_arguments: true."
            )
        job = uuid.uuid4().hex[:12]
        self._waiting[job] = source
        return Job(id=job, start=datetime.now(UTC), exec_mode=self._interpreter or "auto")

    def start_file(self, name: str) -> Job:
        return self.start(import_script(name))

    def check_login(self) -> None:
        self.run(b":local outofband true", _CLEARING)

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        raise NoSecretWay(
            f"A script with a secret (no_log) was not handed to {self.vm!r}: vmrun takes a script only as an argument, which "
            f"everybody can see who lists the processes of {self._vmrun.machine.name}. Nothing was sent. Set the secret at the "
            "console of the VM, or over the network."
        )

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        source = self._waiting.pop(job.id)
        deadline = Deadline(self.connect_timeout)
        while True:
            start = datetime.now(UTC)
            try:
                failed = self._run_script(source, timeout)
            except Unreachable as error:  # nothing was run
                if not error.silent or deadline.expired:
                    raise
                time.sleep(min(0.5, max(deadline.remaining, 0.01)))
                continue
            end = datetime.now(UTC)
            rc = None if failed is None else exit_code(failed, start, end)
            return ScriptResult(rc=rc, output=b"", start=start, end=end, job=job.id, exec_mode=job.exec_mode)

    def _run_script(self, source: bytes, timeout: float) -> bool | None:
        """Run a script with the first login that RouterOS takes: whether it failed.

        None if it did not end within *timeout* seconds. Raises RouterLoginRefused and Unreachable
        if it was not run, and OutcomeUnknown.
        """
        for at in sorted(range(len(self.logins)), key=lambda at: at != self._login):
            try:
                failed = self._run_as(*self.logins[at], source, timeout)
            except RouterLoginRefused:
                continue
            self._login = at
            return failed
        users = " or ".join(repr(user) for user in dict.fromkeys(user for user, _password in self.logins))
        raise RouterLoginRefused(
            f"RouterOS in {self.vm!r} refused the login of {users}: wrong chr_guest_user or chr_guest_password, or a user that "
            "is disabled. Nothing was run."
        )

    def _run_as(self, user: str, password: str, source: bytes, timeout: float) -> bool | None:
        """As ``_run_script``, with one login."""
        vmrun = self._vmrun
        arguments = [vmrun.program, vmrun.product, user, self._vmx, self._interpreter]
        began = time.monotonic()
        try:
            done = vmrun.machine.execute(
                ["sh", "-c", _RUN, "sh", *arguments], f"{password}\n".encode() + source, timeout
            )
        except NotStarted as error:
            raise Unreachable(f"vmrun was not started on {vmrun.machine.name}: {error}.") from None
        except Lost as error:
            if time.monotonic() - began >= timeout:
                return None
            raise self._unknown(str(error)) from None
        if done.missing:
            raise vmrun.missing()
        said = done.stdout.strip() or done.stderr.strip()
        if _FAILED in said:
            return True
        if not done.rc:
            return False
        if _WRONG_LOGIN in said:
            raise RouterLoginRefused(user)
        if _OFF in said or _NO_TOOLS in said:
            raise self._absence(f"vmrun says {line(said)}")
        raise self._unknown(f"vmrun ended with {line(said) or done.rc}")

    def _unknown(self, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"The end of the script on {self.vm!r} was not seen: {why}. Whether it ran is unknown; it was not repeated. Look at "
            "the router."
        )

    def failure(self, result: ScriptResult, timeout: float) -> str:
        if result.rc is None:
            return super().failure(result, timeout)
        if result.rc == 1:
            return f"The router stopped the script on {self.vm!r} {STOPPED}"
        return (
            f"The script failed on {self.vm!r}. vmrun does not tell why. RouterOS writes the reason to a file named "
            "'vix_job_NUMBER .txt' on the router (the blank is part of the name in the vendor's manual)."
        )

    # -- values ------------------------------------------------------------------------------------

    def conditions(self, expressions: t.Sequence[str], timeout: float) -> list[bool]:
        with self._asking(timeout) as succeed:
            return read_by_exit_code.conditions(expressions, succeed)

    def read(self, expression: str, timeout: float, likely: t.Sequence[bytes] = ()) -> bytes:
        with self._asking(timeout) as succeed:
            return read_by_exit_code.read_text(expression, succeed, likely)

    def read_seconds(self, expression: str, timeout: float) -> float:
        with self._asking(timeout) as succeed:
            return read_by_exit_code.read_seconds(expression, succeed)

    @contextlib.contextmanager
    def _asking(self, timeout: float) -> t.Iterator[read_by_exit_code.Succeed]:
        """A context with a function that runs harmless scripts and tells which of them succeeded.

        Each one that fails leaves a file on the router (vendor's manual), and vmrun does not tell
        its name. So they fail with a text of their own, and files with that text are removed.
        """
        mark = f"outofband {uuid.uuid4().hex[:12]}"
        failed = False

        def succeed(scripts: list[str]) -> list[bool]:
            nonlocal failed
            outcomes = []
            for script in scripts:
                source = encoded(f":do {{\n{script}\n}} on-error={{ :error {quote(mark)} }}")
                result = self.run(source, timeout)
                failed = failed or result.rc != 0
                if result.timed_out:
                    raise ScriptTimedOut(f"A query to the router of {self.vm!r} did not end within {timeout:g} s.")
                outcomes.append(result.rc == 0)
            return outcomes

        try:
            yield succeed
        finally:
            if failed:
                with contextlib.suppress(ChrError):
                    self.run(
                        encoded(
                            ':foreach f in=[/file find where name~"^vix_job_"] do={ '
                            f':if ([:typeof [:find [/file get $f contents] {quote(mark)}]] = "num") do={{ /file remove $f }} }}'
                        ),
                        _CLEARING,
                    )
