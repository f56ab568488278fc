# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A guest with a QEMU guest agent, whoever carries the messages."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from .base import Capabilities, Guest, Job, ScriptResult, check_file_name, check_source
from .deadline import poll_interval
from .errors import (
    AgentNotThere,
    AgentRefused,
    FileNotThere,
    GuestError,
    InvalidInput,
    NotAnAgent,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
)
from .qga import REPLY_TIMEOUT, Agent

# A wait longer than this gives the channel back, so that a hypervisor's backup or another task can use it meanwhile.
_HOLD = 0.1
_TRANSFER_TIMEOUT = 60.0
_QUESTION_TIMEOUT = 3.0


class QgaGuest(Guest):
    """A CHR (or for files and questions the guest of any QEMU guest agent).

    *open_agent* makes a conversation that waits at most the given seconds for the agent. *connect_timeout*: its default, in
    seconds. *exec_mode*: ``auto``, ``inline``, ``import`` or ``path``.
    """

    # 256 KiB is the largest script that a published client sends to a CHR's agent (vexa-vm); the agent's own limit is unknown.
    capabilities = Capabilities(output=True, files=True, max_script=256 * 1024, exec_modes=("inline", "import", "path"))
    max_write: t.ClassVar[int] = 768 * 1024
    """Bytes of a file in one request, at most."""

    def __init__(
        self,
        vm: str,
        backend: str,
        open_agent: t.Callable[[float], Agent],
        connect_timeout: float,
        exec_mode: str = "auto",
    ) -> None:
        super().__init__(vm, connect_timeout)
        if exec_mode not in ("auto", *self.capabilities.exec_modes):
            raise InvalidInput(f"chr_exec_mode {exec_mode!r} is not one of the ways of backend {backend}.")
        self.backend = backend
        self._open_agent = open_agent
        self._exec_mode = exec_mode
        self._shared: Agent | None = None

    def _session(self, timeout: float | None = None) -> contextlib.AbstractContextManager[Agent]:
        if self._shared:
            return contextlib.nullcontext(self._shared)
        return self._open_agent(timeout or self.connect_timeout)

    @contextlib.contextmanager
    def exchange(self) -> t.Iterator[None]:
        with self._session() as agent, self._sharing(agent):
            yield

    @contextlib.contextmanager
    def _sharing(self, agent: Agent) -> t.Iterator[None]:
        """Inside it, *agent* is the session of all calls."""
        before, self._shared = self._shared, agent
        try:
            yield
        finally:
            self._shared = before

    def ping(self, timeout: float | None = None) -> None:
        with self._session(timeout) as agent:
            try:
                agent.execute("guest-ping", timeout=min(timeout or REPLY_TIMEOUT, REPLY_TIMEOUT))
            except OutcomeUnknown as error:
                raise AgentNotThere(str(error)) from error

    # -- scripts -----------------------------------------------------------------------------------------------------

    def start(self, source: bytes) -> Job:
        check_source(source, self.capabilities)
        with self._session() as agent:
            return self._start_inline(agent, source, "inline")

    def start_file(self, name: str) -> Job:
        with self._session() as agent:
            return self._start_file(agent, name)

    def run(self, source: bytes, timeout: float) -> ScriptResult:
        check_source(source, self.capabilities)
        with self._session() as agent:
            return self._wait(agent, self._start_inline(agent, source, "inline"), timeout)

    def wait(self, job: Job, timeout: float) -> ScriptResult:
        with self._session() as agent:
            return self._wait(agent, job, timeout)

    def _start_inline(self, agent: Agent, source: bytes, exec_mode: str) -> Job:
        # No "path": RouterOS then runs input-data as a script, and a stock qemu-ga refuses, so that nothing ever reaches a shell.
        arguments = {"input-data": _encode(source.rstrip() + b"\n"), "capture-output": True}
        try:
            return self._start(agent, arguments, exec_mode)
        except AgentRefused as error:
            if "path" in error.description and "missing" in error.description:
                raise NotAnAgent(
                    f"The guest agent of {agent.where} is not RouterOS's: it runs programs, not RouterOS scripts "
                    f"({error.description}). Nothing was run. Is this another VM than the one you meant?"
                ) from error
            raise

    def _start_file(self, agent: Agent, name: str) -> Job:
        """``import`` runs /import inline, which every CHR knows; ``path`` is the manual's way, which public sources dispute."""
        if self._exec_mode != "path":
            if not name.strip() or "\0" in name:
                raise InvalidInput(f"guest_file {name!r} is no file name.")
            return self._start_inline(agent, f"/import file-name={quote(name)}".encode(), "import")
        check_file_name(name)
        with self._sharing(agent):
            self.require_routeros()  # another agent would start it as a program
        try:
            return self._start(agent, {"path": name, "capture-output": True}, "path")
        except AgentRefused as error:
            raise NotPossible(
                f"{error}. Set chr_exec_mode to 'import' to run {name!r} in the way that every CHR knows."
            ) from error

    def _start(self, agent: Agent, arguments: dict[str, t.Any], exec_mode: str) -> Job:
        start = datetime.now(UTC)
        try:
            reply = agent.execute("guest-exec", arguments)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(
                f"{error} Whether the script was started is unknown; it was not sent again. "
                "Look at the router before you repeat it."
            ) from error
        try:
            return Job(id=str(integer(reply["pid"])), start=start, exec_mode=exec_mode)
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown(
                f"The guest agent of {agent.where} answered guest-exec without a job id: {str(reply)[:80]!r}."
            ) from None

    def _wait(self, agent: Agent, job: Job, timeout: float) -> ScriptResult:
        began = time.monotonic()
        while True:
            elapsed = time.monotonic() - began
            status = self._status(agent, job, min(REPLY_TIMEOUT, max(timeout - elapsed, 1.0)))
            elapsed = time.monotonic() - began
            if status is not None and true(status.get("exited")):
                return _result(status, job, agent)
            if elapsed >= timeout:
                if status is None:
                    raise OutcomeUnknown(
                        f"The guest agent of {agent.where} answers, but not about its job. {lost(job)}"
                    )
                return ScriptResult(
                    rc=None, output=b"", start=job.start, end=datetime.now(UTC), job=job.id, exec_mode=job.exec_mode
                )
            pause = min(poll_interval(elapsed), timeout - elapsed)
            if pause > _HOLD:
                agent.close()
            time.sleep(pause)

    def _status(self, agent: Agent, job: Job, patience: float) -> dict[str, t.Any] | None:
        """One look at *job*; None when the agent did not answer within *patience* seconds but is there again."""
        try:
            try:
                status = agent.execute("guest-exec-status", {"pid": int(job.id)}, timeout=patience)
            except OutcomeUnknown:
                agent.execute("guest-ping")
                return None
        except AgentRefused as error:
            raise OutcomeUnknown(
                f"{error}: the agent no longer knows the job (did the router restart?). {lost(job)}"
            ) from error
        except GuestError as error:
            raise OutcomeUnknown(f"{error} {lost(job)}") from error
        if not isinstance(status, dict):
            raise OutcomeUnknown(
                f"The guest agent of {agent.where} answered guest-exec-status with no status. {lost(job)}"
            )
        return status

    # -- files -------------------------------------------------------------------------------------------------------

    def put(self, source: t.BinaryIO, name: str) -> int:
        check_file_name(name)
        with self._session() as agent:
            try:
                handle = self._open(agent, name, "w")
            except AgentRefused as error:
                raise TransferFailed(f"{error}. The file {name!r} was not touched.") from error
            except OutcomeUnknown as error:
                raise TransferFailed(f"{error} The file {name!r} may be empty now.") from error
            try:
                with _closing(agent, handle):
                    size, digest = self._write(agent, handle, source)
                self._verify(agent, name, size, digest)
            except (GuestError, OSError) as error:
                raise TransferFailed(f"{error} {self._discard(agent, name)}") from error
            return size

    def _open(self, agent: Agent, name: str, mode: str) -> int:
        reply = agent.execute("guest-file-open", {"path": name, "mode": mode})
        try:
            return integer(reply)
        except ValueError:
            raise OutcomeUnknown(
                f"The guest agent of {agent.where} answered guest-file-open without a handle."
            ) from None

    def _write(self, agent: Agent, handle: t.Any, source: t.BinaryIO) -> tuple[int, bytes]:
        digest = hashlib.sha256()
        size = 0
        chunks = ChunkSize(self.max_write)
        rest = b""
        while chunk := rest or source.read(chunks.size):
            began = time.monotonic()
            reply = agent.execute(
                "guest-file-write",
                {"handle": handle, "buf-b64": _encode(chunk), "count": len(chunk)},
                timeout=_TRANSFER_TIMEOUT,
            )
            written = _count(reply, len(chunk), agent)
            if written == 0:
                raise TransferFailed(
                    f"The guest agent of {agent.where} took none of {len(chunk)} bytes (is the router's disk full?)."
                )
            chunks.took(written, len(chunk), time.monotonic() - began)
            digest.update(chunk[:written])
            size += written
            rest = chunk[written:]
        return size, digest.digest()

    def _verify(self, agent: Agent, name: str, size: int, digest: bytes) -> None:
        """By the size that RouterOS reports; where that does not agree or cannot be had, by reading the file back."""
        if self._look_up(agent, name) == (1, size):
            return
        found = hashlib.sha256()
        count = self._read(agent, name, found.update)
        if (count, found.digest()) != (size, digest):
            raise TransferFailed(
                f"{size} bytes were written to {name!r} on {agent.where}, but {count} bytes of other content are in the file."
            )

    def _look_up(self, agent: Agent, name: str) -> tuple[int, int] | None:
        """How many files of that name RouterOS knows, and the size of the first; None where the guest is no RouterOS."""
        script = (
            f":local found [/file find name={quote(name)}]\n:put [:len $found]\n"
            ":foreach one in=$found do={ :put [/file get $one size] }"
        )
        try:
            result = self._wait(agent, self._start_inline(agent, script.encode(), "inline"), REPLY_TIMEOUT)
        except OutcomeUnknown as error:
            raise TransferFailed(
                f"The size of {name!r} on {agent.where} could not be looked up: the agent was lost in between."
            ) from error
        except (NotAnAgent, AgentRefused):
            return None
        try:
            count, size = (*map(int, result.output.split()), 0)[:2]
        except ValueError:
            return None
        return (count, size) if result.rc == 0 else None

    def _discard(self, agent: Agent, name: str) -> str:
        """Take a half-written file away; what is true afterwards, as a sentence."""
        with contextlib.suppress(GuestError):
            script = f"/file remove [find name={quote(name)}]".encode()
            if self._wait(agent, self._start_inline(agent, script, "inline"), REPLY_TIMEOUT).rc == 0:
                return f"The incomplete file {name!r} was removed from the router."
        return f"An incomplete file {name!r} is on the router now."

    def get(self, name: str, target: t.BinaryIO) -> int:
        check_file_name(name)
        with self._session() as agent:
            return self._read(agent, name, target.write)

    def _read(self, agent: Agent, name: str, sink: t.Callable[[bytes], t.Any]) -> int:
        try:
            handle = self._open(agent, name, "r")
        except AgentRefused as error:
            known = self._look_up(agent, name)
            if known == (0, 0) or (known is None and "no such file" in error.description.lower()):
                raise FileNotThere(f"{error}. There is no file {name!r}.") from error
            raise TransferFailed(f"{error}. The file {name!r} was not read.") from error
        with _closing(agent, handle):
            return self._read_all(agent, handle, name, sink)

    def _read_all(self, agent: Agent, handle: int, name: str, sink: t.Callable[[bytes], t.Any]) -> int:
        known = self._look_up(agent, name)
        limit = known[1] if known and known[0] else None
        size = 0
        chunks = ChunkSize()
        while True:
            began = time.monotonic()
            asked = {"handle": handle, "count": chunks.size}
            reply = agent.execute("guest-file-read", asked, timeout=_TRANSFER_TIMEOUT)
            data = _content(reply, agent)
            sink(data)
            size += len(data)
            if true(reply.get("eof")) or (limit is not None and size > limit):
                break
            if not data:
                raise TransferFailed(
                    f"The guest agent of {agent.where} sent no data of {name!r} after {size} bytes, and no end of file."
                )
            chunks.took(len(data), chunks.size, time.monotonic() - began)
        if limit is not None and size != limit:
            raise TransferFailed(
                f"RouterOS says that {name!r} on {agent.where} has {limit} bytes, and its agent sent {size}. "
                "If something is writing to the file, try again when that is over."
            )
        return size

    # -- the agent and the machine -----------------------------------------------------------------------------------

    def agent_info(self) -> dict[str, t.Any]:
        with self._session() as agent:
            reply = agent.execute("guest-info")
        try:
            listed = reply.get("supported_commands", [])
            commands = {str(command["name"]): true(command.get("enabled", True)) for command in listed}
            return {"version": str(reply.get("version", "")), "commands": commands}
        except (AttributeError, KeyError, TypeError):
            raise NotAnAgent(f"The guest agent of {self.vm!r} answered guest-info with {str(reply)[:80]!r}.") from None

    def query(self, commands: list[str]) -> dict[str, t.Any]:
        answers = {}
        with self._session() as agent:
            for command in commands:
                with contextlib.suppress(AgentRefused, OutcomeUnknown):
                    answers[command] = agent.execute(command, timeout=_QUESTION_TIMEOUT)
        return answers

    def shutdown(self, mode: str) -> None:
        with self._session() as agent:
            try:
                agent.execute("guest-shutdown", {"mode": mode}, timeout=2.0)
            except OutcomeUnknown:
                pass  # a CHR shuts down without a reply (observed by tikoci/mikropkl)
            except AgentRefused as error:
                raise NotPossible(str(error)) from error


