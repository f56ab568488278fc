# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The abstract channel to the agent's byte stream."""

from __future__ import annotations

import socket
import typing as t
from abc import ABC, abstractmethod

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import Unreachable


class Channel(ABC):
    """A channel to a guest agent.

    It is opened for one short exchange at a time, because QEMU serves one client at a time.
    """

    hint: t.ClassVar[str] = (
        "The VM may be off or still booting, its agent channel may be missing, or another program may be using the channel "
        "(QEMU serves one client at a time)."
    )
    """Possible reasons why nobody answers, for error messages."""

    @abstractmethod
    def __str__(self) -> str:
        """Where this leads, as it appears in error texts: "the unix socket /run/chr1.sock"."""

    @abstractmethod
    def connect(self, deadline: Deadline) -> socket.socket:
        """Return a connected stream socket.

        Raises ConnectError when this attempt failed but a later one may succeed (nobody listens
        yet, backlog full), and Unreachable or InvalidInput when trying again would not help.
        """

    def listens(self, deadline: Deadline) -> bool:
        """Whether a process listens at the other end.

        Raises Unreachable if that was not seen before *deadline*, and NotPossible if it cannot be
        seen.
        """
        try:
            self.connect(deadline).close()
        except ConnectError as error:
            if error.listens is None:
                raise Unreachable(f"Whether anything listens on {self} was not seen: {error}.") from error
            return error.listens
        return True


class ConnectError(Exception):
    """One attempt to connect failed; the text says how.

    Attribute ``listens``: whether a process listens at the other end. None if that is unknown.
    """

    def __init__(self, text: str, *, listens: bool | None = None) -> None:
        super().__init__(text)
        self.listens = listens
