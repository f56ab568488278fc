# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A VM of VMware Workstation or Fusion: a folder with a .vmx and its disk, and ``vmrun`` to start and stop it.

The .vmx is written first, with the mark in its annotation (the notes that the window shows), and again when the VM is complete.
``vmrun`` prints its errors on standard output and ends with 255 or 254 for them.
"""

from __future__ import annotations

import json
import re
import time
from functools import cached_property
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import (
    AgentNotThere,
    GuestError,
    InvalidInput,
    NotPossible,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image, qemu_img

from .base import Found, Mark, Nic, Platform, VmSpec
from .folders import Folder
from .host import Host

FUSION = "/Applications/VMware Fusion.app/Contents/Library/vmrun"
_FOLDERS = {"ws": "vmware", "fusion": "Virtual Machines.localized"}  # of the user's home
_MOST_NICS = 10
_MEMORY_STEP = 4  # MiB
_SWITCHED = 60.0  # seconds in which a VM that was stopped must have left the list of running ones
_START = 300.0
# Runs what it is given. 255 would mean to ssh that it failed itself, so every failure is 1; 99: there is no such program.
_RUN = 'command -v "$1" >/dev/null || exit 99; "$@" || exit 1'
_NETWORKS = {"nat": "vmnet8", "bridged": "vmnet0", "hostonly": "vmnet1"}
_SECTOR = 512


class WorkstationPlatform(Platform):
    """A VM of one user of one machine with Workstation (``ws``) or Fusion (``fusion``)."""

    def __init__(
        self,
        spec: VmSpec,
        host: Host,
        *,
        product: str = "ws",
        program: str | None = None,
        folder: str | None = None,
        hardware_version: int = 11,
    ) -> None:
        """*folder*: where the VM's own folder is made; None: where the product makes them."""
        super().__init__(spec)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", spec.name):
            raise InvalidInput(
                f"name {spec.name!r}: its files could not be named so everywhere. Use letters, digits, '.', '_', '-' and spaces."
            )
        self.title = f"VMware {'Fusion' if product == 'fusion' else 'Workstation'} on {host.name}"
        self._host, self._product = host, product
        self._program = program or (FUSION if product == "fusion" else "vmrun")
        self._given_folder, self._hardware_version = folder, hardware_version

    def find(self) -> Found | None:
        vmx = self._host.read(self._vmx)
        if vmx is None:
            return Found(self._folder, None, running=False) if self._base.holds(self.spec.name) else None
        notes = re.search(r'^annotation = "(.*)"', vmx, re.MULTILINE | re.IGNORECASE)
        return Found(self._vmx, Mark.of(notes[1] if notes else None), self._running())

    def check(self) -> None:
        image = self.image
        _check_disk(image)
        if len(self.spec.nics) > _MOST_NICS:
            raise InvalidInput(f"{len(self.spec.nics)} network cards: a VM of VMware has at most {_MOST_NICS}.")
        if self.spec.memory % _MEMORY_STEP:
            raise InvalidInput(f"{self.spec.memory} MiB of memory: VMware takes multiples of {_MEMORY_STEP}.")
        self._settings(complete=False)
        self._check_networks()
        self._base.check_room(image)

    def create(self) -> None:
        image = self.image
        self._host.run(["mkdir", "-p", self._folder])
        self._host.write(self._settings(complete=False), self._vmx)
        self._host.put(image.path, image.sha256, self._disk)
        sector, descriptor = named_descriptor(image.path, Path(self._disk).name)
        self._host.run(["dd", f"of={self._disk}", f"bs={_SECTOR}", f"seek={sector}", "conv=notrunc"], stdin=descriptor)
        self._host.write(self._settings(complete=True), self._vmx)

    def remove(self, found: Found) -> None:
        if found.running:
            self._vmrun("stop", self._vmx, "hard")
            self._await_stop()
        if found.mark and found.mark.complete:
            self._vmrun("deleteVM", self._vmx)
        self._host.run(["rm", "-f", self._disk, f"{self._disk}.part", f"{self._vmx}.part"])
        self._host.run(["rm", "-f", self._vmx])
        self._host.try_run(["rmdir", self._folder])

    def start(self, found: Found) -> None:
        self._vmrun("start", self._vmx, "nogui", seconds=_START)

    def await_tools(self, seconds: float) -> None:
        """Return when the router's guest tools have called. Raises AgentNotThere."""
        deadline = Deadline(seconds)
        began = time.monotonic()
        while (state := self._try("checkToolsState", self._vmx)[1]) != "running":
            if deadline.expired:
                raise AgentNotThere(
                    f"{self.spec.name!r} runs on {self.title}, and its guest tools did not call within {seconds:g} s: "
                    f"checkToolsState says {state!r}. Look at the router's screen: whether it boots, and from which image."
                )
            time.sleep(min(poll_interval(max(time.monotonic() - began, 1)), deadline.remaining))

    # -- what it is made of ----------------------------------------------------------------------------------------------

    def _settings(self, *, complete: bool) -> str:
        """The .vmx. Raises InvalidInput for a network card that cannot be."""
        values: dict[str, object] = {
            ".encoding": "UTF-8",
            "config.version": 8,
            "virtualHW.version": self._hardware_version,
            "virtualHW.productCompatibility": "hosted",
            "displayName": self.spec.name,
            "annotation": Mark(self.image.sha256, complete=complete),
            "guestOS": "other3xlinux-64",
            "firmware": "bios",
            "bios.bootOrder": "hdd",
            "numvcpus": self.spec.cpus,
            "memsize": self.spec.memory,
            "nvram": f"{self.spec.name}.nvram",
            # vmxnet3 is a PCIe device.
            "pciBridge0.present": True,
            **{f"pciBridge{number}.present": True for number in range(4, 8)},
            **{f"pciBridge{number}.virtualDev": "pcieRootPort" for number in range(4, 8)},
            **{f"pciBridge{number}.functions": 8 for number in range(4, 8)},
            "vmci0.present": True,
            "hpet0.present": True,
            "ide0:0.present": True,
            "ide0:0.fileName": Path(self._disk).name,
            "floppy0.present": False,
            "tools.syncTime": True,
            # Nobody is there to answer.
            "msg.autoAnswer": True,
            "uuid.action": "create",
        }
        for number, nic in enumerate(self.spec.nics):
            values |= self._nic(f"ethernet{number}", nic)
        return "".join(f"{key} = {_quoted(value)}\n" for key, value in values.items())

    def _nic(self, card: str, nic: Nic) -> dict[str, object]:
        if nic.vlan is not None:
            raise InvalidInput(
                f"vlan {nic.vlan}: {self.title} has no VLANs. Bridge a vmnet to an interface for that VLAN."
            )
        network = nic.network or "nat"
        values: dict[str, object] = {f"{card}.present": True, f"{card}.virtualDev": nic.model}
        if network in _NETWORKS:
            values[f"{card}.connectionType"] = network
        elif re.fullmatch(r"vmnet\d{1,3}", network):
            values[f"{card}.connectionType"] = "custom"
            values[f"{card}.vnet"] = network if self._product == "fusion" else f"/dev/{network}"
        else:
            raise InvalidInput(
                f"network {nic.network!r}: VMware has {', '.join(_NETWORKS)}, and vmnet0, vmnet1 and so on."
            )
        if nic.mac:
            values[f"{card}.addressType"] = "static"
            values[f"{card}.address"] = nic.mac
            values[f"{card}.checkMACAddress"] = False  # else it must begin with VMware's 00:50:56
        else:
            values[f"{card}.addressType"] = "generated"
        return values

    def _check_networks(self) -> None:
        """Raise InvalidInput for a network that is not there: the VM would start, with that card unplugged."""
        done, said = self._try("listHostNetworks")
        if not done:
            return  # a vmrun before Workstation 14 and Fusion 10 does not have it
        there = re.findall(r"^\s*\d+\s+(vmnet\d+)\s", said, re.MULTILINE)
        for nic in self.spec.nics:
            network = nic.network or "nat"
            if _NETWORKS.get(network, network) not in there:
                raise InvalidInput(
                    f"{self.title} has no network {network}: 'vmrun listHostNetworks' there has {', '.join(there) or 'none'}."
                )

    # -- what is there ---------------------------------------------------------------------------------------------------

    @cached_property
    def _base(self) -> Folder:
        """Where VMs' folders are made; without symbolic links, as ``vmrun list`` shows it."""
        return Folder.look(self._host, self._given_folder or f"{self._host.home}/{_FOLDERS[self._product]}")

    @property
    def _folder(self) -> str:
        return f"{self._base}/{self.spec.name}"

    @property
    def _vmx(self) -> str:
        return f"{self._folder}/{self.spec.name}.vmx"

    @property
    def _disk(self) -> str:
        return f"{self._folder}/{self.spec.name}.vmdk"

    def _running(self) -> bool:
        return self._vmx in self._vmrun("list").splitlines()

    def _await_stop(self) -> None:
        deadline = Deadline(_SWITCHED)
        began = time.monotonic()
        while self._running():
            if deadline.expired:
                raise NotPossible(f"{self._vmx} on {self._host.name} still runs {_SWITCHED:g} s after it was stopped.")
            time.sleep(poll_interval(time.monotonic() - began))

    def _vmrun(self, *arguments: str, seconds: float = 120.0) -> str:
        done, said = self._try(*arguments, seconds=seconds)
        if not done:
            raise GuestError(f"'vmrun {' '.join(arguments)}' of {self.title} failed: {said or 'it printed nothing'}")
        return said

    def _try(self, *arguments: str, seconds: float = 120.0) -> tuple[bool, str]:
        """Whether ``vmrun`` succeeded, and what it said. Raises NotPossible without it."""
        command = [self._program, "-T", self._product, *arguments]
        done = self._host.try_run(["sh", "-c", _RUN, "sh", *command], seconds=seconds)
        if done.rc == 99:
            raise NotPossible(
                f"{self._host.name} has no {self._program}. Set vmrun to its path, or chr_ssh_host where it is another machine."
            )
        return done.rc == 0, done.stdout.strip() or done.stderr.strip()


