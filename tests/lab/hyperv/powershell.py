# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``PowerShell`` of a Windows machine with Hyper-V.

It has the part of the language that the collection's script uses, and the cmdlets.

It is strict: a word that it does not know, a cmdlet, a parameter or a type of value that the real
cmdlet does not have (Microsoft's reference of the Hyper-V module) ends it with an error. Its
machine is ``$LAB_HYPERV``: ``state.json``, ``calls``, and drives as folders. A path without a drive
is that of the machine on which it runs, as in Windows it is that of the drive one is on.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
import uuid
from pathlib import Path
from types import SimpleNamespace as Object

STRING, INTEGER, BOOLEAN, SWITCH, VM, CARDS = (
    "String",
    "Int64",
    "Boolean",
    "Switch",
    "VirtualMachine",
    "VMNetworkAdapter",
)
COMMON = {"ErrorAction": STRING}
# Parameters and their types, by Microsoft's reference. Those that no sensible call here could use
# are left out.
CMDLETS: dict[str, dict[str, str]] = {
    "Get-VM": {"Name": STRING, "Id": STRING},
    "Get-VMHost": {},
    "Get-VMSwitch": {"Name": STRING, "SwitchType": STRING},
    "New-VM": {
        **{"Name": STRING, "MemoryStartupBytes": INTEGER, "BootDevice": STRING, "NoVHD": SWITCH, "SwitchName": STRING},
        **{"VHDPath": STRING, "Path": STRING, "Generation": INTEGER},
    },
    "Set-VM": {
        **{"VM": VM, "ProcessorCount": INTEGER, "StaticMemory": SWITCH, "DynamicMemory": SWITCH, "Notes": STRING},
        "MemoryStartupBytes": INTEGER,
        **{"AutomaticStartAction": STRING, "AutomaticCheckpointsEnabled": BOOLEAN},
    },
    "Start-VM": {"VM": VM},
    "Stop-VM": {"VM": VM, "TurnOff": SWITCH, "Force": SWITCH},
    "Restart-VM": {"VM": VM, "Force": SWITCH},
    "Remove-VM": {"VM": VM, "Force": SWITCH},
    "Get-VMHardDiskDrive": {"VM": VM},
    "Get-VMNetworkAdapter": {"VM": VM, "Name": STRING},
    "Get-VMNetworkAdapterVlan": {"VMNetworkAdapter": CARDS},
    "Connect-VMNetworkAdapter": {"VMNetworkAdapter": CARDS, "SwitchName": STRING},
    "Set-VMNetworkAdapter": {"VMNetworkAdapter": CARDS, "StaticMacAddress": STRING, "DynamicMacAddress": SWITCH},
    "Remove-VMNetworkAdapter": {"VMNetworkAdapter": CARDS},
    "Add-VMNetworkAdapter": {
        **{"VM": VM, "SwitchName": STRING, "IsLegacy": BOOLEAN, "Name": STRING, "DynamicMacAddress": SWITCH},
        **{"StaticMacAddress": STRING, "Passthru": SWITCH},
    },
    "Set-VMNetworkAdapterVlan": {"VMNetworkAdapter": CARDS, "Access": SWITCH, "VlanId": INTEGER, "Untagged": SWITCH},
    "Test-Path": {"LiteralPath": STRING},
    "New-Item": {"ItemType": STRING, "Path": STRING, "Force": SWITCH},
    "Get-Content": {"LiteralPath": STRING, "Raw": SWITCH},
    "Set-Content": {"LiteralPath": STRING, "Value": STRING},
    "Remove-Item": {"LiteralPath": STRING, "Recurse": SWITCH, "Force": SWITCH},
    "Get-ChildItem": {"LiteralPath": STRING, "Recurse": SWITCH, "Force": SWITCH, "File": SWITCH},
    "Get-FileHash": {"LiteralPath": STRING, "Algorithm": STRING},
    "Get-PSDrive": {"Name": STRING},
    "ConvertFrom-Json": {"InputObject": ""},
    "ConvertTo-Json": {"InputObject": "", "Compress": SWITCH, "Depth": INTEGER},
    "Out-String": {"InputObject": ""},
    "Invoke-Expression": {"Command": STRING},
}
SWITCHES = ["External", "Lab"]


class Terminating(Exception):
    """An error record."""

    def __init__(self, text: str, id: str, kind: str = "NotSpecified") -> None:
        super().__init__(text)
        category = Object(Category=kind)
        self.record = Object(FullyQualifiedErrorId=id, CategoryInfo=category, Exception=Object(Message=text))


# -- the language ----------------------------------------------------------------------------------

TOKENS = re.compile(
    r"(?P<space>[ \t\r]+|`\n)|(?P<newline>\n)|(?P<string>'(?:[^']|'')*')|(?P<variable>\$[A-Za-z_]+)|(?P<splat>@[A-Za-z]+)"
    r"|(?P<open>@\{|@\()|(?P<type>\[[A-Za-z.]+\](?=::|[$A-Za-z('\[]))|(?P<parameter>-[A-Za-z]+\b)|(?P<word>[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z]+)?)"
    r"|(?P<number>\d+)|(?P<mark>::|\+=|[=+|;{}()\[\].,&])"
)
Token = tuple[str, str]


def tokens(source: str) -> list[Token]:
    found, at = [], 0
    while at < len(source):
        match = TOKENS.match(source, at)
        if not match:
            raise SyntaxError(f"PowerShell does not understand {source[at : at + 40]!r}")
        at = match.end()
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match[0]))
    return found


