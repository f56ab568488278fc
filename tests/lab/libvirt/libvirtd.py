# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a private libvirtd, with the lab's guest as its domains.

It is libvirt's session daemon: without root, systemd, D-Bus or access to any other libvirt of the
machine; all it writes is in one folder. A libvirtd of root would be the system's daemon, with fixed
folders, so root runs it as the user nobody.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from xml.sax.saxutils import escape

from ..missing import need_program
from ..qemu.guest import DEFAULT_PORT, QEMU, command_line
from ..qemu.image import GuestImage
from ..recorder import harvest

_START_SECONDS = 60.0
_ANSWER_SECONDS = 60.0  # within which also a busy machine's daemon lists its domains
_NOBODY = 65534


class LibvirtdError(Exception):
    """libvirtd or virsh did not do what was asked; the text has their own words."""


class Libvirtd:
    """A private daemon; a context manager that starts it, and ends it and its domains."""

    def __init__(self, folder: Path, image: GuestImage) -> None:
        """*folder*: an empty one whose name is short (a unix socket's has at most 107 bytes)."""
        self.folder = folder
        self.socket = folder / "run" / "libvirt-sock"
        self.uri = f"qemu:///session?socket={self.socket}"
        self._image = image
        self._process: subprocess.Popen[bytes] | None = None
        self._files: tuple[Path, Path] | None = None

    def __enter__(self) -> Libvirtd:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for name in self.virsh("list", "--name").split():
                self.virsh("destroy", name)
        finally:
            for console in (self.folder / "home").glob("*.console"):
                harvest(console, "libvirt-")
            self.stop()

    def start(self) -> None:
        """Start it and wait until it serves. Raises Missing and LibvirtdError."""
        program = need_program("libvirtd")
        need_program("virsh")
        run, home = self.folder / "run", self.folder / "home"
        for path in (run, home):
            path.mkdir(exist_ok=True)
        config = self.folder / "libvirtd.conf"
        config.write_text(f'unix_sock_dir = "{run}"\nauth_unix_rw = "none"\n')
        (home / "config" / "libvirt").mkdir(parents=True, exist_ok=True)
        # What libvirt would keep for itself otherwise: a log daemon for consoles, cgroups, a
        # screen.
        (home / "config" / "libvirt" / "qemu.conf").write_text('stdio_handler = "file"\ncgroup_controllers = []\n')
        kernel, initramfs = self.folder / "vmlinuz", self.folder / "initramfs"
        shutil.copyfile(self._image.kernel, kernel)
        shutil.copyfile(self._image.initramfs, initramfs)
        self._files = kernel, initramfs
        owner: dict[str, int | list[int]] = {}
        if os.getuid() == 0:
            owner = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            self.folder.chmod(0o755)
            for path in (run, home, *home.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY)
        environment = {
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(run),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_DATA_HOME": str(home / "data"),
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "--config", str(config), "--pid-file", str(run / "pid")],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **owner,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise LibvirtdError(f"libvirtd did not start: {self.log()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the daemon; domains that run go on without it."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def restart_if_it_hangs(self) -> None:
        """Ask the daemon for its domains, and restart it if it does not answer in time.

        Domains continue to run.

        Raises LibvirtdError.
        """
        try:
            self.virsh("list", "--name", timeout=_ANSWER_SECONDS)
        except (LibvirtdError, subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.kill()
            self.stop()
            self.start()

    def log(self) -> str:
        """The end of what the daemon wrote."""
        return (self.folder / "log").read_text("utf-8", "replace")[-2000:]

    def virsh(self, *arguments: str, stdin: str = "", timeout: float = 120) -> str:
        """The output of virsh on this daemon.

        Raises LibvirtdError, and subprocess.TimeoutExpired after *timeout* s.
        """
        done = subprocess.run(
            ["virsh", "--quiet", "--connect", self.uri, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if done.returncode:
            raise LibvirtdError(f"virsh {' '.join(arguments)}: {done.stderr.strip()}\n{self.log()}")
        return done.stdout

    def define(
        self,
        name: str,
        *,
        settings: Mapping[str, str] | None = None,
        port: str | None = DEFAULT_PORT,
        memory_mb: int = 128,
        disk: bool = False,
        words: Sequence[str] = (),
    ) -> str:
        """Define a domain, which is off, and return its UUID.

        *port* is the name of the agent's channel; None leaves the channel out. With *disk*, the
        domain has the disk ``home/<name>.img``, which the guest does not use. *words*: more of the
        kernel's command line.
        """
        identifier = str(uuid.uuid4())
        assert self._files
        kernel, initramfs = self._files
        channel = f"<channel type='unix'><target type='virtio' name='{port}'/></channel>" if port else ""
        drive = ""
        if disk:
            path = self.folder / "home" / f"{name}.img"
            with path.open("wb") as file:
                file.truncate(1 << 20)
            path.chmod(0o666)
            drive = (
                f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{escape(str(path))}'/>"
                "<target dev='vda' bus='virtio'/></disk>"
            )
        words = command_line([port or "none"], {"identity": name, **(settings or {})}, words)
        xml = f"""
<domain type='qemu'>
  <name>{escape(name)}</name>
  <uuid>{identifier}</uuid>
  <memory unit='MiB'>{memory_mb}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>{escape(words)}</cmdline>
  </os>
  <features><acpi/><tcg><tb-cache unit='MiB'>64</tb-cache></tcg></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>{shutil.which(QEMU)}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='{self.folder}/home/{escape(name)}.console' append='on'/></serial>
    {channel}
    {drive}
  </devices>
</domain>"""
        self.virsh("define", "/dev/stdin", stdin=xml)
        return identifier

    def define_copies(self, number: int) -> None:
        """Define domains that are off and are only there to be listed."""
        folder = self.folder / "home" / "copies"
        folder.mkdir()
        commands = []
        for one in range(number):
            file = folder / f"{one:04d}.xml"
            file.write_text(
                f"<domain type='qemu'><name>copy{one:04d}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>"
                "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"
            )
            commands.append(f"define {file}\n")
        self.virsh(stdin="".join(commands))

    def pool(self, name: str, *, start: bool = True) -> Path:
        """Define a storage pool, which is a folder; the folder."""
        folder = self.folder / "home" / name
        folder.mkdir()
        if os.getuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        self.virsh("pool-define-as", name, "dir", "--target", str(folder))
        if start:
            self.virsh("pool-start", name)
        return folder

    @property
    def pid(self) -> int:
        """The process id of the daemon."""
        assert self._process
        return self._process.pid

    def _serves(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0