def _quoted(value: object) -> str:
    """A value of a .vmx: what would end it or begin something else is written as | and its code in hex."""
    text = str(value).upper() if isinstance(value, bool) else str(value)
    return '"' + re.sub(r'["|#\x00-\x1f\x7f]', lambda one: f"|{ord(one[0]):02X}", text) + '"'


def _check_disk(image: Image) -> None:
    if image.format == "vmdk":
        known = json.loads(qemu_img("info", "--output=json", "-f", "vmdk", str(image.path)))
        kind = known["format-specific"]["data"]["create-type"]
    else:
        kind = image.format
    if kind != "monolithicSparse":
        raise InvalidInput(
            f"Workstation and Fusion run disks of the format vmdk, kind monolithicSparse; {str(image.path)!r} is {kind}."
        )


def named_descriptor(path: Path, name: str) -> tuple[int, bytes]:
    """(first sector, bytes) of the descriptor in the monolithicSparse disk *path*, once that is called *name*.

    The disk names its own file there, and VMware does not open it under another name. Source: VMware's Virtual Disk Format 5.0,
    hosted sparse extents. Raises InvalidInput.
    """
    with path.open("rb") as disk:
        header = disk.read(_SECTOR)
        sector, sectors = (int.from_bytes(header[at : at + 8], "little") for at in (28, 36))
        disk.seek(sector * _SECTOR)
        old = disk.read(sectors * _SECTOR)
    new, found = re.subn(rb'(?m)^(RW \d+ SPARSE )".*"', lambda line: line[1] + f'"{name}"'.encode(), old.rstrip(b"\0"))
    if found != 1 or len(new) >= len(old):
        raise InvalidInput(f"{str(path)!r} has no descriptor that VMware would take.")
    return sector, new.ljust(len(old), b"\0")
