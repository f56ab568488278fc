# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``vmrun`` of Workstation and Fusion, as far as it starts and removes a VM and runs scripts.

It is as strict as the real one.

What runs is in ``$LAB_VMRUN``, one path a line in ``running``. A .vmx is read as VMware reads it,
and its disk must be what it says. As vmrun does, it prints errors on standard output, and ends with
255. Files in that folder are switches, such as ``no-tools``.

The routers are those behind the socket ``routers`` in that folder (``lab/vmware/guests.py``), by
the path of their .vmx. Their tools take each interpreter that is in ``interpreters``, or the empty
one. ``exit-status`` has the status with which vmrun ends after a script that failed, which VMware
does not document.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

BOOLEAN = "TRUE|FALSE"
# Settings of a .vmx: what their values are. N stands for a number.
SETTINGS = {
    ".encoding": "UTF-8|windows-1252",
    "config.version": "8",
    "virtualHW.version": "1[0-9]|2[0-2]|[4-9]",
    "virtualHW.productCompatibility": "hosted",
    "displayName": ".+",
    "annotation": r"[\s\S]*",
    "guestOS": "other3xlinux-64|other26xlinux-64|other-64|debian10-64",
    "firmware": "bios|efi",
    "bios.bootOrder": "(cdrom|hdd|floppy|ethernet0)(,(cdrom|hdd|floppy|ethernet0))*",
    "numvcpus": r"[1-9]\d*",
    "memsize": r"\d+",
    "cpuid.coresPerSocket": r"[1-9]\d*",
    "sound.present": BOOLEAN,
    "nvram": r"[^/]+\.nvram",
    "pciBridgeN.present": BOOLEAN,
    "pciBridgeN.virtualDev": "pcieRootPort",
    "pciBridgeN.functions": "[1-8]",
    "vmci0.present": BOOLEAN,
    "hpet0.present": BOOLEAN,
    "ideN:N.present": BOOLEAN,
    "ideN:N.fileName": r".+\.vmdk",
    "ethernetN.present": BOOLEAN,
    "ethernetN.virtualDev": "vmxnet3|e1000|e1000e|vlance|vmxnet",
    "ethernetN.connectionType": "nat|bridged|hostonly|custom",
    "ethernetN.vnet": r"(/dev/)?vmnet\d+",
    "ethernetN.addressType": "generated|static",
    "ethernetN.address": "[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}",
    "ethernetN.generatedAddress": "[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}",
    "ethernetN.checkMACAddress": BOOLEAN,
    "floppy0.present": BOOLEAN,
    "tools.syncTime": BOOLEAN,
    "msg.autoAnswer": BOOLEAN,
    "uuid.action": "create|keep|change",
    "encryption.keySafe": ".+",
    "checkpoint.vmState": r"[^/]*\.vmss|",
}
LINE = re.compile(r'([.\w:]+) = "((?:[^"|\n]|\|[0-9A-F]{2})*)"')


class Refused(Exception):
    """The program prints this."""


def settings(vmx: Path) -> dict[str, str]:
    """What a .vmx says. Raises Refused for what VMware would not take or not know."""
    if not vmx.is_file():
        raise Refused(f"Cannot open VM: {vmx}, The virtual machine cannot be found")
    found: dict[str, str] = {}
    for line in vmx.read_text().splitlines():
        if not (parts := LINE.fullmatch(line)):
            raise Refused(f"Cannot open VM: {vmx}, Cannot read the virtual machine configuration file ({line})")
        key, value = parts[1], re.sub(r"\|(..)", lambda code: chr(int(code[1], 16)), parts[2])
        kind = key if key in SETTINGS else re.sub(r"\d+", "N", key)
        if key in found or not re.fullmatch(SETTINGS.get(kind, "(?!)"), value):
            raise Refused(f"Cannot open VM: {vmx}, {key} = {value!r}")
        found[key] = value
    for key in ("config.version", "virtualHW.version", "guestOS", "displayName"):
        if key not in found:
            raise Refused(f"Cannot open VM: {vmx}, {key} is missing")
    return found


