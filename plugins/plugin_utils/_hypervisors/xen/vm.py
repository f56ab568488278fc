# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Domains of Xen Project's own toolstack: a configuration file for ``xl`` and a raw disk, on dom0.

``xl`` remembers nothing about a domain that is off. So the configuration file is the VM: it is made
first and removed last, and the mark is a comment in it. Its syntax is that of xl.cfg(5) of Xen 4.6
and later versions.
"""

from __future__ import annotations

import re
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._core.progress import MB
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Difference, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import (
    UNKNOWN,
    Found,
    Mark,
    NameTaken,
    Nic,
    Platform,
    Say,
    VmSettings,
    VmSpec,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.machine import Machine

from .options import XenstoreOptions
from .power import UUID, running_domains, start_domain
from .xl_config import CHANGEABLE, card_of, changed, hardware_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_PATH = re.compile(r"(/[A-Za-z0-9_.+-]+)+")
_BRIDGE = re.compile(r"[A-Za-z0-9_.:-]+")
_START = 300.0  # seconds
# The nearest existing folder of a path that may have to be made.
_NEAREST = 'd=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; echo "$d"'


@dataclass(frozen=True)
class XlVmSettings(VmSettings):
    """The options that only ``xl_vm`` has."""

    directory: str
    """The absolute path of the folder with the disk."""
    config_directory: str
    """The absolute path of the folder with the configuration."""
    autostart: bool


class XlPlatform(Platform[XenstoreOptions, XlVmSettings]):
    """One domain on dom0."""

    changeable = CHANGEABLE

    def __init__(self, spec: VmSpec, options: XenstoreOptions, settings: XlVmSettings, say: Say) -> None:
        super().__init__(spec, options, settings, say)
        directory, config_directory = settings.directory.rstrip("/"), settings.config_directory.rstrip("/")
        if not _NAME.fullmatch(spec.name):
            raise InvalidInput(
                f"{spec.name!r} is not a valid name for xl and its files: use letters, digits and _ . + -."
            )
        for option, path in (("directory", directory), ("config_directory", config_directory)):
            if not _PATH.fullmatch(path):
                raise InvalidInput(f"{option} {path!r} is not an absolute path of plain letters, digits and _ . + -.")
        self._machine = Machine(options, say)
        self._directory, self._config_directory = directory, config_directory
        self._disk = f"{directory}/{spec.name}.img"
        self._config = f"{config_directory}/{spec.name}.cfg"
        self._link = f"{config_directory}/auto/{spec.name}.cfg"
        self.title = f"Xen on {self._machine.name}"

    # -- what there is -----------------------------------------------------------------------------

    def find(self) -> Found | None:
        running = running_domains(self._machine)
        config = self._machine.read(self._config)
        if config is None:
            named = [one for one, (_domid, name) in running.items() if name == self.spec.name]
            return Found(f"domain {named[0]}", None, True) if named else None
        mark = Mark.parse(config)
        own = UUID.search(config)
        if mark is None or own is None:
            return Found(self._config, None, own is not None and own[1] in running)
        return Found(own[1], mark, own[1] in running)

    def hardware(self, found: Found) -> Hardware:
        """What the configuration says, which the next start uses."""
        return hardware_of(self._machine.read(self._config) or "")

    # -- whether it can be made --------------------------------------------------------------------

    def check(self) -> None:
        image = self.image
        if image.format != "raw":
            raise InvalidInput(
                f"xl needs a raw image, but {str(image.path)!r} is {image.format}. Prepare it with "
                "outofband.chr.image and format: raw, or convert it (qemu-img convert -O raw)."
            )
        for nic in self.spec.nics:
            self._check_nic(nic)
        if not self._exists(self._config_directory):
            raise NotPossible(f"{self.title} has no folder {self._config_directory} (config_directory).")
        if not self._exists(self._config) and self._exists(self._disk):
            raise NameTaken(
                f"{self.title} already has the file {self._disk}, but not the file {self._config} of "
                "this collection. It was not touched. Choose another name or directory, or remove "
                "it yourself."
            )
        folder = self._machine.run(["sh", "-c", _NEAREST, "sh", self._directory]).strip()
        if (free := self._machine.free(folder)) < image.size:
            raise NotPossible(
                f"{folder} on {self._machine.name} has {free / MB:.0f} MB free, and the disk needs "
                f"{image.size / MB:.0f} MB. Free some, or name another folder (directory)."
            )

    def _check_nic(self, nic: Nic) -> None:
        if nic.vlan is not None:
            raise InvalidInput(
                f"A network card of {self.spec.name!r} has the vlan {nic.vlan}, which not every "
                "version of xl can set. Make a bridge on the tagged interface (or with Open vSwitch "
                "name bridge.tag), and name it as the card's network."
            )
        if nic.network is None:
            return
        names = {nic.network, nic.network.partition(".")[0]}  # Open vSwitch: bridge.tag
        if not _BRIDGE.fullmatch(nic.network) or not any(self._exists(f"/sys/class/net/{name}") for name in names):
            raise InvalidInput(f"{self.title} has no bridge {nic.network!r} (/sys/class/net).")

    def _exists(self, path: str) -> bool:
        return self._machine.try_run(["test", "-e", path]).rc == 0

    # -- making it ---------------------------------------------------------------------------------

    def create(self) -> None:
        image = self.image
        domain = self._domain()
        unfinished = f"# {self.mark(complete=False)}\n{domain}"
        self._machine.write(unfinished, self._config)
        self._machine.run(["mkdir", "-p", self._directory])
        self._machine.put(image.path, image.sha256, self._disk)
        if self._settings.autostart:
            self._machine.run(["mkdir", "-p", f"{self._config_directory}/auto"])
            self._machine.run(["ln", "-sfn", self._config, self._link])
        self._machine.write(f"# {self.mark(complete=True)}\n{domain}", self._config, old=unfinished)

    def _domain(self) -> str:
        """The configuration, without the mark.

        It contains the uuid and the MAC addresses, as xl would make new ones for each start, and
        RouterOS sees a card with another address as another card. Xen 4.6 knows ``builder``, later
        versions know ``type``. An HVM domain boots with BIOS by default.
        """
        spec = self.spec
        cards = ", ".join(f'"{card_of(nic)}"' for nic in spec.nics)
        return f"""\
