# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What a backend supports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What a backend supports. Check this first; do not rely on errors."""

    output: bool
    """A script's output can be read."""
    files: bool
    """Files can be moved."""
    max_script: int
    """Largest script in bytes."""
    small_files: int = 0
    """Without ``files``: the largest text file in bytes that scripts write.

    They can read it as well if there is ``output``.
    """
    runs_without_restart: bool = True
    """A script runs without a restart of the router.

    If it does not, ``Guest.boot`` tells one boot from the next.
    """
    max_output: int | None = None
    """Largest output of a script in bytes; None if practically unlimited."""
    agent: bool = True
    """The hypervisor has a channel to the guest's agent. Without one, only ``power`` works."""
    reads_slowly: bool = False
    """Each bit of a value costs the run of a program, so that a license takes minutes."""
    may_run_again_at_boot: bool = False
    """A script that takes the router down could be run again when the router boots."""
