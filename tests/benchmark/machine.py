# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
import typing as t
from importlib.metadata import version
from pathlib import Path

_PROGRAMS = {
    "QEMU": ("qemu-system-x86_64", "--version"),
    "libvirt": ("virsh", "--version"),
    "qemu-ga": ("qemu-ga", "--version"),
    "curl": ("curl", "--version"),
}


def describe() -> dict[str, t.Any]:
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processors": os.cpu_count(),
        "processor": _first(r"model name\s*: (.*)", "/proc/cpuinfo") or platform.machine(),
        "memory in GiB": round(int(_first(r"MemTotal:\s*(\d+)", "/proc/meminfo") or 0) / 2**20, 1),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "ansible-core": version("ansible-core"),
        "load at the start": round(os.getloadavg()[0], 1),
        **{name: _version(*command) for name, command in _PROGRAMS.items()},
    }


def _first(pattern: str, file: str) -> str:
    found = re.search(pattern, Path(file).read_text(encoding="utf-8"))
    return found[1] if found else ""


def _version(program: str, question: str) -> str | None:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not path:
        return None
    said = subprocess.run([path, question], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else None
