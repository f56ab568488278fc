# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The guest as this collection sees it: a router behind a hypervisor's agent, whatever the hypervisor."""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import message, text
from ansible_collections.outofband.chr.plugins.module_utils._routeros.values import seconds

from .agent_port import AgentPort
from .errors import InvalidInput, NotAnAgent, NotBoolean, NotPossible, OutputCut, ScriptFailed, TooLarge
from .snapshots import Snapshots

if t.TYPE_CHECKING:
    from .vmware_network import VmwareNetwork
    from .vmware_tools import VmwareTools


@dataclass(frozen=True)
class Capabilities:
    """What a way to the guest can do; asked before, never found out by failing."""

    output: bool
    """A script's output can be read."""
    files: bool
    """Files can be moved."""
    max_script: int
    """Bytes of one script."""
    exec_modes: tuple[str, ...]
    """Ways to hand over a script, the one that ``auto`` takes first."""
    live: bool = True
    """A script runs without a restart of the router; otherwise ``boot`` tells one boot from the next."""
    max_output: int | None = None
    """Bytes of the output of one script; None: no bound that a script of ours comes near."""
    replays: bool = False
    """A script that takes the router down could be run again when it boots."""


@dataclass(frozen=True)
class ScriptResult:
    """How one script ended."""

    rc: int | None
    """0 done, -1 RouterOS reported an error, 1 the agent's own time limit, None still running when we stopped waiting."""
    output: bytes
    """What the script printed, as it came (CRLF line ends on a CHR); with an error, RouterOS's own text is at its end."""
    start: datetime
    end: datetime
    job: str
    """The agent's id of the job."""
    exec_mode: str
    truncated: bool = False
    """The agent cut the output."""

    @property
    def timed_out(self) -> bool:
        return self.rc is None or self.rc == 1


@dataclass(frozen=True)
class Job:
    """A script that was started and not yet collected."""

    id: str
    start: datetime
    exec_mode: str


@dataclass(frozen=True)
class GuestOptions:
    """The options of the connection, checked for type. Times are in seconds."""

    backend: str
    vm: str
    connect_timeout: float
    exec_mode: str
    runtime_directory: Path
    """For sockets and sessions of this user that outlive a task."""
    socket: str | None = None
    ssh_host: str | None = None
    ssh_args: str = ""
    libvirt_uri: str = "qemu:///system"
    api_host: str | None = None
    api_port: int | None = None
    api_user: str | None = None
    api_password: str | None = field(default=None, repr=False)
    api_token_id: str | None = None
    api_token_secret: str | None = field(default=None, repr=False)
    validate_certs: bool = True
    ca_path: str | None = None
    node: str | None = None
    guest_user: str = "admin"
    guest_password: str = field(default="", repr=False)


