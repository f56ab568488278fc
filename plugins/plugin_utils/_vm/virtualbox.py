# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A VM of VirtualBox, by ``VBoxManage`` on the machine that has it, as the user that logs in there.

Sources: the manual of VBoxManage (the older spelling of options is used, as 5 to 7 take it), and its source for what is only a
warning there. VBoxManage makes a VM before anything can be written into it, so a file in the VM's folder is the mark of an
import that goes on. A complete VM carries its mark as extra data, which stays with it when it is renamed or moved.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, NotPossible

from .base import Found, Mark, Nic, Platform, VmSpec
from .folders import Folder
from .host import CommandFailed, Host

KEY = "outofband.chr"
"""Of the extra data, and name of the file, that hold the mark."""
_MODELS = {"e1000": "82540EM"}
_MOST_NICS = 8  # of the chipset PIIX3
_UNLOCKED = 60.0  # seconds in which a VM that was switched off must be free to be changed
_OFF = ("poweroff", "aborted", "saved", "aborted-saved")
_CONTROLLERS = {"ide": "PIIX4", "sata": "IntelAhci"}
# How a network is named in the options, with what lists those there are; None: any name will do.
_NETWORKS = {
    "bridged": ("--bridgeadapter", "bridgedifs"),
    "hostonly": ("--hostonlyadapter", "hostonlyifs"),
    "hostonlynet": ("--hostonlynet", "hostonlynets"),
    "natnetwork": ("--natnetwork", "natnets"),
    "intnet": ("--intnet", None),
}


@dataclass(frozen=True)
class _Vm:
    uuid: str
    folder: str
    state: str


