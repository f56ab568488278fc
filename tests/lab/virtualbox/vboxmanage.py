# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``VBoxManage``, as far as it creates, starts and removes a VM.

It accepts only what VBoxManage 7.0 accepts.

Its VirtualBox is the folder ``$LAB_VIRTUALBOX``: ``state.json``, and ``calls``, one command a line.
Messages, and what is refused, warned of or ignored, follow the program's manual and source. Disks
are looked at with qemu-img.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import typing as t
import uuid
from pathlib import Path

OSTYPES = ("Other", "Other_64", "Linux26", "Linux26_64", "Debian_64")
# Options of modifyvm: what their values are. N stands for the number of a card, port or boot
# device.
ON_OFF = "on|off"
MODIFY = {
    "--memory": r"\d+",
    "--cpus": r"\d+",
    "--firmware": "bios|efi|efi32|efi64",
    "--ioapic": ON_OFF,
    "--acpi": ON_OFF,
    "--rtcuseutc": ON_OFF,
    "--description": r"[\s\S]*",
    "--bootN": "none|floppy|dvd|disk|net",
    "--nicN": "none|null|nat|bridged|intnet|hostonly|hostonlynet|generic|natnetwork",
    "--nictypeN": "Am79C970A|Am79C973|82540EM|82543GC|82545EM|virtio",
    "--bridgeadapterN": ".+",
    "--hostonlyadapterN": ".+",
    "--natnetworkN": ".+",
    "--intnetN": ".+",
    "--macaddressN": "auto|[0-9A-Fa-f]{12}",
    "--cableconnectedN": ON_OFF,
    "--uartN": "off|0x[0-9A-Fa-f]+",
    "--uartmodeN": r"disconnected|server|client|tcpserver|tcpclient|file|/dev/.+",
}
CONTROLLERS = {"ide": ("PIIX3", "PIIX4", "ICH6"), "sata": ("IntelAhci",), "scsi": ("LSILogic", "BusLogic")}
NETWORKS = {"bridgedifs": ["eth0", "wlan0"], "hostonlyifs": ["vboxnet0"], "natnets": ["lab"], "intnets": []}


class Refused(Exception):
    """The program prints this and ends with 1; ``code``: of the COM error behind it."""

    def __init__(self, text: str, code: str = "", number: int = 0) -> None:
        details = f"\nVBoxManage: error: Details: code {code} (0x{number:08x}), component MachineWrap" if code else ""
        super().__init__(f"VBoxManage: error: {text}{details}")


def wrong_state(text: str) -> Refused:
    return Refused(text, "VBOX_E_INVALID_OBJECT_STATE", 0x80BB0007)