class Guest(ABC):
    """A router that is reached through its hypervisor. All times are in seconds; all errors are GuestError."""

    backend: str
    capabilities: Capabilities

    def __init__(self, vm: str, connect_timeout: float) -> None:
        self.vm = vm
        self.connect_timeout = connect_timeout

    def check_files(self) -> None:
        """Raises NotPossible, with what to do instead, where ``capabilities.files`` says that no files can be moved."""
        if not self.capabilities.files:
            raise NotPossible(
                f"Backend {self.backend} moves no files to or from a RouterOS guest ({self.vm!r}). Run the text with "
                "outofband.chr.script (source or src), or let the router fetch the file itself (/tool fetch)."
            )

    @abstractmethod
    def ping(self, timeout: float | None = None) -> None:
        """Return when the agent has answered, within ``connect_timeout`` or *timeout*; raise AgentNotThere otherwise."""

    def require_routeros(self) -> None:
        """Return when the guest says that it is RouterOS; raise NotAnAgent otherwise.

        For what another system's agent would do just as well, such as taking a file or shutting down.
        """
        system = self.query(["guest-get-osinfo"]).get("guest-get-osinfo")
        if not isinstance(system, dict) or system.get("id") != "routeros":
            raise NotAnAgent(
                f"The guest agent of {self.vm!r} does not say that it is RouterOS, so nothing was done there. "
                "Is this another VM than the one you meant?"
            )

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
        """Run *source* to its end. Raises as ``start`` and ``wait``."""
        return self.wait(self.start(source), timeout)

    def run_secret(self, source: bytes, timeout: float) -> ScriptResult:
        """As ``run``, for a *source* with a secret in it: by no way that shows it or leaves it lying about, not even for a moment.

        Raises NotPossible where there is no such way.
        """
        return self.run(source, timeout)

    def condition(self, expression: str, timeout: float) -> bool:
        """Whether the boolean RouterOS *expression* is true. Raises ScriptFailed, NotBoolean."""
        answer = text(self._output(f":put ({expression.strip()})", timeout)).strip()
        if answer not in ("true", "false"):
            raise NotBoolean(f"{expression!r} gave {answer[:80]!r}, which is neither true nor false.")
        return answer == "true"

    def read(self, expression: str, timeout: float, likely: t.Sequence[bytes] = ()) -> bytes:
        """The value of a RouterOS *expression* as text. Raises ScriptFailed.

        Where it must be read bit by bit, *likely* values are cheap; elsewhere they mean nothing.
        """
        return self._output(f":put ({expression})", timeout).removesuffix(b"\n").removesuffix(b"\r")

    def read_seconds(self, expression: str, timeout: float) -> float:
        """The value of a RouterOS *expression* that is a span of time, in seconds. Raises ScriptFailed."""
        try:
            return seconds(text(self.read(expression, timeout)))
        except ValueError as error:
            raise ScriptFailed(f"The value of {expression!r} on {self.vm!r} cannot be read: {error}.") from error

    def _output(self, source: str, timeout: float) -> bytes:
        result = self.run(encoded(source), timeout)
        return checked(self, result, timeout).output

    def reset(self) -> None:
        """Forget what outlives a task, such as a session."""
        return

    def put(self, source: t.BinaryIO, name: str) -> int:
        """Write a file on the router and verify it; the number of bytes. Raises InvalidInput, TransferFailed, NotPossible."""
        self.check_files()
        raise NotImplementedError

    def get(self, name: str, target: t.BinaryIO) -> int:
        """Copy a file of the router to *target*; the number of bytes. Raises InvalidInput, FileNotThere, NotPossible."""
        self.check_files()
        raise NotImplementedError

    @abstractmethod
    def agent_info(self) -> dict[str, t.Any]:
        """The agent itself: ``version`` (str), ``commands`` (dict of name to enabled).

        Also ``questions``, what ``query`` answers (without it, the enabled commands), and ``extra``, more results.
        """

    @abstractmethod
    def query(self, commands: list[str]) -> dict[str, t.Any]:
        """The answers to some of the agent's harmless questions, without those that it did not answer."""

    def boot(self) -> str:
        """What is different after each boot, for a guest that is not ``capabilities.live``. Raises AgentNotThere."""
        raise NotPossible(f"Backend {self.backend} does not know by itself whether {self.vm!r} has restarted.")

    def exchange(self) -> AbstractContextManager[None]:
        """Inside it, several short calls may share what a call needs (a session); nothing long belongs there."""
        return nullcontext()

    @abstractmethod
    def shutdown(self, mode: str) -> None:
        """Ask the agent to ``powerdown``, ``halt`` or ``reboot``. Returns when the request was taken."""

    def refusal(self) -> str | None:
        """Why the last ``shutdown`` will not happen, for a guest that is still there; None while it still may."""
        return None

    def snapshots(self) -> Snapshots:
        """The snapshots of its VM. Raises NotPossible where there is no hypervisor to ask."""
        raise NotPossible(
            f"Backend {self.backend} takes no snapshots of {self.vm!r}. Use backend proxmox, libvirt or vmware, or the tools of "
            "the machine that runs the VM."
        )

    def agent_port(self, channel: str, slot: int) -> AgentPort:
        """The access to its agent from other machines; see ``agent_port``. Raises NotPossible, InvalidInput."""
        raise NotPossible(
            f"The agent of {self.vm!r} can be opened to the network on Proxmox VE only, and its backend is {self.backend}. A plain "
            "QEMU has a TCP chardev in its command line (README, 'QEMU, plain'); the others carry the agent themselves."
        )

    def vmware_tools(self) -> VmwareTools:
        """What VMware lets its tools do. Raises NotPossible."""
        raise NotPossible(
            f"{self.vm!r} has the backend {self.backend}: only VMware (chr_backend: vmware) has these settings."
        )

    def vmware_network(self) -> VmwareNetwork:
        """The networks of its VM on VMware. Raises NotPossible."""
        raise NotPossible(
            f"{self.vm!r} has the backend {self.backend}: only VMware (chr_backend: vmware) has these settings."
        )


