# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the benchmark of this checkout as a part of the collection; see --help."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.outofband.chr.tests.benchmark"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="chr-bench-") as folder:
        collection = Path(folder) / "ansible_collections" / "outofband" / "chr"
        collection.parent.mkdir(parents=True)
        collection.symlink_to(ROOT)
        command = [sys.executable, "-m", PACKAGE, *sys.argv[1:]]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": folder}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