class VirtualBox:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "state.json"
        self.vms: dict[str, dict[str, t.Any]] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def save(self) -> None:
        self.file.write_text(json.dumps(self.vms, indent=1))

    def vm(self, name: str) -> dict[str, t.Any]:
        for one in self.vms.values():
            if name in (one["name"], one["uuid"]):
                return one
        raise Refused(f"Could not find a registered machine named '{name}'", "VBOX_E_OBJECT_NOT_FOUND", 0x80BB0001)

    def main(self, command: str, *given: str) -> str:
        commands: dict[str, t.Callable[[list[str]], str | None]] = {
            **{"createvm": self.createvm, "modifyvm": self.modifyvm, "storagectl": self.storagectl},
            **{
                "storageattach": self.storageattach,
                "setextradata": self.setextradata,
                "getextradata": self.getextradata,
            },
            **{"startvm": self.startvm, "controlvm": self.controlvm, "unregistervm": self.unregistervm},
            **{"showvminfo": self.showvminfo, "list": self.list},
        }
        if command not in commands:
            raise Refused(f"Invalid command '{command}'")
        said = commands[command](list(given)) or ""
        self.save()
        return said

    # -- making ------------------------------------------------------------------------------------

    def createvm(self, given: list[str]) -> str:
        values = options(given, {"--name": 1, "--ostype": 1, "--basefolder": 1, "--register": 0, "--uuid": 1})
        name = values.get("--name") or _missing("createvm", "--name")
        if values.get("--ostype", "Other") not in OSTYPES:
            raise Refused(f"Guest OS type '{values['--ostype']}' is invalid", "VBOX_E_OBJECT_NOT_FOUND", 0x80BB0001)
        folder = Path(values.get("--basefolder", self.home / "VirtualBox VMs")) / re.sub(r"[^\w ().-]", "_", name)
        settings = folder / f"{folder.name}.vbox"
        if settings.exists() or any(one["name"] == name for one in self.vms.values()):
            raise Refused(f"Machine settings file '{settings}' already exists", "VBOX_E_FILE_ERROR", 0x80BB0004)
        folder.mkdir(parents=True, exist_ok=True)
        settings.write_text("<VirtualBox/>")
        identity = values.get("--uuid", str(uuid.uuid4()))
        if "--register" in values:
            self.vms[identity] = {
                **{"uuid": identity, "name": name, "settings": str(settings), "state": "poweroff", "locked": 0},
                **{"hardware": {"--nic1": "nat"}, "controllers": {}, "disks": {}, "extra": {}},
            }
        return f"Virtual machine '{name}' is created and registered.\nUUID: {identity}\nSettings file: '{settings}'\n"

    def modifyvm(self, given: list[str]) -> str:
        vm = self.vm(given[0])
        if vm["state"] != "poweroff":
            raise wrong_state("The machine is not mutable (state is Running)")
        self._unlocked(vm, "The machine is already locked by a session (or being locked or unlocked)")
        rest, said = given[1:], ""
        while rest:
            option, value, *rest = [*rest, ""] if len(rest) == 1 else rest
            kind = re.sub(r"\d+$", "N", option)
            number = int(option.removeprefix(kind[:-1])) if kind.endswith("N") else 1
            if kind not in MODIFY or not 1 <= number <= {"--bootN": 4, "--uartN": 4, "--uartmodeN": 4}.get(kind, 8):
                raise Refused(f"Unknown option: {option}")
            if not re.fullmatch(MODIFY[kind], value):
                raise Refused(f"Invalid value '{value}' of {option}")
            if kind == "--uartN" and value != "off":
                interrupt, *rest = rest
                value = f"{value} {int(interrupt)}"
            if kind == "--uartmodeN" and value in ("server", "client", "tcpserver", "tcpclient", "file"):
                path, *rest = rest
                value = f"{value} {path}"
            if kind == "--bridgeadapterN" and value not in NETWORKS["bridgedifs"]:
                said += f'VBoxManage: warning: Interface "{value}" doesn\'t seem to exist\n'
            vm["hardware"][option] = value
        return said

    def storagectl(self, given: list[str]) -> None:
        vm = self.vm(given[0])
        values = options(given[1:], {"--name": 1, "--add": 1, "--controller": 1, "--bootable": 1, "--portcount": 1})
        name = values.get("--name") or _missing("storagectl", "--name")
        if values["--add"] not in CONTROLLERS or values["--controller"] not in CONTROLLERS[values["--add"]]:
            raise Refused(f"Invalid --controller argument '{values['--controller']}'")
        if values.get("--bootable", "on") not in ("on", "off"):
            raise Refused(f"Invalid --bootable argument '{values['--bootable']}'")
        if name in vm["controllers"]:
            raise Refused(f"Storage controller named '{name}' already exists", "VBOX_E_OBJECT_IN_USE", 0x80BB000C)
        vm["controllers"][name] = values["--add"]

    def storageattach(self, given: list[str]) -> None:
        vm = self.vm(given[0])
        arguments = ("--storagectl", "--port", "--device", "--type", "--medium", "--setuuid", "--mtype")
        values = options(given[1:], dict.fromkeys(arguments, 1))
        name = values.get("--storagectl") or _missing("storageattach", "--storagectl")
        if name not in vm["controllers"]:
            raise Refused(f"Could not find a storage controller named '{name}'", "VBOX_E_OBJECT_NOT_FOUND", 0x80BB0001)
        if values.get("--type") not in ("dvddrive", "hdd", "fdd"):
            raise Refused(f"Invalid --type argument '{values.get('--type')}'")
        medium = values["--medium"]
        if not Path(medium).is_file():
            raise Refused(
                f"Could not find file for the medium '{medium}' (VERR_FILE_NOT_FOUND)", "VBOX_E_FILE_ERROR", 0x80BB0004
            )
        looked = subprocess.run(
            ["qemu-img", "info", "--output=json", medium], capture_output=True, check=False, text=True
        )
        if looked.returncode or json.loads(looked.stdout)["format"] not in ("vdi", "vmdk", "vpc"):
            raise Refused(
                f"Could not get the storage format of the medium '{medium}' (VERR_NOT_SUPPORTED)",
                *("VBOX_E_IPRT_ERROR", 0x80BB0005),
            )
        if "--setuuid" in values:
            _write_uuid(Path(medium), uuid.UUID(values["--setuuid"]) if values["--setuuid"] else uuid.uuid4())
        identity = _read_uuid(Path(medium))
        for other in self.vms.values():
            for disk in other["disks"].values():
                if disk["uuid"] == identity:
                    raise Refused(
                        f"Cannot register the hard disk '{medium}' {{{identity}}} because a hard disk '{disk['medium']}' "
                        f"with UUID {{{identity}}} already exists",
                        *("E_INVALIDARG", 0x80070057),
                    )
        vm["disks"][f"{name} {int(values['--port'])} {int(values['--device'])}"] = {"medium": medium, "uuid": identity}

    # -- running -----------------------------------------------------------------------------------

    def startvm(self, given: list[str]) -> str:
        vm = self.vm(given[0])
        values = options(given[1:], {"--type": 1})
        if values.get("--type", "gui") not in ("gui", "headless", "sdl", "separate"):
            raise Refused(f"Invalid frontend '{values['--type']}'")
        if (self.home / "no-driver").exists():
            raise Refused(
                "The virtual machine has terminated unexpectedly during startup with exit code 1 (0x1): "
                "VERR_VM_DRIVER_NOT_INSTALLED"
            )
        if vm["state"] == "running":
            raise wrong_state(
                f"The machine '{vm['name']}' is already locked by a session (or being locked or unlocked)"
            )
        if vm["locked"]:
            vm["locked"] -= 1
            self.save()
            raise wrong_state(f"The machine '{vm['name']}' is already locked by a session")
        vm["state"] = "running"
        return f'Waiting for VM "{vm["name"]}" to power on...\nVM "{vm["name"]}" has been successfully started.\n'

    def controlvm(self, given: list[str]) -> None:
        vm = self.vm(given[0])
        if given[1:] not in (["poweroff"], ["reset"]):
            raise Refused(f"Invalid parameter '{given[1:]}'")
        if vm["state"] not in ("running", "paused"):
            raise wrong_state(f"Machine '{vm['name']}' is not currently running.")
        if given[1] == "reset":
            vm["resets"] = vm.get("resets", 0) + 1
            return
        vm.update(state="poweroff", locked=2)  # its process needs a moment to go

    def unregistervm(self, given: list[str]) -> None:
        vm = self.vm(given[0])
        values = options(given[1:], {"--delete": 0})
        self._unlocked(vm, f"Cannot unregister the machine '{vm['name']}' while it is locked")
        del self.vms[vm["uuid"]]
        if "--delete" in values:
            folder = Path(vm["settings"]).parent
            for disk in vm["disks"].values():
                Path(disk["medium"]).unlink()
            Path(vm["settings"]).unlink()
            shutil.rmtree(folder / "Logs", ignore_errors=True)
            if not list(folder.iterdir()):
                folder.rmdir()

    def _unlocked(self, vm: dict[str, t.Any], otherwise: str) -> None:
        if vm["state"] == "running" or vm["locked"]:
            vm["locked"] = max(vm["locked"] - 1, 0)
            self.save()
            raise wrong_state(otherwise)

    # -- notes and looks ---------------------------------------------------------------------------

    def setextradata(self, given: list[str]) -> None:
        name, key, value = given
        self.vm(name)["extra"][key] = value

    def getextradata(self, given: list[str]) -> str:
        name, key = given
        value = self.vm(name)["extra"].get(key)
        return f"Value: {value}\n" if value else "No value set!\n"

    def showvminfo(self, given: list[str]) -> str:
        vm = self.vm(given[0])
        options(given[1:], {"--machinereadable": 0, "--details": 0})
        if "--machinereadable" not in given:
            raise Refused("The lab prints what is machine readable only")
        shown = {"name": vm["name"], "groups": "/", "UUID": vm["uuid"], "CfgFile": vm["settings"]}
        hardware = vm["hardware"]
        numbers = {key: hardware.get(f"--{key}", default) for key, default in (("memory", "128"), ("cpus", "1"))}
        for place, default in enumerate(("floppy", "dvd", "disk", "none"), start=1):
            shown[f"boot{place}"] = hardware.get(f"--boot{place}", default)
        for number in range(1, 9):
            kind = hardware.get(f"--nic{number}", "none")
            shown[f"nic{number}"] = kind
            option, key = {
                "bridged": ("--bridgeadapter", "bridgeadapter"),
                "hostonly": ("--hostonlyadapter", "hostonlyadapter"),
                "natnetwork": ("--natnetwork", "nat-network"),
                "intnet": ("--intnet", "intnet"),
            }.get(kind, ("", ""))
            if option:
                shown[f"{key}{number}"] = hardware.get(f"{option}{number}", "")
            if kind != "none":
                shown[f"nictype{number}"] = hardware.get(f"--nictype{number}", "82540EM")
                address = hardware.get(f"--macaddress{number}", "auto")
                shown[f"macaddress{number}"] = "080027000001" if address == "auto" else address
        said = "".join(f'{key}="{value}"\n' for key, value in {**shown, "VMState": vm["state"]}.items())
        return said + "".join(f"{key}={value}\n" for key, value in numbers.items())

    def list(self, given: list[str]) -> str:
        (what,) = given
        if what == "systemproperties":
            return f"API version:                     7_0\nDefault machine folder:          {self.home / 'VirtualBox VMs'}\n"
        if what == "vms":
            return "".join(f'"{one["name"]}" {{{one["uuid"]}}}\n' for one in self.vms.values())
        if what not in NETWORKS:
            raise Refused(f'Unknown subcommand "{what}"')
        more = "VBoxNetworkName: HostInterfaceNetworking-{}\n" if what == "bridgedifs" else ""
        return "\n".join(
            f"Name:            {name}\nStatus:          Up\n{more.format(name)}" for name in NETWORKS[what]
        )