class Script:
    """Runs what it reads; a block is read again each time it runs."""

    def __init__(self, source: list[Token], scope: dict[str, t.Any], machine: Machine) -> None:
        self.source, self.at = source, 0
        self.scope, self.machine = scope, machine
        self.output: list[t.Any] = []

    def peek(self, text: str | None = None) -> bool:
        kind, found = self.source[self.at] if self.at < len(self.source) else ("end", "")
        return kind == "end" if text is None else found == text and kind != "string"

    def take(self, text: str | None = None) -> Token:
        if text is not None and not self.peek(text):
            raise SyntaxError(f"{text!r} is missing before {self.source[self.at : self.at + 5]}")
        self.at += 1
        return self.source[self.at - 1]

    def lines(self) -> None:
        while self.peek("\n") or self.peek(";"):
            self.at += 1

    def block(self) -> list[Token]:
        """The tokens between the braces that come next."""
        self.lines()
        self.take("{")
        start, depth = self.at, 1
        while depth:
            kind, text = self.take()
            if kind in ("mark", "open"):
                depth += {"{": 1, "@{": 1, "}": -1}.get(text, 0)
        return self.source[start : self.at - 1]

    def inside(self, block: list[Token]) -> list[t.Any]:
        script = Script(block, self.scope, self.machine)
        script.run()
        return script.output

    def run(self) -> None:
        self.lines()
        while not self.peek():
            self.statement()
            if not (self.peek() or self.peek("\n") or self.peek(";")):
                raise SyntaxError(f"a statement goes on with {self.source[self.at : self.at + 5]}")
            self.lines()

    def statement(self) -> None:
        if self.peek("foreach"):
            self.take()
            self.take("(")
            name = self.take()[1]
            self.take("in")
            values = self.pipeline()
            self.take(")")
            body = self.block()
            for value in values if isinstance(values, list) else [] if values is None else [values]:
                self.scope[name] = value
                self.output += self.inside(body)
        elif self.peek("if"):
            self.take()
            self.take("(")
            condition = self.pipeline()
            self.take(")")
            body, other = self.block(), []
            if self.peek("else"):
                self.take()
                other = self.block()
            self.output += self.inside(body if condition else other)
        elif self.peek("try"):
            self.take()
            body = self.block()
            self.lines()
            self.take("catch")
            handler = self.block()
            try:
                self.output += self.inside(body)
            except Terminating as error:
                self.scope["$_"] = error.record
                self.output += self.inside(handler)
        else:
            self.assignment()

    def assignment(self) -> None:
        start = self.at
        if self.source[self.at][0] == "variable":
            name, index = self.take()[1], None
            if self.peek("["):
                self.take()
                index = self.expression()
                self.take("]")
            if self.peek("=") or self.peek("+="):
                how = self.take()[1]
                value = self.pipeline()
                if how == "+=":
                    old = self.scope[name]
                    assert isinstance(old, list)
                    value = [*old, *(value if isinstance(value, list) else [value])]
                if index is None:
                    self.scope[name] = value
                else:
                    assert isinstance(self.scope[name], dict)
                    self.scope[name][index] = value
                return
            self.at = start
        value = self.pipeline()
        self.output += value if isinstance(value, list) else [] if value is None else [value]

    def pipeline(self) -> t.Any:
        value = self.command() if self.source[self.at][0] == "word" or self.peek("&") else self.expression()
        while self.peek("|"):
            self.take()
            value = self.command({"InputObject": value})
        return value

    def command(self, given: dict[str, t.Any] | None = None) -> t.Any:
        given = dict(given or {})
        if self.peek("&"):
            self.take()
            name = self.expression()
        else:
            name = self.take()[1]
        while self.at < len(self.source) and not any(self.peek(one) for one in ("\n", ";", "|", ")", "}")):
            kind, text = self.source[self.at]
            if kind == "splat":
                self.take()
                given |= self.scope[f"${text[1:]}"]
            elif kind == "parameter":
                self.take()
                switch = CMDLETS.get(name, {}).get(text[1:]) == SWITCH
                given[text[1:]] = True if switch else self.expression()
            else:
                given["Command"] = self.expression()
        if name == "Invoke-Expression":
            inner = Script(tokens(given["Command"]), self.scope, self.machine)
            inner.run()
            return inner.output
        return self.machine.call(name, given)

    def expression(self) -> t.Any:
        value = self.value()
        while self.peek("+"):
            self.take()
            value = value + self.value()
        return value

    def value(self) -> t.Any:
        kind, text = self.take()
        value: t.Any
        if kind == "string":
            value = text[1:-1].replace("''", "'")
        elif kind == "number":
            return int(text)
        elif kind == "type" and self.peek("::"):
            self.take()
            value = {"[Text.Encoding]": {"UTF8": UTF8}, "[Convert]": CONVERT}[text][self.take()[1]]
            if callable(value):
                return value(*self.arguments())
        elif kind == "type":
            if text != "[string]":
                raise SyntaxError(f"the lab does not cast to {text}")
            return shown(self.value())
        elif kind == "variable":
            value = self.scope[text] if text not in CONSTANTS else CONSTANTS[text]
        elif text == "@{":
            value = self.hashtable()
        elif text in ("@(", "("):
            self.lines()
            value = None if self.peek(")") else self.pipeline()
            self.take(")")
            if text == "@(":
                return value if isinstance(value, list) else [] if value is None else [value]
        else:
            raise SyntaxError(f"PowerShell expects no {text!r} here")
        return self.members(value)

    def members(self, value: t.Any) -> t.Any:
        while self.peek(".") or self.peek("["):
            if self.take()[1] == "[":
                value = value.get(self.expression())
                self.take("]")
                continue
            kind, name = self.take()
            name = self.scope[name] if kind == "variable" else name
            value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
            if self.peek("("):
                value = value(*self.arguments())
        return value

    def arguments(self) -> list[t.Any]:
        self.take("(")
        found = []
        while not self.peek(")"):
            found.append(self.expression())
            if not self.peek(")"):
                self.take(",")
        self.take(")")
        return found

    def hashtable(self) -> dict[str, t.Any]:
        found = {}
        self.lines()
        while not self.peek("}"):
            name = self.take()[1]
            self.take("=")
            found[name] = self.pipeline()
            self.lines()
        self.take("}")
        return found


