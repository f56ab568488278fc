# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""What libvirt tells about the way to one of its domains."""

from __future__ import annotations

import typing as t
from contextlib import AbstractContextManager
from xml.etree import ElementTree

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.checks import (
    Checks,
    HeldPrivilege,
    addresses,
    held,
)

from .connection import connected
from .privileges import NEEDED, WRITE
from .xml import hardware_of

_PORT = "org.qemu.guest_agent.0"
_INACTIVE = 1 << 1  # VIR_DOMAIN_XML_INACTIVE: the domain as it will be after its next start


class CheckedDomain(AbstractContextManager[t.Any], t.Protocol):
    """A domain. At the end of the context it disconnects from libvirt."""

    where: str
    """The domain, for messages."""

    def may_write(self) -> bool | None:
        """Whether libvirt lets this user send commands to the agent. None if that is not known."""

    def if_there(self, complaint: str, look: t.Callable[[t.Any], t.Any]) -> t.Any:
        """Call *look*, which changes nothing, and return its value. None if the domain is gone."""


class LibvirtChecks(Checks):
    """The checks of *domain*. *uri* and *shown*: see ``connected``. *timeout*: seconds."""

    def __init__(self, domain: CheckedDomain, vm: str, uri: str, shown: str, timeout: float) -> None:
        self._domain = domain
        self._vm = vm
        self._uri, self._shown = uri, shown
        self._timeout = timeout

    def reach(self) -> str:
        with connected(self._uri, self._shown, repr(self._vm), Deadline(self._timeout)):
            return f"libvirt at {self._shown}"

    def privileges(self) -> list[HeldPrivilege]:
        """libvirt tells a permission only to who asks for something that needs it."""
        with self._domain as domain:
            may_write = domain.may_write()
        return held(NEEDED, None if may_write is None else {WRITE.name: may_write})

    def channel(self) -> str:
        found = [_port(one) for one in self._described()]
        where = self._domain.where
        if found[0] is None and found[1] is not None:
            raise NotPossible(
                f"{where} has an agent channel in its configuration, but not in the machine that runs: the change waits for a "
                "cold start."
            )
        if found[0] is None:
            raise NotPossible(f"{where} has no guest agent channel: its devices lack a channel with the name {_PORT}.")
        state = found[0].get("state")
        return f"the virtio channel {_PORT}{f', {state}' if state else ''}"

    def cards(self) -> tuple[str, ...]:
        return addresses(hardware_of(self._described()[0]).nics or ())

    def _described(self) -> tuple[ElementTree.Element, ElementTree.Element]:
        """The domain as it is now, and as it will be after its next start."""
        with self._domain as domain:
            texts = domain.if_there("its devices cannot be read", lambda one: (one.XMLDesc(0), one.XMLDesc(_INACTIVE)))
        if texts is None:
            raise Unreachable(f"{self._domain.where} does not exist any more.")
        now, then = texts
        return ElementTree.fromstring(now), ElementTree.fromstring(then)


def _port(domain: ElementTree.Element) -> ElementTree.Element | None:
    return domain.find(f"devices/channel/target[@name='{_PORT}']")
