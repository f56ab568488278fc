# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The soak still runs, and notices what goes wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ansible_collections.outofband.chr.tests.faults.table import ALL_IS_WELL, Fault
from ansible_collections.outofband.chr.tests.soak.__main__ import Soak, check_held
from ansible_collections.outofband.chr.tests.soak.controller import Held

PROGRAM = (Path(__file__).parents[1] / "tools" / "as_collection.py", "soak")


def test_nothing_goes_wrong_in_a_few_seconds():
    options = ["--minutes", "0.1", "--routers", "8", "--backends", "qemu", "--at-once", "4", "--seed", "1"]
    done = subprocess.run([sys.executable, *PROGRAM, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pieces = re.search(r"^(\d+) pieces of work, 0 went wrong", done.stdout, re.MULTILINE)
    assert pieces and int(pieces[1]) >= 12


def test_a_lost_script_and_a_growing_controller_are_complaints(short_path):
    from ansible_collections.outofband.chr.tests.faults.columns import Qemu

    soak = Soak()
    with Qemu().cell(short_path) as cell:

        def forgetful(one):
            outcome = one.do()
            one.router.run("/ip firewall filter add chain=ran")  # as if it had run twice
            return outcome, "script", 1

        soak.work(cell, Fault("Twice", forgetful, ALL_IS_WELL.cells))
    assert "qemu, twice: ran 2 times" in soak.complaints[0]
    soak.held = [Held(50.0 + look, 10 + look, 5) for look in range(40)]
    check_held(soak)
    assert ["memory" in one or "descriptors" in one for one in soak.complaints[1:]] == [True, True]
