# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep each distinct script that arrives at a router of the lab.

``tests/tools/check_scripts.py`` checks them. The environment variable OUTOFBAND_LAB_SCRIPTS names
the folder; without it, nothing is kept. A router inside a QEMU guest cannot reach the folder, so it
writes its scripts to the serial console, and the owner of the guest calls :func:`harvest` on the
console's log.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
from pathlib import Path

ENVIRONMENT = "OUTOFBAND_LAB_SCRIPTS"
CONSOLE = "console"
"""Instead of a folder: print each script as a line."""

_WORD = "lab-script"
_LINE = re.compile(b"^" + _WORD.encode() + rb" (\S+) ([A-Za-z0-9+/=]+)\r?$", re.MULTILINE)
_kept: set[str] = set()


def record(source: bytes, dialect: str) -> None:
    """Keep *source*, which arrived by *dialect* (``qga``, ``vmware``, ``xenapi``, ...), once."""
    target = os.environ.get(ENVIRONMENT)
    if not target or (name := _name(source, dialect)) in _kept:
        return
    _kept.add(name)
    if target == CONSOLE:
        print(f"{_WORD} {name} {base64.b64encode(source).decode('ascii')}", flush=True)
    else:
        _write(Path(target), name, source)


def without_scripts(console: str) -> str:
    """What else a guest wrote to its console."""
    return "\n".join(line for line in console.splitlines() if not line.startswith(_WORD))


def harvest(console: Path, prefix: str = "") -> None:
    """Keep what a router inside a QEMU guest wrote to its *console*.

    *prefix* is put before the dialect.
    """
    target = os.environ.get(ENVIRONMENT)
    if not target or not console.exists():
        return
    for name, data in _LINE.findall(console.read_bytes()):
        source = base64.b64decode(data + b"=" * (-len(data) % 4))
        if (
            _name(source, name.decode().rpartition("-")[0]) == name.decode()
        ):  # the machine may end in the middle of a line
            _write(Path(target), prefix + name.decode(), source)


def _name(source: bytes, dialect: str) -> str:
    return f"{dialect}-{hashlib.sha256(source).hexdigest()[:24]}"


def _write(folder: Path, name: str, source: bytes) -> None:
    with contextlib.suppress(FileExistsError), (folder / f"{name}.rsc").open("xb") as file:
        file.write(source)
