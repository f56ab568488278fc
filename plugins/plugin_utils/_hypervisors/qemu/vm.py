# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""VMs that are processes of QEMU on a host, without libvirt or Proxmox VE.

Each VM has a folder. It holds ``disk.*``, the file ``notes`` with the mark, and ``start``, a shell
script with the whole command line of QEMU. While the VM runs, the folder also holds ``pid`` and the
sockets ``agent.sock``, ``console.sock`` (the serial port) and ``qmp.sock``. With systemd, a unit
outside the folder runs ``start``.

Sources: QEMU's manual (qemu-system-x86_64, qemu-bridge-helper), systemd.unit, systemd.service.
"""

from __future__ import annotations

import re
import secrets
import typing as t
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Difference, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    Found,
    Mark,
    NameTaken,
    Nic,
    Outcome,
    Platform,
    Say,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .command_line import MODELS, CommandLine, start_words
from .folder import END, QemuFolder
from .options import QemuOptions
from .start_script import CHANGEABLE, StartScript, text_of

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_FOLDER = re.compile(r"(/[A-Za-z0-9_.+@-]+)+")
_PORT = re.compile(r"[A-Za-z0-9_.-]+")
_NETWORK = re.compile(r"user|none|(?:bridge|tap):[A-Za-z0-9_.-]{1,15}")
_SOCKET = 107  # bytes of a unix socket's path
_SLACK = 1 << 20  # bytes for the other files in the folder
_DISKS = {
    "virtio": ("virtio-blk-pci,drive=disk0,bootindex=1",),
    "ide": ("ide-hd,drive=disk0,bootindex=1",),
    "sata": ("ich9-ahci,id=sata0", "ide-hd,bus=sata0.0,drive=disk0,bootindex=1"),
}
_ACCELERATORS = {"auto": "kvm:tcg", "kvm": "kvm", "tcg": "tcg"}
_AGENT = "RouterOS is only known to start its guest agent under KVM, so the router may never answer"

# In all scripts, $1 is the VM's folder. $2: the unit's file; $3: the folder that exists if systemd
# runs, by sd_booted(3). Each line of the output is a fact and its value.
_ASK = """\
for name in qemu-system-x86_64 qemu-kvm /usr/libexec/qemu-kvm; do
    if found=$(command -v "$name"); then echo "emulator $found"; break; fi
done
[ ! -r /dev/kvm ] || [ ! -w /dev/kvm ] || echo "kvm yes"
[ ! -d "$3" ] || [ ! -w "${2%/*}" ] || echo "systemd yes"
for file in /sys/class/net/*; do
    name=${file##*/}
    [ -d "$file/bridge" ] && echo "bridge $name"
    [ -e "$file/tun_flags" ] && echo "tap $name"
