# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of tests/ as a part of the collection in this checkout.

as_collection.py benchmark --help
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(program: str, *arguments: str) -> int:
    with tempfile.TemporaryDirectory(prefix="chr-run-") as folder:
        collection = Path(folder) / "ansible_collections" / "outofband" / "chr"
        collection.parent.mkdir(parents=True)
        collection.symlink_to(ROOT)
        command = [sys.executable, "-m", f"ansible_collections.outofband.chr.tests.{program}", *arguments]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": folder}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
