# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of VMs of a pool of XCP-ng: the lab's XenAPI around a real oxenstored."""

from __future__ import annotations

import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    LoginRefused,
    NotPermitted,
    Unreachable,
    UntrustedCertificate,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import (
    list_vms,
    open_guest,
    server_from_options,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.tests.lab.missing import need_library
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.xen.host import XenHost
from ansible_collections.outofband.chr.tests.lab.xenapi.server import LabPool

MARK = Mark("a" * 64, True, "0123456789abcdef")


@pytest.fixture
def pool(xen: XenHost, tmp_path: Path) -> t.Iterator[LabPool]:
    need_library("XenAPI", "XenAPI")
    with LabPool(xen, tmp_path) as running:
        yield running


def reach(pool: LabPool, folder: Path) -> dict[str, t.Any]:
    options = {name.removeprefix("chr_"): value for name, value in pool.variables().items()}
    return {name: value for name, value in options.items() if name != "ansible_host"} | {
        "runtime_directory": folder / "run"
    }


def listed(pool: LabPool, folder: Path, seconds: float = 60.0, **options: t.Any) -> dict[str, FoundVm]:
    """The VMs by name."""
    found = list_vms(server_from_options({**reach(pool, folder), **options}), Deadline(seconds))
    return {one.name: one for one in found}


def test_a_thousand_vms_take_three_calls(pool, tmp_path):
    for number in range(1000):
        pool.copy(f"copy{number:04d}")
    found = listed(pool, tmp_path)
    assert len(found) == 1000
    assert found["copy0999"].addresses == ("10.2.3.250",)
    assert pool.calls() == [
        "session.login_with_password",
        "VM.get_all_records",
        "VM_guest_metrics.get_all_records",
        "event.from",
    ]
    assert pool.invalid == []


def test_a_vm_is_listed_with_what_the_pool_knows_of_it(pool, tmp_path):
    """Snapshots, control domains and the templates that every pool has are left out."""
    vm = pool.vm("chr1", started=True)
    vm.tags = ["edge", "router"]
    vm.fields = {
        "other_config": {"outofband.chr": str(MARK), "folder": "/site1/edge", "base_template_name": "Other"},
        **{"VCPUs_max": "2", "memory_static_max": str(512 << 20)},
    }
    inventory = pool.inventory
    lan, wan = inventory.objects["network"]
    for device, network in {"10": lan, "2": wan}.items():
        inventory.add("VIF", {"VM": vm.ref, "network": network, "device": device})
    pool.vm("halted")
    pool.vm("asleep").state = "Suspended"
    pool.vm("paused").state = "Paused"
    for kind in ("is_a_snapshot", "is_control_domain", "is_a_template"):
        pool.vm(kind).kind = kind
    away = pool.vm("away")
    away.state, away.host_ref = "Running", inventory.host("xcp2", live=False)

    found = listed(pool, tmp_path)
    assert set(found) == {"chr1", "halted", "asleep", "paused", "away", "is_a_template"}
    assert found["chr1"] == FoundVm(
        id=vm.uuid,
        name="chr1",
        power="on",
        node="xcp1",
        cluster="lab",
        folder="/site1/edge",
        tags=("edge", "router"),
        cpus=2,
        memory=512,
        networks=("Lan", "Pool-wide network associated with eth0"),
        addresses=found["chr1"].addresses,
        configured_os="Other",
        reported_os=found["chr1"].reported_os,
        mark=MARK,
    )
    assert {name: found[name].power for name in ("halted", "asleep", "paused")} == {
        "halted": "off",
        "asleep": "suspended",
        "paused": "on",
    }
    assert (found["halted"].node, found["halted"].mark, found["halted"].tags) == (None, None, ())
    assert found["is_a_template"].template
    assert (found["away"].power, found["away"].node, found["away"].node_online) == ("unknown", "xcp2", False)


def test_what_the_tools_report_is_listed(pool, tmp_path):
    vm = pool.vm("chr1", started=True)
    guest = open_guest(options_for(vm=vm.uuid, **reach(pool, tmp_path)))
    guest.ping()
    found = listed(pool, tmp_path)["chr1"]
    report = guest.report()
    assert found.addresses == tuple(address.address for one in report.interfaces for address in one.addresses)
    assert "RouterOS" in found.reported_os


def test_the_id_of_a_listed_vm_names_it_for_the_connection_after_a_new_name(pool, tmp_path):
    vm = pool.vm("chr1", started=True)
    vm.name = "renamed"
    found = listed(pool, tmp_path)["renamed"]
    assert open_guest(options_for(vm=found.id, **reach(pool, tmp_path))).place()[1] == vm.uuid


def test_a_pool_without_vms_has_an_empty_list(pool, tmp_path):
    assert listed(pool, tmp_path) == {}


def test_a_list_that_cannot_be_had_is_a_typed_error(pool, tmp_path):
    with pytest.raises(LoginRefused, match="wrong user or password"):
        listed(pool, tmp_path, api_password="s3cr3t-wr0ng")
    with pytest.raises(UntrustedCertificate, match="chr_ca_path"):
        listed(pool, tmp_path, ca_path=None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=f"localhost:{port} cannot be reached"):
        listed(pool, tmp_path, api_port=port)
    for missing in ("api_host", "api_user", "api_password"):
        with pytest.raises(InvalidInput, match=f"chr_{missing} is not set for the list of VMs"):
            listed(pool, tmp_path, **{missing: None})
    pool.faults["VM.get_all_records"] = ["!RBAC_PERMISSION_DENIED vm.get_all_records"]
    with pytest.raises(NotPermitted, match="does not let 'root' call VM.get_all_records"):
        listed(pool, tmp_path)
    with pytest.raises(Unreachable, match="did not list its VMs within 1e-06 s"):
        listed(pool, tmp_path, 1e-6)
