# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A domain of Xen Project's own toolstack: a configuration file for ``xl`` and a raw disk, on dom0.

``xl`` keeps nothing of a domain that is off. So the file is the VM: it is the first thing that is made and the last that goes, and
the mark is a comment in it. The syntax is that of xl.cfg(5) of Xen 4.6 and of those after it.
"""

from __future__ import annotations

import re
import secrets
import typing as t
import uuid

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._progress import MB

from .base import Found, Mark, NameTaken, Nic, Platform, VmSpec
from .host import CommandFailed, Host

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_PATH = re.compile(r"(/[A-Za-z0-9_.+-]+)+")
_BRIDGE = re.compile(r"[A-Za-z0-9_.:-]+")
_UUID = re.compile(r'^uuid = "([0-9a-f-]{36})"$', re.MULTILINE)
_RUNNING = re.compile(r"([0-9a-f-]{36})\s+(\d+)\s+(.*\S)\s*")
_START = 300.0  # seconds
# The folder that is there, of a path that may have to be made.
_NEAREST = 'd=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; echo "$d"'


class XlPlatform(Platform):
    """One domain on dom0. *directory* has the disk, *config_directory* the configuration; both are absolute paths there."""

    def __init__(
        self,
        spec: VmSpec,
        options: GuestOptions,
        say: t.Callable[[str], None],
        *,
        directory: str,
        config_directory: str,
        autostart: bool,
    ) -> None:
        super().__init__(spec)
        if not _NAME.fullmatch(spec.name):
            raise InvalidInput(
                f"{spec.name!r} is no name that xl and its files can have: letters, digits and _ . + - are possible."
            )
        for option, path in (("directory", directory), ("config_directory", config_directory)):
            if not _PATH.fullmatch(path):
                raise InvalidInput(f"{option} {path!r} is no absolute path of plain letters, digits and _ . + -.")
        self._host = Host(options, say)
        self._autostart = autostart
        self._directory, self._config_directory = directory, config_directory
        self._disk = f"{directory}/{spec.name}.img"
        self._config = f"{config_directory}/{spec.name}.cfg"
        self._link = f"{config_directory}/auto/{spec.name}.cfg"
        self.title = f"Xen on {self._host.name}"

    # -- what there is -----------------------------------------------------------------------------------------------

    def find(self) -> Found | None:
        running = self._running()
        config = self._host.read(self._config)
        if config is None:
            named = [one for one, (_domid, name) in running.items() if name == self.spec.name]
            return Found(f"domain {named[0]}", None, True) if named else None
        mark = Mark.of(config)
        own = _UUID.search(config)
        if mark is None or own is None:
            return Found(self._config, None, False)
        return Found(own[1], mark, own[1] in running)

    def _running(self) -> dict[str, tuple[str, str]]:
        """Domid and name of each domain, by its uuid."""
        try:
            listed = self._host.run(["xl", "vm-list"])
        except CommandFailed as error:
            raise NotPossible(f"{error}. xl needs root in dom0, and a dom0 that runs on Xen.") from None
        return {found[1]: (found[2], found[3]) for line in listed.splitlines() if (found := _RUNNING.fullmatch(line))}

    # -- what would be in the way ------------------------------------------------------------------------------------

    def check(self) -> None:
        image = self.image
        if image.format != "raw":
            raise InvalidInput(
                f"xl gets a raw image, and {str(image.path)!r} is {image.format}. Prepare it with outofband.chr.image and "
                "format: raw, or convert it (qemu-img convert -O raw)."
            )
        for nic in self.spec.nics:
            self._check_nic(nic)
        if not self._exists(self._config_directory):
            raise NotPossible(f"{self.title} has no folder {self._config_directory} (config_directory).")
        if not self._exists(self._config) and self._exists(self._disk):
            raise NameTaken(
                f"{self.title} already has the file {self._disk}, and no {self._config} of this collection goes with it. It was "
                "not touched. Choose another name or directory, or remove it yourself."
            )
        folder = self._host.run(["sh", "-c", _NEAREST, "sh", self._directory]).strip()
        if (free := self._host.free(folder)) < image.size:
            raise NotPossible(
                f"{folder} on {self._host.name} has {free / MB:.0f} MB free, and the disk needs {image.size / MB:.0f} MB. Free "
                "some, or name another folder (directory)."
            )

    def _check_nic(self, nic: Nic) -> None:
        if nic.vlan is not None:
            raise InvalidInput(
                f"A network card of {self.spec.name!r} has the vlan {nic.vlan}, which xl cannot set in each version: make a bridge "
                "on the tagged interface (or with Open vSwitch name bridge.tag), and name it as the card's network."
            )
        if nic.network is None:
            return
        names = {nic.network, nic.network.partition(".")[0]}  # Open vSwitch: bridge.tag
        if not _BRIDGE.fullmatch(nic.network) or not any(self._exists(f"/sys/class/net/{name}") for name in names):
            raise InvalidInput(f"{self.title} has no bridge {nic.network!r} (/sys/class/net).")

    def _exists(self, path: str) -> bool:
        return self._host.try_run(["test", "-e", path]).rc == 0

    # -- making it ---------------------------------------------------------------------------------------------------

    def create(self) -> None:
        image = self.image
        domain = self._domain()
        self._host.write(f"# {Mark(image.sha256, complete=False)}\n{domain}", self._config)
        self._host.run(["mkdir", "-p", self._directory])
        self._host.put(image.path, image.sha256, self._disk)
        if self._autostart:
            self._host.run(["mkdir", "-p", f"{self._config_directory}/auto"])
            self._host.run(["ln", "-sfn", self._config, self._link])
        self._host.write(f"# {Mark(image.sha256, complete=True)}\n{domain}", self._config)

    def _domain(self) -> str:
        """The configuration, without the mark.

        Uuid and MAC addresses are in it, as xl would make new ones for each start, and RouterOS sees a card with another address
        as another card. ``builder`` is what Xen 4.6 knows, ``type`` what came after it. An HVM domain boots with BIOS by default.
        """
        spec = self.spec
        cards = ", ".join(f'"{_card(nic)}"' for nic in spec.nics)
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

    # -- taking it away, and power -----------------------------------------------------------------------------------

    def remove(self, found: Found) -> None:
        if found.id in (running := self._running()):
            self._host.run(["xl", "destroy", running[found.id][0]])
        config = self._host.read(self._config) or ""
        disk = re.search(rf'target=((?:/[A-Za-z0-9_.+-]+)*/{re.escape(self.spec.name)}\.img)"', config)
        path = disk[1] if disk else self._disk  # of another directory, when that has changed; never a device
        files = [self._link, path, f"{path}.part", f"{self._config}.part", self._config]  # the last one last
        self._host.run(["rm", "-f", *files])

    def start(self, found: Found) -> None:
        """It begins as XenServer's domains do, with a ``vm-data`` in xenstore that is the guest's own: xl makes none."""
        self._host.run(["xl", "create", "-p", self._config], seconds=_START)
        domid, _name = self._running().get(found.id, ("", ""))
        if not domid:
            raise NotPossible(
                f"{self.title} started {self.spec.name!r}, and the domain was gone a moment later. Look at /var/log/xen/ there "
                f"(xl-{self.spec.name}.log, qemu-dm-{self.spec.name}.log)."
            )
        path = f"/local/domain/{domid}/vm-data"
        try:
            self._host.run(["xenstore-write", path, ""])
            self._host.run(["xenstore-chmod", path, f"n{domid}"])
        finally:
            self._host.run(["xl", "unpause", domid])


def _card(nic: Nic) -> str:
    """A network card for xl: ``vif`` is paravirtualised only, ``ioemu`` has an emulated one, too."""
    kind = "type=vif" if nic.model == "netfront" else f"type=ioemu,model={nic.model}"
    mac = nic.mac or "00:16:3e:" + ":".join(f"{byte:02x}" for byte in (secrets.randbelow(128), *secrets.token_bytes(2)))
    bridge = f",bridge={nic.network}" if nic.network else ""
    return f"{kind},mac={mac}{bridge}"
