# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The two recipes of the vendor's manual (section "Proxmox") that make a CHR's agent reachable over TCP.

``provision``: a second channel, ``chr.provision_agent``, with a TCP chardev of QEMU, in the VM's option ``args``. Only root@pam may
set that, and QEMU has it from the next cold start on. ``default``: a socat on the node in front of the agent's own socket.
"""

from __future__ import annotations

import re
import shlex
import time
import typing as t
from pathlib import Path

from ansible_collections.outofband.chr.plugins.module_utils._routeros.output import message

from ..agent_port import AgentPort, Endpoint, Plan
from ..channels.base import ConnectError
from ..channels.direct import UnixChannel
from ..channels.ssh import SshChannel
from ..deadline import Deadline
from ..errors import AgentNotThere, GuestError, InvalidInput, NotPermitted, NotPossible, OutcomeUnknown, VmNotThere
from .api import ApiError
from .vm import Vm

SOCKETS = "/run/qemu-server"
CHARDEV = "chr-agent"
BUS = "chr-agent-bus"
PORT_NAME = "chr.provision_agent"
_COMMAND = 30.0  # seconds for one program on the node
_SETTLE = 0.5  # seconds after which a socat that cannot listen has ended
# qm ends with 255 for every error, which is also what ssh does; so the status is printed behind the output.
_MARK = "outofband-status="
_TOLD = ["sh", "-c", f'"$@"; echo "{_MARK}$?"', "sh"]
# What tells one VM from another of the same number: serial numbers, MAC addresses, names and disks; the first two for certain.
_IDENTITY = re.compile(r"name|smbios1|vmgenid|(net|ide|sata|scsi|virtio)\d+")
_UNIQUE = re.compile(r"smbios1|vmgenid|net\d+")


class Node:
    """The node on which a VM runs, as root through ssh."""

    def __init__(self, vm: Vm, host: str, arguments: str, directory: Path) -> None:
        self._vm = vm
        self._host = host
        self._ssh = SshChannel(host, arguments, UnixChannel(Path("/dev/null")), directory)  # nothing is forwarded
        self._verified = False

    def run(self, command: list[str], *, changes: bool = False, seconds: float = _COMMAND) -> tuple[int, str]:
        """Run a program, which has *seconds* to end: its exit status and its words.

        Raises NotPossible when it is not there, AgentNotThere when ssh failed; OutcomeUnknown when it had been started by then,
        and *changes* says that it changes something.
        """
        where = f"'{shlex.join(command)}' on {self._host}"
        try:
            _status, output, errors = self._ssh.run([*_TOLD, *command], b"", Deadline(seconds))
        except ConnectError as error:
            raise AgentNotThere(f"{where} was not run: {error}.") from None
        except TimeoutError as error:
            raise _lost(f"{where} gave {error}.", changes) from None
        said, marked, ended = output.decode("utf-8", "replace").rpartition(_MARK)
        if not marked or not ended.strip().isdigit():
            raise _lost(f"{where} was not seen to end: {message(errors) or 'ssh said nothing'}.", changes)
        status = int(ended)
        if status in (126, 127):
            raise NotPossible(f"{where} cannot be run: {message(errors)}. {self.needed}")
        return status, said if status == 0 or said.strip() else errors.decode("utf-8", "replace")

    @property
    def needed(self) -> str:
        return f"chr_ssh_host ({self._host}) must be the Proxmox VE node of the VM, as root."

    def verify(self) -> int:
        """The vmid, once it is certain that the VM of that number on this node is the one the API showed.

        Another cluster may have a VM of the same number. Raises VmNotThere, NotPossible.
        """
        vmid, node = self._vm.locate()
        if self._verified:
            return vmid
        status, output = self.run(["qm", "config", str(vmid)])
        if status != 0:
            raise VmNotThere(
                f"{self._host} does not have {self._vm}: 'qm config {vmid}' says {message(output.encode())}. It runs on node "
                f"{node!r}, and that is what chr_ssh_host must be, as root."
            )
        shown = dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)
        expected = self._vm.machine("GET", "config")
        if not isinstance(expected, dict) or not any(_UNIQUE.fullmatch(key) for key in expected):
            raise NotPossible(
                f"{self._vm} has no network card and no serial number (smbios1), so it cannot be told from another VM {vmid}."
            )
        if _identity(shown) != _identity(expected):
            raise VmNotThere(
                f"The VM {vmid} on {self._host} is not {self._vm}: their names, network cards or disks differ. Nothing was "
                f"changed. {self.needed}"
            )
        self._verified = True
        return vmid


def _lost(text: str, changes: bool) -> GuestError:
    if not changes:
        return AgentNotThere(text)
    return OutcomeUnknown(f"{text} Whether it did its work is unknown; it was not run again.")


def _identity(config: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {key: str(value).strip() for key, value in config.items() if _IDENTITY.fullmatch(key)}


class ProvisionPort(AgentPort):
    """The channel ``chr.provision_agent`` in the VM's ``args``; what else is in there stays as it is.

    *slot*: the PCI slot of its virtio-serial device. *node*: where ``qm set`` runs; without it, the API is asked.
    """

    def __init__(self, vm: Vm, slot: int, node: Node | None) -> None:
        if not 1 <= slot <= 31:
            raise InvalidInput(f"slot {slot} is no slot of a PCI bus: it is 1 to 31.")
        self._vm, self._slot, self._node = vm, slot, node
        self._digest = ""

    def plan(self, wanted: Endpoint | None) -> Plan:
        config = self._vm.machine("GET", "config")
        try:
            self._digest = str(config["digest"])
            before = str(config.get("args") or "")
        except (AttributeError, KeyError, TypeError):
            raise GuestError(f"{self._vm.api.where} answered with no configuration of {self._vm}.") from None
        if wanted and self._slot == 9 and "qxl" in str(config.get("vga", "")):
            raise InvalidInput(
                f"{self._vm} has a SPICE display (vga: {config['vga']}), and Proxmox VE puts SPICE's own device into slot 9. "
                "Choose another slot that is free."
            )
        mine = _words(fragment(wanted, self._slot)) if wanted else []
        after = before
        if _own(before) != mine:
            after = " ".join(
                part for part in (_without_own(before), fragment(wanted, self._slot) if wanted else "") if part
            )
        return Plan(before, after, self._running() and _own(self._current()) != mine)

    def carry_out(self, wanted: Endpoint | None, plan: Plan) -> None:
        values = {"args": plan.after} if plan.after else {"delete": "args"}
        if self._node:
            self._by_qm(self._node, values)
        else:
            self._by_api(values)

    def _by_api(self, values: dict[str, str]) -> None:
        try:
            self._vm.machine(
                "PUT", "config", {**values, "digest": self._digest}, changes=True, privilege="VM.Config.Options"
            )
        except (ApiError, NotPermitted) as error:
            if "only root can set" in str(error):
                raise NotPermitted(
                    f"{error} Proxmox VE lets nobody but root@pam change args, and an API token is not root@pam. There are "
                    "two ways: log in with chr_api_user: root@pam and chr_api_password (no chr_api_token_id), or set "
                    "chr_ssh_host to the node as root, where 'qm set' is used."
                ) from None
            raise self._refused(str(error), error) from None

    def _by_qm(self, node: Node, values: dict[str, str]) -> None:
        vmid = node.verify()
        options = [word for name, value in values.items() for word in (f"--{name}", value)]
        status, output = node.run(["qm", "set", str(vmid), *options, "--digest", self._digest], changes=True)
        if status != 0:
            said = message(output.encode())
            raise self._refused(f"'qm set {vmid}' ended with {status}: {said}")

    def _refused(self, said: str, error: Exception | None = None) -> GuestError:
        if "modified configuration" in said or "checksum" in said:
            return NotPossible(
                f"The configuration of {self._vm} was changed by somebody else just now, so nothing was set: {said} "
                "Repeat the task."
            )
        if isinstance(error, NotPermitted):
            return error
        return NotPossible(f"The args of {self._vm} were not changed: {said}")

    def _current(self) -> str:
        """The ``args`` without changes that wait for a cold start."""
        listed = self._vm.machine("GET", "pending")
        try:
            return next((str(one.get("value") or "") for one in listed if one["key"] == "args"), "")
        except (AttributeError, KeyError, TypeError):
            raise GuestError(f"{self._vm.api.where} answered with no list of pending changes.") from None

    def _running(self) -> bool:
        status = self._vm.machine("GET", "status/current")
        return isinstance(status, dict) and status.get("status") == "running"


def fragment(endpoint: Endpoint, slot: int) -> str:
    """The arguments of QEMU. The manual's ``server,nowait`` in the form that QEMU has not deprecated, and a bus of its own.

    Slot 9 (0x9) is the manual's: Proxmox VE itself uses it for SPICE only.
    """
    return (
        f"-chardev socket,id={CHARDEV},host={endpoint.address},port={endpoint.port},server=on,wait=off "
        f"-device virtio-serial,id={BUS},bus=pci.0,addr={slot:#x} "
        f"-device virtserialport,bus={BUS}.0,chardev={CHARDEV},name={PORT_NAME}"
    )


# One argument as Proxmox VE splits them (like a shell): quoted parts, escaped characters, anything but blanks.
_ARGUMENT = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""", re.DOTALL)


