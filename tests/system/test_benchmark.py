# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark still runs, and writes a result that the next run can be compared with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = (Path(__file__).parents[1] / "tools" / "as_collection.py", "benchmark")


def test_a_section_is_measured_and_a_worse_ratio_ends_the_run_with_an_error(tmp_path):
    file = tmp_path / "result.json"

    def measured(*more):
        command = [sys.executable, *PROGRAM, "--quick", "--only", "bridge", "--committed", file, *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = measured("--json", file)
    assert first.returncode == 0, first.stderr
    result = json.loads(file.read_text())
    assert result["machine"]["processors"]
    named = next(row for row in result["rows"] if row["row"].startswith("The API bridge: one setting"))
    named["ratio"] /= 1000
    file.write_text(json.dumps(result))
    second = measured()
    assert second.returncode == 1, second.stderr
    assert f"ERROR: {named['row']}: the ratio is" in second.stderr
