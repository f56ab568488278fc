# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Proxmox VE does in the background, and how it refuses."""

from __future__ import annotations

import threading
import time
import typing as t


class Died(Exception):
    """A handler's answer other than 200, or the end of a task with an error."""

    def __init__(self, status: int, reason: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.errors = status, reason, errors


class Task:
    """Something in the background, with a log."""

    def __init__(self, upid: str, work: t.Callable[[list[str]], None], seconds: float) -> None:
        self.upid = upid
        self.log: list[str] = []
        self.exitstatus: str | None = None
        threading.Thread(target=self._run, args=(work, seconds), daemon=True).start()

    def _run(self, work: t.Callable[[list[str]], None], seconds: float) -> None:
        time.sleep(seconds)
        try:
            work(self.log)
        except Died as error:
            self.log.append(f"TASK ERROR: {error.reason}")
            self.exitstatus = error.reason
            return
        warnings = sum(line.startswith("WARN: ") for line in self.log)
        status = f"WARNINGS: {warnings}" if warnings else "OK"
        self.log.append(f"TASK {status}")
        self.exitstatus = status
