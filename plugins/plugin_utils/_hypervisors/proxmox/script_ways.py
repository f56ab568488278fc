# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The ways to hand a script to a CHR behind Proxmox VE, and which of them worked for which VM."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    InvalidInput,
    NotAnAgent,
    NotPossible,
    OutcomeUnknown,
    TooLarge,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.scalars import as_int, loads
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.guest import QgaGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.protocol import AgentSession
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import removal_script
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.quoting import quote
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import PrivateFile
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.sockets import UnixChannel
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.ssh import SshForward, SshMaster

from .api import json_body, max_body
from .ascii import ascii_source
from .machine import ProxmoxMachine

MAX_INPUT = 65536
"""The largest ``input-data`` in characters (qemu-server 5.0-30 and later)."""
MAX_WRITE = 46080
"""The largest ``file-write`` in bytes: 61440 characters of base64."""
MAX_STDIN = 1024 * 1024
"""The largest script in bytes that ``qm guest exec --pass-stdin`` reads."""
SOCKETS = "/run/qemu-server"
_QM_TIMEOUT = 40.0
_REFUSED = ("Agent error:", "not running", "does not exist", "No QEMU guest agent", "unable to find configuration")


class ScriptWay(ABC):
    """One way to start a script."""

    name: t.ClassVar[str]
    max_script: t.ClassVar[int]

    def __init__(self, vm: ProxmoxMachine) -> None:
        self._vm = vm

    def check(self, source: bytes) -> None:
        """Check that this way can carry *source*. Nothing is sent, but the version may be asked.

        Raises TooLarge, or InvalidInput for its bytes.
        """
        if len(source) > self.max_script:
            raise TooLarge(f"it takes at most {self.max_script} bytes.")

    @abstractmethod
    def start(self, source: bytes) -> str:
        """Start *source*, which ``check`` has passed, and return the job id.

        Raises AgentRefused, ApiError with status 400, NotPossible, NotAnAgent or InvalidInput when
        certainly nothing was run.
        """

    def probe(self, source: bytes) -> str:
        """Start the harmless *source*, as ``start`` does, to see whether this way works."""
        return self.start(source)

    def ended(self, job: str, rc: int) -> None:  # noqa: B027 - most leave nothing
        """Remove what *job* left on the router."""


class _InRequest(ScriptWay):
    """A way that has the script in the request itself."""

    max_script = MAX_INPUT

    def check(self, source: bytes) -> None:
        super().check(source)
        body, _described = json_body(self._values(source))
        written = len(body) if isinstance(body, bytes) else 0
        if written > (limit := max_body(self._vm.version)):
            raise TooLarge(f"its request would have {written} bytes, and this version of Proxmox VE takes {limit}.")

    def _values(self, source: bytes) -> dict[str, t.Any]:
        """The values of the request. Raises TooLarge, InvalidInput."""
        text = ascii_source(source)
        if len(text) > MAX_INPUT:
            raise TooLarge(f"it takes at most {MAX_INPUT} characters, and the script in ASCII has {len(text)}.")
        return {"input-data": text}


class Inline(_InRequest):
    """Sends ``input-data`` alone, as the vendor's manual does.

    It works from qemu-server 6.1-7 (changed for CHR) to 7.4.
    """

    name = "inline"

    def start(self, source: bytes) -> str:
        if self._vm.version >= (8, 0):
            raise NotPossible(
                f"{self._vm.api.where} has version {self._vm.version[0]}.{self._vm.version[1]}; "
                "from 8 on its exec refuses a script without a command. Leave chr_exec_mode at auto."
            )
        values = self._values(source)
        # A form is understood by all versions.
        return _not_stock(self._vm, lambda: self._vm.execute(values, as_json=self._vm.needs_json(values)))


class Json(_InRequest):
    """Sends a JSON body with an empty command.

    It works since qemu-server 8.0.1. The agent sees ``"path": null, "arg": []``.
    """

    name = "json"

    def _values(self, source: bytes) -> dict[str, t.Any]:
        return {"command": [], **super()._values(source)}

    def start(self, source: bytes) -> str:
        if self._vm.version < (8, 0):
            raise NotPossible(
                f"{self._vm.api.where} has version {self._vm.version[0]}.{self._vm.version[1]}, "
                "which knows no lists in JSON bodies. Leave chr_exec_mode at auto, or use inline."
            )
        values = self._values(source)
        return _not_stock(self._vm, lambda: self._vm.execute(values, as_json=True))


