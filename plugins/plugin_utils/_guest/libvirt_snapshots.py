# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Snapshots of libvirt domains: of the disks, external, and frozen by the agent when that is asked for (virsh's ``--quiesce``).

A freeze that fails ends it before anything was made. A thaw that fails makes libvirt report an error after the work is done, and
leaves the guest frozen, so the guest is looked at each time.
"""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from .deadline import Deadline
from .errors import AgentNotThere, AgentRefused, GuestError, InvalidInput, NotPossible, NotQuiesced, OutcomeUnknown
from .snapshots import Snapshots, Taken, thaw

if t.TYPE_CHECKING:
    from .libvirt import LibvirtAgent

# Bits of virDomainSnapshotCreateFlags.
_DISK_ONLY = 1 << 4
_QUIESCE = 1 << 6
_ATOMIC = 1 << 7
_ANSWER = 30.0  # seconds for what libvirt knows by itself


class LibvirtSnapshots(Snapshots):
    """The snapshots of *agent*'s domain."""

    def __init__(self, agent: LibvirtAgent) -> None:
        self._agent = agent

    def listed(self) -> dict[str, str]:
        def read(domain: t.Any) -> dict[str, str]:
            return {one.getName(): _description(one.getXMLDesc()) for one in domain.listAllSnapshots()}

        names: dict[str, str] = self._ask("the snapshots cannot be listed", read)
        return names

    def check_name(self, name: str) -> None:
        if not name.strip() or not name.isprintable() or "/" in name or name.startswith("."):
            raise InvalidInput(f"libvirt takes no snapshot name {name!r}: it becomes a part of a file's name.")

    def obstacle(self) -> str | None:
        if not self._running():
            return None
        try:
            if self._frozen():
                return "the guest's file systems are frozen already ('virsh domfsthaw' thaws them)"
        except (AgentNotThere, AgentRefused, NotPossible, OutcomeUnknown) as error:
            return f"the agent does not answer: {str(error).rstrip('.')}"
        return None

    def create(self, name: str, description: str, quiesce: bool, deadline: Deadline) -> Taken:
        freeze = quiesce and self._running()
        if freeze and (why := self.obstacle()):
            raise NotQuiesced(f"No snapshot of {self._agent.where} was taken: {why}.")
        flags = _DISK_ONLY | _ATOMIC | (_QUIESCE if freeze else 0)
        xml = f"<domainsnapshot><name>{escape(name)}</name><description>{escape(description)}</description></domainsnapshot>"
        complaint = f"the snapshot {name!r} was not taken"
        try:
            self._ask(complaint, lambda domain: domain.snapshotCreateXML(xml, flags), deadline)
        except NotPossible as error:
            if freeze:
                raise self._explained(str(error), name) from error
            raise
        thawed, after = self._thaw() if freeze else (True, "")
        return Taken(trouble=after or None, still_frozen=not thawed)

    def _explained(self, said: str, name: str) -> GuestError:
        """What a quiesced snapshot that failed has left."""
        thawed, after = self._thaw()
        if not thawed or after or "fsfreeze-thaw" in said:
            return NotPossible(
                f"{said} {after} libvirt gives a snapshot up when the guest is not thawed: 'virsh domblklist' shows whether the "
                f"domain writes to a new file for {name!r}."
            )
        return (NotQuiesced if "fsfreeze-freeze" in said or "guest agent" in said.lower() else NotPossible)(said)

    def remove(self, name: str, deadline: Deadline) -> None:
        self._ask(
            f"the snapshot {name!r} was not removed (of external ones, libvirt before 9.0 removes none)",
            lambda domain: domain.snapshotLookupByName(name).delete(),
            deadline,
        )

    # -- the domain and its guest --------------------------------------------------------------------------------------

    def _ask(self, complaint: str, work: t.Callable[[t.Any], t.Any], deadline: Deadline | None = None) -> t.Any:
        """The value of *work* on the domain, which changes something where *deadline* is given. Raises as ``on_domain``."""
        return self._agent.on_domain(complaint, work, deadline or Deadline(_ANSWER), changes=deadline is not None)

    def _running(self) -> bool:
        return bool(self._ask("its state cannot be read", lambda domain: domain.isActive()))

    def _frozen(self) -> bool:
        return bool(self._agent.execute("guest-fsfreeze-status") == "frozen")

    def _thaw(self) -> tuple[bool, str]:
        agent = self._agent
        return thaw(agent.where, self._frozen, lambda: agent.execute("guest-fsfreeze-thaw"), "'virsh domfsthaw'")


def _description(xml: str) -> str:
    return ElementTree.fromstring(xml).findtext("description") or ""