def _own_parts(text: str) -> list[tuple[int, int, str]]:
    """Where our arguments stand in *text*, with their values: those of the chardev, and the bus of its port.

    Also in the manual's form, where the bus has no name and stands between the chardev and the port.
    """
    arguments = [(found.start(), found.end(), _unquoted(found[0])) for found in _ARGUMENT.finditer(text)]
    pairs = [
        (first[0], second[1], f"{first[2]} {second[2]}")
        for first, second in zip(arguments, arguments[1:], strict=False)
        if first[2] in ("-chardev", "-device", "--chardev", "--device")
    ]
    mine = []
    for index, (start, end, value) in enumerate(pairs):
        fields = value.split(" ", 1)[1].split(",")
        following = pairs[index + 1][2].split(",") if index + 1 < len(pairs) else []
        is_bus = fields[0].startswith("virtio-serial") and (
            f"id={BUS}" in fields
            or (f"chardev={CHARDEV}" in following and not any(f.startswith("id=") for f in fields))
        )
        if (
            f"chardev={CHARDEV}" in fields
            or (value.lstrip("-").startswith("chardev ") and f"id={CHARDEV}" in fields)
            or is_bus
        ):
            mine.append((start, end, value))
    return mine


def _own(text: str) -> list[str]:
    return [word for _start, _end, value in _own_parts(text) for word in value.split(" ", 1)]