class AsFile(ScriptWay):
    """Writes the script to a file of the router with file-write, and executes its name.

    The agent sees ``"path": "x.rsc", "arg": []``. The file's first line checks that the whole file
    arrived (Proxmox VE does not check the agent's count) and removes it.
    """

    name = "file"
    max_script = MAX_WRITE - 512
    PROBE: t.ClassVar[str] = "outofband-probe.rsc"
    """The file of every probe: where no way works, nothing can remove it, and there is only one."""

    def __init__(self, vm: ProxmoxMachine) -> None:
        super().__init__(vm)
        self.left: list[str] = []
        """The names of files that were written and not run. They hold no script."""
        self._names: dict[str, str] = {}
        self._is_routeros = False

    def start(self, source: bytes) -> str:
        return self._start(f"outofband-{secrets.token_hex(6)}.rsc", source)

    def probe(self, source: bytes) -> str:
        return self._start(self.PROBE, source)

    def _start(self, name: str, source: bytes) -> str:
        self._check_system()
        content = _guarded(name, source)
        try:
            self._vm.write(name, content)
        except OutcomeUnknown:
            self.left.append(name)
            raise
        try:
            as_list = self._vm.version >= (8, 0)
            job = self._vm.execute({"command": [name] if as_list else name}, as_json=as_list)
        except OutcomeUnknown:
            raise  # if it runs, it removes its file
        except ChrError:
            self.left.append(name)
            if name != self.PROBE:
                with contextlib.suppress(ChrError):
                    self._vm.write(name, b"")  # nothing can remove it now, but the script need not stay there
            raise
        self._names[job] = name
        return job

    def _check_system(self) -> None:
        """Check that the guest is RouterOS: another agent would start a program of that name.

        Raises NotAnAgent.
        """
        self._is_routeros = self._is_routeros or self._vm.says_routeros()
        if not self._is_routeros:
            raise NotAnAgent(
                f"The guest agent of {self._vm} does not say that it is RouterOS, so no file was put there to be run."
            )

    def ended(self, job: str, rc: int) -> None:
        name = self._names.pop(job, None)
        if name and rc != 0:  # perhaps a syntax error, and then the first line has not removed it
            with contextlib.suppress(ChrError):
                self.start(removal_script(name))


def _guarded(name: str, source: bytes) -> bytes:
    found = f"[/file find name={quote(name)}]"
    body = source.rstrip() + b"\n"
    # The same line, so that RouterOS counts the lines as the author does; but a comment must begin
    # a line.
    glue = b"\n" if body.lstrip().startswith(b"#") else b" "

    def head(size: int) -> bytes:
        return (
            f':if ([/file get {found} size] != {size:6d}) do={{ :error "the script arrived cut short" }}; '
            f"/file remove {found};"
        ).encode() + glue

    return head(len(head(0)) + len(body)) + body


class Qm(ScriptWay):
    """Runs ``qm guest exec <vmid> --pass-stdin 1`` as root on the node.

    The agent sees neither path nor arg, in every version since 6.1-7.
    """

    name = "qm"
    max_script = MAX_STDIN

    def __init__(self, vm: ProxmoxMachine, machine: Machine) -> None:
        super().__init__(vm)
        self._machine = machine

    def start(self, source: bytes) -> str:
        vmid, node = self._vm.locate()
        command = ["qm", "guest", "exec", str(vmid), "--pass-stdin", "1", "--synchronous", "0"]
        where = self._machine.where(command)
        try:
            done = self._machine.try_run(command, stdin=source.rstrip() + b"\n", seconds=_QM_TIMEOUT)
        except NotPossible as error:
            raise NotPossible(f"{error} chr_ssh_host must be the Proxmox VE node, as root.") from None
        said = message(done.errors or done.output) or "no text came with it"
        if done.rc == 0:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                return str(as_int(loads(done.output)["pid"]))
            raise OutcomeUnknown(f"{where} ended well without naming a job ({said}).")
        if any(text in said for text in _REFUSED):
            raise AgentRefused(
                str(self._vm), "exec", f"{where}: {said} (the VM is on node {node}; chr_ssh_host must be that node)"
            )
        raise OutcomeUnknown(f"{where} ended with {done.rc}: {said}. Whether the script was started is unknown.")