done
cat /etc/qemu/bridge.conf /etc/qemu-kvm/bridge.conf 2>/dev/null | sed -n 's/^[[:space:]]*\\(allow\\|include\\)[[:space:]]*/\\1 /p'
[ ! -e "$2" ] || echo "unit $(grep -cF -- " $1/start" "$2")"
there=$1
while [ ! -e "$there" ]; do there=${there%/*}; there=${there:-/}; done
echo "there $there"
[ ! -d "$there" ] || [ ! -w "$there" ] || echo "writable yes"
"""
# $2: the unit, or nothing; $3: its file.
_REMOVE = f"""
if [ -n "$2" ] && [ -e "$3" ]; then
    systemctl disable --now -- "$2" && rm -f -- "$3" && systemctl daemon-reload || exit 1
fi
{END}
find "$1" -mindepth 1 -maxdepth 1 ! -name notes -exec rm -rf -- {{}} + && rm -rf -- "$1"
"""


@dataclass(frozen=True)
class QemuVmSettings(VmSettings):
    """The options that only ``qemu_vm`` has."""

    directory: str
    """The absolute path of the folder with the VMs' folders."""
    disk_bus: str
    """``virtio``, ``ide`` or ``sata``."""
    accelerator: str
    """``auto``, ``kvm`` or ``tcg``."""
    agent_port: str
    """The name of the agent's virtio-serial port."""
    service: bool | None
    """Whether systemd starts the VM, also when the host boots. None: if that is possible."""


class QemuPlatform(Platform[QemuOptions, QemuVmSettings]):
    """One VM that is a QEMU process on a host."""

    changeable = CHANGEABLE
    root = ""
    """The folder that stands for / in the paths of systemd."""

    def __init__(self, spec: VmSpec, options: QemuOptions, settings: QemuVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        self._machine = Machine(options, say)
        self.title = f"QEMU on {self._machine.name}"
        if not _NAME.fullmatch(spec.name):
            raise InvalidInput(
                f"name {spec.name!r} is not a valid name for a VM here: it becomes a folder and the "
                "name of a unit, so it has at most 64 letters, digits and _ . -"
            )
        directory = settings.directory.rstrip("/")
        if not _FOLDER.fullmatch(directory) or ".." in PurePosixPath(directory).parts:
            raise InvalidInput(f"directory {directory!r} is not an absolute path of letters, digits and _ . + @ -")
        if not _PORT.fullmatch(settings.agent_port):
            raise InvalidInput(f"agent_port {settings.agent_port!r} is not a valid name of a virtio-serial port.")
        self.folder = f"{directory}/{spec.name}"
        self.socket = f"{self.folder}/agent.sock"
        """The path of the agent's socket, as backend qemu takes it."""
        if len(self._file("console.sock")) > _SOCKET:
            raise InvalidInput(
                f"directory {directory!r} and the VM's name are too long together: the path of a "
                f"socket has {_SOCKET} bytes."
            )
        self._facts: dict[str, list[str]] = {}

    @property
    def _vm(self) -> QemuFolder:
        return QemuFolder(self._machine, self.folder, self.root)

    def guest_options(self, found: Found) -> dict[str, t.Any]:
        return {"vm": self.spec.name, "socket": self.socket}

    def extra(self, outcome: Outcome) -> dict[str, t.Any]:
        return {"socket": self.socket if outcome.after != "absent" else None}

    def find(self) -> Found | None:
        looked = self._vm.look()
        if looked is None:
            return None
        state, notes = looked
        return Found(self.folder, Mark.parse(notes), state == "running")

    def hardware(self, found: Found) -> Hardware:
        """Read the command line of the QEMU that runs, or the one for the next start."""
        running = self._vm.arguments() if found.running else []
        line = CommandLine.parse(running or start_words(self._start()))
        agent = (self._settings.agent_port, self.socket) in line.ports
        return Hardware(line.cpus, line.memory, line.cards, agent, line.boot)

    def _start(self) -> str:
        return self._machine.read(self._file("start")) or ""

    def check(self) -> None:
        image = self._image()
        networks = [self._network(nic) for nic in self.spec.nics]
        self._facts = self._ask()
        if "emulator" not in self._facts:
            raise NotPossible(
                f"{self._machine.name} has no qemu-system-x86_64 (or qemu-kvm) on PATH. Install "
                "qemu-system-x86 (Debian, Ubuntu) or qemu-kvm (Fedora, RHEL) there, or set "
                "chr_ssh_host to the machine that has it."
            )
        self._check_accelerator()
        self._check_service()
        for network in networks:
            self._check_network(network)
        (there,) = self._facts["there"]
        if "writable" not in self._facts:
            raise NotPermitted(
                f"{self.folder} cannot be made on {self._machine.name}: the user there may not "
                f"write to {there}, or it is not a folder. Choose another directory, or another "
                "user in chr_ssh_host."
            )
        free = self._machine.free(there)
        if free < image.size + _SLACK:
            raise NotPossible(
                f"{there} on {self._machine.name} has {free // 2**20} MiB free; the image needs "
                f"{-(-image.size // 2**20) + 1} MiB. Nothing was made there. Make room, or choose "
                "another directory."
            )

    def create(self) -> None:
        image = self._image()
        self._machine.run(["mkdir", "-p", "-m", "0700", "--", self.folder])
        self._mark(image.sha256, complete=False)
        disk = self._file(f"disk.{image.format}")
        self._machine.put(image.path, image.sha256, disk)
        self._machine.write(self._start_script(disk, image.format), self._file("start"))
        if "systemd" in self._facts and self._settings.service is not False:
            self._machine.write(self._unit_text(), self._vm.unit_file)
            self._machine.run(["systemctl", "daemon-reload"])
            self._machine.run(["systemctl", "enable", "--", self._vm.unit])
        self._machine.write(f"{self.mark(complete=True)}\n", self._file("notes"), old=f"{self.mark(complete=False)}\n")

    def remove(self, found: Found) -> None:
        # What is left if this is stopped half way is then known to be unfinished.
        self._mark(t.cast("Mark", found.mark).image, complete=False)
        self._vm.sh(_REMOVE, self._vm.unit, self._vm.unit_file)

    def start(self, found: Found) -> None:
        self._vm.start()

    def stop(self, found: Found) -> None:
        self._vm.stop()

    # -- one that exists ---------------------------------------------------------------------------

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._changed(wanted)
        self._facts = self._ask()
        for nic in self.connected(wanted):
            self._check_network(self._network(nic))

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._machine.write(self._changed(wanted), self._file("start"))

    def _changed(self, wanted: t.Sequence[Difference]) -> str:
        """The script that starts the VM with what is *wanted*. Raises NotPossible."""
        script = StartScript(self._start(), f"{self._file('start')} on {self._machine.name}")
        script.change(wanted, self.spec.nics, self._nic, self._agent())
        return str(script)

    def check_adopt(self, found: Found) -> None:
        """The folder must have a ``start`` that QEMU is started with as ``qemu_vm`` starts it."""
        line = CommandLine.parse(start_words(self._start()))
        if line.pid_file != self._file("pid") or self._file("qmp.sock") not in line.sockets:
            raise NotPossible(
                f"{self.folder} on {self._machine.name} was not adopted: it has no script 'start' that runs QEMU with the files "
                "pid and qmp.sock in that folder, as outofband.chr.qemu_vm writes it."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        notes = self._machine.read(self._file("notes"))
        self._machine.write(f"{mark.put_into(notes).rstrip()}\n", self._file("notes"))

    # -- what is asked of the host -----------------------------------------------------------------

    def _file(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _mark(self, image: str, *, complete: bool) -> None:
        self._machine.write(f"{self.mark(complete=complete, image=image)}\n", self._file("notes"))

    def _ask(self) -> dict[str, list[str]]:
        facts: dict[str, list[str]] = {}
        for line in self._vm.sh(_ASK, self._vm.unit_file, f"{self.root}/run/systemd/system").splitlines():
            name, _unused, value = line.partition(" ")
            facts.setdefault(name, []).append(value.strip())
        return facts

    def _image(self) -> Image:
        image = self.image
        if image.format not in ("raw", "qcow2"):
            raise InvalidInput(
                f"The image has the format {image.format}, which is not for running a VM with QEMU. "
                "Convert it to qcow2 with outofband.chr.image."
            )
        return image

    def _check_accelerator(self) -> None:
        wanted = self._settings.accelerator
        if wanted != "tcg" and "kvm" in self._facts:
            return
        why = f"{self._machine.name} has no /dev/kvm that this user may use"
        if wanted == "kvm":
            raise NotPossible(f"{why}: load the module kvm_intel or kvm_amd, and put the user into the group kvm.")
        self.warnings.append(f"{self.spec.name}: {'it is emulated' if wanted == 'tcg' else why}. {_AGENT}.")

    def _check_service(self) -> None:
        if self._settings.service and "systemd" not in self._facts:
            raise NotPossible(
                f"service: {self._machine.name} is not run by systemd, or the user there may not "
                f"write {self._vm.unit_file}. Set service to false; the VM then stays off after a "
                "reboot of the host."
            )
        if self._facts.get("unit") == ["0"]:
            raise NameTaken(
                f"{self._machine.name} has {self._vm.unit_file} of another VM with this name, in "
                f"another folder than {self.folder}. It was not touched. Choose another name or the "
                "directory of that VM."
            )

    def _network(self, nic: Nic) -> str:
        network = nic.network or "user"
        if not _NETWORK.fullmatch(network):
            raise InvalidInput(f"Network {network!r} is not one of bridge:NAME, tap:NAME, user, none.")
        if nic.vlan is not None:
            raise InvalidInput(
                f"vlan {nic.vlan}: QEMU itself cannot tag. Use a bridge of that VLAN, or a VLAN "
                "interface in the router."
            )
        return network

    def _check_network(self, network: str) -> None:
        kind, _unused, name = network.partition(":")
        if not name:
            return
        if name not in self._facts.get(kind, []):
            there = ", ".join(self._facts.get(kind, [])) or "none"
            raise NotPossible(f"{self._machine.name} has no {kind} {name!r}. It has: {there}.")
        allowed = self._facts.get("allow", [])
        if kind == "bridge" and name not in allowed and "all" not in allowed and "include" not in self._facts:
            raise NotPermitted(
                f"QEMU's bridge helper on {self._machine.name} may not use {name}: put the line "
                f"'allow {name}' into /etc/qemu/bridge.conf there."
            )

    # -- what is written ---------------------------------------------------------------------------

    def _start_script(self, disk: str, disk_format: str) -> str:
        head = (
            f"#!/bin/sh\n# The router {self.spec.name}, imported by outofband.chr. With -daemonize it runs in the background.\n"
            "umask 077\n"
        )
        return text_of(head, self._command(disk, disk_format))

    def _command(self, disk: str, disk_format: str) -> t.Iterator[list[str]]:
        """The arguments of QEMU, each option in a list with its value."""
        yield [self._facts["emulator"][0]]
        yield ["-name", self.spec.name]
        yield ["-uuid", str(uuid.uuid4())]
        yield ["-machine", f"pc,accel={_ACCELERATORS[self._settings.accelerator]}"]
        yield ["-cpu", "max"]
        yield ["-smp", str(self.spec.cpus)]
        yield ["-m", f"{self.spec.memory}M"]
        yield ["-nodefaults", "-no-user-config"]
        yield ["-display", "none"]
        yield ["-pidfile", self._file("pid")]
        yield ["-drive", f"file={disk},format={disk_format},if=none,id=disk0,discard=unmap"]
        for device in _DISKS[self._settings.disk_bus]:
            yield ["-device", device]
        for number, nic in enumerate(self.spec.nics):
            yield from self._nic(number, nic)
        yield from self._agent()
        yield from self._listen("console", "-serial", "chardev:console")
        yield from self._listen("qmp", "-mon", "chardev=qmp,mode=control")

    def _agent(self) -> t.Iterator[list[str]]:
        yield ["-device", "virtio-serial-pci"]
        yield from self._listen("agent", "-device", f"virtserialport,chardev=agent,name={self._settings.agent_port}")

    def _listen(self, name: str, *user: str) -> t.Iterator[list[str]]:
        yield ["-chardev", f"socket,id={name},path={self._file(name)}.sock,server=on,wait=off"]
        yield list(user)

    def _nic(self, number: int, nic: Nic) -> t.Iterator[list[str]]:
        kind, _unused, name = self._network(nic).partition(":")
        # By default, QEMU gives each VM the same address.
        mac = nic.mac or "52:54:00:" + secrets.token_bytes(3).hex(":")
        device = f"{MODELS[nic.model]},mac={mac}"
        backend = {
            "bridge": f"bridge,id=net{number},br={name}",
            "tap": f"tap,id=net{number},ifname={name},script=no,downscript=no",
            "user": f"user,id=net{number}",
        }.get(kind)
        if backend:
            yield ["-netdev", backend]
            device += f",netdev=net{number}"
        yield ["-device", device]

    def _unit_text(self) -> str:
        return f"""\
# Made by outofband.chr, and removed with the VM.
[Unit]
Description=Router {self.spec.name} (outofband.chr)
Wants=network-online.target
After=network-online.target
RequiresMountsFor={self.folder}

[Service]
Type=forking
PIDFile={self._file("pid")}
ExecStart=/bin/sh {self._file("start")} -daemonize

[Install]
WantedBy=multi-user.target
"""