def check_power_on(vmx: Path) -> None:
    """Raise Refused for what keeps the VM from being switched on."""
    values = settings(vmx)
    if "memsize" not in values:
        return  # a VM of a test, without a disk
    if int(values["memsize"]) % 4:
        raise Refused(f"Memory size {values['memsize']} is not a multiple of 4")
    if int(values["numvcpus"]) % int(values.get("cpuid.coresPerSocket", 1)):
        raise Refused(f"{values['numvcpus']} CPUs are not a multiple of the cores per socket")
    disk = vmx.parent / values["ide0:0.fileName"]
    looked = subprocess.run(["qemu-img", "info", "--output=json", disk], capture_output=True, check=False, text=True)
    if looked.returncode:
        raise Refused(f"Cannot open the disk '{disk}': {looked.stderr.strip()}")
    about = json.loads(looked.stdout)["format-specific"]["data"]
    if about["create-type"] != "monolithicSparse":
        raise Refused(f"Cannot open the disk '{disk}': {about['create-type']}")
    descriptor = disk.read_bytes()[512 : 21 * 512].rstrip(b"\0").decode()
    if f'SPARSE "{disk.name}"' not in descriptor:
        raise Refused(f"Cannot open the disk '{disk}': The system cannot find the file specified ({descriptor})")
    vmxnet3 = [key for key, value in values.items() if value == "vmxnet3"]
    ports = sum(int(value) for key, value in values.items() if key.endswith(".functions"))
    if len(vmxnet3) > ports:
        raise Refused("Could not allocate PCIe slots")
    for key, value in values.items():
        if key.endswith(".connectionType") and (value == "custom") != (key.replace("connectionType", "vnet") in values):
            raise Refused(f"{key} does not fit to its vnet")


