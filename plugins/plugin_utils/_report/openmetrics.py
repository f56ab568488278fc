# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as metrics for Prometheus.

PRIVATE to the collection: may change in any release.

The text is OpenMetrics, and it is also the older text format of Prometheus, because the textfile
collector of a node exporter reads only that one. So all metrics are gauges, which both formats
write in the same way, and none has a timestamp, which the collector refuses.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, time

from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.fleet import TASKS, Fleet, Router

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

_Labels = Mapping[str, str]


class _Gauge(t.NamedTuple):
    name: str
    help: str
    """Without quotation marks and backslashes, which the two formats write differently."""
    samples: list[tuple[_Labels, int]]


def as_openmetrics(fleet: Fleet) -> str:
    """Return the whole file."""
    return "".join(line for gauge in _gauges(fleet) for line in _lines(gauge)) + "# EOF\n"


def _lines(gauge: _Gauge) -> Iterator[str]:
    if not gauge.samples:
        return
    yield f"# HELP {gauge.name} {gauge.help}\n# TYPE {gauge.name} gauge\n"
    for labels, value in gauge.samples:
        shown = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels.items())
        yield f"{gauge.name}{{{shown}}} {value}\n" if shown else f"{gauge.name} {value}\n"


def _gauges(fleet: Fleet) -> Iterator[_Gauge]:
    def total(name: str, help: str, value: int) -> _Gauge:
        return _Gauge(name, help, [({}, value)])

    yield total("chr_licenses_routers", "Routers of the report.", len(fleet.routers))
    yield total("chr_licenses_renewal_due", "Routers that should have renewed by now.", len(fleet.renewal_due))
    yield total("chr_licenses_expired", "Routers whose license has expired.", len(fleet.expired))
    yield total("chr_licenses_not_read", "Routers that were not read.", len(fleet.not_read))
    yield total("chr_licenses_duplicate_ids", "System ids of more than one router.", len(fleet.duplicates))
    yield total("chr_licenses_wrong_clocks", "Routers whose clock is wrong.", len(fleet.wrong_clocks))
    if fleet.as_of:
        midnight = int(datetime.combine(fleet.as_of, time(), UTC).timestamp())
        yield total("chr_licenses_as_of_timestamp_seconds", "The routers' date, at midnight UTC.", midnight)
    todo = fleet.to_do
    yield _Gauge(
        "chr_licenses_to_do",
        "Routers by what there is to do for them.",
        [({"task": kind}, len(todo[kind])) for kind in TASKS],
    )

    named = list(_named(fleet.routers))
    read = [(name, one) for name, one in named if one.reason is None]

    def each(name: str, help: str, routers: Iterable[tuple[str, Router]], value: t.Callable[[Router], int]) -> _Gauge:
        return _Gauge(name, help, [({"router": router}, int(value(one))) for router, one in routers])

    yield each("chr_license_read", "Whether the license was read.", named, lambda one: one.reason is None)
    yield each(
        "chr_license_days_left",
        "Calendar days to the deadline, by the router's own clock.",
        [(name, one) for name, one in read if one.days_left is not None],
        lambda one: one.days_left or 0,
    )
    yield each(
        "chr_license_renewal_due", "Whether the router should have renewed by now.", read, lambda one: one.renewal_due
    )
    yield each("chr_license_expired", "Whether the license has expired.", read, lambda one: one.expired)
    yield _Gauge(
        "chr_license_router",
        "What the router is, and what there is to do for it; the value is always 1.",
        [({"router": name, **_about(one)}, 1) for name, one in named],
    )


def _named(routers: Iterable[Router]) -> Iterator[tuple[str, Router]]:
    """Yield each router with a name of its own: two equal samples would cost the whole file."""
    seen: set[str] = set()
    for router in routers:
        name, number = router.name, 1
        while name in seen:
            number += 1
            name = f"{router.name} ({number})"
        seen.add(name)
        yield name, router


def _about(router: Router) -> dict[str, str]:
    place, task = router.place, router.to_do
    found = {
        "level": router.level,
        "system_id": router.system_id,
        "backend": place.backend,
        "hypervisor": place.hypervisor,
        "vm": place.vm,
        "groups": " ".join(place.groups),
        "routeros": router.routeros,
        "to_do": task.kind if task else None,
    }
    return {name: value for name, value in found.items() if value}
