# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs of a Proxmox VE cluster, of all versions, and of one that answers nonsense."""

from __future__ import annotations

import json

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import details, list_vms, server_from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.tests.lab.prepared import Answer

MARK = f"outofband.chr: image {'ab' * 32} imported for {'0' * 16}"


def server(where, tmp_path, **more):
    login = {"api_token_id": "root@pam!chr", "api_token_secret": "t0ken-secret", "runtime_directory": tmp_path / "run"}
    return server_from_options({"backend": "proxmox", "api_host": "localhost", **login, **where, **more})


def at(pve):
    return {"api_port": pve.port, "ca_path": str(pve.certificate)}


@pytest.mark.parametrize(("version", "tags"), [("6.2", ()), ("7.4", ()), ("8.0", ("edge",)), ("9.1", ("edge",))])
def test_every_version_lists_its_vms_and_details_tell_the_rest(cluster, tmp_path, version, tags):
    pve = cluster(version)
    vm = pve.add(101, "chr1", "pve2")
    vm.config |= {"tags": "edge", "ostype": "l26", "description": MARK, "net10": "virtio=A,bridge=b", "net2": "e1000=B"}
    pve.add(102, "box").kind = "lxc"
    (found,) = list_vms(server(at(pve), tmp_path), Deadline(10.0))
    assert (found.id, found.name, found.node, found.tags, found.partial) == ("101", "chr1", "pve2", tags, True)
    (whole,) = details(server(at(pve), tmp_path), [found], Deadline(10.0))
    assert whole.networks == ("vmbr0", "", "b")
    assert whole.mark == Mark.parse(MARK)
    assert (whole.configured_os, whole.partial) == ("l26", False)


def test_the_name_of_a_vm_that_is_new_is_asked_of_its_node(cluster, tmp_path):
    pve = cluster()
    pve.broadcast_seconds = 60.0
    pve.add(101, "chr1").made = float("inf")
    assert [vm.name for vm in list_vms(server(at(pve), tmp_path), Deadline(10.0))] == ["chr1"]
    assert [path for _method, path, _values in pve.log][:2] == ["/cluster/resources", "/nodes/pve1/qemu"]


def test_only_the_vms_of_one_node_are_listed_if_it_is_named(cluster, tmp_path):
    pve = cluster()
    pve.add(101, "chr1", "pve1")
    pve.add(102, "chr2", "pve2")
    assert [vm.name for vm in list_vms(server(at(pve), tmp_path, node="pve2"), Deadline(10.0))] == ["chr2"]


def test_a_user_who_may_not_see_the_cluster_still_lists_its_vms(cluster, tmp_path):
    pve = cluster()
    pve.add(101, "chr1")
    pve.privileges["root@pam!chr"] = frozenset({"VM.Audit"})
    (found,) = list_vms(server(at(pve), tmp_path), Deadline(10.0))
    assert (found.name, found.cluster) == ("chr1", None)


def test_a_vm_that_is_gone_stays_as_it_was_listed(cluster, tmp_path):
    pve = cluster()
    pve.add(101, "chr1")
    pve.add(102, "chr2").config["description"] = MARK
    found = list_vms(server(at(pve), tmp_path), Deadline(10.0))
    pve.vms.pop(101).lab.stop()
    assert [vm.partial for vm in details(server(at(pve), tmp_path), found, Deadline(10.0))] == [True, False]


ROW = {"vmid": 101, "type": "qemu", "node": "pve1", "name": "chr1"}


@pytest.mark.parametrize(
    "more",
    [
        *({"tags": 7}, {"tags": ["a"]}, {"maxmem": "much"}, {"maxmem": 10**30}, {"maxcpu": None}, {"maxcpu": {}}),
        *({"status": []}, {"status": "paused"}, {"template": "x"}, {"pool": 5}, {"name": None}, {"name": 12}),
    ],
)
def test_an_odd_value_costs_that_value(prepared, tmp_path, more):
    where = {"api_port": prepared.port, "ca_path": prepared.ca_path}
    rows = [{**ROW, **more}, {**ROW, "vmid": 102}]
    of_the_node = [[]] if more.get("name", "x") is None else []
    prepared.answers = [Answer(json.dumps({"data": one}).encode()) for one in (rows, *of_the_node, [])]
    assert [vm.id for vm in list_vms(server(where, tmp_path), Deadline(10.0))] == ["101", "102"]


@pytest.mark.parametrize("answer", [None, {}, [1], [{}], [{"type": "qemu"}], [{**ROW, "vmid": "x"}], "x", [None]])
def test_an_answer_that_is_not_a_list_of_vms_is_said(prepared, tmp_path, answer):
    prepared.answers = [Answer(json.dumps({"data": answer}).encode())]
    with pytest.raises(ChrError, match="answered /cluster/resources without a list of VMs"):
        list_vms(server({"api_port": prepared.port, "ca_path": prepared.ca_path}, tmp_path), Deadline(10.0))
