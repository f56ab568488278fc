# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The ways to hand a script to a CHR behind Proxmox VE, and which of them worked for which VM."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import typing as t
from abc import ABC, abstractmethod
from pathlib import Path

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import message
from ansible_collections.outofband.chr.plugins.module_utils._routeros.quoting import quote

from ..channels.base import ConnectError
from ..channels.direct import UnixChannel
from ..channels.ssh import SshChannel
from ..deadline import Deadline
from ..errors import AgentNotThere, AgentRefused, GuestError, InvalidInput, NotAnAgent, NotPossible, OutcomeUnknown
from ..private import PrivateFile
from ..qga import AgentSession
from ..qga_guest import QgaGuest
from .api import FORM_LIMIT
from .escape import ascii_source
from .vm import Vm

MAX_INPUT = 65536
"""Characters of ``input-data`` (qemu-server 5.0-30 and later)."""
MAX_WRITE = 46080
"""Bytes of one ``file-write``: 61440 characters of base64."""
MAX_STDIN = 1024 * 1024
"""Bytes that ``qm guest exec --pass-stdin`` reads."""
SOCKETS = "/run/qemu-server"
_QM_TIMEOUT = 40.0
_REFUSED = ("Agent error:", "not running", "does not exist", "No QEMU guest agent", "unable to find configuration")


class Way(ABC):
    """One way to start a script."""

    name: t.ClassVar[str]
    max_script: t.ClassVar[int]

    def __init__(self, vm: Vm) -> None:
        self._vm = vm

    @abstractmethod
    def start(self, source: bytes) -> str:
        """Start *source*, already checked for size; the job id.

        Raises AgentRefused, ApiError with status 400, NotPossible, NotAnAgent, InvalidInput when certainly nothing was run.
        """

    def ended(self, job: str, rc: int) -> None:  # noqa: B027 - most leave nothing
        """Clear away what *job* left behind."""


class Inline(Way):
    """``input-data`` alone, as the vendor's manual has it. From qemu-server 6.1-7 (made so for CHR) to 7.4."""

    name = "inline"
    max_script = MAX_INPUT

    def start(self, source: bytes) -> str:
        if self._vm.version >= (8, 0):
            raise NotPossible(
                f"{self._vm.api.where} has version {self._vm.version[0]}.{self._vm.version[1]}; from 8 on its exec refuses a "
                "script without a command. Leave chr_exec_mode at auto, or use json, file, qm or socket."
            )
        text = ascii_source(source)
        # A form is understood by all versions, but its escapes can triple the text.
        as_json = len(text) * 3 > FORM_LIMIT
        return _not_stock(self._vm, lambda: self._vm.execute({"input-data": text}, as_json=as_json))


class Json(Way):
    """A JSON body with an empty command. From qemu-server 8.0.1 on; the agent sees ``"path": null, "arg": []``."""

    name = "json"
    max_script = MAX_INPUT

    def start(self, source: bytes) -> str:
        if self._vm.version < (8, 0):
            raise NotPossible(
                f"{self._vm.api.where} has version {self._vm.version[0]}.{self._vm.version[1]}, which knows no lists in JSON "
                "bodies. Leave chr_exec_mode at auto, or use inline."
            )
        values = {"command": [], "input-data": ascii_source(source)}
        return _not_stock(self._vm, lambda: self._vm.execute(values, as_json=True))


class AsFile(Way):
    """file-write of a flat file, then exec of its name: the agent sees ``"path": "x.rsc", "arg": []``.

    The file's first line checks that all of it arrived (Proxmox VE does not look at the agent's count) and removes it.
    """

    name = "file"
    max_script = MAX_WRITE - 512

    def __init__(self, vm: Vm) -> None:
        super().__init__(vm)
        self.left: list[str] = []
        """Files that were written and not run."""
        self._names: dict[str, str] = {}
        self._is_routeros = False

    def start(self, source: bytes) -> str:
        self._check_system()
        name = f"outofband-{secrets.token_hex(6)}.rsc"
        content = _guarded(name, source)
        try:
            self._vm.write(name, content)
        except OutcomeUnknown:
            self.left.append(name)
            raise
        try:
            as_list = self._vm.version >= (8, 0)
            job = self._vm.execute({"command": [name] if as_list else name}, as_json=as_list)
        except GuestError:
            self.left.append(name)
            raise
        self._names[job] = name
        return job

    def _check_system(self) -> None:
        """Any other agent would start a program of that name."""
        if self._is_routeros:
            return
        try:
            answer = self._vm.agent("GET", "get-osinfo")["result"]
            self._is_routeros = answer["id"] == "routeros"
        except (AgentRefused, KeyError, TypeError):
            pass
        if not self._is_routeros:
            raise NotAnAgent(
                f"The guest agent of {self._vm} does not say that it is RouterOS, so no file was put there to be run."
            )

    def ended(self, job: str, rc: int) -> None:
        name = self._names.pop(job, None)
        if name and rc != 0:  # perhaps a syntax error, and then the first line has not removed it
            with contextlib.suppress(GuestError):
                self.start(removal([name]))


def removal(names: list[str]) -> bytes:
    """A script that removes files."""
    return "\n".join(f"/file remove [/file find name={quote(name)}]" for name in names).encode()


