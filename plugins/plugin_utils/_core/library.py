# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Import of the Python libraries that a single backend needs."""

from __future__ import annotations

import importlib
import sys
import typing as t

from .errors import NotPossible


def load(module: str, *, backend: str, requirement: str) -> t.Any:
    """Import and return the library *module*, which *backend* needs.

    *requirement* is what pip has to install. Raises NotPossible if the library is missing or
    broken.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # a broken installation raises whatever it likes
        raise NotPossible(
            f"Backend {backend} needs the Python library {requirement}, which {sys.executable} cannot import ({error}). "
            f"Install it for that Python: {sys.executable} -m pip install '{requirement}'"
        ) from error
