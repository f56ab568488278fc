# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A vCenter of router VMs: govmomi's simulator (tests/vcsim, a Go program) with the lab's routers behind it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import typing as t
import urllib.parse
import urllib.request
from pathlib import Path

from .routeros import Router
from .vsphere import VsphereRouters

SOURCE = Path(__file__).parents[1] / "vcsim"
USER, PASSWORD = "ansible@vsphere.local", "v5phere-Pa55"
GO = (1, 23)  # what go.mod asks for


class NoGo(Exception):
    """There is no Go that can build the simulator."""


def build_vcsim(cache: Path) -> Path:
    """The program, built once for each state of its source. Raises NoGo."""
    sources = sorted(SOURCE.glob("*.go")) + [SOURCE / "go.mod", SOURCE / "go.sum"]
    state = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    program = cache / f"vcsim-{state}"
    if program.exists():
        return program
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout if go else ""
    version = re.search(r"go(\d+)\.(\d+)", said)
    if not version or tuple(map(int, version.groups())) < GO:
        found = said.strip() or "none"
        raise NoGo(f"vCenter simulator: not run, Go {GO[0]}.{GO[1]} or newer is needed on PATH (found: {found})")
    cache.mkdir(parents=True, exist_ok=True)
    beside = program.with_suffix(f".{os.getpid()}")
    command = [str(go), "build", "-trimpath", "-o", str(beside), "."]
    subprocess.run(command, cwd=SOURCE, check=True, timeout=600, env=os.environ | {"GOFLAGS": "-mod=readonly"})
    beside.replace(program)
    return program


class Vcenter:
    """One simulator with its routers; a context manager.

    *vms*: how many there are in all; *names* are those of the first. *accept*: ``inline``, ``console`` or ``both``. *events*:
    whether a power operation that failed leaves one. Settings in seconds: *retention*, *boot*, *limit*, *power_limit*.
    """

    def __init__(
        self,
        program: Path,
        folder: Path,
        names: tuple[str, ...],
        vms: int = 0,
        limit: float = 120.0,
        power_limit: float = 30.0,
        backup_limit: float = 60.0,
        events: bool = True,
        **settings: t.Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.routers = VsphereRouters(folder / "lab", limit, power_limit, backup_limit)
        self._command = [str(program), "-lab", str(folder / "lab"), "-user", USER, "-password", PASSWORD]
        self._command += ["-names", ",".join(names), "-vms", str(max(vms, len(names)))]
        self._command += [f"-events={str(events).lower()}"]
        for key, value in settings.items():
            if isinstance(value, bool):
                self._command.append(f"-{key}={str(value).lower()}")
            else:
                self._command += [f"-{key}", f"{value}s" if isinstance(value, (int, float)) else value]

    def __enter__(self) -> Vcenter:
        self.routers.__enter__()
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        self.about = json.loads(self._process.stdout.readline())
        self.vms: list[dict[str, str]] = self.about["vms"]
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate(timeout=10)
        self.routers.__exit__()
        Path(self.about["ca"]).unlink(missing_ok=True)

    @property
    def log(self) -> list[tuple[str, str, str]]:
        return self.routers.log

    @property
    def backups(self) -> list[str]:
        """The backup scripts that were asked for, in order."""
        return [script for _vm, script in self.routers.backups]

    def variables(self, **more: t.Any) -> dict[str, t.Any]:
        """What a host needs to reach a router here."""
        return {
            "chr_backend": "vmware",
            "chr_api_host": self.about["host"],
            "chr_api_port": int(self.about["port"]),
            "chr_api_user": USER,
            "chr_api_password": PASSWORD,
            "chr_ca_path": self.about["ca"],
            **more,
        }

    def router(self, name: str) -> Router:
        """The router of the (first) VM of that name."""
        return self.routers.router(self.vm(name)["moid"], name)

    def vm(self, name: str) -> dict[str, str]:
        return next(vm for vm in self.vms if vm["name"] == name)

    def change(self, name: str, **properties: str) -> None:
        """Set properties of a VM, or keys of its configuration: ``change("chr1", runtime__powerState="poweredOff")``.

        ``__`` is a dot, a further ``_`` a hyphen.
        """
        changes = {key.replace("__", ".").replace("_", "-"): value for key, value in properties.items()}
        self.ask("vm", moid=self.vm(name)["moid"], **changes)

    def fault(self, method: str, fault: str, count: int = 1, name: str = "") -> None:
        """Let the next *count* calls of *method* fail, or be silent where *fault* is a number of seconds.

        *name*: only those that are about the (first) VM of that name.
        """
        of = f"@{self.vm(name)['moid']}" if name else ""
        self.ask("fault", method=method + of, fault=fault, count=str(count))

    def made(self, name: str) -> dict[str, t.Any] | None:
        """The VM of that name as the simulator has it, with its ``moid``, ``config`` and ``power``; None: there is none."""
        answer = self.ask("made", name=name)
        return t.cast("dict[str, t.Any]", json.loads(answer)) if answer else None

    def uploads(self) -> list[dict[str, t.Any]]:
        """The disks that came through leases: ``type``, ``size``, ``sha256``."""
        return json.loads(self.ask("uploads")) or []

    def files(self) -> dict[str, Path]:
        """What is in the datastores, by names such as ``[LocalDS_0] chr1/chr1.vmx``."""
        return {
            f"[{name}] {path.relative_to(folder)}": path
            for name, folder in self.about["datastores"].items()
            for path in Path(folder).rglob("*")
            if path.is_file()
        }

    def counts(self) -> dict[str, int]:
        """Calls so far, by method."""
        return t.cast("dict[str, int]", json.loads(self.ask("counts")))

    def ask(self, what: str, **query: str) -> bytes:
        with urllib.request.urlopen(f"{self.about['control']}/{what}?{urllib.parse.urlencode(query)}") as reply:
            return t.cast("bytes", reply.read())