def options(given: list[str], known: dict[str, int]) -> dict[str, str]:
    """The values of options that have one or none."""
    found = {}
    rest = list(given)
    while rest:
        option = rest.pop(0)
        if option not in known:
            raise Refused(f"Unknown option: {option}")
        if known[option] and not rest:
            raise Refused(f"Missing argument to option: {option}")
        found[option] = rest.pop(0) if known[option] else ""
    return found


def _missing(command: str, option: str) -> t.NoReturn:
    raise Refused(f"Parameter {option} is required for {command}")


_UUID_AT = 0x188  # of the image, in the header of a VDI of version 1.1


def _read_uuid(path: Path) -> str:
    with path.open("rb") as disk:
        disk.seek(_UUID_AT)
        return str(uuid.UUID(bytes_le=struct.unpack("16s", disk.read(16))[0]))


def _write_uuid(path: Path, identity: uuid.UUID) -> None:
    with path.open("r+b") as disk:
        disk.seek(_UUID_AT)
        disk.write(identity.bytes_le)


if __name__ == "__main__":
    HOME = Path(os.environ["LAB_VIRTUALBOX"])
    with (HOME / "calls").open("a") as LOG:
        fcntl.flock(LOG, fcntl.LOCK_EX)  # one command at a time, as VBoxSVC has it
        LOG.write(f"{' '.join(sys.argv[1:])}\n")
        try:
            sys.stdout.write(VirtualBox(HOME).main(*sys.argv[1:]))
        except Refused as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)
