# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Third-party reference data that requests are checked against, where it is at hand.

It is never part of this project.
"""

from __future__ import annotations

import os
from pathlib import Path


def find(name: str) -> Path | None:
    """Return the path of the file *name* of the third-party schemas.

    It is in ``shared/schemas`` next to the checkout or a folder above it, or in the folder that
    OUTOFBAND_SCHEMAS names.
    """
    places = [Path(folder) / "shared" / "schemas" for folder in Path(__file__).resolve().parents]
    if given := os.environ.get("OUTOFBAND_SCHEMAS"):
        places.insert(0, Path(given))
    return next((place / name for place in places if (place / name).is_file()), None)
