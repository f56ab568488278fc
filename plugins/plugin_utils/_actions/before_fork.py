# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done once: imports before Ansible forks its workers, and the end of a run's sessions.

PRIVATE to the collection: may change in any release.

Ansible imports actions in its main process and connections in each worker, one worker for each task
of each host. All workers inherit what an action has imported, but each task imports again what only
a connection imports. Reading the documentation of the connection takes longer than a whole task,
and importing libvirt-python four times as long as a task. So the modules of the actions call
``preload``, which does all of that once. A worker that imports an action itself needs the library
of its own backend only.
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
from pathlib import Path

from ansible.plugins.loader import connection_loader

from ansible_collections.outofband.chr.plugins.plugin_utils._bridge import client
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import preload_backends, sessions
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import runs

from .router import TRANSPORT
from .runtime_directory import runtime_directory


@functools.cache
def preload() -> None:
    """Load the connection, all backends, and the libraries of those backends that are installed.

    Does nothing in a worker.
    """
    if multiprocessing.parent_process() is not None:
        return
    connection_loader.get(TRANSPORT, class_only=True)
    preload_backends()
    session_run()


@functools.cache
def session_run() -> None:
    """Begin the run of this process, at whose end its sessions with hypervisors are ended."""
    # The workers end without the handlers of atexit, so this is called at the end of the run.
    atexit.register(_end, runs.begin(), runtime_directory())


def _end(run: runs.Run, directory: Path) -> None:
    """End what *run* has started, and then its sessions. Does nothing in another process."""
    if os.getpid() == run.pid:
        client.end(run, directory)
        runs.end(run, directory, sessions())
