# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The base of the backends that carry the messages of a QEMU guest agent unchanged."""

from __future__ import annotations

import base64
import collections
import contextlib
import hashlib
import time
import typing as t
from datetime import UTC, datetime

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    FileMissing,
    NotAnAgent,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_bool, as_int
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.capabilities import Capabilities
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest_report import GuestReport
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_result import Job, ScriptResult
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.script_source import check_source
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import files

from .protocol import REPLY_TIMEOUT, Agent, Command
from .report import OS_QUESTION, operating_system, report

# A wait longer than this gives the channel back, so that a hypervisor's backup or another task can
# use it meanwhile.
_HOLD = 0.1
_TRANSFER_TIMEOUT = 60.0
_QUESTION_TIMEOUT = 3.0


class QgaGuest(Guest):
    """A CHR, or for files and reports any guest with a QEMU guest agent.

    *open_agent* opens a conversation that waits at most the given seconds for the agent.
    *connect_timeout*: the default of that time, in seconds. *exec_mode*: ``auto``, ``inline``,
    ``import`` or ``path``.
    """

    # 256 KiB is the largest script that a published client sends to a CHR's agent (vexa-vm); the
    # agent's own limit is unknown.
    capabilities = Capabilities(output=True, files=True, max_script=256 * 1024)
    attempts_at_questions = 3
    max_write: t.ClassVar[int] = 768 * 1024
    """The largest part of a file in one request, in bytes."""

    def __init__(
        self,
        vm: str,
        backend: str,
        open_agent: t.Callable[[float], Agent],
        connect_timeout: float,
        exec_mode: str = "auto",
    ) -> None:
        super().__init__(vm, connect_timeout)
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
        """A context in which all calls use *agent* as their session."""
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
                raise Unreachable(str(error)) from error

    # -- scripts -----------------------------------------------------------------------------------

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
        # No "path": RouterOS then runs input-data as a script, and a stock qemu-ga refuses, so that
        # nothing ever reaches a shell.
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
        """Start the script file *name* with the mode that ``exec_mode`` chooses.

        ``import`` runs /import inline, which every CHR knows. ``path`` is the way of the manual,
        which public sources dispute.
        """
        if self._exec_mode != "path":
            return self._start_inline(agent, files.import_script(name), "import")
        files.check_file_name(name)
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
            return Job(id=str(as_int(reply["pid"])), start=start, exec_mode=exec_mode)
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown(
                f"The guest agent of {agent.where} answered guest-exec without a job id: {excerpt(reply)}."
            ) from None

    def _wait(self, agent: Agent, job: Job, timeout: float) -> ScriptResult:
        began = time.monotonic()
        missed = ""
        last_look = False
        while True:
            elapsed = time.monotonic() - began
            # When an answer is lost, there must be time for another look. libvirt waits for answers
            # longer than it is told to, so the last look may come after the timeout.
            patience = min(REPLY_TIMEOUT, max((timeout - elapsed) / 2, 1.0))
            status = self._status(agent, job, patience, missed)
            elapsed = time.monotonic() - began
            if isinstance(status, str):
                missed = missed or status
            elif as_bool(status.get("exited")):
                return _result(status, job, agent)
            if elapsed >= timeout:
                if isinstance(status, str) and not last_look:
                    last_look = True
                    continue
                if isinstance(status, str):
                    raise OutcomeUnknown(
                        f"The guest agent of {agent.where} answers other commands, but not guest-exec-status. {lost(job)}"
                    )
                return ScriptResult(
                    rc=None, output=b"", start=job.start, end=datetime.now(UTC), job=job.id, exec_mode=job.exec_mode
                )
            pause = min(poll_interval(elapsed), timeout - elapsed)
            if pause > _HOLD:
                agent.close()
            time.sleep(pause)

    def _status(self, agent: Agent, job: Job, patience: float, missed: str) -> dict[str, t.Any] | str:
        """Ask for the status of *job* once.

        Returns the reason if the agent did not answer within *patience* seconds, but answers again
        now. *missed*: the reason why an earlier answer did not come.
        """
        try:
            try:
                status = agent.execute("guest-exec-status", {"pid": int(job.id)}, timeout=patience)
            except OutcomeUnknown as error:
                agent.close()  # the channel may be dead although it is open, as behind a firewall that forgot it
                agent.execute("guest-ping")
                return str(error)
        except AgentRefused as error:
            raise OutcomeUnknown(f"{error}: {forgotten(missed)} {lost(job)}") from error
        except ChrError as error:
            raise OutcomeUnknown(f"{error} {lost(job)}") from error
        if not isinstance(status, dict):
            raise OutcomeUnknown(
                f"The guest agent of {agent.where} answered guest-exec-status without a status. {lost(job)}"
            )
        return status

    # -- files -------------------------------------------------------------------------------------

    def put(self, source: t.BinaryIO, name: str, limit: TransferLimit | None = None) -> int:
        files.check_file_name(name)
        limit = limit or TransferLimit()
        with self._session() as agent:
            try:
                handle = self._open(agent, name, "w")
            except AgentRefused as error:
                raise TransferFailed(f"{error}. The file {name!r} was not touched.") from error
            except OutcomeUnknown as error:
                raise TransferFailed(f"{error} The file {name!r} may be empty now.") from error
            try:
                probe = ("guest-file-write", {"handle": handle, "buf-b64": "", "count": 0})
                with _closing(agent, handle, probe):
                    size, digest = self._write(agent, handle, name, source, limit)
                self._verify(agent, name, size, digest, limit)
            except (ChrError, OSError) as error:
                raise TransferFailed(f"{error} {self._discard(agent, name)}") from error
            return size

    def _open(self, agent: Agent, name: str, mode: str) -> int:
        reply = agent.execute("guest-file-open", {"path": name, "mode": mode})
        try:
            return as_int(reply)
        except ValueError:
            raise OutcomeUnknown(
                f"The guest agent of {agent.where} answered guest-file-open without a handle."
            ) from None

    def _write(
        self, agent: Agent, handle: t.Any, name: str, source: t.BinaryIO, limit: TransferLimit
    ) -> tuple[int, bytes]:
        digest = hashlib.sha256()
        size = 0
        chunks = ChunkSize(self.max_write)
        waiting: collections.deque[tuple[bytes, str]] = collections.deque()

        def read_on() -> None:
            if not waiting and (data := source.read(chunks.size)):
                digest.update(data)
                waiting.append((data, _encode(data)))

        read_on()
        while waiting:
            chunk, encoded = waiting.popleft()
            began = time.monotonic()
            reply = agent.execute(
                "guest-file-write",
                {"handle": handle, "buf-b64": encoded, "count": len(chunk)},
                timeout=_TRANSFER_TIMEOUT,
                meanwhile=read_on,
            )
            written = _count(reply, len(chunk), agent)
            if written == 0:
                raise TransferFailed(
                    f"The guest agent of {agent.where} took none of {len(chunk)} bytes (is the router's disk full?)."
                )
            chunks.took(written, len(chunk), time.monotonic() - began)
            size += written
            limit.moved(size, repr(name))
            if rest := chunk[written:]:
                waiting.appendleft((rest, _encode(rest)))
        return size, digest.digest()

    def _verify(self, agent: Agent, name: str, size: int, digest: bytes, limit: TransferLimit) -> None:
        """Check that the file *name* has *size* bytes and the sha256 *digest*.

        The size that RouterOS reports is enough. If it differs or RouterOS does not tell it, the
        file is read back. Raises TransferFailed.
        """
        if self._look_up(agent, name) == (1, size):
            return
        found = hashlib.sha256()
        count = self._read(agent, name, found.update, limit)
        if (count, found.digest()) != (size, digest):
            raise TransferFailed(
                f"{size} bytes were written to {name!r} on {agent.where}, but {count} bytes of other content are in the file."
            )

    def _look_up(self, agent: Agent, name: str) -> tuple[int, int] | None:
        """The number of files called *name* on RouterOS, and the size of the first in bytes.

        None if the guest does not run RouterOS.
        """
        script = files.look_up_script(name)
        try:
            result = self.repeated(
                lambda: self._wait(agent, self._start_inline(agent, script, "inline"), REPLY_TIMEOUT)
            )
        except OutcomeUnknown as error:
            raise TransferFailed(f"The size of {name!r} could not be looked up. {error}") from error
        except (NotAnAgent, AgentRefused):
            return None
        try:
            return files.looked_up(result.output) if result.rc == 0 else None
        except ValueError:
            return None

    def _discard(self, agent: Agent, name: str) -> str:
        """Remove a half-written file, and return a sentence that says whether it is gone."""
        with contextlib.suppress(ChrError):
            script = files.removal_script(name)
            if self._wait(agent, self._start_inline(agent, script, "inline"), REPLY_TIMEOUT).rc == 0:
                return f"The incomplete file {name!r} was removed from the router."
        return f"An incomplete file {name!r} is on the router now."

    def get(self, name: str, target: t.BinaryIO, limit: TransferLimit | None = None) -> int:
        files.check_file_name(name)
        with self._session() as agent:
            return self._read(agent, name, target.write, limit or TransferLimit())

    def _read(self, agent: Agent, name: str, sink: t.Callable[[bytes], t.Any], limit: TransferLimit) -> int:
        try:
            handle = self._open(agent, name, "r")
        except AgentRefused as error:
            known = self._look_up(agent, name)
            if known == (0, 0) or (known is None and "no such file" in error.description.lower()):
                raise FileMissing(f"{error}. There is no file {name!r}.") from error
            raise TransferFailed(f"{error}. The file {name!r} was not read.") from error
        probe = ("guest-file-read", {"handle": handle, "count": 1})
        with _closing(agent, handle, probe):
            return self._read_all(agent, handle, name, sink, limit)

    def _read_all(
        self, agent: Agent, handle: int, name: str, sink: t.Callable[[bytes], t.Any], limit: TransferLimit
    ) -> int:
        known = self._look_up(agent, name)
        whole = known[1] if known and known[0] else None
        if whole is not None:
            limit.announced(whole, repr(name))
        size = 0
        chunks = ChunkSize()
        unread: list[tuple[t.Any, int, float]] = []

        def hand_on() -> None:
            nonlocal size
            while unread:
                reply, asked, seconds = unread.pop()
                data = _content(reply, agent)
                if not data and not _is_end(reply):
                    raise TransferFailed(
                        f"The guest agent of {agent.where} sent no data of {name!r} after {size} bytes, and no end of file."
                    )
                size += len(data)
                limit.moved(size, repr(name))
                sink(data)
                chunks.took(len(data), asked, seconds)

        ended = False
        while not ended and (whole is None or size <= whole):
            asked, began = chunks.size, time.monotonic()
            reply = agent.execute(
                "guest-file-read",
                {"handle": handle, "count": asked},
                timeout=_TRANSFER_TIMEOUT,
                meanwhile=hand_on,
            )
            unread.append((reply, asked, time.monotonic() - began))
            ended = _is_end(reply)
        hand_on()
        if whole is not None and size != whole:
            raise TransferFailed(
                f"RouterOS says that {name!r} on {agent.where} has {whole} bytes, and its agent sent {size}. "
                "If something is writing to the file, try again when that is over."
            )
        return size

    # -- the agent and the machine -----------------------------------------------------------------

    def report(self) -> GuestReport:
        with self._session() as agent:
            return report(repr(self.vm), agent.execute("guest-info"), lambda commands: _answers(agent, commands))

    def operating_system(self) -> dict[str, t.Any] | None:
        with self._session() as agent:
            answer = _answers(agent, [OS_QUESTION]).get(OS_QUESTION)
        return operating_system(answer) if isinstance(answer, dict) else None

    def shutdown(self, mode: str) -> None:
        with self._session() as agent:
            try:
                agent.execute("guest-shutdown", {"mode": mode}, timeout=2.0)
            except OutcomeUnknown:
                pass  # a CHR shuts down without a reply (observed by tikoci/mikropkl)
            except AgentRefused as error:
                raise NotPossible(str(error)) from error


