# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The workers of a node's pvedaemon, which carry out most calls, one at a time each.

A worker that becomes free accepts every connection that waits. Those behind a call that takes
longer than its timer are closed unread, as pve-http-server 3.2 to 6.0.5 does it.
"""

from __future__ import annotations

import threading
import time
import typing as t

from .tasks import Died

WORKERS = 3


class Workers:
    """*timer*: the seconds of a connection's timer. *limit*: the proxy's patience in seconds."""

    def __init__(self, timer: t.Callable[[], float], limit: t.Callable[[], float]) -> None:
        self._timer, self._limit = timer, limit
        self._arrived = threading.Condition()
        self._backlog: list[_Call] = []
        self._over = False
        for _unused in range(WORKERS):
            threading.Thread(target=self._serve, daemon=True).start()

    def do(self, work: t.Callable[[], t.Any]) -> t.Any:
        """Have *work* done, and return what it returns. Raises what it raises, and Died."""
        call = _Call(work)
        with self._arrived:
            self._backlog.append(call)
            self._arrived.notify()
        if not call.over.wait(self._limit()):
            raise Died(596, "Connection timed out")
        if call.error:
            raise call.error
        return call.value

    def end(self) -> None:
        with self._arrived:
            self._over = True
            self._arrived.notify_all()

    def _serve(self) -> None:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._backlog or self._over)
                if self._over:
                    return
                accepted, self._backlog = self._backlog, []
            since = time.monotonic()
            for call in accepted:
                if call is not accepted[0] and time.monotonic() - since >= self._timer():
                    call.error = Died(596, "Broken pipe")
                    call.over.set()
                else:
                    call.carry_out()


class _Call:
    def __init__(self, work: t.Callable[[], t.Any]) -> None:
        self._work = work
        self.over = threading.Event()
        self.value: t.Any = None
        self.error: Exception | None = None

    def carry_out(self) -> None:
        try:
            self.value = self._work()
        except Exception as error:  # the caller raises it
            self.error = error
        self.over.set()