def encoded(source: str) -> bytes:
    """*source* as UTF-8. Raises InvalidInput."""
    try:
        return source.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{source!r} is not valid UTF-8.") from None


def checked(guest: Guest, result: ScriptResult, timeout: float) -> ScriptResult:
    """*result*, if the script ended well and all of its output is there. Raises ScriptFailed, OutputCut."""
    if result.rc != 0:
        raise ScriptFailed(failure(guest, result, timeout))
    if result.truncated:
        raise OutputCut(f"A script printed more than can be had whole from {guest.vm!r}{_bound(guest)}.")
    return result


def cut(guest: Guest) -> str:
    """What to say of a result that is ``truncated``."""
    if guest.capabilities.max_output is None:
        return f"The guest agent of {guest.vm!r} cut the script's output."
    return f"The output of the script on {guest.vm!r} is not whole{_bound(guest)}, or the script left early (:return)."


def _bound(guest: Guest) -> str:
    bound = guest.capabilities.max_output
    return "" if bound is None else f": backend {guest.backend} carries {bound} bytes of it"


def failure(guest: Guest, result: ScriptResult, timeout: float) -> str:
    """One sentence on a script that did not end well, with RouterOS's own words."""
    if result.rc is None:
        return (
            f"The script did not end within {timeout:g} s on {guest.vm!r} and goes on as job {result.job} on the router; its "
            "output will not be collected. Give it more time (timeout, chr_script_timeout) next time, and look at the router "
            "before you run it again."
        )
    if not guest.capabilities.output:
        if result.rc == 1:
            return (
                f"The router stopped the script on {guest.vm!r} at its own limit of 120 s, and keeps no output of it. Split the "
                "script, or let it start a script of the router with /system script run from a scheduler."
            )
        return (
            f"The script failed on {guest.vm!r}. VMware gives no text of it: RouterOS writes the reason to the file "
            f"'vix_job_{result.job} .txt' on the router (the blank is part of the name in the vendor's manual)."
        )
    said = message(result.output)
    if result.rc == 1:
        return (
            f"The guest agent of {guest.vm!r} stopped the script at its own time limit. Split it, or let it start the work with "
            f":execute. It had printed: {said or 'nothing'}"
        )
    end = " (the output was cut)" if result.truncated else ""
    return f"The script failed on {guest.vm!r}: {said or 'no text came with it'}{end}"


def check_source(source: bytes, capabilities: Capabilities) -> None:
    """Refuse what cannot be a script, before anything is sent. Raises InvalidInput."""
    if not source.strip():
        raise InvalidInput("The script is empty: there is nothing to run.")
    if b"\0" in source:
        raise InvalidInput(f"The script has a NUL byte at offset {source.index(0)}: RouterOS source is text.")
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The script is not valid UTF-8: byte 0x{source[error.start]:02X} at offset {error.start}. "
            "Save it as UTF-8, or write the byte as a RouterOS escape such as \\E9."
        ) from None
    if len(source) > capabilities.max_script:
        instead = "Put it on the router with outofband.chr.copy and run it with guest_file, or split it."
        if not capabilities.files:
            instead = "Split it, or let the router fetch it itself (/tool fetch, then /import)."
        raise TooLarge(
            f"The script has {len(source)} bytes; this way to the router takes at most {capabilities.max_script}. {instead}"
        )


def check_file_name(name: str) -> str:
    """*name*, if a CHR's agent can know it: flat names only (observed by tikoci/mikropkl on 7.22). Raises InvalidInput."""
    if not name.strip() or name in (".", ".."):
        raise InvalidInput(f"{name!r} is no file name.")
    if "/" in name or "\\" in name:
        raise InvalidInput(
            f"{name!r} has a folder in it: the guest agent of a CHR serves only flat names in the root of its files. "
            "Use a plain name such as 'setup.rsc' and move it with a script."
        )
    if not name.isprintable():
        raise InvalidInput(f"The file name {name!r} has a character that cannot be shown.")
    return name
