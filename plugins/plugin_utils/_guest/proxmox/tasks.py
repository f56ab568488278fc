# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What Proxmox VE does in the background: a task has an id (UPID), a status and a log."""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from ..deadline import Deadline, poll_interval
from ..errors import AgentNotThere, GuestError, OutcomeUnknown
from ..https import Interrupted
from .api import Api, ApiError

_UPID = re.compile(r"UPID:([A-Za-z0-9.-]+):[^/\s]*")
_PAGE = 500  # lines of a log in one answer; the server's default is 50


@dataclass(frozen=True)
class Ended:
    """A task that is over: ``exitstatus`` (``OK``, ``WARNINGS: n`` or an error's text) and the lines of its log."""

    exitstatus: str
    log: list[str]

    @property
    def done(self) -> bool:
        return self.exitstatus == "OK" or self.exitstatus.startswith("WARNINGS")


def finish(api: Api, upid: t.Any, deadline: Deadline) -> Ended:
    """Wait for the task *upid*. A look that fails is repeated while there is time. Raises OutcomeUnknown."""
    found = _UPID.fullmatch(str(upid))
    if not found:
        raise OutcomeUnknown(f"{api.where} started something without saying as which task: {str(upid)[:80]!r}.")
    path = f"/nodes/{found[1]}/tasks/{quote(found[0], safe='')}"
    began = time.monotonic()
    last = "it still runs"
    while True:
        try:
            status = api.call("GET", f"{path}/status", timeout=max(deadline.remaining, 1.0))
            if isinstance(status, dict) and status.get("status") == "stopped":
                return Ended(str(status.get("exitstatus") or "no exit status"), _log(api, path))
        except (AgentNotThere, Interrupted, ApiError) as error:
            last = str(error)
        if deadline.expired:
            raise OutcomeUnknown(
                f"Task {found[0]} of {api.where} did not end within {deadline.seconds:g} s ({last}). It was not started "
                "again and may go on; look at it there."
            )
        time.sleep(min(max(poll_interval(time.monotonic() - began), 0.1), max(deadline.remaining, 0.01)))


def _log(api: Api, path: str) -> list[str]:
    lines: list[str] = []
    while True:
        page = api.call("GET", f"{path}/log", {"start": len(lines), "limit": _PAGE})
        try:
            texts = [_plain(str(line["t"])) for line in page]
        except (KeyError, TypeError):
            raise GuestError(f"{api.where} answered with no log of a task.") from None
        lines += texts
        if len(texts) < _PAGE:
            return lines


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