class Socket(ScriptWay):
    """Uses the agent's socket on the node through ssh, so the agent sees exactly what we send."""

    name = "socket"
    max_script = QgaGuest.capabilities.max_script

    def __init__(self, vm: ProxmoxMachine, ssh: SshMaster, timeout: float) -> None:
        super().__init__(vm)
        self._ssh, self._timeout = ssh, timeout
        self._guest: QgaGuest | None = None

    @property
    def guest(self) -> QgaGuest:
        if self._guest is None:
            vmid, _node = self._vm.locate()
            channel = SshForward(self._ssh, UnixChannel(Path(f"{SOCKETS}/{vmid}.qga")))
            name = self._vm.name
            self._guest = QgaGuest(
                name, "proxmox", lambda timeout: AgentSession(channel, name, timeout), self._timeout, "auto"
            )
        return self._guest

    def start(self, source: bytes) -> str:
        return self.guest.start(source).id


def _not_stock(vm: ProxmoxMachine, start: t.Callable[[], str]) -> str:
    """Call *start*, and explain the error of a stock qemu-ga, which needs a program to run.

    Raises NotAnAgent, and the errors of *start*.
    """
    try:
        return start()
    except AgentRefused as error:
        said = error.description
        # With a path of null, a stock agent and perhaps a CHR say "Invalid parameter type".
        refuses_null = "'path'" in said and "expected: string" in said
        if ("'path'" in said and "missing" in said) or (refuses_null and not vm.says_routeros()):
            raise NotAnAgent(
                f"The guest agent of {vm} is not RouterOS's: it runs programs, not RouterOS scripts "
                f"({said}). Nothing was run. Does chr_vm name another VM?"
            ) from None
        raise


@dataclass
class VmNotes:
    """What earlier tasks have found out about one VM."""

    ways: list[str] = field(default_factory=list)
    """The ways that a probe has shown to work."""
    close_unanswered: bool = False
    """Its agent carries guest-file-close out and does not answer."""
    left: list[str] = field(default_factory=list)
    """Files on the router that are to be removed as soon as a way works."""


class VmNotesFile:
    """Keeps ``VmNotes`` for one VM, in a file that only this user can read.

    The file has no secrets in it. The ways are forgotten when the server's major version changes,
    and when the ssh host or its arguments change: they may lead to another node, which may have a
    VM with the same number.
    """

    def __init__(self, directory: Path, vm: ProxmoxMachine, ssh_host: str | None, ssh_args: str) -> None:
        self._directory, self._vm = directory, vm
        self._ssh = hashlib.sha256(f"{ssh_host}\0{ssh_args}".encode()).hexdigest()[:16] if ssh_host else None

    def _file(self) -> tuple[PrivateFile, dict[str, t.Any]]:
        vmid, _node = self._vm.locate()
        login = self._vm.api.login
        identity = {
            "api_host": f"{login.host}:{login.port}",
            "vmid": vmid,
            "version": self._vm.version[0],
            "ssh": self._ssh,
        }
        digest = hashlib.sha256(f"{login.host}\0{login.port}\0{vmid}".encode()).hexdigest()[:16]
        return PrivateFile(self._directory, f"chr-pve-{digest}.json"), identity

    def read(self) -> VmNotes:
        file, identity = self._file()
        content = file.load()
        same = {key: content.get(key) for key in identity} == identity
        return VmNotes(
            _texts(content.get("ways")) if same else [],
            content.get("close_unanswered") is True,
            _texts(content.get("left")),
        )

    def write(self, known: VmNotes) -> None:
        """Save *known*. Errors are ignored: without the file, the next task probes again."""
        file, identity = self._file()
        values = {"ways": known.ways, "close_unanswered": known.close_unanswered, "left": known.left}
        with contextlib.suppress(OSError):
            file.save({**identity, **values})


def _texts(value: t.Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def needs_ssh(mode: str) -> InvalidInput:
    return InvalidInput(f"chr_exec_mode {mode} needs chr_ssh_host: the node on which the VM runs, as root.")
