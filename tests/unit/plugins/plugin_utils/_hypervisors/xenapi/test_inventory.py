# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of VMs of a server whose answers are odd."""

from __future__ import annotations

import contextlib
import typing as t
import xmlrpc.client
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import list_vms, server_from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm
from ansible_collections.outofband.chr.tests.lab.prepared import Answer, PreparedServer

VM: dict[str, t.Any] = {
    "uuid": "3f2a91bc-6f0c-4d1e-9d0f-6f0c4d1e9d0f",
    "name_label": "chr1",
    "power_state": "Running",
    "resident_on": "OpaqueRef:host",
    "guest_metrics": "OpaqueRef:report",
    "is_a_template": False,
    "is_a_snapshot": False,
    "is_control_domain": False,
    "is_default_template": False,
    "other_config": {"folder": "/site1"},
    "tags": ["edge"],
    "VCPUs_max": "2",
    "memory_static_max": str(1 << 28),
    "VIFs": ["OpaqueRef:card"],
}
REPORT = {"os_version": {"name": "RouterOS"}, "networks": {"0/ip": "192.0.2.1", "0/ipv4/0": "192.0.2.1"}}
AROUND: dict[str, dict[str, t.Any]] = {
    "host": {"name_label": "xcp1", "metrics": "OpaqueRef:health"},
    "host_metrics": {"live": True},
    "network": {"name_label": "Lan"},
    "pool": {"name_label": "lab"},
    "vif": {"device": "0", "network": "OpaqueRef:network"},
}
REFS = {"host_metrics": "OpaqueRef:health", "vif": "OpaqueRef:card"}
ODD = ("text", 7, True, [], {}, [[]], {"a": {}}, {"a": []}, ["x", 1], "", -1, 1.5)
LIMIT = "9" * 30


def answer(value: object) -> Answer:
    return Answer(xmlrpc.client.dumps(({"Status": "Success", "Value": value},), methodresponse=True).encode())


def told(around: dict[str, t.Any], *more: tuple[str, str, t.Any]) -> Answer:
    """The records *around*, and *more*: (class, ref, record)."""
    known = [(kind, REFS.get(kind, f"OpaqueRef:{kind}"), record) for kind, record in around.items()]
    events = [{"class": kind, "ref": ref, "snapshot": record} for kind, ref, record in (*known, *more)]
    return answer({"events": events, "token": "1,1"})


@pytest.fixture
def listed(prepared: PreparedServer, tmp_path: Path) -> t.Callable[..., list[FoundVm]]:
    """The list that follows from three answers."""
    options = server_from_options(
        {
            **{"backend": "xenapi", "api_host": "localhost", "api_port": prepared.port, "ca_path": prepared.ca_path},
            **{"api_user": "root", "api_password": "s3cr3t", "runtime_directory": tmp_path / "run"},
            "connect_timeout": 0.2,
        }
    )

    def ask(*answers: Answer) -> list[FoundVm]:
        logged_in = [] if prepared.requests else [answer("OpaqueRef:session")]
        prepared.answers = [*logged_in, *answers]
        return list_vms(options, Deadline(10.0))

    return ask


def right(vms: object = None) -> list[Answer]:
    return [
        answer({"OpaqueRef:vm": VM} if vms is None else vms),
        answer({"OpaqueRef:report": REPORT}),
        told(AROUND),
    ]


WHOLE = FoundVm(
    id=VM["uuid"],
    name="chr1",
    power="on",
    node="xcp1",
    cluster="lab",
    folder="/site1",
    tags=("edge",),
    cpus=2,
    memory=256,
    networks=("Lan",),
    addresses=("192.0.2.1",),
    reported_os="RouterOS",
)


def test_a_vm_is_listed_whole(listed):
    assert listed(*right()) == [WHOLE]


def test_a_field_of_another_type_costs_only_itself(listed):
    """Each field of a VM with each odd value, in one list; one VM has no fault."""
    odd = {f"{field} {number}": {**VM, field: value} for field in VM for number, value in enumerate(ODD)}
    odd |= {f"no {field}": {name: value for name, value in VM.items() if name != field} for field in VM}
    odd |= {f"large {field}": {**VM, field: LIMIT} for field in ("VCPUs_max", "memory_static_max")}
    found = listed(*right({**odd, "odd": "not a record", "OpaqueRef:vm": VM}))
    assert WHOLE in found
    assert all(one.id and isinstance(one.id, str) for one in found)
    same = [one for one in found if (one.name, one.power, one.node) == ("chr1", "on", "xcp1")]
    assert len(same) > len(odd) / 2


def test_odd_reports_and_surroundings_cost_only_what_they_tell(listed):
    """Each VM of one list has a report, a host or a card with another odd value."""
    vms, reports, around = {}, {}, []
    for number, value in enumerate(ODD):
        for field in REPORT:
            vms[f"{field} {number}"] = {**VM, "guest_metrics": f"OpaqueRef:{field}{number}"}
            reports[f"OpaqueRef:{field}{number}"] = {**REPORT, field: value}
        for kind, link in {"host": "resident_on", "vif": "VIFs"}.items():
            for field in AROUND[kind]:
                ref = f"OpaqueRef:{kind} {field} {number}"
                around.append((kind, ref, {**AROUND[kind], field: value}))
                vms[f"{ref} {number}"] = {**VM, link: [ref] if kind == "vif" else ref}
            around.append((kind, f"OpaqueRef:{kind} {number}", value))
            vms[f"{kind} {number}"] = {**VM, link: [f"OpaqueRef:{kind} {number}"]}
        around += [
            ("host_metrics", f"OpaqueRef:m{number}", {"live": value}),
            ("network", f"OpaqueRef:n{number}", value),
        ]
        around += [("pool", f"OpaqueRef:p{number}", value), ("unknown", f"OpaqueRef:u{number}", value)]
    found = listed(answer(vms), answer(reports), told(AROUND, *around))
    assert len(found) == len(vms)
    assert {(one.id, one.cpus, one.cluster) for one in found} == {(WHOLE.id, 2, "lab")}


def test_what_is_no_list_is_a_typed_error(listed):
    for value in ("text", 7, [], {"a": {}}, {"events": [1], "token": ""}):
        for at in range(3):
            answers = right()
            answers[at] = answer(value)
            with contextlib.suppress(ChrError):
                assert len(listed(*answers)) <= 1
    with pytest.raises(NotPossible, match=r"answered VM\.get_all_records without records"):
        listed(answer(["chr1"]))
    with pytest.raises(NotPossible, match=r"answered event\.from without events"):
        listed(*right()[:2], answer([]))
    with pytest.raises(Unreachable, match="answered VM.get_all_records with something other than XenAPI's XML-RPC"):
        listed(*[Answer(b"<html/>")] * 3)


def test_names_come_as_they_are(listed):
    name = "caf\u00e9\u202e\u0085 <script>"
    (one,) = listed(*right({"OpaqueRef:vm": {**VM, "name_label": name}}))
    assert one.name == name
