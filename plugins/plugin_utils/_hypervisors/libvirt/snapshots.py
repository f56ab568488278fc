# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""External snapshots of the disks of libvirt domains.

On request, the agent freezes the file systems (virsh's ``--quiesce``). If the freeze fails, libvirt
stops before it has made anything. If the thaw fails, libvirt reports an error although the work is
done, and the guest stays frozen. So the state of the guest is checked each time.
"""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    ChrError,
    InvalidInput,
    NotPossible,
    NotQuiesced,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import (
    ListedSnapshot,
    SnapshotResult,
    Snapshots,
    thaw,
)

# Bits of virDomainSnapshotCreateFlags.
_DISK_ONLY = 1 << 4
_QUIESCE = 1 << 6
_ATOMIC = 1 << 7
_ANSWER = 30.0  # seconds for what libvirt knows by itself


class DomainAgent(t.Protocol):
    """A domain and its guest agent."""

    where: str
    """The domain, for messages."""

    def execute(self, command: str) -> t.Any:
        """Send *command* and return the answer.

        Raises Unreachable, AgentRefused, OutcomeUnknown.
        """

    def on_domain(
        self, complaint: str, work: t.Callable[[t.Any], t.Any], deadline: Deadline, *, changes: bool
    ) -> t.Any:
        """Call *work* with libvirt's object of the domain and return its value.

        Raises NotPossible, whose text begins with *complaint*.
        """


class LibvirtSnapshots(Snapshots):
    """The snapshots of *agent*'s domain."""

    def __init__(self, agent: DomainAgent) -> None:
        self._agent = agent

    def listed(self) -> dict[str, ListedSnapshot]:
        def read(domain: t.Any) -> dict[str, ListedSnapshot]:
            found = domain.listAllSnapshots()
            return {one.getName(): ListedSnapshot(_description(one.getXMLDesc())) for one in found}

        names: dict[str, ListedSnapshot] = self._ask("the snapshots cannot be listed", read)
        return names

    def check_name(self, name: str) -> None:
        if not name.strip() or not name.isprintable() or "/" in name or name.startswith("."):
            raise InvalidInput(
                f"{name!r} is not a valid snapshot name for libvirt: it becomes a part of a file's name."
            )

    def why_not_quiesced(self) -> str | None:
        if not self._running():
            return None
        try:
            if self._frozen():
                return "the guest's file systems are frozen already ('virsh domfsthaw' thaws them)"
        except (Unreachable, AgentRefused, NotPossible, OutcomeUnknown) as error:
            return f"the agent does not answer: {str(error).rstrip('.')}"
        return None

    def create(self, name: str, description: str, quiesce: bool, deadline: Deadline) -> SnapshotResult:
        freeze = quiesce and self._running()
        if freeze and (why := self.why_not_quiesced()):
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
        return SnapshotResult(trouble=after or None, still_frozen=not thawed)

    def _explained(self, said: str, name: str) -> ChrError:
        """The error of a quiesced snapshot that failed, with what it has left."""
        thawed, after = self._thaw()
        if not thawed or after or "fsfreeze-thaw" in said:
            return NotPossible(
                f"{said} {after} libvirt gives a snapshot up when the guest is not thawed: 'virsh domblklist' shows whether the "
                f"domain writes to a new file for {name!r}."
            )
        return (NotQuiesced if "fsfreeze-freeze" in said or "guest agent" in said.lower() else NotPossible)(said)

    def remove(self, name: str, deadline: Deadline) -> None:
        self._ask(
            f"the snapshot {name!r} was not removed (libvirt before 9.0 cannot remove external snapshots)",
            lambda domain: domain.snapshotLookupByName(name).delete(),
            deadline,
        )

    # -- the domain and its guest ------------------------------------------------------------------

    def _ask(self, complaint: str, work: t.Callable[[t.Any], t.Any], deadline: Deadline | None = None) -> t.Any:
        """Call *work* with the domain and return its value.

        A *deadline* says that the work changes something. Raises the errors of ``on_domain``.
        """
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
