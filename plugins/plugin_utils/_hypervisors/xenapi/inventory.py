# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The VMs of a host or a pool of XenServer or XCP-ng, from three calls.

Two calls get the records of all VMs and what their tools have reported. The third gets all of the
few objects around them: ``event.from`` without a token tells every object of the classes it is
asked for (xapi_event.ml of xen-api), where ``get_all_records`` would need a call for each class.
"""

from __future__ import annotations

import typing as t

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm, Power

from .api import PORT, Xapi, XenapiLogin
from .guest import addresses
from .machine import Record, no_machine
from .options import XenapiServer
from .vm import mark_of

_AROUND = ("host", "host_metrics", "network", "pool", "vif")
_POWER: dict[str, Power] = {"Running": "on", "Paused": "on", "Halted": "off", "Suspended": "suspended"}


def list_vms(options: XenapiServer, deadline: Deadline) -> list[FoundVm]:
    """List the VMs, see the contract. The templates that every pool has are left out."""
    xapi = Xapi(XenapiLogin.from_options(options, PORT, "a host, or the coordinator of a pool"))

    def ask(function: t.Callable[..., t.Any], *values: str) -> t.Any:
        if deadline.expired:
            raise Unreachable(f"{xapi.login.where} did not list its VMs within {deadline.seconds:g} s.")
        return function(*values)

    machines: dict[str, Record] = ask(xapi.call, "VM.get_all_records")
    reports: dict[str, Record] = ask(xapi.call, "VM_guest_metrics.get_all_records")
    around = _Around(ask(xapi.all_of, *_AROUND))
    return [around.vm(one, reports.get(str(one.get("guest_metrics")), {})) for one in machines.values() if _listed(one)]


def _listed(record: Record) -> bool:
    """Whether it is a VM, or a template that somebody made, and can be named."""
    if not record.get("uuid") or no_machine(record) not in (None, "a template"):
        return False
    built_in = record.get("is_default_template") or _settings(record).get("default_template") == "true"
    return not (record.get("is_a_template") and built_in)


class _Around:
    """The objects around the VMs: records by class and ref."""

    def __init__(self, found: dict[str, dict[str, Record]]) -> None:
        self._hosts, self._health = found["host"], found["host_metrics"]
        self._networks, self._cards = found["network"], found["vif"]
        self._pool = next((_text(one.get("name_label")) for one in found["pool"].values()), None)

    def vm(self, record: Record, report: Record) -> FoundVm:
        host = self._hosts.get(str(record.get("resident_on")), {})
        online = self._health.get(str(host.get("metrics")), {}).get("live") is not False
        system = report.get("os_version") or {}
        return FoundVm(
            id=record["uuid"],
            name=record.get("name_label") or "",
            power=_POWER.get(str(record.get("power_state")), "unknown") if online else "unknown",
            template=record.get("is_a_template") is True,
            node=_text(host.get("name_label")),
            node_online=online,
            cluster=self._pool,
            folder=_settings(record).get("folder"),
            tags=tuple(record.get("tags") or ()),
            cpus=_number(record.get("VCPUs_max")),
            memory=_number(record.get("memory_static_max"), 20),
            networks=tuple(self._names(record.get("VIFs") or ())),
            addresses=tuple(filter(None, (one.address for one in addresses(report.get("networks") or {})))),
            configured_os=_settings(record).get("base_template_name"),
            reported_os=" ".join(dict.fromkeys(filter(None, map(system.get, ("name", "distro"))))) or None,
            mark=mark_of(record) if "other_config" in record else None,
        )

    def _names(self, refs: t.Iterable[str]) -> t.Iterator[str]:
        """The networks of the cards, in the order of their devices."""
        cards = [card for ref in refs if (card := self._cards.get(ref))]
        for card in sorted(cards, key=lambda one: (len(str(one.get("device"))), str(one.get("device")))):
            if name := _text(self._networks.get(str(card.get("network")), {}).get("name_label")):
                yield name


def _settings(record: Record) -> dict[str, str]:
    """``other_config``. XenCenter has the VM's folder there, too."""
    return dict(record.get("other_config") or {})


def _text(value: t.Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: t.Any, bits: int = 0) -> int | None:
    return None if value is None else int(value) >> bits
