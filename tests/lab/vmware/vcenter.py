# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A vCenter of router VMs.

It is govmomi's simulator (``vcsim``, a Go program) with the lab's routers behind it.
"""

from __future__ import annotations

import fcntl
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

from ..kill import kill_tree
from ..missing import Missing
from ..routeros import Router
from ..watchdog import guard_process, release_process
from .guests import VsphereRouters

SOURCE = Path(__file__).with_name("vcsim")
USER, PASSWORD = "ansible@vsphere.local", "v5phere-Pa55"
GO = (1, 23)  # what go.mod asks for
BUILD_SECONDS = 1800  # 2 minutes of two idle processors
# Without what a debugger wants; and govmomi, most of whose code is never run, without optimization.
FAST_BUILD = (
    "-ldflags=-s -w",
    "-gcflags=all=-dwarf=false",
    "-gcflags=github.com/vmware/govmomi/...=-dwarf=false -N -l",
)


def build_vcsim(cache: Path) -> Path:
    """The simulator. Raises Missing."""
    return _program(cache, SOURCE)


def build_govc(cache: Path) -> Path:
    """govmomi's client of vCenter. Raises Missing."""
    return _program(cache, SOURCE / "govc")


def _program(cache: Path, folder: Path) -> Path:
    """The program of a *folder*, built once for each state of its source. Raises Missing."""
    sources = sorted(folder.glob("*.go")) + [SOURCE / "go.mod", SOURCE / "go.sum"]
    state = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    program = cache / f"{folder.name}-{state}"
    if program.exists():
        return program
    go = find_go(cache)
    if go is None:
        raise Missing(f"vCenter simulator: Go {GO[0]}.{GO[1]} or newer is needed and was not found")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".vcsim.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # sessions of the tests want it at the same time
        if not program.exists():
            _build(go, cache, folder, program)
    return program


def _build(go: Path, cache: Path, folder: Path, program: Path) -> None:
    """Build the *program* of a *folder*, with Go's own files in *cache*.

    Raises Missing if Go's modules cannot be downloaded, and RuntimeError if the source is wrong.
    """
    beside = program.with_suffix(f".{os.getpid()}")
    folders = {name: cache / f"go-{name.lower()}" for name in ("GOCACHE", "GOMODCACHE", "GOPATH", "GOTMPDIR")}
    folders["GOTMPDIR"].mkdir(exist_ok=True)
    user_settings = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    settings = {
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "CGO_ENABLED": "0",
        **{name: str(path) for name, path in folders.items()},
        # Go counts its own use below the folder of the user's settings.
        "GOENV": os.environ.get("GOENV", str(user_settings / "go" / "env")),
        "XDG_CONFIG_HOME": str(cache / "go-config"),
    }
    if said := _run([str(go), "mod", "download"], folder, settings):
        raise Missing(f"{folder.name}: Go could not download its modules: {said}")
    if said := _run([str(go), "build", "-trimpath", *FAST_BUILD, "-o", str(beside), "."], folder, settings):
        raise RuntimeError(f"{folder.name}: Go could not build it: {said}")
    beside.replace(program)


def _run(command: list[str], folder: Path, settings: dict[str, str]) -> str:
    """Run Go in a *folder*. Returns what it said if it failed, or an empty text."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | settings,
    )
    guard_process(process.pid)
    try:
        said = process.communicate(timeout=BUILD_SECONDS)[0]
    except BaseException as error:
        kill_tree(process.pid)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return f"it did not end within {BUILD_SECONDS} s"
        raise
    finally:
        release_process(process.pid)
    return (said.strip()[-800:] or f"status {process.returncode}") if process.returncode else ""


def find_go(cache: Path) -> Path | None:
    """Find a Go that is new enough.

    It may be on PATH, in its usual folder, or in *cache*, where ``make`` puts one.
    """
    for folder in (
        *os.environ.get("PATH", "").split(os.pathsep),
        "/usr/local/go/bin",
        str(cache / "go" / "go" / "bin"),
    ):
        go = shutil.which("go", path=folder)
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout if go else ""
        version = re.search(r"go(\d+)\.(\d+)", said)
        if go and version and tuple(map(int, version.groups())) >= GO:
            return Path(go)
    return None


class Vcenter:
    """One simulator with its routers; a context manager.

    *vms*: how many there are in all; *names* are those of the first. *copies*: how many there are
    besides, without routers, only to be listed. *accept*: ``inline``, ``console`` or ``both``.
    *events*: whether a power operation that failed leaves one. Settings in seconds: *retention*,
    *boot*, *limit*, *power_limit*.
    """

    def __init__(
        self,
        program: Path,
        folder: Path,
        names: tuple[str, ...],
        vms: int = 0,
        copies: int = 0,
        limit: float = 120.0,
        power_limit: float = 30.0,
        backup_limit: float = 60.0,
        events: bool = True,
        **settings: t.Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.routers = VsphereRouters(folder / "lab", limit, power_limit, backup_limit)
        self._command = [str(program), "-lab", str(folder / "lab"), "-user", USER, "-password", PASSWORD]
        self._command += ["-names", ",".join(names), "-vms", str(max(vms, len(names))), "-copies", str(copies)]
        self._command += [f"-events={str(events).lower()}"]
        for key, value in settings.items():
            if isinstance(value, bool):
                self._command.append(f"-{key}={str(value).lower()}")
            else:
                self._command += [f"-{key}", f"{value}s" if isinstance(value, (int, float)) else value]

    def __enter__(self) -> Vcenter:
        self.routers.__enter__()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(self._folder)},
        )
        assert self._process.stdout
        about = self._process.stdout.readline()
        if not about:
            self.__exit__()
            raise RuntimeError(f"vcsim did not start: it ended with status {self._process.returncode}")
        self.about = json.loads(about)
        self.vms: list[dict[str, str]] = self.about["vms"]
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self.routers.__exit__()

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
        """Set properties of a VM, or keys of its configuration.

        An example is ``change("chr1", runtime__powerState="poweredOff")``.

        ``__`` is a dot, a further ``_`` a hyphen.
        """
        changes = {key.replace("__", ".").replace("_", "-"): value for key, value in properties.items()}
        self.ask("vm", moid=self.vm(name)["moid"], **changes)

    def fault(self, method: str, fault: str, count: int = 1, name: str = "") -> None:
        """Let the next *count* calls of *method* fail.

        If *fault* is a number of seconds, they stay silent for so long. With *name*, this holds for
        calls about the (first) VM of that name only.
        """
        of = f"@{self.vm(name)['moid']}" if name else ""
        self.ask("fault", method=method + of, fault=fault, count=str(count))

    def lose(self, name: str) -> None:
        """Take away the files of a VM: its configuration is not known any more."""
        self.ask("vm", moid=self.vm(name)["moid"], lost="yes")

    def host(self, state: str, name: str = "DC0_C0_H0") -> None:
        """Let an ESXi host be ``connected``, ``disconnected`` or ``notResponding``."""
        self.ask("host", name=name, state=state)

    def made(self, name: str) -> dict[str, t.Any] | None:
        """Return the VM of that name as the simulator has it, or None.

        It has ``moid``, ``config`` and ``power``.
        """
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