# MikroTik CHR, imported by outofband.chr. The line above says of what; without it this VM is no longer that collection's.
name = "{spec.name}"
uuid = "{uuid.uuid4()}"
builder = "hvm"
type = "hvm"
memory = {spec.memory}
maxmem = {spec.memory}
vcpus = {spec.cpus}
boot = "c"
disk = [ "format=raw,vdev=hda,access=rw,target={self._disk}" ]
vif = [ {cards} ]
viridian = 0
xen_platform_pci = 1
serial = "pty"
vnc = 0
on_poweroff = "destroy"
on_reboot = "restart"
on_crash = "restart"
"""

    # -- removing it, and power --------------------------------------------------------------------

    def remove(self, found: Found) -> None:
        if found.id in (running := running_domains(self._machine)):
            self._machine.run(["xl", "destroy", running[found.id][0]])
        config = self._machine.read(self._config) or ""
        disk = re.search(rf'target=((?:/[A-Za-z0-9_.+-]+)*/{re.escape(self.spec.name)}\.img)"', config)
        # It is in another directory if that option has changed. It is never a device.
        path = disk[1] if disk else self._disk
        disks = [path, f"{path}.part"]
        if disk is None and found.mark and found.mark.image == UNKNOWN:
            self.warnings.append(
                f"{self.spec.name!r} was adopted, and its configuration names no disk {self.spec.name}.img, so its disk is not "
                "removed with it."
            )
            disks = []
        files = [self._link, *disks, f"{self._config}.part", self._config]
        self._machine.run(["rm", "-f", *files])

    def stop(self, found: Found) -> None:
        self._machine.run(["xl", "destroy", running_domains(self._machine)[found.id][0]])

    # -- one that exists ---------------------------------------------------------------------------

    def check_change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._changed(wanted)
        for nic in self.connected(wanted):
            self._check_nic(nic)

    def change(self, found: Found, wanted: t.Sequence[Difference]) -> None:
        self._machine.write(self._changed(wanted), self._config)

    def _changed(self, wanted: t.Sequence[Difference]) -> str:
        return changed(self._machine.read(self._config) or "", wanted, self.spec.nics, card_of)

    def check_adopt(self, found: Found) -> None:
        config = self._machine.read(self._config)
        name = re.search(r"^name *= *[\"']([^\"']*)[\"'] *(?:#.*)?$", config or "", re.MULTILINE)
        if config is None or not UUID.search(config) or not name or name[1] != self.spec.name:
            raise NotPossible(
                f"{self.title} has {self.spec.name!r} ({found.id}), and it was not adopted: that needs the file {self._config} "
                "with its name and its uuid, as xl would make a new uuid for each start. Put the file there, or set "
                "config_directory."
            )

    def adopt(self, found: Found, mark: Mark) -> None:
        config = self._machine.read(self._config) or ""
        marked = mark.put_into(config) if Mark.parse(config) else f"# {mark}\n{config}"
        self._machine.write(marked, self._config)  # it may hold a password, which no argument may have

    def start(self, found: Found) -> None:
        start_domain(self._machine, self._config, found.id, self.spec.name, _START)
