# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make .venv with the tools that `make` runs: nox, and ansible-core for the demo.

It runs with the Python that .venv is made of, before anything is installed, so with the standard
library only.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import toolchain


def main() -> int:
    print("Installing nox and ansible-core into .venv (1 minute)", flush=True)
    with_pip = importlib.util.find_spec("ensurepip") is not None
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=with_pip).create(toolchain.TOOLS)
    try:
        if not with_pip:
            install_pip()
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"pip cannot be installed ({error}). Install the package python3-venv and run make again.", file=sys.stderr
        )
        return 1
    try:
        files = [str(toolchain.REQUIREMENTS / name) for name in ("nox.txt", "demo.txt")]
        install("--requirement", files[0], "--requirement", files[1])
    except subprocess.CalledProcessError as error:
        print(f"'{' '.join(map(str, error.cmd[:4]))} ...' failed", file=sys.stderr)
        return 1
    return 0


def install_pip() -> None:
    """Get pip from the distribution's package of it, unpacked and not installed.

    Raises CalledProcessError, and OSError if one of its programs is missing.

    Debian and Ubuntu have ensurepip, which would bring it, in a package that only root can install.
    """
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(
            ["apt-get", "-q", "download", "python3-pip-whl"], cwd=name, check=True, stdout=subprocess.DEVNULL
        )
        (package,) = Path(name).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), name], check=True)
        (wheel,) = Path(name).glob("usr/share/python-wheels/pip-*.whl")
        install("pip", environment={"PYTHONPATH": str(wheel)})


def install(*arguments: str, environment: dict[str, str] | None = None) -> None:
    """Run pip in .venv. Raises CalledProcessError."""
    pip = [str(toolchain.TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *arguments], check=True, env=os.environ | (environment or {}))


if __name__ == "__main__":
    sys.exit(main())
