# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMs of VMware Workstation and Fusion: a folder with a .vmx and a disk, and ``vmrun``.

The .vmx is written first, with the mark in its annotation (the notes that the window shows), and
again when the VM is complete.
"""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible, TimedOut
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import SshOptions
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
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image, info, vmdk_descriptor
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.folder import Folder
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .vmrun import FOLDERS, Vmrun
from .vmx import Vmx, line_of

_MOST_NICS = 10
_MEMORY_STEP = 4  # MiB
_SWITCHED = 60.0  # seconds in which a stopped VM must disappear from the list of running VMs
_START = 300.0
_NETWORKS = {"nat": "vmnet8", "bridged": "vmnet0", "hostonly": "vmnet1"}
_SECTOR = 512
_BOOT = {"hdd": DISK, "ethernet0": "network", "ethernet": "network"}


@dataclass(frozen=True)
class WorkstationVmSettings(VmSettings):
    """The options that only ``workstation_vm`` has."""

    product: str
    """``ws`` (Workstation) or ``fusion``."""
    folder: str | None
    """The folder in which the VM's own folder is made. None: the product's default folder."""
    hardware_version: int
    wait_for_tools: float
    """Seconds to wait for the guest tools; 0 does not wait."""
    vmrun: str | None
    """The path of ``vmrun``. None: the product's default path."""