class Vmrun:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.list_file = home / "running"
        self.running = self.list_file.read_text().splitlines() if self.list_file.exists() else []

    def main(self, *given: str) -> str:
        rest = list(given)
        flags = {}
        while rest and rest[0].startswith("-"):
            flag, value, *rest = rest
            flags[flag] = value
        self.user, self.password = flags.pop("-gu", None), flags.pop("-gp", None)
        if list(flags) != ["-T"] or flags["-T"] not in ("ws", "fusion", "player"):
            raise Refused(f"Unrecognized option: {' '.join(given)}")
        command, *arguments = rest
        commands: dict[str, t.Callable[..., str]] = {
            **{"list": self.list, "start": self.start, "stop": self.stop, "deleteVM": self.delete},
            **{"checkToolsState": self.tools, "listHostNetworks": self.networks},
            **{"reset": self.reset, "runScriptInGuest": self.script},
        }
        if command not in commands or (command == "listHostNetworks" and (self.home / "old").exists()):
            raise Refused(f"Unrecognized command: {command}")
        try:
            return commands[command](*arguments)
        finally:
            self.list_file.write_text("".join(f"{one}\n" for one in self.running))

    def list(self) -> str:
        return "\n".join([f"Total running VMs: {len(self.running)}", *self.running, ""])

    def start(self, vmx: str, how: str = "gui") -> str:
        if how not in ("gui", "nogui"):
            raise Refused(f"Invalid argument {how}")
        check_power_on(Path(vmx))
        self.encrypted(vmx)
        if vmx not in self.running:
            self.running.append(vmx)
            self.boot(vmx)
        for name in (f"{Path(vmx).stem}.nvram", "vmware.log"):
            (Path(vmx).parent / name).touch()
        return ""

    def stop(self, vmx: str, how: str = "soft") -> str:
        if how not in ("soft", "hard"):
            raise Refused(f"Invalid argument {how}")
        if vmx not in self.running:
            raise Refused("The virtual machine is not powered on")
        if how == "soft":
            self.soft(vmx, "poweroff")
        self.running.remove(vmx)
        return ""

    def reset(self, vmx: str, how: str = "soft") -> str:
        if how not in ("soft", "hard"):
            raise Refused(f"Invalid argument {how}")
        if vmx not in self.running:
            raise Refused("The virtual machine is not powered on")
        if how == "soft":
            self.soft(vmx, "poweroff")
        self.boot(vmx)
        return ""

    def boot(self, vmx: str) -> None:
        if (self.home / "routers").exists():
            self.ask({"op": "reboot"}, vmx)

    def soft(self, vmx: str, script: str) -> None:
        """Let the tools run the script of a power operation."""
        if not self.tools_run(vmx):
            raise Refused(f"The VMware Tools are not running in the virtual machine: {vmx}")
        if not self.ask({"op": "script", "script": script}, vmx)["done"]:
            raise Refused("The operation was canceled by the guest")

    def encrypted(self, vmx: str) -> None:
        if "encryption.keySafe" in settings(Path(vmx)):
            raise Refused("Cannot open VM: A password is required")

    def script(self, vmx: str, *given: str) -> str:
        """Run a script and wait for its end.

        vmrun's order of complaints is not known; none of them has run anything.
        """
        options = [one for one in given if one in ("-noWait", "-activeWindow", "-interactive")]
        interpreter, text = [one for one in given if one not in options]
        self.encrypted(vmx)
        if vmx not in self.running:
            raise Refused(f"The virtual machine is not powered on: {vmx}")
        if not self.tools_run(vmx):
            raise Refused(f"The VMware Tools are not running in the virtual machine: {vmx}")
        if self.user is None or self.password is None:
            raise Refused("Anonymous guest operations are not allowed on this virtual machine.")
        allowed = self.home / "interpreters"
        if interpreter not in (allowed.read_text().split() if allowed.exists() else [""]):
            raise Refused("A file was not found")
        number = len((self.home / "calls").read_text().splitlines())
        ended = self.ask(
            {
                **{"op": "start", "user": self.user, "password": self.password, "program": "inline", "arguments": text},
                **{"check_only": False, "directory": "", "environment": [], "pid": number},
            },
            vmx,
        )
        if not ended["login"]:
            raise Refused("Invalid user name or password for the guest OS")
        if ended["exit"]:
            status = self.home / "exit-status"
            sys.stdout.write("Guest program exited with non-zero exit code: -1\n")
            sys.exit(int(status.read_text()) if status.exists() else 255)
        if ended["power"] not in ("", "reboot"):
            self.running.remove(vmx)
        return ""

    def ask(self, request: dict[str, t.Any], vmx: str) -> dict[str, t.Any]:
        """Send *request* to the router and return its answers as one."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.home / "routers"))
            connection.sendall(json.dumps({"vm": vmx, "name": Path(vmx).stem, **request}).encode() + b"\n")
            answers: dict[str, t.Any] = {}
            with connection.makefile() as lines:
                for line in lines:
                    answers |= json.loads(line)
        return answers

    def tools_run(self, vmx: str) -> bool:
        return vmx in self.running and not (self.home / "no-tools").exists()

    def delete(self, vmx: str) -> str:
        if vmx in self.running:
            raise Refused("The virtual machine should not be powered on. It is already running.")
        if (self.home / "open").exists():
            raise Refused("Insufficient permissions")
        values = settings(Path(vmx))
        folder = Path(vmx).parent
        for name in (values["ide0:0.fileName"], values["nvram"], "vmware.log", Path(vmx).name):
            (folder / name).unlink(missing_ok=name != Path(vmx).name)
        if not any(folder.iterdir()):
            folder.rmdir()
        return ""

    def tools(self, vmx: str) -> str:
        """The tools call at the third look."""
        settings(Path(vmx))
        looks = self.home / "looks"
        with looks.open("a") as file:
            file.write(".")
        if vmx in self.running and looks.stat().st_size > 2 and not (self.home / "no-tools").exists():
            return "running\n"
        sys.stdout.write("unknown\n")
        sys.exit(254)

    def networks(self) -> str:
        rows = [
            ("0", "vmnet0", "bridged"),
            ("1", "vmnet1", "hostOnly"),
            ("2", "vmnet2", "hostOnly"),
            ("8", "vmnet8", "nat"),
        ]
        head = "INDEX  NAME         TYPE         DHCP         SUBNET           MASK\n"
        lines = "".join(f"{a:<7}{b:<13}{c:<13}true         192.168.{a}.0      255.255.255.0\n" for a, b, c in rows)
        return f"Total host networks: {len(rows)}\n{head}{lines}"


if __name__ == "__main__":
    HOME = Path(os.environ["LAB_VMRUN"])
    with (HOME / "calls").open("a") as LOG:
        fcntl.flock(LOG, fcntl.LOCK_EX)
        LOG.write(f"{' '.join(sys.argv[1:])}\n")
        try:
            sys.stdout.write(Vmrun(HOME).main(*sys.argv[1:]))
        except (Refused, TypeError, ValueError) as error:
            sys.stdout.write(f"Error: {error}\n")
            sys.exit(255)
