# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of a router.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import io
import time

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, ScriptFailed
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import encoded
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.transfer_limit import TransferLimit
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import backup, files
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.export import gaps

from .own_files import removed_at_the_end

_OWN = 30.0  # seconds for a short script
_PAUSE = 0.1  # seconds between two looks at a file that may grow
INSTEAD = (
    "Let the router send its export itself (/tool fetch upload=yes, /tool e-mail), or back up its VM on the hypervisor."
)


def check_possible(guest: Guest) -> None:
    """Check that exports of this router can come to the controller. Raises NotPossible."""
    if not guest.capabilities.runs_without_restart:
        raise NotPossible(
            f"Backend {guest.backend} runs a script in {guest.vm!r} only when it boots, so its configuration is not "
            f"exported. Use chr_backend: xenstore in dom0. {INSTEAD}"
        )
    if not guest.capabilities.output:
        raise NotPossible(
            f"Backend {guest.backend} carries neither files nor the output of a script, so the configuration of "
            f"{guest.vm!r} cannot come to the controller. {INSTEAD}"
        )


def export(guest: Guest, version: str | None, timeout: float, limit: TransferLimit, *, verbose: bool = False) -> bytes:
    """Return the router's export without its date.

    *version* and *verbose* are those of ``backup.export_script``.

    Raises NotPossible if it is too large for the backend, ScriptFailed if it is not whole.
    """
    with removed_at_the_end(guest, backup.EXPORTED):
        guest.checked(guest.run(encoded(backup.export_script(version, verbose=verbose)), timeout), timeout)
        size = settled_size(guest, backup.EXPORTED, timeout)
        if not guest.capabilities.files and size > guest.capabilities.small_files:
            raise NotPossible(
                f"The export of {guest.vm!r} has {size} bytes, and backend {guest.backend} carries files of at most "
                f"{guest.capabilities.small_files} bytes. {INSTEAD}"
            )
        content = io.BytesIO()
        guest.get(backup.EXPORTED, content, limit)
    if missing := gaps(content.getvalue().decode("utf-8", "surrogateescape")):
        raise ScriptFailed(f"The export of {guest.vm!r} is not whole: {missing}. Nothing was written.")
    return backup.without_date(content.getvalue())


def settled_size(guest: Guest, name: str, timeout: float) -> int:
    """Return the size of the router's file *name* in bytes, as soon as it does not grow.

    Whether the command that writes a file always ends after the file is whole is not known. Raises
    ScriptFailed.
    """
    deadline = Deadline(timeout)
    last = 0
    while not deadline.expired:
        try:
            output = guest.checked(guest.run(files.look_up_script(name), _OWN), _OWN).output
            _count, size = files.looked_up(output)
        except ValueError:
            raise ScriptFailed(f"The size of the file {name!r} on {guest.vm!r} cannot be read.") from None
        if 0 < size == last:
            return size
        last = size
        time.sleep(_PAUSE)
    raise ScriptFailed(f"{guest.vm!r} has not finished its file {name!r} within {timeout:g} s.")
