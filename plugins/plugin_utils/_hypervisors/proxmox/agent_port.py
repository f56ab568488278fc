# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The vendor's two recipes that make a CHR's agent reachable over TCP.

They are in the section "Proxmox" of the CHR manual. ``provision`` adds a second channel,
``chr.provision_agent``, with a TCP chardev of QEMU to the VM's option ``args``. Only root@pam may
set that option, and it takes effect at the next cold start. ``default`` runs a socat on the node in
front of the agent's own socket.
"""

from __future__ import annotations

import re
import shlex
import time

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    InvalidInput,
    NotPermitted,
    NotPossible,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import message

from .api import ApiError
from .machine import ProxmoxMachine
from .node import Node
from .port_plan import AgentPort, Endpoint, PortPlan

SOCKETS = "/run/qemu-server"
CHARDEV = "chr-agent"
BUS = "chr-agent-bus"
PORT_NAME = "chr.provision_agent"
_SETTLE = 0.5  # seconds after which a socat that cannot listen has ended


class ProvisionPort(AgentPort):
    """The channel ``chr.provision_agent`` in the VM's ``args``.

    Other arguments in ``args`` are not changed. *slot*: the PCI slot of the channel's virtio-serial
    device. *node*: the machine that runs ``qm set``; None to use the API instead.
    """

    def __init__(self, vm: ProxmoxMachine, slot: int, node: Node | None) -> None:
        if not 1 <= slot <= 31:
            raise InvalidInput(f"slot {slot} is not a valid slot of a PCI bus: use 1 to 31.")
        self._vm, self._slot, self._node = vm, slot, node
        self._digest = ""

    def plan(self, wanted: Endpoint | None) -> PortPlan:
        config = self._vm.machine(lambda vm: vm.config.get())
        try:
            self._digest = str(config["digest"])
            before = str(config.get("args") or "")
        except (AttributeError, KeyError, TypeError):
            raise ChrError(f"{self._vm.api.where} answered without a configuration of {self._vm}.") from None
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
        return PortPlan(before, after, self._running() and _own(self._current()) != mine)

    def carry_out(self, wanted: Endpoint | None, plan: PortPlan) -> None:
        values = {"args": plan.after} if plan.after else {"delete": "args"}
        if self._node:
            self._by_qm(self._node, values)
        else:
            self._by_api(values)

    def _by_api(self, values: dict[str, str]) -> None:
        try:
            self._vm.machine(
                lambda vm: vm.config.put(**values, digest=self._digest), changes=True, privilege="VM.Config.Options"
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
            said = message(output)
            raise self._refused(f"'qm set {vmid}' ended with {status}: {said}")

    def _refused(self, said: str, error: Exception | None = None) -> ChrError:
        if "modified configuration" in said or "checksum" in said:
            return NotPossible(
                f"The configuration of {self._vm} was changed by somebody else just now, so nothing was set: {said} "
                "Repeat the task."
            )
        if isinstance(error, NotPermitted):
            return error
        return NotPossible(f"The args of {self._vm} were not changed: {said}")

    def _current(self) -> str:
        """The ``args`` that are in effect, without changes that wait for a cold start."""
        listed = self._vm.machine(lambda vm: vm.pending.get())
        try:
            return next((str(one.get("value") or "") for one in listed if one["key"] == "args"), "")
        except (AttributeError, KeyError, TypeError):
            raise ChrError(f"{self._vm.api.where} answered without a list of pending changes.") from None

    def _running(self) -> bool:
        status = self._vm.machine(lambda vm: vm.status.current.get())
        return isinstance(status, dict) and status.get("status") == "running"


def fragment(endpoint: Endpoint, slot: int) -> str:
    """The arguments of QEMU for the channel, with a bus of its own.

    ``server=on,wait=off`` is the manual's ``server,nowait`` in the form that QEMU has not
    deprecated. Slot 9 (0x9) is the manual's: Proxmox VE itself uses it for SPICE only.
    """
    return (
        f"-chardev socket,id={CHARDEV},host={endpoint.address},port={endpoint.port},server=on,wait=off "
        f"-device virtio-serial,id={BUS},bus=pci.0,addr={slot:#x} "
        f"-device virtserialport,bus={BUS}.0,chardev={CHARDEV},name={PORT_NAME}"
    )


# One argument, as Proxmox VE splits the text (like a shell): quoted parts, escaped characters, and
# anything else but blanks.
_ARGUMENT = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""", re.DOTALL)


def _own_parts(text: str) -> list[tuple[int, int, str]]:
    """The positions in *text* of the channel's arguments, with their values.

    They are the arguments of the chardev, the port and the bus. The manual's form is recognised
    too: its bus has no name and stands between the chardev and the port.
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
    """The agent's own channel, relayed by a socat on the node in a transient unit of systemd."""

    def __init__(self, vm: ProxmoxMachine, node: Node) -> None:
        self._vm, self._node = vm, node

    def plan(self, wanted: Endpoint | None) -> PortPlan:
        missing = self._node.run(["sh", "-c", _MISSING])[1].split()
        if missing:
            raise NotPossible(
                f"The node of {self._vm} has no {' and no '.join(missing)}, which this channel needs. {self._node.needed}"
            )
        vmid = self._node.verify()
        return PortPlan(self._state(vmid), _relay(vmid, wanted) if wanted else "", restart_required=False)

    def carry_out(self, wanted: Endpoint | None, plan: PortPlan) -> None:
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
                f"{message(journal) or 'nothing is in its journal'}. "
                f"Is port {wanted.port} taken, and {wanted.address} an address of the node?"
            )

    def _must(self, command: list[str], complaint: str) -> None:
        status, output = self._node.run(command, changes=True)
        if status != 0:
            raise NotPossible(f"The unit on the node of {self._vm} {complaint}: {message(output)}. {self._node.needed}")

    def _state(self, vmid: int) -> str:
        """The command line of the running unit; empty if no unit runs.

        It is read from the unit's description, because versions of systemd differ in how they show
        what a unit executes.
        """
        query = ["systemctl", "show", _unit(vmid), "--property=ActiveState", "--property=Description"]
        status, output = self._node.run(query)
        if status != 0:
            raise NotPossible(f"systemd of the node of {self._vm} does not answer: {message(output)}.")
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


def agent_port(vm: ProxmoxMachine, channel: str, slot: int, node: Node | None) -> AgentPort:
    """The port for *channel* of *vm*. Nothing is sent. Raises InvalidInput."""
    if channel == "provision":
        return ProvisionPort(vm, slot, node)
    if node is None:
        raise InvalidInput(
            f"The default channel of {vm} is relayed by a program on its node. Set chr_ssh_host to the node, as root."
        )
    return DefaultPort(vm, node)
