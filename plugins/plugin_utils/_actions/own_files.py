# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of this collection that are on a router for a moment.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.files import removal_script

_REMOVAL = 30.0  # seconds


@contextlib.contextmanager
def removed_at_the_end(guest: Guest, name: str) -> t.Iterator[None]:
    """A context after which the router does not have the file *name*, or else the error says so."""
    failed: ChrError | None = None
    try:
        yield
    except ChrError as error:
        failed = error
        raise
    finally:
        try:
            guest.checked(guest.run(removal_script(name), _REMOVAL), _REMOVAL)
        except ChrError as error:
            told = failed or error
            told.args = (f"{told} The file {name!r} may still be on the router. Remove it there.",)
            if not failed:
                raise