CONSTANTS = {"$null": None, "$true": True, "$false": False}
UTF8 = Object(GetString=lambda data: data.decode(), GetBytes=lambda text: text.encode())
CONVERT = {"FromBase64String": base64.b64decode, "ToBase64String": lambda data: base64.b64encode(data).decode()}


def shown(value: t.Any) -> str:
    return "" if value is None else str(value) if not isinstance(value, Object) else "Microsoft.HyperV.PowerShell"


# -- the machine -----------------------------------------------------------------------------------


class Machine:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "state.json"
        self.vms: list[dict[str, t.Any]] = json.loads(self.file.read_text()) if self.file.exists() else []

    def path(self, text: str) -> Path:
        if "/" in text:
            raise Terminating(f"The lab takes no mixed path: {text}", "ItemNotFound")
        drive, colon, rest = text.rpartition(":")
        return Path(f"{self.home / drive if colon else ''}{rest.replace(chr(92), '/')}")

    def call(self, name: str, given: dict[str, t.Any]) -> t.Any:
        hidden = self.home / "without"
        if name not in CMDLETS or (hidden.exists() and name in hidden.read_text().split()):
            raise Terminating(
                f"The term '{name}' is not recognized as a name of a cmdlet",
                "CommandNotFoundException",
                "ObjectNotFound",
            )
        if (self.home / "denied").exists() and "-VM" in name:
            text = "You do not have the required permission to complete this task. Contact the administrator."
            raise Terminating(text, f"Unspecified,Microsoft.HyperV.PowerShell.Commands.{name}", "PermissionDenied")
        known = CMDLETS[name] | COMMON
        old = hidden.exists() and "AutomaticCheckpointsEnabled" in hidden.read_text()
        for parameter, value in given.items():
            if parameter not in known or (old and parameter == "AutomaticCheckpointsEnabled"):
                text = f"A parameter cannot be found that matches parameter name '{parameter}'."
                raise Terminating(text, f"NamedParameterNotFound,{name}", "InvalidArgument")
            if known[parameter] and not self.fits(known[parameter], value):
                text = f"Cannot bind parameter '{parameter}': {value!r} is no {known[parameter]}."
                raise Terminating(text, f"CannotConvertArgumentNoMessage,{name}", "InvalidArgument")
        if known.keys() & {"VM", "LiteralPath", "VMNetworkAdapter"} - given.keys():
            raise Terminating(
                f"{name}: a mandatory parameter is missing", "MissingMandatoryParameter", "InvalidArgument"
            )
        if "VM" in name and name.split("-")[0] not in ("Get", "Test"):
            with (self.home / "calls").open("a") as log:
                log.write(f"{name}\n")
        quiet = given.pop("ErrorAction", "Stop") == "SilentlyContinue"
        try:
            return getattr(self, re.sub(r"\W", "_", name).lower())(**given)
        except Terminating:
            if quiet:
                return None
            raise
        finally:
            self.file.write_text(json.dumps(self.vms, indent=1))

    @staticmethod
    def fits(kind: str, value: t.Any) -> bool:
        if kind in (VM, CARDS):
            return bool(value) and all(getattr(one, "kind", None) == kind for one in value)
        wanted = {STRING: str, INTEGER: int, BOOLEAN: bool, SWITCH: bool}[kind]
        return isinstance(value, wanted) and (wanted is bool) == isinstance(value, bool)

    # -- VMs

    def shown(self, vm: dict[str, t.Any]) -> Object:
        told = {name: vm[name] for name in ("Name", "Id", "State", "Notes", "Path")}
        return Object(kind=VM, vm=vm, ProcessorCount=vm["Cpus"], MemoryStartup=vm["Memory"], **told)

    def get_vm(self, Name: str | None = None, Id: str | None = None) -> list[Object]:
        found = [vm for vm in self.vms if Name in (None, vm["Name"]) and Id in (None, vm["Id"])]
        if not found and (Name or Id):
            raise Terminating(
                f"Hyper-V was unable to find a virtual machine {Name or Id}.", "InvalidParameter", "InvalidArgument"
            )
        return [self.shown(vm) for vm in found]

    def get_vmhost(self) -> Object:
        return Object(VirtualMachinePath="C:\\ProgramData\\Microsoft\\Windows\\Hyper-V\\")

    def get_vmswitch(self) -> list[Object]:
        return [Object(Name=name) for name in SWITCHES]

    def new_vm(
        self, Name: str, MemoryStartupBytes: int, VHDPath: str, Path: str, Generation: int, BootDevice: str
    ) -> Object:
        disk = self.path(VHDPath)
        if Generation not in (1, 2) or BootDevice not in (
            "Floppy",
            "CD",
            "IDE",
            "LegacyNetworkAdapter",
            "NetworkAdapter",
            "VHD",
        ):
            raise Terminating("The parameter is not valid.", "InvalidParameter", "InvalidArgument")
        if MemoryStartupBytes % (2 << 20):
            raise Terminating("The memory must be aligned to 2 MB.", "InvalidParameter", "InvalidArgument")
        looked = subprocess.run(
            ["qemu-img", "info", "--output=json", disk], capture_output=True, check=False, text=True
        )
        if looked.returncode or json.loads(looked.stdout)["format"] not in ("vhdx", "vpc"):
            raise Terminating(f"Failed to add device 'Virtual Hard Disk': {VHDPath} is not valid.", "OperationFailed")
        home = f"{Path}\\{Name}"
        (self.path(home) / "Virtual Machines").mkdir(parents=True, exist_ok=True)
        vm = {
            **{
                "Name": Name,
                "Id": str(uuid.uuid4()),
                "State": "Off",
                "Notes": "",
                "Path": home,
                "Generation": Generation,
            },
            **{"Memory": MemoryStartupBytes, "Boot": BootDevice, "Dynamic": False, "Cpus": 1, "Checkpoints": True},
            **{"Disks": {"IDE 0 0": VHDPath}, "Cards": [{"Name": "Network Adapter", "Legacy": False}]},
        }
        (self.path(home) / "Virtual Machines" / f"{vm['Id']}.vmcx").touch()
        self.vms.append(vm)
        return self.shown(vm)

    def set_vm(self, VM: list[Object], **given: t.Any) -> None:
        (one,) = VM
        if given.get("StaticMemory") and given.get("DynamicMemory"):
            raise Terminating("Parameter set cannot be resolved", "AmbiguousParameterSet", "InvalidArgument")
        if given.keys() & {"ProcessorCount", "MemoryStartupBytes"} and one.vm["State"] != "Off":
            text = "The operation cannot be performed while the virtual machine is in its current state."
            raise Terminating(text, "InvalidState,Microsoft.HyperV.PowerShell.Commands.SetVM", "InvalidOperation")
        if "StaticMemory" in given:
            one.vm["Dynamic"] = False
        for parameter, key in {
            "ProcessorCount": "Cpus",
            "Notes": "Notes",
            "MemoryStartupBytes": "Memory",
            "AutomaticCheckpointsEnabled": "Checkpoints",
        }.items():
            if parameter in given:
                one.vm[key] = given[parameter]

    def start_vm(self, VM: list[Object]) -> None:
        (one,) = VM
        if (self.home / "no-memory").exists():
            raise Terminating(
                f"'{one.Name}' failed to start. Not enough memory in the system.",
                "OperationFailed",
                "ResourceUnavailable",
            )
        one.vm["State"] = "Running"

    def stop_vm(self, VM: list[Object], TurnOff: bool = False, Force: bool = False) -> None:
        (one,) = VM
        if not (TurnOff and Force):
            raise Terminating("The lab's routers do not shut down, and nobody is asked.", "OperationFailed")
        one.vm["State"] = "Off"

    def restart_vm(self, VM: list[Object], Force: bool = False) -> None:
        (one,) = VM
        if one.vm["State"] != "Running" or not Force:
            raise Terminating(
                "The operation cannot be performed while the machine is in its current state.", "InvalidState"
            )
        one.vm["Restarts"] = one.vm.get("Restarts", 0) + 1

    def remove_vm(self, VM: list[Object], Force: bool = False) -> None:
        (one,) = VM
        if one.vm["State"] != "Off" or not Force:
            raise Terminating(
                "The operation cannot be performed while the machine is in its current state.", "InvalidState"
            )
        (self.path(one.Path) / "Virtual Machines" / f"{one.Id}.vmcx").unlink()
        self.vms.remove(one.vm)
        (self.home / "closing").write_text("..")  # its disk is still open for two more looks

    def get_vmharddiskdrive(self, VM: list[Object]) -> list[Object]:
        return [Object(Path=path) for one in VM for path in one.vm["Disks"].values()]

    # -- network cards

    def get_vmnetworkadapter(self, VM: list[Object], Name: str | None = None) -> list[Object]:
        return [
            Object(
                **{"kind": CARDS, "vm": one.vm, "card": card, "IsLegacy": card["Legacy"], "Name": card["Name"]},
                **{"SwitchName": card.get("Switch"), "MacAddress": card.get("Mac") or "00155D010203"},
            )
            for one in VM
            for card in one.vm["Cards"]
            if Name in (None, card["Name"])
        ]

    def get_vmnetworkadaptervlan(self, VMNetworkAdapter: list[Object]) -> list[Object]:
        vlans = [one.card.get("Vlan", 0) for one in VMNetworkAdapter]
        return [Object(OperationMode="Access" if vlan else "Untagged", AccessVlanId=vlan) for vlan in vlans]

    def connect_vmnetworkadapter(self, VMNetworkAdapter: list[Object], SwitchName: str) -> None:
        if SwitchName not in SWITCHES:
            raise Terminating(f"Hyper-V was unable to find a virtual switch {SwitchName}.", "InvalidParameter")
        for one in VMNetworkAdapter:
            one.card["Switch"] = SwitchName

    def set_vmnetworkadapter(self, VMNetworkAdapter: list[Object], StaticMacAddress: str) -> None:
        for one in VMNetworkAdapter:
            if one.vm["State"] != "Off" or not re.fullmatch("[0-9A-F]{12}", StaticMacAddress):
                raise Terminating("The MAC address cannot be set.", "InvalidParameter", "InvalidArgument")
            one.card["Mac"] = StaticMacAddress

    def remove_vmnetworkadapter(self, VMNetworkAdapter: list[Object]) -> None:
        for one in VMNetworkAdapter:
            one.vm["Cards"].remove(one.card)

    def add_vmnetworkadapter(
        self,
        VM: list[Object],
        Name: str,
        SwitchName: str | None = None,
        IsLegacy: bool = False,
        StaticMacAddress: str | None = None,
        Passthru: bool = False,
    ) -> Object | None:
        (one,) = VM
        if SwitchName not in (None, *SWITCHES):
            raise Terminating(
                f"Hyper-V was unable to find a virtual switch {SwitchName}.", "InvalidParameter", "InvalidArgument"
            )
        if StaticMacAddress and not re.fullmatch("[0-9A-F]{12}", StaticMacAddress):
            raise Terminating("The MAC address is not valid.", "InvalidParameter", "InvalidArgument")
        if sum(card["Legacy"] == IsLegacy for card in one.vm["Cards"]) >= (4 if IsLegacy else 8):
            raise Terminating("The maximum number of network adapters is reached.", "OperationFailed")
        card = {"Name": Name, "Legacy": IsLegacy, "Switch": SwitchName, "Mac": StaticMacAddress}
        one.vm["Cards"].append(card)
        return Object(kind=CARDS, vm=one.vm, card=card) if Passthru else None

    def set_vmnetworkadaptervlan(
        self, VMNetworkAdapter: list[Object], VlanId: int = 0, Access: bool = False, Untagged: bool = False
    ) -> None:
        if Access == Untagged or (Access and not 1 <= VlanId <= 4094) or (Untagged and VlanId):
            raise Terminating("The VLAN is not valid.", "InvalidParameter", "InvalidArgument")
        for one in VMNetworkAdapter:
            one.card["Vlan"] = VlanId

    # -- files

    def test_path(self, LiteralPath: str) -> bool:
        return self.path(LiteralPath).exists()

    def new_item(self, ItemType: str, Path: str, Force: bool = False) -> None:
        assert ItemType == "Directory"
        self.path(Path).mkdir(parents=Force, exist_ok=Force)

    def get_content(self, LiteralPath: str) -> list[str]:
        path = self.path(LiteralPath)
        if not path.exists():
            raise Terminating(
                f"Cannot find path '{LiteralPath}' because it does not exist.", "PathNotFound", "ObjectNotFound"
            )
        return path.read_text().splitlines()

    def set_content(self, LiteralPath: str, Value: str) -> None:
        self.path(LiteralPath).write_text(f"{Value}\r\n")

    def remove_item(self, LiteralPath: str, Recurse: bool = False, Force: bool = False) -> None:
        path, closing = self.path(LiteralPath), self.home / "closing"
        if path.suffix == ".vhdx" and closing.exists() and (left := closing.read_text()):
            closing.write_text(left[1:])
            raise Terminating(
                "The process cannot access the file, it is used by another one.",
                "RemoveFileSystemItemIOError",
                "WriteError",
            )
        if path.is_dir():
            if not Recurse:
                raise Terminating("The item has children and Recurse was not specified.", "InvalidOperation")
            shutil.rmtree(path)
        else:
            path.unlink()

    def get_childitem(
        self, LiteralPath: str, Recurse: bool = False, Force: bool = False, File: bool = False
    ) -> list[str]:
        assert Recurse
        return [str(path) for path in self.path(LiteralPath).rglob("*") if path.is_file() or not File]

    def get_filehash(self, LiteralPath: str, Algorithm: str) -> Object:
        assert Algorithm == "SHA256"
        digest = hashlib.sha256(self.path(LiteralPath).read_bytes()).hexdigest()
        return Object(Hash="0" * 64 if (self.home / "flip").exists() else digest.upper())

    def get_psdrive(self, Name: str) -> Object:
        if not (self.home / Name).exists():
            raise Terminating(
                f"Cannot find drive. A drive with the name '{Name}' does not exist.", "GetLocationNoMatchingDrive"
            )
        full = self.home / "full"
        return Object(Free=1000 if full.exists() else 10 << 30)

    # -- text

    def convertfrom_json(self, InputObject: str) -> t.Any:
        return json.loads(InputObject)

    def convertto_json(self, InputObject: t.Any, Depth: int, Compress: bool = False) -> str:
        assert Compress
        return json.dumps(InputObject)

    def out_string(self, InputObject: list[str]) -> str:
        return "".join(f"{line}\r\n" for line in InputObject)


def main(arguments: list[str]) -> int:
    expected = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Unrestricted", "-EncodedCommand"]
    if arguments[:-1] != expected:
        sys.stderr.write(f"The lab's PowerShell is called otherwise: {arguments}\n")
        return 64
    home = Path(os.environ["LAB_HYPERV"])
    scope = {"$input": sys.stdin.read().splitlines()}
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        script = Script(tokens(base64.b64decode(arguments[-1]).decode("utf-16-le")), scope, Machine(home))
        script.run()
    sys.stdout.write("".join(f"{shown(one)}\r\n" for one in script.output))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
