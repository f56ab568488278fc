# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Answers that were lost on their way, and requests that are repeated because of it.

Texts of qemu-server 6.4 to 9.2.6. Statuses of AnyEvent::HTTP, with which one node asks another: 595
for a connection that did not come about, 596 to 599 for one that broke afterwards.
"""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted

from .api import ApiError

RETRY = 0.25
"""Seconds before a request is repeated."""
# The answer of another client's command came instead, or none. The next request can get its own.
_CROSSED = re.compile(r"got wrong command id|without command id|response is not complete|client closed connection")
_NOT_CONNECTED = re.compile(r"unable to connect to VM \d+ \w+ socket")
_UNTRUSTED = re.compile(r"certificate verify failed|tls_process_server_certificate")
_AnswerT = t.TypeVar("_AnswerT")


def untrusted(error: ApiError) -> bool:
    """Whether one node refused another's certificate, before it sent anything there."""
    return error.status >= 595 and bool(_UNTRUSTED.search(error.said))


def not_connected(error: ApiError) -> bool:
    """Whether the process on the node did not get to the agent, so that no command was sent."""
    return bool(_NOT_CONNECTED.search(error.said))


def may_pass(error: ChrError) -> bool:
    """Whether a request that got this answer can succeed when it is sent again.

    That is so if something on the way was busy or broken, such as a process of a node, or if
    connections to the agent got in one another's way.
    """
    if not isinstance(error, ApiError):
        return isinstance(error, Interrupted)
    if untrusted(error):
        return False
    return error.status >= 595 or not_connected(error) or bool(_CROSSED.search(error.said))


def persist(question: t.Callable[[], _AnswerT], seconds: float) -> _AnswerT:
    """Return the answer to *question*, a request that changes nothing.

    It is repeated for *seconds* while its answer gets lost. Raises the last error.
    """
    deadline = Deadline(seconds)
    while True:
        try:
            return question()
        except (ApiError, Interrupted) as error:
            if deadline.expired or not may_pass(error):
                raise
        time.sleep(min(RETRY, deadline.remaining))
