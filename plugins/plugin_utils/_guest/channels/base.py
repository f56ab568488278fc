# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""A way to the agent's byte stream."""

from __future__ import annotations

import socket
import typing as t
from abc import ABC, abstractmethod

from ..deadline import Deadline


class Channel(ABC):
    """Where an agent's byte stream can be had. Opened for one short exchange at a time: QEMU serves one client."""

    hint: t.ClassVar[str] = (
        "The VM may be off or still booting, its agent channel may be missing, or another program may be using the channel "
        "(QEMU serves one client at a time)."
    )
    """What may be wrong when nobody answers, for the operator."""

    @abstractmethod
    def __str__(self) -> str:
        """Where this leads, as it appears in error texts: "the unix socket /run/chr1.sock"."""

    @abstractmethod
    def connect(self, deadline: Deadline) -> socket.socket:
        """A connected stream socket.

        Raises ConnectError when this attempt failed but a later one may succeed (nobody listens yet, backlog full),
        AgentNotThere or InvalidInput when trying again is of no use.
        """


class ConnectError(Exception):
    """One attempt to connect failed; the text says how."""
