# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine whose user has programs of the lab in front of those of the system."""

from __future__ import annotations

import time
from pathlib import Path

_PATIENCE = 240  # seconds until a machine under load has come so far


class LabMachine:
    """The user's home is ``home``, and the folder ``programs`` comes first in PATH."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.programs = folder / "bin"
        for one in (self.home, self.programs):
            one.mkdir()

    def program(self, name: str, script: str) -> None:
        """Have a program of this name, which is a shell script."""
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)


def wait_for(path: Path) -> None:
    """Return when something exists at *path*."""
    deadline = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > deadline:
            raise AssertionError(f"{path} was not made within {_PATIENCE} s")
        time.sleep(0.02)
