# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The contract of all backends: a router that is reached through its hypervisor."""

from __future__ import annotations

import time
import typing as t
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NotAnAgent,
    NotBoolean,
    NotPossible,
    OutcomeUnknown,
    OutputCut,
    ScriptFailed,
    ScriptTimedOut,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.identity import Identity
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded, excerpt
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.output import text
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.values import seconds

from . import script_result
from .capabilities import Capabilities
from .checks import Checks
from .guest_report import GuestReport
from .power import Power
from .same_content import same_content
from .script_result import Job, ScriptResult
from .snapshots import Snapshots
from .transfer_limit import TransferLimit

_AnswerT = t.TypeVar("_AnswerT")
_LARGEST = 16 * 1024 * 1024  # bytes that a script of this collection may print


class Guest(ABC):
    """A router that is reached through its hypervisor.

    All times are in seconds; all errors are ChrError.
    """

    backend: str
    capabilities: Capabilities
    logins: tuple[tuple[str, str], ...] = ()
    """The users and passwords that scripts run with; none where a script needs no login."""
    attempts_at_questions: t.ClassVar[int] = 1
    """How often an expression is evaluated if the end of its script is not seen."""

    def __init__(self, vm: str, connect_timeout: float) -> None:
        self.vm = vm
        self.connect_timeout = connect_timeout

    def identity(self, host: str) -> Identity:
        """Return which VM this is, under the name *host* of the inventory. Raises as ``place``."""
        return Identity(host, self.backend, *self.place())

    def place(self) -> tuple[str, str]:
        """Return the endpoint and what names the VM there, as ``Identity`` has them.

        It is looked up if nothing has been sent yet. Raises Unreachable, VmNotFound, VmAmbiguous.
        """
        raise NotImplementedError

    def check_files(self, *, reading: bool = False) -> None:
        """Check that files, or at least small ones, can be written or with *reading* be read.

        Raises NotPossible, which says what to do instead.
        """
        if self.capabilities.files:
            return
        if self.capabilities.small_files and reading and not self.capabilities.output:
            raise NotPossible(
                f"Backend {self.backend} reads no files of a RouterOS guest ({self.vm!r}). Let the router send the file itself "
                "(/tool fetch with upload=yes)."
            )
        if not self.capabilities.small_files:
            raise NotPossible(
                f"Backend {self.backend} moves no files to or from a RouterOS guest ({self.vm!r}). Run the text with "
                "outofband.chr.script (source or src), or let the router fetch the file itself (/tool fetch)."
            )

    @abstractmethod
    def ping(self, timeout: float | None = None) -> None:
        """Wait until the agent has answered.

        *timeout*: seconds; None for ``connect_timeout``. Raises Unreachable if no answer came.
        """

    def require_routeros(self) -> None:
        """Check that the guest says that it is RouterOS. Raises NotAnAgent if it does not.

        Call this before requests that another system's agent would carry out just as well, such as
        writing a file or shutting down.
        """
        system = self.operating_system()
        if system is None or system.get("id") != "routeros":
            raise NotAnAgent(
                f"The guest agent of {self.vm!r} does not say that it is RouterOS, so nothing was done there. "
                "Is this another VM than the one you meant?"
            )

    def check_login(self) -> None:
        """Check that RouterOS takes one of ``logins``, if the agent needs a login.

        Raises RouterLoginRefused, and Unreachable if the agent cannot tell yet.
        """
        return

    def takes(self, user: str, password: str) -> bool | None:
        """Whether RouterOS takes this login. None if the backend has no harmless way to find out.

        If it does, and the login is one of ``logins``, scripts run with it from now on. Raises the
        errors of ``run`` for everything else.
        """
        return None

    @abstractmethod
    def start(self, source: bytes) -> Job:
        """Start *source* as a RouterOS script and do not wait for its end."""

    @abstractmethod
    def start_file(self, name: str) -> Job:
        """Start the script file *name* that lies on the router."""

    @abstractmethod
    def wait(self, job: Job, timeout: float) -> ScriptResult:
        """Wait at most *timeout* seconds for the end of *job* and collect its result, once."""

    def run(self, source: bytes, timeout: float) -> ScriptResult:
        """Run *source* and wait at most *timeout* seconds for its end.

        Raises the errors of ``start`` and ``wait``.
        """
        return self.wait(self.start(source), timeout)

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        """Run a *source* with a secret in it, otherwise as ``run`` does.

        The script takes a way that neither shows the source to others nor leaves it on the router,
        even for a moment. Raises NoSecretWay if the backend has no such way.
        """
        return self.run(source, timeout)

    def condition(self, expression: str, timeout: float) -> bool:
        """Whether the boolean RouterOS *expression* is true. Raises ScriptFailed, NotBoolean."""
        return self.conditions([expression], timeout)[0]

    def conditions(self, expressions: t.Sequence[str], timeout: float) -> list[bool]:
        """Whether each of several expressions is true, found out in one go, as ``condition``."""
        asked = "\n".join(f":put ({one.strip()})" for one in expressions)
        answers = text(self._output(asked, timeout)).split()
        if len(answers) != len(expressions) or not {"true", "false"}.issuperset(answers):
            told = ", ".join(map(repr, expressions))
            raise NotBoolean(f"{told} gave {excerpt(' '.join(answers))}, which is neither true nor false.")
        return [answer == "true" for answer in answers]

    def read(self, expression: str, timeout: float, likely: t.Sequence[bytes] = ()) -> bytes:
        """The value of a RouterOS *expression* as text. Raises ScriptFailed.

        A backend without output reads it bit by bit, and *likely* values cost it less. Other
        backends ignore them.
        """
        return self._output(f":put ({expression})", timeout).removesuffix(b"\n").removesuffix(b"\r")

    def read_seconds(self, expression: str, timeout: float) -> float:
        """The value, in seconds, of a RouterOS *expression* that is a duration.

        Raises ScriptFailed.
        """
        try:
            return seconds(text(self.read(expression, timeout)))
        except ValueError as error:
            raise ScriptFailed(
                f"The value of {expression!r} on {self.vm!r} is not a valid duration: {error}."
            ) from error

    def _output(self, source: str, timeout: float) -> bytes:
        """The output of a *source* that changes nothing, so that it can be run again."""
        return self.repeated(lambda: self.checked(self.run(encoded(source), timeout), timeout).output)

    def repeated(self, question: t.Callable[[], _AnswerT], pause: float = 0.0) -> _AnswerT:
        """Return the answer to *question*, which does no harm when it is asked twice.

        If its end is not seen, it is asked again after *pause* seconds, up to
        ``attempts_at_questions`` times. Raises OutcomeUnknown, and what *question* raises.
        """
        for attempt in range(1, self.attempts_at_questions + 1):
            try:
                return question()
            except OutcomeUnknown:
                if attempt == self.attempts_at_questions:
                    raise
                time.sleep(pause)
        raise AssertionError("not reached")

    def checked(self, result: ScriptResult, timeout: float) -> ScriptResult:
        """Return *result* if the script ended without an error and its output is complete.

        *timeout*: the seconds that the script had. Raises ScriptFailed, ScriptTimedOut, OutputCut.
        """
        if result.rc != 0:
            kind = ScriptTimedOut if result.timed_out else ScriptFailed
            raise kind(self.failure(result, timeout))
        if result.truncated:
            raise OutputCut(
                f"A script printed more than can be read from {self.vm!r} in full{self._bound()}.", result.output
            )
        if len(result.output) > _LARGEST:
            raise OutputCut(
                f"A script printed {len(result.output)} bytes on {self.vm!r}; at most {_LARGEST >> 20} MiB are read of it.",
                result.output[:_LARGEST],
            )
        return result

    def with_error_text(self, result: ScriptResult) -> ScriptResult:
        """Return *result* with RouterOS's last words as output, if the script failed.

        A backend without output looks for them. Where it does not find them, or where they are in
        the output anyway, *result* is returned as it is.
        """
        return result

    def failure(self, result: ScriptResult, timeout: float) -> str:
        """A sentence about a script that failed or did not end within *timeout* seconds."""
        return script_result.failure(self.vm, result, timeout)

    def cut(self) -> str:
        """A sentence about a result that is ``truncated``."""
        if self.capabilities.max_output is None:
            return f"The guest agent of {self.vm!r} cut the script's output."
        return (
            f"The output of the script on {self.vm!r} is incomplete{self._bound()}, or the script left early (:return)."
        )

    def _bound(self) -> str:
        bound = self.capabilities.max_output
        return "" if bound is None else f": backend {self.backend} carries {bound} bytes of it"

    def reset(self) -> None:
        """Forget whatever outlives a task, such as a session."""
        return

    def put(self, source: t.BinaryIO, name: str, limit: TransferLimit | None = None) -> int:
        """Write a file on the router, verify it and return its size in bytes.

        None for *limit* is the default of its class. Raises InvalidInput, TransferFailed,
        NotPossible.
        """
        self.check_files()
        raise NotImplementedError

    def put_secret(self, source: t.BinaryIO, name: str, limit: TransferLimit | None = None) -> int:
        """Write a file with a secret in it, otherwise as ``put`` does.

        The scripts that it takes, if any, are run as ``run_secret`` does. Also raises NoSecretWay.
        """
        return self.put(source, name, limit)

    def check_content(self, source: t.BinaryIO, name: str) -> None:
        """Check that *source* can be written as the file *name*. Raises InvalidInput."""
        return

    def compare(self, name: str, local: t.BinaryIO, limit: TransferLimit | None = None) -> bool | None:
        """Whether the router's file *name* has the bytes of *local*, from its position on.

        Returns None if the router has no such file. Raises as ``get`` does.
        """
        return same_content(lambda target: self.get(name, target, limit), local)

    def get(self, name: str, target: t.BinaryIO, limit: TransferLimit | None = None) -> int:
        """Copy a file of the router to *target* and return its size in bytes.

        None for *limit* is the default of its class. Raises InvalidInput, FileMissing,
        TransferFailed, NotPossible.
        """
        self.check_files(reading=True)
        raise NotImplementedError

    @abstractmethod
    def report(self) -> GuestReport:
        """What the agent says about itself and the guest. Raises Unreachable, NotAnAgent."""

    def operating_system(self) -> dict[str, t.Any] | None:
        """``GuestReport.os`` alone, which some backends can get faster than the whole report."""
        return self.report().os

    def boot(self) -> str:
        """A text that is different after each boot.

        Only backends without ``capabilities.runs_without_restart`` have it. Raises Unreachable.
        """
        raise NotPossible(f"Backend {self.backend} does not know by itself whether {self.vm!r} has restarted.")

    def exchange(self) -> AbstractContextManager[None]:
        """A context in which several short calls may share a session with the agent.

        Do nothing in it that takes long.
        """
        return nullcontext()

    @abstractmethod
    def shutdown(self, mode: str) -> None:
        """Ask the agent to ``powerdown``, ``halt`` or ``reboot``.

        Returns when the request was taken.
        """

    def power(self) -> Power:
        """The switch of the guest's machine.

        Raises NotPossible if there is none, and as ``place``.
        """
        raise NotPossible(
            f"Backend {self.backend} cannot tell whether the machine of {self.vm!r} is off, and cannot turn it on or off. "
            "Nothing was done."
        )

    def checks(self) -> Checks:
        """What can be looked at on the way to the router. Nothing is sent yet.

        Every backend has it.
        """
        raise NotImplementedError

    def why_it_stays_up(self) -> str | None:
        """Why a guest that still runs will not carry out the last ``shutdown``.

        None while it may still carry it out.
        """
        return None

    def snapshots(self) -> Snapshots:
        """The snapshots of the guest's VM. Raises NotPossible if the backend takes none."""
        raise NotPossible(
            f"Backend {self.backend} takes no snapshots of {self.vm!r}. Take it with "
            "the tools of the machine that runs the VM."
        )
