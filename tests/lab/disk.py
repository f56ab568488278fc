# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a router that booted from a disk, which survives reboots and power cuts."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

from .routeros import Router

AUTORUN = "autorun.scr"
_KEPT = ("machine", "identity", "license", "files", "tables", "settings")


def boot(router: Router, folder: Path, *, runs_script: bool = True) -> None:
    """Load the state of *router* from *folder*, or begin a new one there.

    Then run ``autorun.scr`` in that folder, and rename it.

    From then on the state is written there after each script that changed it.
    """
    kept = _Kept(router, folder / "state")
    kept.load()
    router.on_change = kept.save
    kept.save()
    autorun = folder / AUTORUN
    if runs_script and autorun.exists():
        outcome = router.run(autorun.read_bytes(), dialect="autorun")
        router.add_log("script", f"{AUTORUN} ended with {outcome.exitcode}")
        autorun.rename(autorun.with_suffix(".done"))


class _Kept:
    def __init__(self, router: Router, path: Path) -> None:
        self._router, self._path = router, path
        self._written = b""
        self._lock = threading.Lock()

    def load(self) -> None:
        if self._path.exists():
            self._written = self._path.read_bytes()
            vars(self._router).update(pickle.loads(self._written))
            self._router.reboot()

    def save(self) -> None:
        with self._lock:
            with self._router.lock:
                state = pickle.dumps({name: getattr(self._router, name) for name in _KEPT})
            if state == self._written:
                return
            new = self._path.with_suffix(".new")
            with new.open("wb") as file:
                file.write(state)
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._path)
            os.sync()
            self._written = state
