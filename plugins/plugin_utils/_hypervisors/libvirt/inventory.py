# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Lists the domains of a libvirt daemon.

One call has the state, CPUs and memory of all domains. The mark of an import and the networks are
in the XML of each domain.

Source: libvirt's API reference (virConnectGetAllDomainStats, virDomainGetXMLDesc).
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from collections.abc import Sequence
from xml.etree import ElementTree

from ansible_collections.outofband.chr.plugins.plugin_utils._core.bounded import Overrun, bounded
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPermitted, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._core.side_by_side import in_order
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm, Power

from .connection import (
    ACCESS_DENIED,
    AUTH_FAILED,
    OPERATION_DENIED,
    connected,
    library,
    uris,
    words,
)
from .options import LibvirtServer
from .xml import Origin, hardware_of

AGENTS = 4
"""Each router has a connection of its own, which is a login if it leads through ssh."""
_XMLS = 5  # requests that libvirtd takes from one client at a time
# VIR_DOMAIN_STATS_STATE, _BALLOON and _VCPU, and what can be had without waiting for a QEMU that
# hangs.
_STATE, _BALLOON, _VCPU = 1, 4, 8
_NO_WAIT = 1 << 29
_POWER: dict[t.Any, Power] = {1: "on", 2: "on", 3: "on", 4: "on", 5: "off", 6: "off", 7: "suspended"}
_LIBOSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"
_T = t.TypeVar("_T")


def list_vms(options: LibvirtServer, deadline: Deadline) -> list[FoundVm]:
    """The domains of the daemon. The contract is in ``inventory.py``."""
    with _connected(options, deadline) as connection:
        rows = connection.ask(lambda daemon: daemon.getAllDomainStats(_STATE | _BALLOON | _VCPU, _NO_WAIT))
        host = connection.ask(lambda daemon: daemon.getHostname())
    return [_vm(domain, stats, str(host)) for domain, stats in rows]


def _vm(domain: t.Any, stats: dict[str, t.Any], host: str) -> FoundVm:
    memory = stats.get("balloon.maximum")
    return FoundVm(
        id=domain.UUIDString(),
        name=domain.name(),
        power=_POWER.get(stats.get("state.state"), "unknown"),
        node=host,
        cpus=stats.get("vcpu.current") or stats.get("vcpu.maximum"),
        memory=memory // 1024 if isinstance(memory, int) else None,
        partial=True,
    )


def details(options: LibvirtServer, vms: Sequence[FoundVm], deadline: Deadline) -> list[FoundVm]:
    """Add what the XML of the domains tells. The contract is in ``inventory.py``."""
    with _connected(options, deadline) as connection:
        domains = {one.UUIDString(): one for one in connection.ask(lambda daemon: daemon.listAllDomains(0))}

        def one(vm: FoundVm) -> FoundVm:
            domain = domains.get(vm.id)
            if domain is None or not vm.partial or deadline.expired:
                return vm
            try:
                return _described(vm, str(connection.ask(lambda daemon: domain.XMLDesc(0))))
            except (ChrError, ElementTree.ParseError, ValueError):
                return vm

        return in_order(vms, one, _XMLS)


def _described(vm: FoundVm, xml: str) -> FoundVm:
    domain = ElementTree.fromstring(xml)
    hardware, origin = hardware_of(domain), Origin.from_xml(domain)
    system = domain.find(f"metadata/{_LIBOSINFO}libosinfo/{_LIBOSINFO}os")
    return dataclasses.replace(
        vm,
        cpus=vm.cpus or hardware.cpus,
        memory=vm.memory or hardware.memory,
        networks=tuple(card.network or "" for card in hardware.nics or ()),
        configured_os=None if system is None else system.get("id"),
        mark=origin.mark if origin else None,
        partial=False,
    )


class _Connected:
    """A connection to the daemon, whose calls end by the deadline."""

    def __init__(self, connection: t.Any, shown: str, deadline: Deadline) -> None:
        self._connection, self._shown, self._deadline = connection, shown, deadline

    def ask(self, question: t.Callable[[t.Any], _T]) -> _T:
        """The answer to *question*, which changes nothing. Raises Unreachable, NotPermitted."""
        try:
            return bounded(lambda: question(self._connection), self._deadline.remaining)
        except Overrun:
            raise Unreachable(
                f"libvirt at {self._shown} did not list its domains within {self._deadline.seconds:g} s."
            ) from None
        except library().libvirtError as error:
            code: t.Any = getattr(error, "get_error_code", lambda: None)()
            kind = NotPermitted if code in (OPERATION_DENIED, ACCESS_DENIED, AUTH_FAILED) else Unreachable
            raise kind(f"libvirt at {self._shown} did not list its domains: {words(error)}.") from None


@contextlib.contextmanager
def _connected(options: LibvirtServer, deadline: Deadline) -> t.Iterator[_Connected]:
    """Open a connection for the time of the context. Raises ChrError."""
    uri, shown = uris(options.libvirt_uri)
    with connected(uri, shown, options.subject, deadline) as connection:
        yield _Connected(connection, shown, deadline)