def _without_own(text: str) -> str:
    kept, at = [], 0
    for start, end, _value in _own_parts(text):
        kept.append(text[at:start].strip())
        at = end
    kept.append(text[at:].strip())
    return " ".join(part for part in kept if part)


def _words(text: str) -> list[str]:
    return [_unquoted(word) for word in _ARGUMENT.findall(text)]


def _unquoted(word: str) -> str:
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return word


class DefaultPort(AgentPort):
    """The agent's own channel: a socat on the node, as a transient unit of systemd."""

    def __init__(self, vm: Vm, node: Node) -> None:
        self._vm, self._node = vm, node

    def plan(self, wanted: Endpoint | None) -> Plan:
        missing = self._node.run(["sh", "-c", _MISSING])[1].split()
        if missing:
            raise NotPossible(
                f"The node of {self._vm} has no {' and no '.join(missing)}, which this channel needs. {self._node.needed}"
            )
        vmid = self._node.verify()
        return Plan(self._state(vmid), _relay(vmid, wanted) if wanted else "", restart_required=False)

    def carry_out(self, wanted: Endpoint | None, plan: Plan) -> None:
        vmid = self._node.verify()
        unit = _unit(vmid)
        if plan.before:
            self._must(["systemctl", "stop", unit], "was not stopped")
        if not wanted:
            return
        command = [
            "systemd-run",
            f"--unit={unit}",
            "--collect",
            f"--description={plan.after}",
            "--",
            *plan.after.split(),
        ]
        self._must(command, "was not started")
        time.sleep(_SETTLE)
        if not self._state(vmid):
            journal = self._node.run(["journalctl", "--unit", unit, "--lines", "3", "--output", "cat", "--no-pager"])[1]
            raise NotPossible(
                f"The unit {unit} on the node of {self._vm} ended at once: "
                f"{message(journal.encode()) or 'nothing is in its journal'}. "
                f"Is port {wanted.port} taken, and {wanted.address} an address of the node?"
            )

    def _must(self, command: list[str], complaint: str) -> None:
        status, output = self._node.run(command, changes=True)
        if status != 0:
            raise NotPossible(
                f"The unit on the node of {self._vm} {complaint}: {message(output.encode())}. {self._node.needed}"
            )

    def _state(self, vmid: int) -> str:
        """The command line of the unit where it runs, else nothing.

        It is the unit's description, because versions of systemd differ in how they show what a unit executes.
        """
        query = ["systemctl", "show", _unit(vmid), "--property=ActiveState", "--property=Description"]
        status, output = self._node.run(query)
        if status != 0:
            raise NotPossible(f"systemd of the node of {self._vm} does not answer: {message(output.encode())}.")
        state = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        if state.get("ActiveState") not in ("active", "activating", "deactivating"):
            return ""
        return state.get("Description") or "(another command)"


_MISSING = "for one in qm socat systemd-run systemctl; do command -v $one >/dev/null || echo $one; done"


def _unit(vmid: int) -> str:
    return f"chr-agent-{vmid}.service"


def _relay(vmid: int, endpoint: Endpoint) -> str:
    """The manual's command line, bound to one address."""
    six = ":" in endpoint.address
    listen = (
        f"TCP6-LISTEN:{endpoint.port},bind=[{endpoint.address}]"
        if six
        else f"TCP-LISTEN:{endpoint.port},bind={endpoint.address}"
    )
    return f"socat {listen},reuseaddr,fork UNIX-CLIENT:{SOCKETS}/{vmid}.qga"


def agent_port(vm: Vm, channel: str, slot: int, node: Node | None) -> AgentPort:
    """Raises InvalidInput."""
    if channel == "provision":
        return ProvisionPort(vm, slot, node)
    if node is None:
        raise InvalidInput(
            f"The default channel of {vm} is relayed by a program on its node: set chr_ssh_host to the node, as root."
        )
    return DefaultPort(vm, node)