class VirtualBoxPlatform(Platform):
    """A VM of one user of one machine with VirtualBox."""

    def __init__(
        self,
        spec: VmSpec,
        host: Host,
        *,
        program: str = "VBoxManage",
        folder: str | None = None,
        disk_bus: str = "ide",
        serial: str | None = None,
    ) -> None:
        """*folder*: where the VM's own folder is made; None: where VirtualBox makes them. *serial*: the path of a socket."""
        super().__init__(spec)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", spec.name):
            raise InvalidInput(
                f"name {spec.name!r}: VirtualBox would name the VM's folder otherwise. Use letters, digits, '.', '_', '-' and "
                "spaces."
            )
        self.title = f"VirtualBox on {host.name}"
        self._host, self._program = host, program
        self._base, self._disk_bus, self._serial = folder, disk_bus, serial

    def find(self) -> Found | None:
        vm = self._vm()
        folder = vm.folder if vm else self._folder
        unfinished = Mark.of(self._host.read(f"{folder}/{KEY}"))
        if vm:
            mark = Mark.of(self._manage("getextradata", vm.uuid, KEY)) or unfinished
            return Found(vm.uuid, mark, vm.state not in _OFF)
        if unfinished or self._base_folder.holds(self.spec.name):
            return Found(folder, unfinished, running=False)
        return None

    def check(self) -> None:
        image = self.image
        if image.format != "vdi":
            raise InvalidInput(f"VirtualBox takes images of the format vdi; {str(image.path)!r} is {image.format}.")
        if len(self.spec.nics) > _MOST_NICS:
            raise InvalidInput(f"{len(self.spec.nics)} network cards: a VM of VirtualBox has at most {_MOST_NICS}.")
        for number, nic in enumerate(self.spec.nics, 1):
            self._nic(number, nic)
            self._check_network(nic)
        self._base_folder.check_room(image)

    def create(self) -> None:
        image, folder = self.image, self._folder
        self._host.run(["mkdir", "-p", folder])
        self._host.write(f"{Mark(image.sha256, complete=False)}\n", f"{folder}/{KEY}")
        self._host.put(image.path, image.sha256, self._disk)
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
        if self._serial:
            hardware += ["--uart1", "0x3F8", "4", "--uartmode1", "server", self._serial]
        self._manage("modifyvm", self.spec.name, *hardware)
        bus = self._disk_bus
        self._manage(
            *("storagectl", self.spec.name, "--name", bus, "--add", bus, "--controller", _CONTROLLERS[bus]),
            *("--bootable", "on"),
        )
        # Each copy of one image has the UUID of that image, and VirtualBox takes no two disks with the same: it gives a new one.
        self._manage(
            *("storageattach", self.spec.name, "--storagectl", bus, "--port", "0", "--device", "0"),
            *("--type", "hdd", "--medium", self._disk, "--setuuid", ""),
        )
        self._manage("setextradata", self.spec.name, KEY, str(Mark(image.sha256, complete=True)))
        self._host.run(["rm", "-f", f"{folder}/{KEY}"])

    def remove(self, found: Found) -> None:
        vm = self._vm()
        if vm:
            if vm.state not in _OFF:
                self._manage("controlvm", vm.uuid, "poweroff")
            self._unregister(vm)
        folder = vm.folder if vm else self._folder
        # What VirtualBox does not know of; the mark last, and the folder only if nothing of somebody else's is in it.
        disk = f"{folder}/{PurePosixPath(self._disk).name}"
        self._host.run(["rm", "-f", disk, f"{disk}.part", f"{folder}/{KEY}.part"])
        self._host.run(["rm", "-f", f"{folder}/{KEY}"])
        self._host.try_run(["rmdir", folder])

    def start(self, found: Found) -> None:
        self._manage("startvm", found.id, "--type", "headless")

    # -- what it is made of ----------------------------------------------------------------------------------------------

    def _nic(self, number: int, nic: Nic) -> list[str]:
        """The options of ``modifyvm`` for a network card. Raises InvalidInput."""
        model = _MODELS.get(nic.model)
        if model is None:
            raise InvalidInput(
                f"Network card {nic.model}: VirtualBox does not emulate it, though the vendor's manual lists it; use e1000."
            )
        if nic.vlan is not None:
            raise InvalidInput(
                f"vlan {nic.vlan}: VirtualBox has no VLANs. Bridge the card to an interface of the host for that VLAN."
            )
        kind, name = _network(nic)
        options = [f"--nic{number}", kind, f"--nictype{number}", model]
        if kind in _NETWORKS:
            options += [f"{_NETWORKS[kind][0]}{number}", name]
        return [*options, f"--macaddress{number}", nic.mac.replace(":", "").upper() if nic.mac else "auto"]

    def _check_network(self, nic: Nic) -> None:
        """Raise InvalidInput for a network that is not there: modifyvm only warns of it, and the VM would not start."""
        kind, name = _network(nic)
        listing = _NETWORKS[kind][1] if kind in _NETWORKS else None
        if listing:
            # VirtualBox 7 says "Name:" of a NAT network, the versions before it "NetworkName:".
            names = re.findall(r"^(?:Network)?Name:[ \t]*(.*?)\r?$", self._manage("list", listing), re.MULTILINE)
            if name not in names:
                raise InvalidInput(
                    f"{self.title} has no network {nic.network!r}. 'VBoxManage list {listing}' there has "
                    f"{', '.join(map(repr, names)) or 'none'}."
                )

    # -- what is there ---------------------------------------------------------------------------------------------------

    @cached_property
    def _base_folder(self) -> Folder:
        path = self._base
        if path is None:
            found = re.search(
                r"^Default machine folder:\s*(/.*?)\s*$", self._manage("list", "systemproperties"), re.MULTILINE
            )
            if not found:
                raise NotPossible(f"{self.title} does not say where it makes VMs. Set folder.")
            path = found[1]
        return Folder.look(self._host, path)

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
            raise NotPossible(f"{self.title} has {self.spec.name!r} and cannot read its settings: {text.strip()[:300]}")
        return _Vm(values["UUID"], str(PurePosixPath(values["CfgFile"]).parent), values["VMState"])

    def _unregister(self, vm: _Vm) -> None:
        """A VM that was just switched off is still locked for a moment."""
        deadline = Deadline(_UNLOCKED)
        began = time.monotonic()
        while True:
            try:
                self._manage("unregistervm", vm.uuid, "--delete")
            except CommandFailed as error:
                if "VBOX_E_INVALID_OBJECT_STATE" not in error.done.stderr or deadline.expired:
                    raise
            else:
                return
            time.sleep(poll_interval(max(time.monotonic() - began, 1)))

    def _manage(self, *arguments: str) -> str:
        return self._host.run([self._program, *arguments])


def _network(nic: Nic) -> tuple[str, str]:
    """(``bridged``, ``eth0``) of ``bridged:eth0``. Raises InvalidInput."""
    kind, _colon, name = (nic.network or "nat").partition(":")
    if kind == "nat" and not name:
        return kind, name
    if kind not in _NETWORKS or not name:
        raise InvalidInput(
            f"network {nic.network!r}: VirtualBox has nat, {', '.join(f'{one}:NAME' for one in _NETWORKS)}."
        )
    return kind, name