class WorkstationPlatform(Platform[SshOptions, WorkstationVmSettings]):
    """A VM of one user of one machine with Workstation or Fusion."""

    changeable = frozenset({"cpus", "memory", "boot", "nics", "model", "mac", "network"})

    def __init__(self, spec: VmSpec, options: SshOptions, settings: WorkstationVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", spec.name):
            raise InvalidInput(
                f"name {spec.name!r} is not a valid file name on every system. Use letters, "
                "digits, '.', '_', '-' and spaces."
            )
        self._machine = Machine(options, say)
        self._fusion = settings.product == "fusion"
        vmrun = Vmrun(self._machine, settings.product, settings.vmrun, "vmrun")
        self.title, self._vmrun, self._try = vmrun.title, vmrun.run, vmrun.attempt

    def find(self) -> Found | None:
        vmx = self._machine.read(self._vmx)
        if vmx is None:
            return Found(self._folder, None, running=False) if self._base.holds(self.spec.name) else None
        notes = re.search(r'^annotation = "(.*)"', vmx, re.MULTILINE | re.IGNORECASE)
        return Found(self._vmx, Mark.parse(notes[1] if notes else None), self._running())

    def hardware(self, found: Found) -> Hardware:
        values = Vmx(self._machine.read(self._vmx) or "").values
        cards = tuple(_card(values, number) for number in _slots(values))
        boot = values.get("bios.bootorder", "").partition(",")[0]
        return Hardware(
            int(values.get("numvcpus", 1)), int(values["memsize"]), cards, boot=_BOOT.get(boot, boot) or None
        )

    def check(self) -> None:
        image = self.image
        _check_disk(image)
        if len(self.spec.nics) > _MOST_NICS:
            raise InvalidInput(f"{len(self.spec.nics)} network cards: a VM of VMware has at most {_MOST_NICS}.")
        if self.spec.memory % _MEMORY_STEP:
            raise InvalidInput(f"memory {self.spec.memory} is not valid: VMware takes multiples of {_MEMORY_STEP} MiB.")
        self._vmx_text(complete=False)
        self._check_networks(self.spec.nics)
        self._base.check_room(image.size, f"the image {str(image.path)!r}")

    def create(self) -> None:
        image = self.image
        self._machine.run(["mkdir", "-p", self._folder])
        self._machine.write(self._vmx_text(complete=False), self._vmx)
        self._machine.put(image.path, image.sha256, self._disk)
        sector, descriptor = named_descriptor(image.path, Path(self._disk).name)
        self._machine.run(
            ["dd", f"of={self._disk}", f"bs={_SECTOR}", f"seek={sector}", "conv=notrunc"], stdin=descriptor
        )
        self._machine.write(self._vmx_text(complete=True), self._vmx, old=self._vmx_text(complete=False))

    def remove(self, found: Found) -> None:
        if found.running:
            self._vmrun("stop", self._vmx, "hard")
            self._await_stop()
        if found.mark and found.mark.complete:
            self._vmrun("deleteVM", self._vmx)
        self._machine.run(["rm", "-f", self._disk, f"{self._disk}.part", f"{self._vmx}.part"])
        self._machine.run(["rm", "-f", self._vmx])
        self._machine.try_run(["rmdir", self._folder])

    def start(self, found: Found) -> None:
        self._vmrun("start", self._vmx, "nogui", seconds=_START)

    def stop(self, found: Found) -> None:
        self._vmrun("stop", self._vmx, "hard")
        self._await_stop()

    # -- one that exists ---------------------------------------------------------------------------

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        memory = next((int(one.asked) for one in wanted if one.what == "memory"), 0)
        if memory % _MEMORY_STEP:
            raise InvalidInput(f"memory {memory} is not valid: VMware takes multiples of {_MEMORY_STEP} MiB.")
        vmx = self._changed(wanted)
        if vmx.values.get("checkpoint.vmstate"):
            raise NotPossible(
                f"{self._vmx} on {self._machine.name} is suspended, and only its present hardware can read that state, so it was "
                "not changed. Resume it, or turn it off."
            )
        self._check_networks(self.connected(wanted))

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._machine.write(self._changed(wanted).text, self._vmx)

    def _changed(self, wanted: t.Sequence[Difference]) -> Vmx:
        """The .vmx with what is *wanted*. Raises InvalidInput for a network that is not valid."""
        vmx = Vmx(self._machine.read(self._vmx) or "")
        slots, nics = _slots(vmx.values), self.spec.nics
        for one in wanted:
            if one.what == "cpus":
                vmx.set("numvcpus", one.asked)
                if int(one.asked) % int(vmx.values.get("cpuid.corespersocket", 1)):
                    vmx.drop("cpuid.coresPerSocket")
            elif one.what == "memory":
                vmx.set("memsize", one.asked)
            elif one.what == "boot":
                vmx.set("bios.bootOrder", "hdd")
            elif one.what == "nics":
                for number in slots[len(nics) :]:
                    vmx.set(f"ethernet{number}.present", False)
                last = max(slots, default=-1)
                for number, nic in enumerate(nics[len(slots) :], start=last + 1):
                    vmx.drop(f"ethernet{number}.")
                    vmx.update(self._nic(f"ethernet{number}", nic))
            elif one.card:
                self._change_card(vmx, f"ethernet{slots[one.card - 1]}", one.what, nics[one.card - 1])
        return vmx

    def _change_card(self, vmx: Vmx, card: str, what: str, nic: Nic) -> None:
        values = self._nic(card, nic)
        names = {
            "model": (f"{card}.virtualDev",),
            "mac": (f"{card}.addressType", f"{card}.address", f"{card}.checkMACAddress"),
            "network": (f"{card}.connectionType", f"{card}.vnet"),
        }[what]
        for name in names if what != "mac" else (*names, f"{card}.generatedAddress"):
            vmx.drop(name)
        vmx.update({name: value for name, value in values.items() if name in names})

    def check_adopt(self, found: Found) -> None:
        if found.id != self._vmx:
            raise NotPossible(
                f"{found.id} on {self._machine.name} is a folder without a VM of {self.title}, so it was not adopted."
            )
        if found.running:
            raise NotPossible(
                f"{self.spec.name!r} on {self.title} runs, and VMware writes its .vmx anew when it is turned off, so it was not "
                "adopted. Shut it down first."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        vmx = Vmx(self._machine.read(self._vmx) or "")
        vmx.set("annotation", mark.put_into(vmx.values.get("annotation")))
        self._machine.write(vmx.text, self._vmx)

    def settle(self) -> None:
        """Wait until the router's guest tools have reported. Raises TimedOut."""
        seconds = self._settings.wait_for_tools
        if not seconds:
            return
        deadline = Deadline(seconds)
        began = time.monotonic()
        while (state := self._try("checkToolsState", self._vmx)[1]) != "running":
            if deadline.expired:
                raise TimedOut(
                    f"{self.spec.name!r} runs on {self.title}, but its guest tools did not report "
                    f"within {seconds:g} s: checkToolsState says {state!r}. Look at the router's "
                    "screen to see whether it boots, and from which image."
                )
            time.sleep(min(poll_interval(max(time.monotonic() - began, 1)), deadline.remaining))

    # -- what it is made of ------------------------------------------------------------------------

    def _vmx_text(self, *, complete: bool) -> str:
        """The text of the .vmx. Raises InvalidInput for a network card that is not valid."""
        values: dict[str, object] = {
            ".encoding": "UTF-8",
            "config.version": 8,
            "virtualHW.version": self._settings.hardware_version,
            "virtualHW.productCompatibility": "hosted",
            "displayName": self.spec.name,
            "annotation": self.mark(complete=complete),
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
            # A question would wait for ever, as nobody sees it.
            "msg.autoAnswer": True,
            "uuid.action": "create",
        }
        for number, nic in enumerate(self.spec.nics):
            values |= self._nic(f"ethernet{number}", nic)
        return "".join(line_of(key, value) for key, value in values.items())

    def _nic(self, card: str, nic: Nic) -> dict[str, object]:
        if nic.vlan is not None:
            raise InvalidInput(
                f"vlan {nic.vlan}: {self.title} cannot tag VLANs. Bridge a vmnet to an interface for that VLAN."
            )
        network = nic.network or "nat"
        values: dict[str, object] = {f"{card}.present": True, f"{card}.virtualDev": nic.model}
        if network in _NETWORKS:
            values[f"{card}.connectionType"] = network
        elif re.fullmatch(r"vmnet\d{1,3}", network):
            values[f"{card}.connectionType"] = "custom"
            values[f"{card}.vnet"] = network if self._fusion else f"/dev/{network}"
        else:
            raise InvalidInput(
                f"network {nic.network!r} is not valid: use {', '.join(_NETWORKS)}, or vmnet0, vmnet1 and so on."
            )
        if nic.mac:
            values[f"{card}.addressType"] = "static"
            values[f"{card}.address"] = nic.mac
            values[f"{card}.checkMACAddress"] = False  # otherwise it must begin with 00:50:56
        else:
            values[f"{card}.addressType"] = "generated"
        return values

    def _check_networks(self, nics: t.Iterable[Nic]) -> None:
        """Check that the networks of *nics* exist. Raises InvalidInput if one does not.

        The VM would start with that card unplugged.
        """
        done, said = self._try("listHostNetworks")
        if not done:
            return  # a vmrun before Workstation 14 and Fusion 10 does not have it
        there = re.findall(r"^\s*\d+\s+(vmnet\d+)\s", said, re.MULTILINE)
        for nic in nics:
            network = nic.network or "nat"
            if _NETWORKS.get(network, network) not in there:
                raise InvalidInput(
                    f"{self.title} has no network {network}: 'vmrun listHostNetworks' there has "
                    f"{', '.join(there) or 'none'}."
                )

    # -- what is there -----------------------------------------------------------------------------

    @cached_property
    def _base(self) -> Folder:
        """The folder of the VMs' folders, without symbolic links, as ``vmrun list`` shows it."""
        return Folder.look(
            self._machine, self._settings.folder or f"{self._machine.home}/{FOLDERS[self._settings.product]}"
        )

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
                raise TimedOut(f"{self._vmx} on {self._machine.name} still runs {_SWITCHED:g} s after it was stopped.")
            time.sleep(poll_interval(time.monotonic() - began))


def _check_disk(image: Image) -> None:
    kind: str = image.format
    if kind == "vmdk":
        kind = info(image.path, "vmdk")["format-specific"]["data"]["create-type"]
    if kind != "monolithicSparse":
        raise InvalidInput(
            "Workstation and Fusion run disks of the format vmdk, kind monolithicSparse; "
            f"{str(image.path)!r} is {kind}."
        )


def named_descriptor(path: Path, name: str) -> tuple[int, bytes]:
    """The descriptor, as (first sector, bytes), for a monolithicSparse disk that gets a new name.

    *path* is its file now, and *name* the new one. The disk names its own file there, and VMware
    does not open it under another name. Source: VMware's Virtual Disk Format 5.0, hosted sparse
    extents. Raises InvalidInput.
    """
    _capacity, sector, old = vmdk_descriptor(path)
    new, found = re.subn(rb'(?m)^(RW \d+ SPARSE )".*"', lambda line: line[1] + f'"{name}"'.encode(), old.rstrip(b"\0"))
    if found != 1 or len(new) >= len(old):
        raise InvalidInput(f"{str(path)!r} does not have a descriptor that VMware would accept.")
    return sector, new.ljust(len(old), b"\0")


def _slots(values: t.Mapping[str, str]) -> list[int]:
    """The numbers of the network cards that a VM has."""
    return [number for number in range(_MOST_NICS) if values.get(f"ethernet{number}.present", "").lower() == "true"]


def _card(values: t.Mapping[str, str], number: int) -> Card:
    card = f"ethernet{number}"
    network = values.get(f"{card}.connectiontype")
    if network == "custom":
        network = values.get(f"{card}.vnet", "").rpartition("/")[2] or None
    mac = values.get(f"{card}.address") or values.get(f"{card}.generatedaddress")
    return Card(values.get(f"{card}.virtualdev"), mac, network)
