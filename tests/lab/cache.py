# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder for what is built once: images, programs."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """The folder; the environment variable OUTOFBAND_LAB_CACHE names another one."""
    return Path(os.environ.get("OUTOFBAND_LAB_CACHE", Path(__file__).resolve().parents[2] / ".build" / "lab"))
