# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's oxenstored and xenstore commands, and the running daemon.

They are fetched and unpacked into a cache; nothing is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ..missing import Missing

SHIM = Path(__file__).with_name("shim.c")
_START_SECONDS = 60.0
# After so many lines, oxenstored 4.17 renames its logs before each line, and is five times as slow.
_LOG_LINES = 10**9
_LIBRARIES = ("libxenstore4", "libxentoolcore1", "libxentoollog1", "libxencall1", "libxendevicemodel1", "libxenevtchn1")
_LIBRARIES += ("libxenforeignmemory1", "libxengnttab1", "libxenhypfs1", "libyajl2")


@dataclass(frozen=True)
class Programs:
    """What ``build_xen`` made."""

    root: Path
    """The folder in which the packages are unpacked."""
    daemon: Path
    xl: Path
    commands: Path
    """The folder of ``xenstore-read`` and so on."""
    libraries: Path
    shim: Path


def build_xen(cache: Path) -> Programs:
    """Fetch and build once. Raises Missing."""
    cache.mkdir(parents=True, exist_ok=True)
    state = hashlib.sha256(SHIM.read_bytes()).hexdigest()[:16]
    target = cache / f"xen-{state}"
    with (cache / ".xen.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=".xen-", dir=cache) as name:
                _unpack(Path(name))
                _run(["gcc", "-shared", "-fPIC", "-O2", "-o", f"{name}/root/shim.so", str(SHIM), "-ldl"], Path(name))
                (Path(name) / "root").rename(target)
    daemons = sorted(target.glob("usr/lib/xen-*/bin/oxenstored"))
    libraries = sorted(target.glob("usr/lib/*/libxenstore.so.*"))
    if not daemons or not libraries:
        raise Missing("xenstore: the packages of this distribution have no oxenstored")
    return Programs(
        target, daemons[0], daemons[0].with_name("xl"), target / "usr" / "bin", libraries[0].parent, target / "shim.so"
    )


def _unpack(folder: Path) -> None:
    said = _run(["apt-cache", "search", "--names-only", r"^xen-utils-[0-9.]+$"], folder)
    versions = sorted(re.findall(r"^xen-utils-([0-9.]+) ", said, re.MULTILINE), key=lambda one: one.split("."))
    if not versions:
        raise Missing("xenstore: apt knows no xen-utils-* ('apt-get update' as root first?)")
    needed = [f"xen-utils-{versions[-1]}", f"libxenmisc{versions[-1]}", "xenstore-utils", *_LIBRARIES]
    have = _run(["apt-cache", "pkgnames"], folder).split()
    # Some distributions append t64 to the names of libraries.
    names = [name if name in have else f"{name}t64" for name in needed]
    _run(["apt-get", "-q", "download", *names], folder)
    for package in sorted(folder.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(folder / "root")], folder)


def _run(command: list[str], folder: Path) -> str:
    if shutil.which(command[0]) is None:
        raise Missing(f"xenstore: {command[0]} is missing")
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired as error:
        raise Missing(f"xenstore: '{' '.join(command[:3])} ...' did not end within 5 minutes") from error
    if done.returncode:
        raise Missing(f"xenstore: '{' '.join(command[:3])} ...' said: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


class Oxenstored:
    """The daemon with its files in *folder*; a context manager.

    *value_quota*: bytes of one value.
    """

    def __init__(self, programs: Programs, folder: Path, value_quota: int = 2048) -> None:
        self.programs = programs
        self.folder = folder
        self.socket = folder / "socket"
        self._value_quota = value_quota

    def __enter__(self) -> t.Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "kva").write_bytes(bytes(4096))
        (self.folder / "port").write_text("1")
        (self.folder / "oxenstored.conf").write_text(
            f"pid-file = {self.folder}/pid\npersistent = false\nquota-maxsize = {self._value_quota}\n"
            f"xenstored-kva = {self.folder}/kva\nxenstored-port = {self.folder}/port\n"
            f"xenstored-log-file = {self.folder}/log\naccess-log-file = {self.folder}/access.log\n"
            f"access-log-nb-lines = {_LOG_LINES}\n"
        )
        command = [str(self.programs.daemon), "--no-fork", "--config-file", f"{self.folder}/oxenstored.conf"]
        with (self.folder / "said").open("w") as said:
            self._process = subprocess.Popen(
                command,
                env={
                    "LAB_XEN": str(self.folder),
                    "LAB_XEN_ROOT": str(self.programs.root),
                    "LD_LIBRARY_PATH": str(self.programs.libraries),
                    "LD_PRELOAD": str(self.programs.shim),
                },
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.socket.exists() and (self.folder / "events").exists():
                return self
            time.sleep(0.02)
        self.__exit__()
        raise RuntimeError(f"oxenstored did not start: {(self.folder / 'said').read_text()[-800:]}")

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()  # a polite end would write the store to a file
        self._process.wait(10)

    @property
    def environment(self) -> dict[str, str]:
        """What the xenstore commands need to speak to this daemon."""
        return {
            "XENSTORED_PATH": str(self.socket),
            "LD_LIBRARY_PATH": str(self.programs.libraries),
            "PATH": f"{self.programs.commands}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        }
