# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The guest behind Proxmox VE."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import secrets
import time
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from ..agent_port import AgentPort
from ..base import Capabilities, Guest, GuestOptions, Job, ScriptResult, check_file_name, check_source
from ..deadline import poll_interval
from ..errors import (
    AgentNotThere,
    AgentRefused,
    FileNotThere,
    GuestError,
    InvalidInput,
    NoSecretWay,
    NotAnAgent,
    NotPossible,
    OutcomeUnknown,
    ScriptFailed,
    TooLarge,
    TransferFailed,
)
from ..qga_guest import integer, lost, true
from .api import REPLY_TIMEOUT, Access, ApiError, shared_api
from .provision import Node, agent_port
from .snapshots import ProxmoxSnapshots
from .vm import AgentSilent, Vm, VmMoves, VmOff
from .ways import MAX_WRITE, AsFile, Inline, Json, Memory, Qm, Socket, Way, needs_ssh, removal

MODES = ("inline", "json", "file", "qm", "socket")
MAX_CONTENTS = 60 * 1024
"""Bytes of a file whose contents a RouterOS 7 script can see."""
_PIECE = 12_288  # bytes of a file in one line of output
_CHUNK = 15_000  # bytes of contents in one script: up to three characters each
_OWN_SCRIPT = 30.0
_PROBE = 8.0
_QUESTIONS = {
    "guest-get-osinfo": ("GET", "get-osinfo"),
    "guest-get-host-name": ("GET", "get-host-name"),
    "guest-get-time": ("GET", "get-time"),
    "guest-get-timezone": ("GET", "get-timezone"),
    "guest-network-get-interfaces": ("GET", "network-get-interfaces"),
    "guest-fsfreeze-status": ("POST", "fsfreeze-status"),
}


def open_guest(options: GuestOptions) -> Guest:
    """Raises InvalidInput."""
    access = Access.of(options)
    if options.exec_mode not in ("auto", *MODES):
        raise InvalidInput(
            f"chr_exec_mode {options.exec_mode!r} is not one of the ways of backend proxmox: auto, {', '.join(MODES)}."
        )
    if options.exec_mode in ("qm", "socket") and not options.ssh_host:
        raise needs_ssh(options.exec_mode)
    return ProxmoxGuest(options, Vm(shared_api(access), options.vm, options.node, options.connect_timeout))