class ChunkSize:
    """Bytes per read or write. It grows while the agent is quick, and falls to what it accepts.

    The best size for a CHR is unknown (published clients use 4096 bytes to 2 MiB), so it starts
    small. Multiples of 3 keep base64 unpadded.
    """

    START = 48 * 1024
    LIMIT = 768 * 1024
    LEAST = 4095
    QUICK = 0.1

    def __init__(self, limit: int = LIMIT) -> None:
        """*limit*: the largest number of bytes that the channel carries at once."""
        self._limit = limit
        self.size = min(self.START, limit)
        self._growth = 2

    def took(self, done: int, asked: int, seconds: float) -> None:
        """Adapt to one exchange, which carried *done* of *asked* bytes in *seconds*."""
        if done < asked:
            self.size = max(done, self.LEAST)
            self._growth = 1  # it has a limit of its own; do not run into it with every other chunk
        elif asked >= self.size and seconds < self.QUICK:
            self.size = min(self.size * self._growth + self.LEAST * (self._growth == 1), self._limit)


@contextlib.contextmanager
def _closing(agent: Agent, handle: int, probe: Command) -> t.Iterator[None]:
    """A context that closes *handle*. An error inside it hides an error of the closing.

    *probe*: see ``Agent.close_file``.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(ChrError):
            agent.close_file(handle, probe)
        raise
    agent.close_file(handle, probe, timeout=_TRANSFER_TIMEOUT)


def forgotten(missed: str) -> str:
    """Why an agent does not know a job that it took.

    *missed*: the reason why an earlier answer did not come, or an empty text.
    """
    if missed:
        return (
            "the agent no longer knows the job. Did the router restart, or did the result go with an answer that was lost, as "
            f"that of a script with long output can? What came back before: {missed}"
        )
    return "the agent no longer knows the job (did the router restart?)."


def lost(job: Job) -> str:
    return (
        f"Job {job.id} was started and its end was not seen, so the script may have ended, may have run in part, or may still "
        "be running. "
        "It was not run again; look at the router before you repeat it."
    )


def _result(status: dict[str, t.Any], job: Job, agent: Agent) -> ScriptResult:
    try:
        rc = as_int(status["exitcode"])
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
        truncated=as_bool(status.get("out-truncated")),
    )


def _answers(agent: Agent, commands: list[str]) -> dict[str, t.Any]:
    """Send harmless *commands*, and return the answers of those that the agent answered."""
    answers = {}
    for command in commands:
        with contextlib.suppress(AgentRefused, OutcomeUnknown):
            answers[command] = agent.execute(command, timeout=_QUESTION_TIMEOUT)
    return answers


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _content(reply: t.Any, agent: Agent) -> bytes:
    """The bytes in an answer to guest-file-read. Raises TransferFailed if there are none."""
    try:
        data = base64.b64decode(reply.get("buf-b64") or "", validate=True)
        if as_int(reply.get("count", len(data))) != len(data):
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        raise TransferFailed(f"The guest agent of {agent.where} answered guest-file-read without valid data.") from None
    return data


def _is_end(reply: t.Any) -> bool:
    """Whether an answer to guest-file-read says that nothing follows."""
    return isinstance(reply, dict) and as_bool(reply.get("eof"))


def _count(reply: t.Any, asked: int, agent: Agent) -> int:
    """The number of bytes that guest-file-write wrote. Raises TransferFailed if it is unknown."""
    try:
        count = as_int(reply["count"])
        if not 0 <= count <= asked:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise TransferFailed(
            f"The guest agent of {agent.where} did not say how much of {asked} bytes it wrote: {excerpt(reply)}."
        ) from None
    return count
