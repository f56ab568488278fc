# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Backend ``proxmox``: the guest of a VM of Proxmox VE."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import secrets
import time
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    FileMissing,
    InvalidInput,
    NoSecretWay,
    NotAnAgent,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    TooLarge,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_bool, as_int
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, message
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.capabilities import Capabilities
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import GuestReport
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import forgotten, lost
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.report import (
    OS_QUESTION,
    operating_system,
    report,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job, ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import files
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.ssh import SshMaster

from .agent_port import agent_port
from .api import REPLY_TIMEOUT, ApiError, ProxmoxLogin, shared_api
from .checks import ProxmoxChecks
from .lost_answers import RETRY, may_pass
from .machine import AgentSilent, NotEnabled, ProxmoxMachine, VmMoves, VmOff
from .node import Node
from .options import ProxmoxOptions
from .port_plan import AgentPort
from .power import ProxmoxPower
from .script_ways import (
    MAX_STDIN,
    MAX_WRITE,
    AsFile,
    Inline,
    Json,
    Qm,
    ScriptWay,
    Socket,
    VmNotes,
    VmNotesFile,
    needs_ssh,
)
from .snapshots import ProxmoxSnapshots

MAX_CONTENTS = 60 * 1024
"""The size in bytes of the largest file whose contents a RouterOS 7 script can see."""
_PIECE = 12_288  # bytes of a file in one line of output
_CHUNK = 15_000  # bytes of contents in one script; each takes up to three characters
_OWN_SCRIPT = 30.0
_PROBE = 8.0
_LOOK = 5.5  # the least patience for a status: the server itself gives the agent 5 s
_DOUBTS = 2  # probes whose answer may have been lost, before the way counts as one that does not work


def open_guest(options: ProxmoxOptions) -> Guest:
    """The guest that *options* name. Nothing is sent. Raises InvalidInput, NotPossible."""
    login = ProxmoxLogin.from_options(options)
    if options.exec_mode in ("qm", "socket") and not options.ssh_host:
        raise needs_ssh(options.exec_mode)
    return ProxmoxGuest(options, ProxmoxMachine(shared_api(login), options.vm, options.node, options.connect_timeout))


class _JobUnknown(OutcomeUnknown):
    """The agent does not know a job that was started."""


class ProxmoxGuest(Guest):
    """A CHR as a VM of Proxmox VE."""

    backend = "proxmox"
    attempts_at_questions = 3

    def __init__(self, options: ProxmoxOptions, vm: ProxmoxMachine) -> None:
        super().__init__(options.vm, options.connect_timeout)
        self._vm = vm
        self._forced = None if options.exec_mode == "auto" else options.exec_mode
        self._file = AsFile(vm)
        self._ways: dict[str, ScriptWay] = {"inline": Inline(vm), "json": Json(vm), "file": self._file}
        self._socket: Socket | None = None
        self._node: Node | None = None
        self._ssh: Machine | None = None
        if ssh := SshMaster.from_options(options):
            machine = self._ssh = Machine(options)
            self._socket = Socket(vm, ssh, options.connect_timeout)
            self._ways |= {"qm": Qm(vm, machine), "socket": self._socket}
            self._node = Node(vm, machine)
        self._memory = VmNotesFile(options.runtime_directory, vm, options.ssh_host, options.ssh_args)
        self._read: VmNotes | None = None
        self._saved: dict[str, t.Any] | None = None
        largest = max(self._ways[name].max_script for name in ([self._forced] if self._forced else self._ways))
        self.capabilities = Capabilities(output=True, files=True, max_script=largest)

    def place(self) -> tuple[str, str]:
        return self._vm.api.login.address, str(self._vm.locate()[0])

    def ping(self, timeout: float | None = None) -> None:
        patience = max(5.0, min(timeout or REPLY_TIMEOUT, REPLY_TIMEOUT))  # the server itself gives the agent 3 s
        self._vm.agent("POST", "ping", timeout=timeout, patience=patience)

    # -- which way ---------------------------------------------------------------------------------

    def _order(self, secret: bool) -> list[str]:
        first = "inline" if self._vm.version < (8, 0) else "json"
        ways = [self._forced] if self._forced else [first, "file", "qm", "socket"]
        return [name for name in ways if name in self._ways and not (secret and name == "file")]

    def _way(self, source: bytes, secret: bool = False) -> ScriptWay:
        """The first way that can carry *source* and is known or shown by its probe to work.

        *secret*: leave out the way that puts the script into a file of the router. Raises TooLarge
        or InvalidInput if none can carry it, NotPossible if none of those works, and other errors
        of the guest.
        """
        fitting: list[ScriptWay] = []
        refused: list[str] = []
        if secret and "file" in self._order(secret=False):
            refused.append("file: it would put a secret (no_log) into a file of the router.")
        errors: list[InvalidInput] = []
        for name in self._order(secret):
            try:
                self._ways[name].check(source)
                fitting.append(self._ways[name])
            except InvalidInput as error:
                errors.append(error)
                refused.append(f"{name}: {error}")
        known = self._known()
        way = next((one for one in fitting if one.name in known.ways), None)
        for one in fitting if way is None else []:
            reason = self._probe(one)
            if reason is None:
                way = one
                known.ways.append(one.name)
                break
            refused.append(f"{one.name}: {reason}")
        self._note()
        if way is None:
            raise self._no_way(source, secret, refused, errors if not fitting else [])
        if known.left:
            self._clear_leftovers(way)
        return way

    def _no_way(self, source: bytes, secret: bool, refused: list[str], errors: list[InvalidInput]) -> ChrError:
        """The error for a script that no way takes. *errors*: why none can carry it, if so."""
        reasons = " ".join(refused)
        if errors and not secret:
            kind = TooLarge if all(isinstance(error, TooLarge) for error in errors) else InvalidInput
            return kind(
                f"No way to {self._vm} that is set up can carry this script of {len(source)} bytes; nothing was sent. "
                f"{reasons} {self._instead(len(source))}"
            )
        hint = ""
        if self._forced:
            hint = " Leave chr_exec_mode at auto, which tries the other ways."
        elif "qm" not in self._ways:
            hint = " Set chr_ssh_host to the node (root), which opens two more ways."
        left = f" Left on the router: {', '.join(self._known().left)}." if self._known().left else ""
        kind_of_way = NoSecretWay if secret else NotPossible
        return kind_of_way(
            f"No way to hand a script to {self._vm} worked; only harmless probes were sent. {reasons}{hint}{left}"
        )

    def _instead(self, size: int) -> str:
        """A sentence that says what to do with a script of *size* bytes that is not carried.

        It names only what this guest can do.
        """
        others = [name for name, way in self._ways.items() if size <= way.max_script and name != self._forced]
        ways = ["Leave chr_exec_mode at auto"] if self._forced and others else []
        if size <= MAX_CONTENTS or (self._socket and self._forced in (None, "socket")):
            ways.append("put it on the router with outofband.chr.copy and run it with guest_file")
        if not self._socket:
            ways.append(
                "set chr_ssh_host to the node (root), which opens the way qm for scripts of up to 1 MiB"
                if size <= MAX_STDIN
                else "set chr_ssh_host to the node (root), copy it with outofband.chr.copy and run it with guest_file"
            )
        text = ", ".join([*ways, "or split it."])
        return text[0].upper() + text[1:]

    def _known(self) -> VmNotes:
        if self._read is None:
            self._read = self._memory.read()
            self._saved = dataclasses.asdict(self._read)
            self._vm.close_unanswered |= self._read.close_unanswered
        return self._read

    def _note(self) -> None:
        """Keep what has become known in the meantime."""
        known = self._known()
        known.close_unanswered = self._vm.close_unanswered
        known.left = list(dict.fromkeys([*known.left, *self._file.left]))
        if (now := dataclasses.asdict(known)) != self._saved:
            self._saved = now
            self._memory.write(known)

    def _probe(self, way: ScriptWay) -> str | None:
        """The reason why *way* does not work; None if it works.

        A probe whose answer was lost is repeated: it changes nothing.
        """
        deadline = Deadline(self.connect_timeout)
        over_ssh = way.name in ("qm", "socket")
        doubts = 0
        while True:
            try:
                return self._probe_once(way)
            except NotEnabled:
                raise
            except (ApiError, AgentRefused, NotAnAgent, NotPossible) as error:
                return str(error)
            except Unreachable as error:
                if over_ssh:
                    return str(error)
                if error.silent or isinstance(error, VmOff) or deadline.expired:
                    raise
            except OutcomeUnknown as error:
                doubts += over_ssh or isinstance(error, (AgentSilent, _JobUnknown))
                if doubts == _DOUBTS:
                    return str(error)
                if deadline.expired:
                    raise Unreachable(
                        f"{error} But that was only a harmless probe: the script itself was not sent."
                    ) from error
            time.sleep(min(RETRY, deadline.remaining))

    def _probe_once(self, way: ScriptWay) -> str | None:
        """One probe. Raises the errors of the way and of ``_look``.

        The answer is always read over REST. So a way over ssh that leads to another VM with the
        same number is detected.
        """
        nonce = f"outofband-{secrets.token_hex(8)}"
        job = Job(way.probe(f':put "{nonce}"'.encode()), datetime.now(UTC), way.name)
        began = time.monotonic()
        missed = ""
        while time.monotonic() - began < _PROBE:
            status = self._look(job, missed, _PROBE - (time.monotonic() - began))
            if isinstance(status, str):
                missed = missed or status
            elif as_bool(status.get("exited")):
                try:
                    way.ended(job.id, as_int(status.get("exitcode", 0)))
                except ValueError:
                    return "it took the script, and the agent gave an exit code that is not a number."
                output = _output(status)
                if nonce.encode() in output:
                    return None
                return f"it took the script and printed {excerpt(output)} instead of the expected text."
            self._pause(time.monotonic() - began, _PROBE)
        return f"it took the script and did not end it within {_PROBE:g} s. {missed}".rstrip()

    def _clear_leftovers(self, way: ScriptWay) -> None:
        known = self._known()
        with contextlib.suppress(ChrError):
            way.start(files.removal_script(*known.left))
            known.left, self._file.left = [], []
            self._note()

    # -- scripts -----------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities, self._instead(len(source)))
        return self._start(source)

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        check_source(source, self.capabilities, self._instead(len(source)))
        return self.wait(self._start(source, secret=True), timeout)

    def start_file(self, name: str) -> Job:
        return self._start(files.import_script(name))

    def _start(self, source: bytes, secret: bool = False) -> Job:
        way = self._way(source, secret)
        start = datetime.now(UTC)
        try:
            job = way.start(source)
        except TooLarge as error:
            raise TooLarge(f"{error} {self._instead(len(source))}") from None
        except (ApiError, AgentRefused):
            # The script was certainly not run. What was remembered may not be true any more, so the
            # next script probes again.
            self._known().ways.remove(way.name)
            self._note()
            raise
        self._note()
        return Job(id=job, start=start, exec_mode=way.name)

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        if job.exec_mode == "socket" and self._socket:
            return dataclasses.replace(self._socket.guest.wait(job, timeout), exec_mode="socket")
        began = time.monotonic()
        missed = ""
        elapsed = 0.0
        while True:
            status = self._look(job, missed, timeout - elapsed)
            elapsed = time.monotonic() - began
            if isinstance(status, str):
                missed = missed or status
            elif as_bool(status.get("exited")):
                result = _result(status, job, self._vm)
                self._ways[job.exec_mode].ended(job.id, result.rc or 0)
                return result
            if elapsed >= timeout:
                if isinstance(status, str):
                    raise OutcomeUnknown(f"The status of the job on {self._vm} was not told: {missed} {lost(job)}")
                return ScriptResult(
                    rc=None, output=b"", start=job.start, end=datetime.now(UTC), job=job.id, exec_mode=job.exec_mode
                )
            self._pause(elapsed, timeout)

    def _pause(self, elapsed: float, timeout: float) -> None:
        """Wait before the next status request.

        A status request costs the node more than this process, so the pause is at least as long as
        a request takes.
        """
        time.sleep(max(0.0, min(max(poll_interval(elapsed), self._vm.api.round_trip), timeout - elapsed)))

    def _look(self, job: Job, missed: str, left: float) -> dict[str, t.Any] | str:
        """Ask for the status of *job* once. Returns the reason if nobody answered this time.

        *missed*: the reason why an earlier answer did not come. *left*: the seconds in which the
        job must end; half of them stay for another look. Raises OutcomeUnknown.
        """
        try:
            return self._vm.status(job.id, min(REPLY_TIMEOUT, max(left / 2, _LOOK)))
        except AgentRefused as error:
            raise _JobUnknown(f"{error}: {forgotten(missed)} {lost(job)}") from error
        except VmOff as error:
            raise OutcomeUnknown(f"{error} {lost(job)}") from error
        except (Unreachable, VmMoves) as error:
            return str(error)  # it may be back in time
        except ApiError as error:
            if may_pass(error) or "got timeout" in error.said:
                return str(error)
            raise OutcomeUnknown(f"{error}. {lost(job)}") from error
        except ChrError as error:
            raise OutcomeUnknown(f"{error} {lost(job)}") from error

    # -- files -------------------------------------------------------------------------------------

    def put(self, source: t.BinaryIO, name: str, limit: TransferLimit | None = None) -> int:
        files.check_file_name(name)
        if self._forced == "socket":
            return self._over_socket().put(source, name, limit)
        data = source.read(MAX_CONTENTS + 1)
        if len(data) > MAX_CONTENTS:
            if self._socket and not self._forced:
                return self._over_socket().put(t.cast("t.BinaryIO", _Joined(data, source)), name, limit)
            raise TooLarge(
                f"{name!r} has more than {MAX_CONTENTS} bytes, which is what Proxmox VE's REST interface and a script can put on a "
                f"router. {self._larger_files()}"
            )
        # So that no file is written that the agent offers no way to check; and the probe says
        # what is wrong.
        by_file = self._way(files.look_up_script(name)) is self._file
        try:
            self._put(data, name, by_file)
            known = self._look_up(name)
            if known != (1, len(data)):
                have = "no such file" if known[0] == 0 else f"{known[1]} bytes"
                raise TransferFailed(f"{len(data)} bytes were written to {name!r} on {self._vm}; RouterOS has {have}.")
        except (ApiError, AgentRefused) as error:
            raise TransferFailed(f"{error}. The file {name!r} was not written.") from error
        except (OutcomeUnknown, ScriptFailed, TransferFailed) as error:
            raise TransferFailed(f"{error} {self._discard(name)}") from error
        return len(data)

    def _put(self, data: bytes, name: str, by_file: bool) -> None:
        """Write the file in one of two ways. The caller must check that all arrived.

        *by_file*: scripts of this VM are files themselves.
        """
        if self._vm.close_unanswered and not by_file:
            # A write would block a process of the node for the 5 s in which it waits for an answer.
            # RouterOS 6 sees only 4095 bytes in a script.
            with contextlib.suppress(ScriptFailed, AgentRefused, ApiError, OutcomeUnknown):
                self._put_by_script(data, name)
                if self._look_up(name) == (1, len(data)):
                    return
        if len(data) <= MAX_WRITE and name.isascii():
            # It may not know the mode "wb", which is the only one that Proxmox VE uses; or see
            # ProxmoxMachine.write. The same bytes can be written again.
            with contextlib.suppress(AgentRefused, TooLarge, OutcomeUnknown):
                self._vm.write(name, data)
                self._note()
                if self._look_up(name) == (1, len(data)):
                    return
        self._put_by_script(data, name)

    def _put_by_script(self, data: bytes, name: str) -> None:
        """Write the file with scripts that set its contents, in chunks that RouterOS joins."""
        found = f"[/file find name={quote(name)}]"
        first = data[:_CHUNK]
        script = (
            f":if ([:len {found}] = 0) do={{ /file add name={quote(name)} }}\n/file set {found} contents={quote(first)}"
        )
        self._run_helper(script.encode())
        for start in range(_CHUNK, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            script = (
                f":local file {found}\n:local before [/file get $file contents]\n"
                f":if ([:len $before] = {start}) do={{ /file set $file contents=($before . {quote(chunk)}) }} else={{\n"
                f":if ([:len $before] != {start + len(chunk)}) do={{\n"
                ':error "the file has another length than it should" } }'
            )
            self._run_helper(script.encode())

    def _run_helper(self, script: bytes) -> bytes:
        """Run a script that moves a file, and return its output. Raises ScriptFailed.

        It must be one that does no harm when it is run twice: if its end is not seen, it is.
        """
        result = self.repeated(lambda: self.wait(self._start(script), _OWN_SCRIPT), RETRY)
        if result.rc != 0:
            said = message(result.output, 200) or "it printed nothing"
            raise ScriptFailed(f"A script that moves a file ended with {result.rc} on {self._vm}: {said}.")
        return result.output

    def _look_up(self, name: str) -> tuple[int, int]:
        """The number of files called *name* on RouterOS, and the size of the first in bytes."""
        output = self._run_helper(files.look_up_script(name))
        try:
            return files.looked_up(output)
        except ValueError:
            raise ScriptFailed(f"{self._vm} answered {excerpt(output)} when asked for the size of {name!r}.") from None

    def _discard(self, name: str) -> str:
        with contextlib.suppress(ChrError):
            self._run_helper(files.removal_script(name))
            return f"The incomplete file {name!r} was removed from the router."
        return f"An incomplete file {name!r} may be on the router now."

    def get(self, name: str, target: t.BinaryIO, limit: TransferLimit | None = None) -> int:
        files.check_file_name(name)
        if self._forced == "socket":
            return self._over_socket().get(name, target, limit)
        count, size = self._look_up(name)
        if not count:
            raise FileMissing(f"{self._vm} has no file {name!r}.")
        data = self._contents(name, size) if size <= MAX_CONTENTS else None
        if data is not None:
            target.write(data)
            return size
        if self._socket and not self._forced:
            return self._over_socket().get(name, target, limit)
        cannot = ", which a script of this RouterOS does not show in full" if size <= MAX_CONTENTS else ""
        raise NotPossible(
            f"{name!r} on {self._vm} has {size} bytes{cannot}; through Proxmox VE's REST interface a file of at most "
            f"{MAX_CONTENTS} bytes (4095 on RouterOS 6) can be read. {self._larger_files()}"
        )

    def _larger_files(self) -> str:
        """A sentence that says how a file can be moved that is too large for scripts."""
        set_up = "Leave chr_exec_mode at auto" if self._socket else "Set chr_ssh_host to the node"
        return f"{set_up}: larger files go through the agent's socket there."

    def _contents(self, name: str, size: int) -> bytes | None:
        """Read a file with a script that prints it. None if it does not show all of it.

        Over REST, file-read loses the data when the agent does not answer the close. The script
        prints base64 if RouterOS has :convert (since 7.12). Otherwise it prints the contents
        unchanged, and the length must be right.
        """
        if not size:
            return b""
        head = f":local all [/file get [/file find name={quote(name)}] contents]\n"
        look = f':if ([:len $all] != {size}) do={{ :put "short" }} else={{\n'
        loop = f":for at from=0 to={size - 1} step={_PIECE} do={{ :put %s }} }}"
        piece = f"[:pick $all $at ($at + {_PIECE})]"
        try:
            script = head + look + loop % f"[:convert {piece} to=base64]"
            lines = self._run_helper(script.encode()).split()
            if lines != [b"short"]:
                data = b"".join(base64.b64decode(line, validate=True) for line in lines)
                if len(data) == size:
                    return data
        except (ScriptFailed, ValueError):
            data = self._run_helper((head + look + ":put $all }").encode())
            for end in (b"\r\n", b"\n"):
                if data.endswith(end) and len(data) == size + len(end):
                    return data[:size]
        return None

    def _over_socket(self) -> Guest:
        """The guest at the agent's socket, after a probe has shown that it is the same VM."""
        if not self._socket:
            raise needs_ssh("socket")
        if "socket" not in self._known().ways:
            reason = self._probe(self._socket)
            if reason:
                raise NotPossible(f"The agent's socket of {self._vm} cannot be used: {reason}")
            self._known().ways.append("socket")
            self._note()
        return self._socket.guest

    def reset(self) -> None:
        self._vm.api.forget()

    # -- the agent and the machine -----------------------------------------------------------------

    def report(self) -> GuestReport:
        info = self._vm.agent("GET", "info")
        return report(str(self._vm), info.get("result") if isinstance(info, dict) else info, self._answers)

    def operating_system(self) -> dict[str, t.Any] | None:
        answer = self._answers([OS_QUESTION]).get(OS_QUESTION)
        return operating_system(answer) if isinstance(answer, dict) else None

    def _answers(self, commands: list[str]) -> dict[str, t.Any]:
        """Send harmless *commands*, and return the answers of those that were not refused."""
        answers = {}
        for command in commands:
            with contextlib.suppress(AgentRefused, ApiError, KeyError, TypeError):
                method = "POST" if command == "guest-fsfreeze-status" else "GET"
                answers[command] = self._vm.agent(method, command.removeprefix("guest-"))["result"]
        return answers

    def shutdown(self, mode: str) -> None:
        if mode != "powerdown":
            raise NotPossible(
                f"Proxmox VE's REST interface passes no mode to the agent, so {self.vm!r} cannot be told to {mode} through it: use "
                "method: script."
            )
        try:
            self._vm.agent("POST", "shutdown", changes=True, patience=10.0)
        except OutcomeUnknown:
            pass  # a CHR shuts down without a reply (observed by tikoci/mikropkl)
        except (AgentRefused, ApiError) as error:
            raise NotPossible(str(error)) from error

    def power(self) -> ProxmoxPower:
        return ProxmoxPower(self._vm)

    def checks(self) -> ProxmoxChecks:
        return ProxmoxChecks(self._vm, self._ssh, MAX_CONTENTS, self.connect_timeout)

    def snapshots(self) -> ProxmoxSnapshots:
        return ProxmoxSnapshots(self._vm)

    def agent_port(self, channel: str, slot: int) -> AgentPort:
        """The access to the guest's agent from other machines. Raises InvalidInput."""
        return agent_port(self._vm, channel, slot, self._node)


class _Joined:
    """A stream that begins with data that was already read from it."""

    def __init__(self, start: bytes, rest: t.BinaryIO) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int) -> bytes:
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        return self._rest.read(size)


def _output(status: dict[str, t.Any]) -> bytes:
    """The script's output as bytes. The server shows each byte as a Latin-1 character."""
    return str(status.get("out-data") or "").encode("latin-1", "replace")


def _result(status: dict[str, t.Any], job: Job, vm: ProxmoxMachine) -> ScriptResult:
    try:
        rc = as_int(status["exitcode"])
    except (KeyError, ValueError):
        raise OutcomeUnknown(
            f"Job {job.id} of {vm} ended, and its exit code cannot be read. It was not run again; look at the router before you "
            "repeat it."
        ) from None
    return ScriptResult(
        rc=rc,
        output=_output(status),
        start=job.start,
        end=datetime.now(UTC),
        job=job.id,
        exec_mode=job.exec_mode,
        truncated=as_bool(status.get("out-truncated")),
    )