class ChunkSize:
    """Bytes per read or write: grows while the agent is quick, falls back to what it takes.

    The best size for a CHR is unknown (published clients use 4096 bytes to 2 MiB), so it starts small. Multiples of 3 keep
    base64 unpadded.
    """

    START = 48 * 1024
    LIMIT = 768 * 1024
    LEAST = 4095
    QUICK = 0.1

    def __init__(self, limit: int = LIMIT) -> None:
        """*limit*: bytes that the way to the agent carries at once."""
        self._limit = limit
        self.size = min(self.START, limit)
        self._growth = 2

    def took(self, done: int, asked: int, seconds: float) -> None:
        """Learn from one exchange: *done* of *asked* bytes in *seconds*."""
        if done < asked:
            self.size = max(done, self.LEAST)
            self._growth = 1  # it has a limit of its own; do not run into it with every other chunk
        elif asked >= self.size and seconds < self.QUICK:
            self.size = min(self.size * self._growth + self.LEAST * (self._growth == 1), self._limit)


@contextlib.contextmanager
def _closing(agent: Agent, handle: t.Any) -> t.Iterator[None]:
    """Close *handle* in the end; an error on the way counts more than one at closing."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(GuestError):
            agent.execute_perhaps_unanswered("guest-file-close", {"handle": handle})
        raise
    agent.execute_perhaps_unanswered("guest-file-close", {"handle": handle}, timeout=_TRANSFER_TIMEOUT)


def lost(job: Job) -> str:
    return (
        f"Job {job.id} was started and its end was not seen, so the script may have run wholly, in part, or still be running. "
        "It was not run again; look at the router before you repeat it."
    )


def _result(status: dict[str, t.Any], job: Job, agent: Agent) -> ScriptResult:
    try:
        rc = integer(status["exitcode"])
        output = base64.b64decode(status.get("out-data") or "", validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise OutcomeUnknown(
            f"Job {job.id} on {agent.where} ended, but its result cannot be read ({type(error).__name__}). "
            "It was not run again; look at the router before you repeat it."
        ) from error
    return ScriptResult(
        rc=rc,
        output=output,
        start=job.start,
        end=datetime.now(UTC),
        job=job.id,
        exec_mode=job.exec_mode,
        truncated=true(status.get("out-truncated")),
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _content(reply: t.Any, agent: Agent) -> bytes:
    """The bytes in an answer to guest-file-read. Raises TransferFailed."""
    try:
        data = base64.b64decode(reply.get("buf-b64") or "", validate=True)
        if integer(reply.get("count", len(data))) != len(data):
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        raise TransferFailed(
            f"The guest agent of {agent.where} answered guest-file-read with no whole block."
        ) from None
    return data


def _count(reply: t.Any, asked: int, agent: Agent) -> int:
    """The bytes that guest-file-write took. Raises TransferFailed."""
    try:
        count = integer(reply["count"])
        if not 0 <= count <= asked:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise TransferFailed(
            f"The guest agent of {agent.where} did not say how much of {asked} bytes it wrote: {str(reply)[:80]!r}."
        ) from None
    return count


def integer(value: t.Any) -> int:
    """A JSON integer that may come as a string. Raises ValueError."""
    return int(str(value))


def true(value: t.Any) -> bool:
    """A JSON boolean that may come as a number or a string."""
    return value is True or str(value).strip().lower() in ("1", "true", "yes")
