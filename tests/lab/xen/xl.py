# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``xl`` of a dom0 without Xen.

The real one reads each configuration (a dry run), and the lab's host has the domains.

It knows the subcommands that the collection needs and no others, and of a configuration the keys of
xl.cfg(5): the real parser says nothing about keys that it does not know.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

from .host import Domain, XenHost

# What a configuration of an HVM guest can have, of xl.cfg(5) of Xen 4.17; ``builder`` is its
# deprecated one.
_KEYS = "name type builder uuid memory maxmem vcpus maxvcpus cpus boot disk vif viridian xen_platform_pci serial vnc sdl bios"
_KEYS += (
    " firmware on_poweroff on_reboot on_crash on_watchdog acpi apic pae hap nestedhvm localtime videoram vga keymap pci"
)
_CLIENT = """\
#!{python} -SE
import json, socket, sys
with socket.socket(socket.AF_UNIX) as host:
    host.connect({socket!r})
    host.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    with host.makefile() as answer:
        status, output, errors = json.loads(answer.readline())
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(status)
"""

Answer = tuple[int, str, str]


class XlHost:
    """``xl`` in the folder ``programs``, in front of *xen*; a context manager."""

    def __init__(self, xen: XenHost, folder: Path) -> None:
        self.xen = xen
        self.programs = folder / "bin"
        self.socket = folder / "xl.sock"
        self.configurations: dict[str, dict[str, t.Any]] = {}
        """What the real xl made of the configuration of each domain, by its name."""
        self.domains: list[Domain] = []
        self.log: list[list[str]] = []
        self.faults: dict[str, str] = {}
        """Subcommand -> what its next call says before it fails."""
        self.switches: dict[str, t.Any] = {}
        """The switches of the routers in new domains."""

    def __enter__(self) -> t.Self:
        self.programs.mkdir()
        program = self.programs / "xl"
        program.write_text(_CLIENT.format(python=sys.executable, socket=str(self.socket)))
        program.chmod(0o755)
        host = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(json.dumps(host.answer(json.loads(self.rfile.readline()))).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(str(self.socket), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for domain in self.domains:
            domain.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What dom0's user has."""
        found = self.xen.daemon.environment
        return {**found, "PATH": f"{self.programs}:{found['PATH']}"}

    @property
    def running(self) -> list[Domain]:
        return [domain for domain in self.domains if domain.domid is not None]

    # -- the command -------------------------------------------------------------------------------

    def answer(self, argv: list[str]) -> Answer:
        """Status, output and errors of ``xl <argv>``."""
        self.log.append(argv)
        name, *arguments = argv or [""]
        if fault := self.faults.pop(name, None):
            return 1, "", f"{fault}\n"
        subcommand = getattr(self, f"_{name.replace('-', '_')}", None)
        if subcommand is None:
            return 1, "", "command not implemented\n"
        return t.cast("Answer", subcommand(arguments))

    def _vm_list(self, arguments: list[str]) -> Answer:
        if arguments:
            return 2, "", f"option `{arguments[0]}' not supported.\n"
        lines = [f"{one.uuid}  {one.domid}    {one.name:<30}" for one in self.running]
        return 0, "\n".join(["UUID                                  ID    name", *lines, ""]), ""

    def _create(self, arguments: list[str]) -> Answer:
        options = [one for one in arguments if one.startswith("-")]
        files = [one for one in arguments if not one.startswith("-")]
        if unknown := set(options) - {"-p", "-q"}:
            return 2, "", f"option `{unknown.pop()}' not supported.\n"
        if len(files) != 1 or not files[0].startswith("/"):
            return 2, "", "the configuration must be one absolute path\n"
        status, output, errors = self.parse(Path(files[0]))
        if status:
            return status, "", errors
        configuration = json.loads(output)
        about = configuration["c_info"]
        if any(one.name == about["name"] or one.uuid == about["uuid"] for one in self.running):
            return 3, "", f'libxl: error: Domain with name "{about["name"]}" already exists.\n'
        for disk in configuration["disks"]:
            if not Path(disk["pdev_path"]).is_file():
                return 3, "", f"libxl: error: Disk vdev={disk['vdev']} failed to stat: {disk['pdev_path']}\n"
        self.configurations[about["name"]] = configuration
        domain = self.xen.halted(about["name"], "xl", **self.switches)
        domain.uuid = about["uuid"]
        self.domains.append(domain)
        domain.start(paused="-p" in options)
        return 0, f"Parsing config from {files[0]}\n", ""

    def parse(self, path: Path) -> Answer:
        """What the real ``xl`` makes of a configuration; JSON."""
        if not path.is_file():
            return 1, "", f"Failed to read config file: {path}: No such file or directory\n"
        keys = re.findall(r"^\s*(\w+)\s*=", path.read_text(), re.MULTILINE)
        if unknown := set(keys) - set(_KEYS.split()):
            return 1, "", f"{path}: xl.cfg(5) has no {', '.join(sorted(unknown))}\n"
        daemon = self.xen.daemon
        done = subprocess.run(
            [daemon.programs.xl, "create", "-n", path],
            env={
                **daemon.environment,
                "LAB_XEN": str(daemon.folder),
                "LD_PRELOAD": str(daemon.programs.shim),
                "PATH": os.defpath,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def _unpause(self, arguments: list[str]) -> Answer:
        domain = self._domain(arguments)
        if domain is None or domain.guest is not None:
            return 1, "", f"{' '.join(arguments)} is an invalid domain identifier (rc=-6)\n"
        domain.unpause()
        return 0, "", ""

    def _destroy(self, arguments: list[str]) -> Answer:
        domain = self._domain(arguments)
        if domain is None:
            return 1, "", f"{' '.join(arguments)} is an invalid domain identifier (rc=-6)\n"
        domain.stop()
        return 0, "", ""

    def _domain(self, arguments: list[str]) -> Domain | None:
        return next((one for one in self.running if arguments in ([str(one.domid)], [one.name])), None)
