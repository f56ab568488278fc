# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others have made, and what judges ours and the lab: collections from the package
``ansible``, which holds them, and programs that need libraries of their own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

from .missing import Missing

PACKAGE = "ansible==12.3.0"
NEWEST = "ansible==14.5.0"
"""For collections that are not in PACKAGE, or not complete."""
PROGRAMS = Path(__file__).parents[1] / "requirements" / "judge-programs.txt"


def collections(cache: Path, name: str, package: str = PACKAGE) -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH with the collection *name*. Raises Missing."""
    folder = cache / package.replace("==", "-")
    wanted = f"ansible_collections/{name.replace('.', '/')}/"
    with _locked(cache):
        if not (folder / wanted).is_dir():
            _fetch(folder, package, wanted)
    return folder


def programs(cache: Path) -> Path:
    """The folder with the programs of PROGRAMS, and the Python that has their libraries.

    Raises Missing.
    """
    digest = hashlib.sha256(PROGRAMS.read_bytes() + sys.version.encode()).hexdigest()
    folder = cache / f"judges-{digest[:16]}"
    complete = folder / "complete"
    with _locked(cache):
        if not complete.exists():
            install = (folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", PROGRAMS)
            for command in ((sys.executable, "-m", "venv", "--clear", folder), install):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise Missing(f"{PROGRAMS.name} cannot be installed: {(done.stderr or done.stdout).strip()[-200:]}")
            complete.touch()
    return folder / "bin"


@contextlib.contextmanager
def _locked(cache: Path) -> t.Iterator[None]:
    """Sessions of the tests want it at the same time."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".peers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, package: str, wanted: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (files := list(folder.glob("*.whl"))):
        options = ("-q", "--no-deps", "--ignore-requires-python", "-d", str(folder))
        command = [sys.executable, "-m", "pip", "download", *options, package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{package} cannot be downloaded: {done.stderr.strip()[-200:]}")
        files = list(folder.glob("*.whl"))
    with zipfile.ZipFile(files[0]) as archive:
        archive.extractall(folder, [one for one in archive.namelist() if one.startswith(wanted)])
