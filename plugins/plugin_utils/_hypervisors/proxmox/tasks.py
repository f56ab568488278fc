# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The background tasks of Proxmox VE. A task has an id (UPID), a status and a log."""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline, poll_interval
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._core.text import excerpt, line
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted

from .api import Api, ApiError, Ask, Resource

_UPID = re.compile(r"UPID:([A-Za-z0-9.-]+):[^/\s]*")
_LINES = 20_000  # of a log; that of a task has a few
_PAGE = 500  # lines of a log in one answer; the server's default is 50


@dataclass(frozen=True)
class Ended:
    """A task that is over.

    ``exitstatus`` is ``OK``, ``WARNINGS: n`` or the text of an error.
    """

    exitstatus: str
    log: list[str]

    @property
    def done(self) -> bool:
        return self.exitstatus == "OK" or self.exitstatus.startswith("WARNINGS")


def finish(api: Api, upid: t.Any, deadline: Deadline) -> Ended:
    """Wait for the end of the task *upid*.

    A status request that fails is repeated until *deadline*. Raises OutcomeUnknown.
    """
    found = _UPID.fullmatch(str(upid))
    if not found:
        raise OutcomeUnknown(f"{api.where} started a task without a valid task id: {excerpt(upid)}.")

    def task(pve: Resource) -> Resource:
        return pve.nodes(found[1]).tasks(quote(found[0], safe=""))

    began = time.monotonic()
    last = "it still runs"
    while True:
        try:
            status = api.call(lambda pve: task(pve).status.get(), timeout=max(deadline.remaining, 1.0))
            if isinstance(status, dict) and status.get("status") == "stopped":
                return Ended(str(status.get("exitstatus") or "no exit status"), _log(api, task, deadline))
        except (Unreachable, Interrupted, ApiError) as error:
            last = str(error)
        if deadline.expired:
            raise OutcomeUnknown(
                f"Task {found[0]} of {api.where} did not end within {deadline.seconds:g} s ({last}). It was not started "
                "again and may go on; look at it there."
            )
        time.sleep(min(max(poll_interval(time.monotonic() - began), 0.1), max(deadline.remaining, 0.01)))


def _log(api: Api, task: Ask, deadline: Deadline) -> list[str]:
    """Return the first lines of the log, as many as arrive until *deadline*."""
    lines: list[str] = []
    while True:
        texts = _page(api, task, len(lines))
        lines += texts[:_PAGE]
        if len(texts) < _PAGE or len(lines) >= _LINES or deadline.expired:
            return lines


def _page(api: Api, task: Ask, start: int) -> list[str]:
    """Return the lines of the log from number *start* on, at most _PAGE of them."""
    page = api.call(lambda pve: task(pve).log.get(start=start, limit=_PAGE))
    try:
        return [line(str(one["t"])) for one in page]
    except (KeyError, TypeError):
        raise ChrError(f"{api.where} answered without the log of a task.") from None
