# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMs of VirtualBox, managed with ``VBoxManage`` on its machine, as the user that logs in there.

Sources: the manual of VBoxManage (the older spelling of options is used, as 5 to 7 take it), and
its source code for errors that are only warnings there. VBoxManage makes a VM before anything can
be written into it, so a file in the VM's folder is the mark of an unfinished import. A complete VM
carries its mark as extra data, which stays with it when it is renamed or moved.
"""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import SshOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import line
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    DISK,
    Card,
    Difference,
    Hardware,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    Found,
    Mark,
    Nic,
    Platform,
    Say,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.folder import Folder
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import CommandFailed, Machine

KEY = "outofband.chr"
"""The key of the extra data and the name of the file that hold the mark."""
_MODELS = {"e1000": "82540EM"}
_MOST_NICS = 8  # of the chipset PIIX3
_UNLOCKED = 60.0  # seconds in which VirtualBox must unlock a VM that was switched off
_OFF = ("poweroff", "aborted", "saved", "aborted-saved")
_CONTROLLERS = {"ide": "PIIX4", "sata": "IntelAhci"}
# The first part of a network's name in the options, and what lists the existing networks of that
# kind. None: any name is valid.
_NETWORKS = {
    "bridged": ("--bridgeadapter", "bridgedifs"),
    "hostonly": ("--hostonlyadapter", "hostonlyifs"),
    "hostonlynet": ("--hostonlynet", "hostonlynets"),
    "natnetwork": ("--natnetwork", "natnets"),
    "intnet": ("--intnet", None),
}
# How VBoxManage shows these: the word for the kind, and the key of the name.
_SHOWN = {
    "bridged": ("bridged", "bridgeadapter"),
    "hostonly": ("hostonly", "hostonlyadapter"),
    "hostonlynetwork": ("hostonlynet", "hostonly-network"),
    "natnetwork": ("natnetwork", "nat-network"),
    "intnet": ("intnet", "intnet"),
}
_BOOT = {"dvd": "cdrom", "net": "network", "none": "nothing"}


@dataclass(frozen=True)
class _Vm:
    uuid: str
    folder: str
    state: str


@dataclass(frozen=True)
class VirtualBoxVmSettings(VmSettings):
    """The options that only ``virtualbox_vm`` has."""

    folder: str | None
    """The folder in which the VM's own folder is made. None: VirtualBox's default folder."""
    disk_bus: str
    """``ide`` or ``sata``."""
    serial: str | None
    """The path of a socket for the serial port."""
    vboxmanage: str
    """The path of ``VBoxManage``."""


class VirtualBoxPlatform(Platform[SshOptions, VirtualBoxVmSettings]):
    """A VM of one user of one machine with VirtualBox."""

    changeable = frozenset({"cpus", "memory", "boot", "nics", "model", "mac", "network"})

    def __init__(self, spec: VmSpec, options: SshOptions, settings: VirtualBoxVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", spec.name):
            raise InvalidInput(
                f"name {spec.name!r} is not valid: VirtualBox would change it for the VM's folder. Use letters, "
                "digits, '.', '_', '-' and spaces."
            )
        self._machine = Machine(options, say)
        self.title = f"VirtualBox on {self._machine.name}"

    def find(self) -> Found | None:
        vm = self._vm()
        folder = vm.folder if vm else self._folder
        unfinished = Mark.parse(self._machine.read(f"{folder}/{KEY}"))
        if vm:
            mark = Mark.parse(self._manage("getextradata", vm.uuid, KEY)) or unfinished
            return Found(vm.uuid, mark, vm.state not in _OFF)
        if unfinished or self._base_folder.holds(self.spec.name):
            return Found(folder, unfinished, running=False)
        return None

    def hardware(self, found: Found) -> Hardware:
        values = self._values(found)
        cards = tuple(_card(values, number) for number in _slots(values))
        boot = values.get("boot1")
        return Hardware(int(values["cpus"]), int(values["memory"]), cards, boot=_BOOT.get(boot or "", boot))

    def _values(self, found: Found) -> dict[str, str]:
        text = self._manage("showvminfo", found.id, "--machinereadable")
        return dict(re.findall(r'^([a-z0-9-]+)="?(.*?)"?\r?$', text, re.MULTILINE))

    def check(self) -> None:
        image = self.image
        if image.format != "vdi":
            raise InvalidInput(f"VirtualBox takes images of the format vdi; {str(image.path)!r} is {image.format}.")
        if len(self.spec.nics) > _MOST_NICS:
            raise InvalidInput(f"{len(self.spec.nics)} network cards: a VM of VirtualBox has at most {_MOST_NICS}.")
        for number, nic in enumerate(self.spec.nics, 1):
            self._nic(number, nic)
            self._check_network(nic)
        self._base_folder.check_room(image.size, f"the image {str(image.path)!r}")

    def create(self) -> None:
        image, folder = self.image, self._folder
        self._machine.run(["mkdir", "-p", folder])
        self._machine.write(f"{self.mark(complete=False)}\n", f"{folder}/{KEY}")
        self._machine.put(image.path, image.sha256, self._disk)
        self._manage(
            *("createvm", "--name", self.spec.name, "--ostype", "Linux26_64", "--register"),
            *("--basefolder", str(self._base_folder)),
        )
        hardware = [
            *("--memory", str(self.spec.memory), "--cpus", str(self.spec.cpus), "--firmware", "bios", "--ioapic", "on"),
            *("--rtcuseutc", "on", "--boot1", "disk", "--boot2", "none", "--boot3", "none", "--boot4", "none"),
        ]
        for number, nic in enumerate(self.spec.nics, 1):
            hardware += self._nic(number, nic)
        if self._settings.serial:
            hardware += ["--uart1", "0x3F8", "4", "--uartmode1", "server", self._settings.serial]
        self._manage("modifyvm", self.spec.name, *hardware)
        bus = self._settings.disk_bus
        self._manage(
            *("storagectl", self.spec.name, "--name", bus, "--add", bus, "--controller", _CONTROLLERS[bus]),
            *("--bootable", "on"),
        )
        # Each copy of an image has the UUID of the image, and VirtualBox refuses a second disk with
        # the same UUID. An empty UUID makes it choose a new one.
        self._manage(
            *("storageattach", self.spec.name, "--storagectl", bus, "--port", "0", "--device", "0"),
            *("--type", "hdd", "--medium", self._disk, "--setuuid", ""),
        )
        self._manage("setextradata", self.spec.name, KEY, str(self.mark(complete=True)))
        self._machine.run(["rm", "-f", f"{folder}/{KEY}"])

    def remove(self, found: Found) -> None:
        vm = self._vm()
        if vm:
            if vm.state not in _OFF:
                self._manage("controlvm", vm.uuid, "poweroff")
            self._when_unlocked("unregistervm", vm.uuid, "--delete")
        folder = vm.folder if vm else self._folder
        # VirtualBox does not know these files. The mark is removed last, and then the folder if it
        # is empty.
        disk = f"{folder}/{PurePosixPath(self._disk).name}"
        self._machine.run(["rm", "-f", disk, f"{disk}.part", f"{folder}/{KEY}.part"])
        self._machine.run(["rm", "-f", f"{folder}/{KEY}"])
        self._machine.try_run(["rmdir", folder])

    def start(self, found: Found) -> None:
        self._manage("startvm", found.id, "--type", "headless")

    def stop(self, found: Found) -> None:
        self._manage("controlvm", found.id, "poweroff")

    # -- one that exists ---------------------------------------------------------------------------

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        vm = self._vm()
        if vm and "saved" in vm.state:
            raise NotPossible(
                f"{self.title} has {self.spec.name!r} with a saved state, which only its present hardware can read, so it was not "
                f"changed. Start it, or discard that state ('VBoxManage discardstate {self.spec.name}')."
            )
        self._changes(found, wanted)
        for nic in self.connected(wanted):
            self._check_network(nic)

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._when_unlocked("modifyvm", found.id, *self._changes(found, wanted))

    def _changes(self, found: Found, wanted: t.Sequence[Difference]) -> list[str]:
        """The options of ``modifyvm``. Raises InvalidInput."""
        values = self._values(found)
        slots, nics = _slots(values), self.spec.nics
        options: list[str] = []
        for one in wanted:
            if one.what in ("cpus", "memory"):
                options += [f"--{one.what}", str(one.asked)]
            elif one.what == "boot":
                others = [f"boot{place}" for place in (2, 3, 4) if values.get(f"boot{place}") == DISK]
                options += ["--boot1", DISK, *(word for name in others for word in (f"--{name}", "none"))]
            elif one.what == "nics":
                free = [number for number in range(1, _MOST_NICS + 1) if number > max(slots, default=0)]
                for number in slots[len(nics) :]:
                    options += [f"--nic{number}", "none"]
                for number, nic in zip(free, nics[len(slots) :], strict=False):
                    options += self._nic(number, nic)
            elif one.card:
                number, nic = slots[one.card - 1], nics[one.card - 1]
                made = self._nic(number, nic)
                names = {"model": ("--nictype",), "mac": ("--macaddress",)}.get(one.what)
                for name, value in zip(made[::2], made[1::2], strict=True):
                    kind = name.rstrip("0123456789")
                    if kind in names if names else kind not in ("--nictype", "--macaddress"):
                        options += [name, value]
        return options

    def check_adopt(self, found: Found) -> None:
        if self._vm() is None:
            raise NotPossible(
                f"{found.id} on {self._machine.name} is a folder without a VM of {self.title}, so it was not adopted."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        self._manage("setextradata", found.id, KEY, str(mark))

    # -- what it is made of ------------------------------------------------------------------------

    def _nic(self, number: int, nic: Nic) -> list[str]:
        """The options of ``modifyvm`` for a network card. Raises InvalidInput."""
        model = _MODELS.get(nic.model)
        if model is None:
            raise InvalidInput(
                f"model {nic.model}: VirtualBox does not emulate it, although the vendor's manual lists it. Use e1000."
            )
        if nic.vlan is not None:
            raise InvalidInput(
                f"vlan {nic.vlan}: VirtualBox cannot tag VLANs. Bridge the card to an interface of the host for that VLAN."
            )
        kind, name = _network(nic)
        options = [f"--nic{number}", kind, f"--nictype{number}", model]
        if kind in _NETWORKS:
            options += [f"{_NETWORKS[kind][0]}{number}", name]
        return [*options, f"--macaddress{number}", nic.mac.replace(":", "").upper() if nic.mac else "auto"]

    def _check_network(self, nic: Nic) -> None:
        """Check that the network exists. Raises InvalidInput if it does not.

        modifyvm only warns of it, and the VM would not start.
        """
        kind, name = _network(nic)
        listing = _NETWORKS[kind][1] if kind in _NETWORKS else None
        if listing:
            # VirtualBox 7 prints "Name:" for a NAT network, earlier versions print "NetworkName:".
            names = re.findall(r"^(?:Network)?Name:[ \t]*(.*?)\r?$", self._manage("list", listing), re.MULTILINE)
            if name not in names:
                raise InvalidInput(
                    f"{self.title} has no network {nic.network!r}. 'VBoxManage list {listing}' "
                    f"there has {', '.join(map(repr, names)) or 'none'}."
                )

    # -- what is there -----------------------------------------------------------------------------

    @cached_property
    def _base_folder(self) -> Folder:
        path = self._settings.folder
        if path is None:
            found = re.search(
                r"^Default machine folder:[ \t]*(/.*)$", self._manage("list", "systemproperties"), re.MULTILINE
            )
            if not found:
                raise NotPossible(f"{self.title} does not say where it makes VMs. Set folder.")
            path = found[1].rstrip()
        return Folder.look(self._machine, path)

    @property
    def _folder(self) -> str:
        return f"{self._base_folder}/{self.spec.name}"

    @property
    def _disk(self) -> str:
        return f"{self._folder}/{self.spec.name}.vdi"

    def _vm(self) -> _Vm | None:
        try:
            text = self._manage("showvminfo", self.spec.name, "--machinereadable")
        except CommandFailed as error:
            if "VBOX_E_OBJECT_NOT_FOUND" in error.done.stderr:
                return None
            raise
        values = dict(re.findall(r'^(UUID|CfgFile|VMState)="(.*?)"\r?$', text, re.MULTILINE))
        if len(values) < 3:
            raise NotPossible(f"{self.title} has {self.spec.name!r}, but cannot read its settings: {line(text, 300)}")
        return _Vm(values["UUID"], str(PurePosixPath(values["CfgFile"]).parent), values["VMState"])

    def _when_unlocked(self, *arguments: str) -> None:
        """Run a command. A VM that was just switched off is still locked for a moment."""
        deadline = Deadline(_UNLOCKED)
        began = time.monotonic()
        while True:
            try:
                self._manage(*arguments)
            except CommandFailed as error:
                if "VBOX_E_INVALID_OBJECT_STATE" not in error.done.stderr or deadline.expired:
                    raise
            else:
                return
            time.sleep(poll_interval(max(time.monotonic() - began, 1)))

    def _manage(self, *arguments: str) -> str:
        return self._machine.run([self._settings.vboxmanage, *arguments])


def _network(nic: Nic) -> tuple[str, str]:
    """Split the network ``bridged:eth0`` of a card into two parts. Raises InvalidInput."""
    kind, _colon, name = (nic.network or "nat").partition(":")
    if kind == "nat" and not name:
        return kind, name
    if kind not in _NETWORKS or not name:
        raise InvalidInput(
            f"network {nic.network!r} is not valid: use nat, {', '.join(f'{one}:NAME' for one in _NETWORKS)}."
        )
    return kind, name


def _slots(values: t.Mapping[str, str]) -> list[int]:
    """The numbers of the network cards that a VM has."""
    return [number for number in range(1, _MOST_NICS + 1) if values.get(f"nic{number}", "none") != "none"]


def _card(values: t.Mapping[str, str], number: int) -> Card:
    kind, model = values[f"nic{number}"], values.get(f"nictype{number}", "")
    mac = ":".join(re.findall("..", values.get(f"macaddress{number}", "")))
    word, key = _SHOWN.get(kind, (kind, None))
    name = values.get(f"{key}{number}") if key else None
    network = f"{word}:{name}" if name else word if key is None else None
    models = {shown: option for option, shown in _MODELS.items()}
    return Card(models.get(model, model) or None, mac or None, network)