def _guarded(name: str, source: bytes) -> bytes:
    found = f"[/file find name={quote(name)}]"
    body = source.rstrip() + b"\n"
    # The same line, so that RouterOS counts the lines as the author does; but a comment must begin a line.
    glue = b"\n" if body.lstrip().startswith(b"#") else b" "

    def head(size: int) -> bytes:
        return (
            f':if ([/file get {found} size] != {size:6d}) do={{ :error "the script arrived cut short" }}; '
            f"/file remove {found};"
        ).encode() + glue

    return head(len(head(0)) + len(body)) + body


class Qm(Way):
    """``qm guest exec <vmid> --pass-stdin 1`` as root on the node: no path and no arg, in every version since 6.1-7."""

    name = "qm"
    max_script = MAX_STDIN

    def __init__(self, vm: Vm, host: str, arguments: str, directory: Path) -> None:
        super().__init__(vm)
        self._host, self._arguments, self._directory = host, arguments, directory

    def start(self, source: bytes) -> str:
        vmid, node = self._vm.locate()
        command = ["qm", "guest", "exec", str(vmid), "--pass-stdin", "1", "--synchronous", "0"]
        ssh = SshChannel(self._host, self._arguments, _socket(vmid), self._directory)
        where = f"'{' '.join(command)}' on {self._host}"
        deadline = Deadline(_QM_TIMEOUT)
        try:
            status, output, errors = ssh.run(command, source.rstrip() + b"\n", deadline)
        except ConnectError as error:
            raise AgentNotThere(f"{where} was not run: {error}.") from None
        except TimeoutError as error:
            raise OutcomeUnknown(f"{where} gave {error}. Whether the script was started is unknown.") from None
        said = message(errors or output) or "no text came with it"
        if status == 0:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                return str(int(json.loads(output)["pid"]))
            raise OutcomeUnknown(f"{where} ended well without naming a job ({said}).")
        if status in (126, 127):
            raise NotPossible(f"{where} cannot be run: {said}. chr_ssh_host must be the Proxmox VE node, as root.")
        if any(text in said for text in _REFUSED):
            raise AgentRefused(
                str(self._vm), "exec", f"{where}: {said} (the VM is on node {node}; chr_ssh_host must be that node)"
            )
        raise OutcomeUnknown(f"{where} ended with {status}: {said}. Whether the script was started is unknown.")


class Socket(Way):
    """The agent's socket on the node, through ssh: whatever we send is what the agent sees."""

    name = "socket"
    max_script = QgaGuest.capabilities.max_script

    def __init__(self, vm: Vm, host: str, arguments: str, directory: Path, timeout: float) -> None:
        super().__init__(vm)
        self._host, self._arguments, self._directory, self._timeout = host, arguments, directory, timeout
        self._guest: QgaGuest | None = None

    @property
    def guest(self) -> QgaGuest:
        if self._guest is None:
            vmid, _node = self._vm.locate()
            channel = SshChannel(self._host, self._arguments, _socket(vmid), self._directory)
            name = self._vm.name
            self._guest = QgaGuest(
                name, "proxmox", lambda timeout: AgentSession(channel, name, timeout), self._timeout, "auto"
            )
        return self._guest

    def start(self, source: bytes) -> str:
        return self.guest.start(source).id


def _socket(vmid: int) -> UnixChannel:
    return UnixChannel(Path(f"{SOCKETS}/{vmid}.qga"))


def _not_stock(vm: Vm, start: t.Callable[[], str]) -> str:
    """A stock qemu-ga refuses a request without a program: say so."""
    try:
        return start()
    except AgentRefused as error:
        said = error.description
        if "'path'" in said and "missing" in said:
            raise NotAnAgent(
                f"The guest agent of {vm} is not RouterOS's: it runs programs, not RouterOS scripts ({said}). Nothing was run. "
                "Does chr_vm name another VM?"
            ) from None
        raise


class Memory:
    """The ways that a probe has shown to work for one VM, in a file of this user alone. No secrets are in it.

    Forgotten when the server's major version changes, and with another ssh host or other arguments for it: they may lead to
    another node, which may have a VM of the same number.
    """

    def __init__(self, directory: Path, vm: Vm, ssh_host: str | None, ssh_args: str) -> None:
        self._directory, self._vm = directory, vm
        self._ssh = hashlib.sha256(f"{ssh_host}\0{ssh_args}".encode()).hexdigest()[:16] if ssh_host else None

    def _file(self) -> tuple[PrivateFile, dict[str, t.Any]]:
        vmid, _node = self._vm.locate()
        access = self._vm.api.access
        identity = {
            "api_host": f"{access.host}:{access.port}",
            "vmid": vmid,
            "version": self._vm.version[0],
            "ssh": self._ssh,
        }
        digest = hashlib.sha256(f"{access.host}\0{access.port}\0{vmid}".encode()).hexdigest()[:16]
        return PrivateFile(self._directory, f"chr-pve-{digest}.json"), identity

    def read(self) -> list[str]:
        file, identity = self._file()
        content = file.load()
        ways = content.pop("ways", None)
        return [str(one) for one in ways] if isinstance(ways, list) and content == identity else []

    def write(self, ways: list[str]) -> None:
        """Best effort: without the file, the next task probes again."""
        file, identity = self._file()
        with contextlib.suppress(OSError):
            file.save({**identity, "ways": ways})


def needs_ssh(mode: str) -> InvalidInput:
    return InvalidInput(f"chr_exec_mode {mode} needs chr_ssh_host: the node on which the VM runs, as root.")
