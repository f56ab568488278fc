# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMs of Hyper-V, managed with Microsoft's cmdlets on the Windows machine that runs it.

It needs Windows Server 2012, Windows 8 or newer. New-VM cannot write notes, so a file in the VM's
folder is the mark of an unfinished import. A complete VM carries its mark in its notes. Names are
not unique on Hyper-V; this code refuses to work on a name that two VMs have.
"""

from __future__ import annotations

import ntpath
import re
import time
import typing as t
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    TransferFailed,
    VmAmbiguous,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import (
    UNTAGGED,
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

from .cmdlets import run
from .powershell import Call, Of, PowerShellFailed, Row, WindowsHost

MARK = "outofband.chr"
"""The name of the file that marks an unfinished import."""
_OFF = ("Off", "Saved")
_MOST = {"synthetic": 8, "legacy": 4}
"""The largest number of network cards of a VM of generation 1, by model."""
_MEMORY_STEP = 2  # MiB
_UNPLUGGED = "none"
"""The network of a card that is not connected."""
_FREED = 60.0  # seconds in which Hyper-V must have closed the files of a VM that was removed


@dataclass(frozen=True)
class HyperVVmSettings(VmSettings):
    """The options that only ``hyperv_vm`` has."""

    folder: str | None
    """The folder in which the VM's own folder is made. None: Hyper-V's default folder."""


class HyperVPlatform(Platform[WindowsHost, HyperVVmSettings]):
    """A VM of one machine with Hyper-V, which is reached over Ansible's own connection."""

    changeable = frozenset({"cpus", "memory", "nics", "mac", "network", "vlan"})

    def __init__(self, spec: VmSpec, options: WindowsHost, settings: HyperVVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9_-])?", spec.name):
            raise InvalidInput(
                f"name {spec.name!r} is not a valid name of a folder on Windows. Use letters, "
                "digits, '.', '_', '-' and spaces."
            )
        folder = settings.folder
        if folder is not None and not ntpath.splitdrive(folder)[1].startswith(("\\", "/")):
            raise InvalidInput(f"folder {folder!r} is not an absolute path of Windows, such as D:\\VMs.")
        self._host = options
        self.title = f"Hyper-V on {options.name}"

    def find(self) -> Found | None:
        answer = self._run(
            Call("Get-VM", {}, ("Name", "Id", "State", "Notes", "Path"), label="vms"),
            Call("Test-Path", {"LiteralPath": self._folder}, label="folder"),
            Call("Get-Content", {"LiteralPath": self._mark, "ErrorAction": "SilentlyContinue"}, label="mark"),
        )
        unfinished = Mark.parse("".join(row["text"] for row in answer["mark"]))
        vms = [row for row in answer["vms"] if row["Name"].lower() == self.spec.name.lower()]
        if len(vms) > 1:
            raise VmAmbiguous(
                f"{self.title} has {len(vms)} VMs named {self.spec.name!r} "
                f"({', '.join(vm['Id'] for vm in vms)}). None was touched."
            )
        if vms:
            (vm,) = vms
            in_our_folder = _same(vm["Path"], self._folder)
            mark = Mark.parse(vm["Notes"]) or (unfinished if in_our_folder else None)
            return Found(vm["Id"], mark, vm["State"] not in _OFF)
        if unfinished or answer["folder"][0]["text"] == "True":
            return Found(self._folder, unfinished, running=False)
        return None

    def hardware(self, found: Found) -> Hardware:
        answer = self._run(Call("Get-VM", {"Id": found.id}, ("ProcessorCount", "MemoryStartup"), label="vm"))
        (vm,) = answer["vm"]
        cards = tuple(_card(one) for one in self._cards(found))
        return Hardware(int(vm["ProcessorCount"]), int(vm["MemoryStartup"]) >> 20, cards)

    def _cards(self, found: Found) -> list[Row]:
        """The network cards with their VLANs."""
        shown = ("Name", "IsLegacy", "SwitchName", "MacAddress")
        calls = [
            Call("Get-VM", {"Id": found.id}, label="vm"),
            Call("Get-VMNetworkAdapter", {"VM": Of("vm")}, shown, label="cards"),
        ]
        cards = self._run(*calls)["cards"]
        if not cards:
            return []
        vlans = Call(
            "Get-VMNetworkAdapterVlan",
            {"VMNetworkAdapter": Of("cards")},
            ("OperationMode", "AccessVlanId"),
            label="vlans",
        )
        return [{**card, **vlan} for card, vlan in zip(cards, self._run(*calls, vlans)["vlans"], strict=True)]

    def check(self) -> None:
        image = self.image
        if image.format != "vhdx":
            raise InvalidInput(f"Hyper-V takes images of the format vhdx; {str(image.path)!r} is {image.format}.")
        if self.spec.memory % _MEMORY_STEP:
            raise InvalidInput(
                f"memory {self.spec.memory} is not valid: Hyper-V takes multiples of {_MEMORY_STEP} MiB."
            )
        for model, most in _MOST.items():
            if (count := sum(nic.model == model for nic in self.spec.nics)) > most:
                raise InvalidInput(f"{count} network cards {model}: a VM of generation 1 has at most {most}.")
        drive = ntpath.splitdrive(self._folder)[0]
        volume = (
            [Call("Get-PSDrive", {"Name": drive[0]}, ("Free",), label="drive")]
            if re.fullmatch("[A-Za-z]:", drive)
            else []
        )
        self._check_switches(self.spec.nics)
        answer = self._run(*volume) if volume else {}
        free = int(answer["drive"][0]["Free"]) if volume else image.size
        if free < image.size:
            raise NotPossible(
                f"Drive {drive} of {self._host.name} has {free >> 20} MiB free, and the image "
                f"{str(image.path)!r} has {image.size >> 20} MiB. Nothing was made. Make room there, or "
                "choose another folder."
            )

    def _check_switches(self, nics: t.Iterable[Nic]) -> None:
        answer = self._run(Call("Get-VMSwitch", {}, ("Name",), label="switches"))
        switches = [row["Name"] for row in answer["switches"]]
        for nic in nics:
            if nic.network is not None and nic.network not in switches:
                raise InvalidInput(
                    f"{self.title} has no switch {nic.network!r}. It has {', '.join(map(repr, switches)) or 'none'}."
                )

    def create(self) -> None:
        image = self.image
        self._run(
            Call("New-Item", {"ItemType": "Directory", "Path": self._folder, "Force": True}),
            Call(
                "Set-Content",
                {"LiteralPath": self._mark, "Value": str(self.mark(complete=False))},
            ),
        )
        self._say(f"{image.path.name} to {self._host.name}: {image.size / 1e6:.0f} MB")
        self._host.put(str(image.path), self._disk)
        (arrived,) = self._run(
            Call("Get-FileHash", {"LiteralPath": self._disk, "Algorithm": "SHA256"}, ("Hash",), label="hash")
        )["hash"]
        if arrived["Hash"].lower() != image.sha256:
            raise TransferFailed(
                f"{self._disk} on {self._host.name} arrived with the sha256 "
                f"{arrived['Hash'].lower()}, not {image.sha256}."
            )
        vm = Of("vm")
        (made,) = self._run(
            Call(
                "New-VM",
                {
                    **{"Name": self.spec.name, "Generation": 1, "MemoryStartupBytes": self.spec.memory << 20},
                    **{"VHDPath": self._disk, "Path": self._base, "BootDevice": "IDE"},
                },
                ("Id",),
                label="vm",
            ),
            Call("Set-VM", {"VM": vm, "StaticMemory": True, "ProcessorCount": self.spec.cpus}),
            # New-VM gives it a network card that was not asked for.
            Call("Get-VMNetworkAdapter", {"VM": vm}, label="given"),
            Call("Remove-VMNetworkAdapter", {"VMNetworkAdapter": Of("given")}),
            *(call for number, nic in enumerate(self.spec.nics, 1) for call in _nic(f"ether{number}", nic)),
        )["vm"]
        self._no_automatic_checkpoints(made["Id"])
        self._run(
            Call("Get-VM", {"Id": made["Id"]}, label="vm"),
            Call("Set-VM", {"VM": vm, "Notes": str(self.mark(complete=True))}),
            Call("Remove-Item", {"LiteralPath": self._mark, "Force": True}),
        )

    def remove(self, found: Found) -> None:
        files, folder = [self._disk], self._folder
        if found.id != self._folder:
            vm = Of("vm")
            answer = self._run(
                Call("Get-VM", {"Id": found.id}, ("Path",), label="vm"),
                *([Call("Stop-VM", {"VM": vm, "TurnOff": True, "Force": True})] if found.running else []),
                Call("Get-VMHardDiskDrive", {"VM": vm}, ("Path",), label="disks"),
                Call("Remove-VM", {"VM": vm, "Force": True}),
            )
            folder = answer["vm"][0]["Path"]
            files = [row["Path"] for row in answer["disks"] if _same(ntpath.dirname(row["Path"]), folder)]
        for path in [*files, ntpath.join(folder, MARK)]:
            self._delete(path)
        there = self._run(Call("Test-Path", {"LiteralPath": folder}, label="folder"))["folder"][0]["text"] == "True"
        below: dict[str, str | int | bool | Of] = {"LiteralPath": folder, "Recurse": True, "Force": True}
        if there and not self._run(Call("Get-ChildItem", below | {"File": True}, label="files"))["files"]:
            self._run(Call("Remove-Item", below))

    def start(self, found: Found) -> None:
        self._run(Call("Get-VM", {"Id": found.id}, label="vm"), Call("Start-VM", {"VM": Of("vm")}))

    def stop(self, found: Found) -> None:
        self._run(
            Call("Get-VM", {"Id": found.id}, label="vm"),
            Call("Stop-VM", {"VM": Of("vm"), "TurnOff": True, "Force": True}),
        )

    # -- one that exists ---------------------------------------------------------------------------

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        memory = next((int(one.asked) for one in wanted if one.what == "memory"), 0)
        if memory % _MEMORY_STEP:
            raise InvalidInput(f"memory {memory} is not valid: Hyper-V takes multiples of {_MEMORY_STEP} MiB.")
        (vm,) = self._run(Call("Get-VM", {"Id": found.id}, ("State",), label="vm"))["vm"]
        if vm["State"] not in ("Off", "Running"):
            raise NotPossible(
                f"{self.title} has {self.spec.name!r} ({found.id}) in the state {vm['State']}, so it was not changed. Start it, or "
                "turn it off."
            )
        self._card_changes(found, wanted)
        self._check_switches(self.connected(wanted))

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        given: dict[str, str | int | bool | Of] = {"VM": Of("vm")}
        for one in wanted:
            if one.what == "cpus":
                given["ProcessorCount"] = int(one.asked)
            elif one.what == "memory":
                given |= {"StaticMemory": True, "MemoryStartupBytes": int(one.asked) << 20}
        calls = [Call("Set-VM", given)] if len(given) > 1 else []
        self._run(Call("Get-VM", {"Id": found.id}, label="vm"), *calls, *self._card_changes(found, wanted))

    def _card_changes(self, found: Found, wanted: t.Sequence[Difference]) -> list[Call]:
        """The calls that change network cards, which are found by their names.

        Raises NotPossible if a name is not that of one card only.
        """
        names, nics = [card["Name"] for card in self._cards(found)], self.spec.nics
        calls: list[Call] = []

        def of(name: str) -> Of:
            if names.count(name) != 1:
                raise NotPossible(
                    f"{self.spec.name!r} ({found.id}) of {self.title} has {names.count(name)} network cards with the name "
                    f"{name!r}, so the right one cannot be named to Hyper-V. Nothing was changed. Rename them "
                    "(Rename-VMNetworkAdapter)."
                )
            label = f"card {name}"
            calls.append(Call("Get-VMNetworkAdapter", {"VM": Of("vm"), "Name": name}, label=label))
            return Of(label)

        for one in wanted:
            if one.what == "nics":
                for name in names[len(nics) :]:
                    calls.append(Call("Remove-VMNetworkAdapter", {"VMNetworkAdapter": of(name)}))
                for number in range(len(names) + 1, len(nics) + 1):
                    calls += _nic(f"ether{number}", nics[number - 1])
            elif one.card:
                card = of(names[one.card - 1])
                calls.append(_card_change(card, one))
        return calls

    def check_adopt(self, found: Found) -> None:
        if found.id == self._folder:
            raise NotPossible(
                f"{found.id} on {self._host.name} is a folder without a VM of Hyper-V, so it was not adopted."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        (vm,) = self._run(Call("Get-VM", {"Id": found.id}, ("Notes",), label="vm"))["vm"]
        self._run(
            Call("Get-VM", {"Id": found.id}, label="vm"),
            Call("Set-VM", {"VM": Of("vm"), "Notes": mark.put_into(vm["Notes"])}),
        )

    def _no_automatic_checkpoints(self, id: str) -> None:
        """Switch off the checkpoint at each start that Windows 10 and newer make.

        With it, the router would write into a differencing disk for ever.
        """
        try:
            self._run(
                Call("Get-VM", {"Id": id}, label="vm"),
                Call("Set-VM", {"VM": Of("vm"), "AutomaticCheckpointsEnabled": False}),
            )
        except PowerShellFailed as error:
            if "NamedParameterNotFound" not in error.id:  # older versions of Windows do not have it
                raise

    def _delete(self, path: str) -> None:
        """Delete a file, if it exists.

        Hyper-V closes the files of a VM a moment after the VM is gone.
        """
        deadline = Deadline(_FREED)
        began = time.monotonic()
        while self._run(Call("Test-Path", {"LiteralPath": path}, label="there"))["there"][0]["text"] == "True":
            try:
                self._run(Call("Remove-Item", {"LiteralPath": path, "Force": True}))
            except PowerShellFailed:
                if deadline.expired:
                    raise
                time.sleep(poll_interval(max(time.monotonic() - began, 1)))

    @cached_property
    def _base(self) -> str:
        path = self._settings.folder
        if path is None:
            path = self._run(Call("Get-VMHost", {}, ("VirtualMachinePath",), label="host"))["host"][0][
                "VirtualMachinePath"
            ]
        return ntpath.normpath(path)

    @property
    def _folder(self) -> str:
        return ntpath.join(self._base, self.spec.name)

    @property
    def _disk(self) -> str:
        return ntpath.join(self._folder, f"{self.spec.name}.vhdx")

    @property
    def _mark(self) -> str:
        return ntpath.join(self._folder, MARK)

    def _run(self, *calls: Call) -> dict[str, list[Row]]:
        return run(self._host, *calls)


def _nic(name: str, nic: Nic) -> list[Call]:
    given: dict[str, str | int | bool | Of] = {"VM": Of("vm"), "Name": name, "Passthru": True}
    given["IsLegacy"] = nic.model == "legacy"
    if nic.network is not None:
        given["SwitchName"] = nic.network
    if nic.mac:
        given["StaticMacAddress"] = nic.mac.replace(":", "").upper()
    calls = [Call("Add-VMNetworkAdapter", given, label=name)]
    if nic.vlan is not None:
        calls.append(_vlan(Of(name), nic.vlan))
    return calls


def _card_change(card: Of, wanted: Difference) -> Call:
    if wanted.what == "vlan":
        return _vlan(card, int(wanted.asked))
    text = str(wanted.asked)
    if wanted.what == "network":
        return Call("Connect-VMNetworkAdapter", {"VMNetworkAdapter": card, "SwitchName": text})
    address = text.replace(":", "").upper()
    return Call("Set-VMNetworkAdapter", {"VMNetworkAdapter": card, "StaticMacAddress": address})


def _vlan(card: Of, vlan: int) -> Call:
    given: dict[str, str | int | bool | Of] = {"VMNetworkAdapter": card}
    given |= {"Untagged": True} if vlan == UNTAGGED else {"Access": True, "VlanId": vlan}
    return Call("Set-VMNetworkAdapterVlan", given)


def _card(row: Row) -> Card:
    vlans = {"Untagged": UNTAGGED, "Access": int(row["AccessVlanId"] or 0)}
    return Card(
        "legacy" if row["IsLegacy"].lower() == "true" else "synthetic",
        ":".join(re.findall("..", row["MacAddress"])) or None,
        row["SwitchName"] or _UNPLUGGED,
        vlans.get(row["OperationMode"]),
    )


def _same(one: str, other: str) -> bool:
    return ntpath.normcase(ntpath.normpath(one)) == ntpath.normcase(ntpath.normpath(other))