class ProxmoxGuest(Guest):
    """A CHR as a VM of Proxmox VE."""

    backend = "proxmox"

    def __init__(self, options: GuestOptions, vm: Vm) -> None:
        super().__init__(options.vm, options.connect_timeout)
        self._vm = vm
        self._forced = None if options.exec_mode == "auto" else options.exec_mode
        self._file = AsFile(vm)
        self._ways: dict[str, Way] = {"inline": Inline(vm), "json": Json(vm), "file": self._file}
        self._socket: Socket | None = None
        self._node: Node | None = None
        if options.ssh_host:
            ssh = (vm, options.ssh_host, options.ssh_args, options.runtime_directory)
            self._socket = Socket(*ssh, options.connect_timeout)
            self._ways |= {"qm": Qm(*ssh), "socket": self._socket}
            self._node = Node(*ssh)
        self._memory = Memory(options.runtime_directory, vm, options.ssh_host, options.ssh_args)
        self._proven: list[str] | None = None
        largest = max(self._ways[name].max_script for name in ([self._forced] if self._forced else self._ways))
        self.capabilities = Capabilities(output=True, files=True, max_script=largest, exec_modes=tuple(self._ways))

    def ping(self, timeout: float | None = None) -> None:
        patience = max(5.0, min(timeout or REPLY_TIMEOUT, REPLY_TIMEOUT))  # the server itself gives the agent 3 s
        self._vm.agent("POST", "ping", timeout=timeout, patience=patience)

    # -- which way ---------------------------------------------------------------------------------------------------

    def _order(self, secret: bool) -> list[str]:
        first = "inline" if self._vm.version < (8, 0) else "json"
        ways = [self._forced] if self._forced else [first, "file", "qm", "socket"]
        return [name for name in ways if name in self._ways and not (secret and name == "file")]

    def _way(self, secret: bool = False) -> Way:
        """The first way that is known to work or that its probe shows to. Raises NotPossible, GuestError.

        *secret*: not the one that puts the script into a file of the router.
        """
        proven = self._known()
        for name in self._order(secret):
            if name in proven:
                return self._ways[name]
        refused = []
        if secret:
            refused.append("file: it would put a secret (no_log) into a file of the router.")
        for name in self._order(secret):
            reason = self._probe(self._ways[name])
            if reason is None:
                self._remember([*proven, name])
                self._clear_leftovers(self._ways[name])
                return self._ways[name]
            refused.append(f"{name}: {reason}")
        hint = "" if "qm" in self._ways else " Set chr_ssh_host to the node (root), which opens two more ways."
        left = f" Left on the router: {', '.join(self._file.left)}." if self._file.left else ""
        kind = NoSecretWay if secret else NotPossible
        raise kind(
            f"No way to hand a script to {self._vm} worked; only harmless probes were sent. {' '.join(refused)}{hint}{left}"
        )

    def _known(self) -> list[str]:
        if self._proven is None:
            self._proven = self._memory.read()
        return self._proven

    def _remember(self, ways: list[str]) -> None:
        self._proven = ways
        self._memory.write(ways)

    def _probe(self, way: Way) -> str | None:
        """None: *way* works. Otherwise the reason why not.

        The answer is always read over REST, so a way over ssh that leads to another VM of the same number is found out.
        """
        nonce = f"outofband-{secrets.token_hex(8)}"
        try:
            job = way.start(f':put "{nonce}"'.encode())
            began = time.monotonic()
            while time.monotonic() - began < _PROBE:
                status = self._vm.status(job, REPLY_TIMEOUT)
                if true(status.get("exited")):
                    way.ended(job, integer(status.get("exitcode", 0)))
                    output = _output(status)
                    if nonce.encode() in output:
                        return None
                    return f"it took the script and printed {output[:80]!r} instead of what it should."
                self._pause(time.monotonic() - began, _PROBE)
        except (ApiError, AgentRefused, NotAnAgent, NotPossible, AgentSilent) as error:
            return str(error)
        except AgentNotThere as error:
            if way.name in ("qm", "socket"):
                return str(error)
            raise
        except OutcomeUnknown as error:
            if way.name == "qm":
                return str(error)
            raise AgentNotThere(
                f"{error} But that was only a harmless probe: the script itself was not sent."
            ) from error
        return f"it took the script and did not end it within {_PROBE:g} s."

    def _clear_leftovers(self, way: Way) -> None:
        if self._file.left:
            with contextlib.suppress(GuestError):
                way.start(removal(self._file.left))
                self._file.left = []

    # -- scripts -----------------------------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        return self._start(source)

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        check_source(source, self.capabilities)
        return self.wait(self._start(source, secret=True), timeout)

    def start_file(self, name: str) -> Job:
        if not name.strip() or "\0" in name:
            raise InvalidInput(f"guest_file {name!r} is no file name.")
        return self._start(f"/import file-name={quote(name)}".encode())

    def _start(self, source: bytes, secret: bool = False) -> Job:
        way = self._way(secret)
        if len(source) > way.max_script:
            more = "" if "qm" in self._ways else ", or set chr_ssh_host and chr_exec_mode: qm, which takes 1 MiB"
            raise TooLarge(
                f"The script has {len(source)} bytes; the way {way.name!r} of Proxmox VE takes at most {way.max_script}. Put it on "
                f"the router with outofband.chr.copy and run it with guest_file, or split it{more}."
            )
        start = datetime.now(UTC)
        try:
            job = way.start(source)
        except (ApiError, AgentRefused):
            # Certainly not run. What was remembered may be no longer true, so the next script probes again.
            self._remember([name for name in self._known() if name != way.name])
            raise
        return Job(id=job, start=start, exec_mode=way.name)

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        if job.exec_mode == "socket" and self._socket:
            return dataclasses.replace(self._socket.guest.wait(job, timeout), exec_mode="socket")
        began = time.monotonic()
        while True:
            status = self._look(job)
            elapsed = time.monotonic() - began
            if status is not None and true(status.get("exited")):
                result = _result(status, job, self._vm)
                self._ways[job.exec_mode].ended(job.id, result.rc or 0)
                return result
            if elapsed >= timeout:
                if status is None:
                    raise OutcomeUnknown(f"The guest agent of {self._vm} does not answer about its job. {lost(job)}")
                return ScriptResult(
                    rc=None, output=b"", start=job.start, end=datetime.now(UTC), job=job.id, exec_mode=job.exec_mode
                )
            self._pause(elapsed, timeout)

    def _pause(self, elapsed: float, timeout: float) -> None:
        """A look costs the node more than us, so it is not looked more often than a look takes."""
        time.sleep(max(0.0, min(max(poll_interval(elapsed), self._vm.api.round_trip), timeout - elapsed)))

    def _look(self, job: Job) -> dict[str, t.Any] | None:
        """One look at *job*; None when nobody answered this time."""
        try:
            return self._vm.status(job.id, REPLY_TIMEOUT)
        except AgentRefused as error:
            raise OutcomeUnknown(
                f"{error}: the agent no longer knows the job (did the router restart?). {lost(job)}"
            ) from error
        except VmOff as error:
            raise OutcomeUnknown(f"{error} {lost(job)}") from error
        except (AgentNotThere, VmMoves):
            return None  # it may be back in time; where an answer got lost on the way, the agent says that the job is unknown
        except ApiError as error:
            if "got timeout" in error.said:
                return None
            raise OutcomeUnknown(f"{error}. {lost(job)}") from error
        except GuestError as error:
            raise OutcomeUnknown(f"{error} {lost(job)}") from error

    # -- files -------------------------------------------------------------------------------------------------------

    def put(self, source: t.BinaryIO, name: str) -> int:
        check_file_name(name)
        if self._forced == "socket":
            return self._over_socket().put(source, name)
        data = source.read(MAX_CONTENTS + 1)
        if len(data) > MAX_CONTENTS:
            if self._socket and not self._forced:
                return self._over_socket().put(t.cast("t.BinaryIO", _Joined(data, source)), name)
            raise TooLarge(
                f"{name!r} has more than {MAX_CONTENTS} bytes, which is what Proxmox VE's REST interface and a script can put on a "
                "router. Set chr_ssh_host to the node: larger files go through the agent's socket there."
            )
        # So that an agent without a way to check the file is not written to; and the probe says what is wrong.
        self._way()
        try:
            self._put(data, name)
            known = self._look_up(name)
            if known != (1, len(data)):
                have = "no such file" if known[0] == 0 else f"{known[1]} bytes"
                raise TransferFailed(f"{len(data)} bytes were written to {name!r} on {self._vm}; RouterOS has {have}.")
        except (ApiError, AgentRefused) as error:
            raise TransferFailed(f"{error}. The file {name!r} was not written.") from error
        except (OutcomeUnknown, ScriptFailed, TransferFailed) as error:
            raise TransferFailed(f"{error} {self._discard(name)}") from error
        return len(data)

    def _put(self, data: bytes, name: str) -> None:
        if len(data) <= MAX_WRITE and name.isascii():
            try:
                self._vm.write(name, data)
                if self._look_up(name) == (1, len(data)):
                    return
            except (AgentRefused, TooLarge):
                pass  # it may not know the mode "wb", which is the only one that Proxmox VE uses; or see Vm.write
        self._put_by_script(data, name)

    def _put_by_script(self, data: bytes, name: str) -> None:
        """In chunks that RouterOS joins: the contents of a file can be read and set by a script."""
        found = f"[/file find name={quote(name)}]"
        first = data[:_CHUNK]
        self._own(
            f":if ([:len {found}] = 0) do={{ /file add name={quote(name)} }}\n/file set {found} contents={quote(first)}"
        )
        for start in range(_CHUNK, len(data), _CHUNK):
            self._own(
                f":local file {found}\n:local before [/file get $file contents]\n"
                f':if ([:len $before] != {start}) do={{ :error "the file has another length than it should" }}\n'
                f"/file set $file contents=($before . {quote(data[start : start + _CHUNK])})"
            )

    def _own(self, script: str) -> bytes:
        """The output of a script of ours. Raises ScriptFailed."""
        result = self.wait(self._start(script.encode()), _OWN_SCRIPT)
        if result.rc != 0:
            raise ScriptFailed(
                f"A script that moves a file ended with {result.rc} on {self._vm}: {result.output[-200:]!r}."
            )
        return result.output

    def _look_up(self, name: str) -> tuple[int, int]:
        """How many files of that name RouterOS knows, and the size of the first."""
        output = self._own(
            f":local found [/file find name={quote(name)}]\n:put [:len $found]\n"
            ":foreach one in=$found do={ :put [/file get $one size] }"
        )
        try:
            count, size = (*map(int, output.split()), 0)[:2]
        except ValueError:
            raise ScriptFailed(f"{self._vm} answered {output[:80]!r} to a question for the size of {name!r}.") from None
        return count, size

    def _discard(self, name: str) -> str:
        with contextlib.suppress(GuestError):
            self._own(f"/file remove [/file find name={quote(name)}]")
            return f"The incomplete file {name!r} was removed from the router."
        return f"An incomplete file {name!r} may be on the router now."

    def get(self, name: str, target: t.BinaryIO) -> int:
        check_file_name(name)
        if self._forced == "socket":
            return self._over_socket().get(name, target)
        count, size = self._look_up(name)
        if not count:
            raise FileNotThere(f"{self._vm} has no file {name!r}.")
        if size > MAX_CONTENTS:
            if self._socket and not self._forced:
                return self._over_socket().get(name, target)
            raise self._unreadable(name, f"{size} bytes")
        if size:
            target.write(self._contents(name, size))
        return size

    def _contents(self, name: str, size: int) -> bytes:
        """Printed by the router: over REST, file-read loses what it has read when the agent does not answer the close.

        As base64 where RouterOS has :convert (7.13), otherwise as it is, which must have the right length.
        """
        head = f":local all [/file get [/file find name={quote(name)}] contents]\n"
        look = f':if ([:len $all] != {size}) do={{ :put "short" }} else={{\n'
        loop = f":for at from=0 to={size - 1} step={_PIECE} do={{ :put %s }} }}"
        piece = f"[:pick $all $at ($at + {_PIECE})]"
        try:
            lines = self._own(head + look + loop % f"[:convert {piece} to=base64]").split()
            if lines != [b"short"]:
                data = b"".join(base64.b64decode(line, validate=True) for line in lines)
                if len(data) == size:
                    return data
        except (ScriptFailed, ValueError):
            data = self._own(head + look + ":put $all }")
            for end in (b"\r\n", b"\n"):
                if data.endswith(end) and len(data) == size + len(end):
                    return data[:size]
        raise self._unreadable(name, f"contents that a script of this RouterOS does not see whole ({size} bytes)")

    def _unreadable(self, name: str, what: str) -> NotPossible:
        return NotPossible(
            f"{name!r} on {self._vm} has {what}; through Proxmox VE's REST interface a file of at most {MAX_CONTENTS} bytes "
            "(4095 on RouterOS 6) can be read. Set chr_ssh_host to the node and chr_exec_mode: socket, which has no limit."
        )

    def _over_socket(self) -> Guest:
        """The guest at the agent's socket, once its probe has shown that this is the same VM."""
        if not self._socket:
            raise needs_ssh("socket")
        if "socket" not in self._known():
            reason = self._probe(self._socket)
            if reason:
                raise NotPossible(f"The agent's socket of {self._vm} cannot be used: {reason}")
            self._remember([*self._known(), "socket"])
        return self._socket.guest

    def reset(self) -> None:
        self._vm.api.forget()

    # -- the agent and the machine -----------------------------------------------------------------------------------

    def agent_info(self) -> dict[str, t.Any]:
        reply = self._vm.agent("GET", "info")
        try:
            result = reply["result"]
            listed = result.get("supported_commands", [])
            commands = {str(command["name"]): true(command.get("enabled", True)) for command in listed}
            return {"version": str(result.get("version", "")), "commands": commands}
        except (AttributeError, KeyError, TypeError):
            raise NotAnAgent(f"The guest agent of {self._vm} answered info with {str(reply)[:80]!r}.") from None

    def query(self, commands: list[str]) -> dict[str, t.Any]:
        answers = {}
        for command in commands:
            if command in _QUESTIONS:
                with contextlib.suppress(AgentRefused, ApiError, KeyError, TypeError):
                    answers[command] = self._vm.agent(*_QUESTIONS[command])["result"]
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

    def snapshots(self) -> ProxmoxSnapshots:
        return ProxmoxSnapshots(self._vm)

    def agent_port(self, channel: str, slot: int) -> AgentPort:
        return agent_port(self._vm, channel, slot, self._node)


class _Joined:
    """What was already read of a stream, and its rest."""

    def __init__(self, start: bytes, rest: t.BinaryIO) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int) -> bytes:
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        return self._rest.read(size)


def _output(status: dict[str, t.Any]) -> bytes:
    """The bytes that the server shows as Latin-1 code points."""
    return str(status.get("out-data") or "").encode("latin-1", "replace")


def _result(status: dict[str, t.Any], job: Job, vm: Vm) -> ScriptResult:
    try:
        rc = integer(status["exitcode"])
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
        truncated=true(status.get("out-truncated")),
    )
