# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a run as at a power cut."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def kill_tree(pid: int) -> None:
    """SIGKILL for a process of ours and all that came from it: Ansible's workers are in sessions of their own."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # so that it makes no more
        below = [int(child) for child in children.read_text().split()]
        os.kill(pid, signal.SIGKILL)
        for child in below:
            kill_tree(child)
