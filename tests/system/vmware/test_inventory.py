# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of VMs of a vCenter and of an ESXi host: govmomi's simulator."""

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
    NotPossible,
    Unreachable,
    UntrustedCertificate,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import list_vms, server_from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware import vsphere as api
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.vsphere import Vsphere, library
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import PASSWORD, USER, Vcenter

MARK = Mark("a" * 64, True, "0123456789abcdef")


class Source:
    """The list of one simulator."""

    def __init__(self, vcenter: Vcenter, folder: Path, **options: t.Any) -> None:
        reach = {name.removeprefix("chr_"): value for name, value in vcenter.variables().items()}
        self.options = server_from_options({**reach, "runtime_directory": folder / "run", **options})

    def __call__(self, seconds: float = 60.0) -> dict[str, FoundVm]:
        """The VMs by name."""
        return {one.name: one for one in list_vms(self.options, Deadline(seconds))}


def login(vcenter: Vcenter, folder: Path) -> Vsphere:
    """Whoever administers the vCenter, logged in."""
    about = vcenter.about
    vsphere = Vsphere(
        PasswordLogin(about["host"], int(about["port"]), USER, PASSWORD, True, about["ca"], 20.0, folder / "admin")
    )
    vsphere.content()
    return vsphere


def run(vsphere: Vsphere, start: t.Callable[[], t.Any]) -> t.Any:
    """The result of a task of vCenter."""
    return vsphere.run("a task", start, Deadline(20.0), "the test")


def only(vsphere: Vsphere, kind: str) -> t.Any:
    """The only object of a *kind*."""
    ((moid, _values),) = vsphere.survey({kind: ["name"]})[kind].items()
    return vsphere.object(kind, moid)


def test_a_thousand_vms_take_one_call(vcenter, tmp_path, monkeypatch):
    """And three where an answer has fewer objects; none asks for one VM."""
    vc = vcenter("chr1", copies=1000)
    found = Source(vc, tmp_path)()
    assert len(found) == 1001
    before = vc.counts()
    assert before == {"RetrieveServiceContent": 1, "Login": 1, "Fetch": 1, "RetrievePropertiesEx": 1}
    assert found["copy0999"].addresses == ("10.1.3.250", "fe80::250:56ff:fea0:3e7")
    assert found["copy0000"].id != found["chr1"].id

    monkeypatch.setattr(api, "_PAGE", 400)
    assert list(Source(vc, tmp_path)()) == list(found)
    calls = {name: count - before.get(name, 0) for name, count in vc.counts().items() if count != before.get(name, 0)}
    assert calls == {"RetrievePropertiesEx": 1, "ContinueRetrievePropertiesEx": 2}


def test_a_vm_is_listed_with_what_vcenter_knows_of_it(vcenter, vmware_guest, tmp_path):
    vc = vcenter("chr1", "plain", "template", "asleep", "off", "lost", "sla%2fsh", "away")
    admin = login(vc, tmp_path)
    vim = library().vim
    vms = {one["name"]: admin.object("VirtualMachine", one["moid"]) for one in vc.vms}

    # chr1 has a folder, a pool, a mark, an attribute, a guest's report and a reporting router.
    folder = admin.call("make", lambda: vms_folder(admin).CreateFolder("edge"))
    folder = admin.call("make", lambda: folder.CreateFolder("site/1"))
    run(admin, lambda: folder.MoveIntoFolder_Task([vms["chr1"]]))
    pool = admin.call("make", lambda: only(admin, "ResourcePool").CreateResourcePool("gold", pool_size(vim)))
    pool = admin.call("make", lambda: pool.CreateResourcePool("routers", pool_size(vim)))
    run(admin, lambda: vms["chr1"].RelocateVM_Task(vim.vm.RelocateSpec(pool=pool), "defaultPriority"))
    fields = admin.call("look", lambda: admin.content().customFieldsManager)
    for name, value in {"role": "edge router", "empty": ""}.items():
        key = admin.call("make", lambda name=name: fields.AddCustomFieldDef(name, vim.VirtualMachine)).key
        admin.call("set", lambda key=key, value=value: fields.SetField(vms["chr1"], key, value))
    vc.change("chr1", config__annotation=f"ours\n{MARK}", guest__guestFullName="MikroTik RouterOS")
    vc.router("chr1").run("/ip address add address=192.0.2.9/24 interface=ether1")
    vc.ask("report")

    vc.change("template", config__template="true", runtime__powerState="poweredOff")
    vc.change("asleep", runtime__powerState="suspended")
    vc.change("off", runtime__powerState="poweredOff")
    vc.lose("lost")

    before = vc.counts()
    found = Source(vc, tmp_path)()
    calls = {name: count - before.get(name, 0) for name, count in vc.counts().items()}
    assert calls["RetrievePropertiesEx"] == 2  # the VMs, and the names of their attributes
    node = found["chr1"].node
    assert found["chr1"] == FoundVm(
        id=vc.vm("chr1")["moid"],
        name="chr1",
        power="on",
        node=node,
        cluster="DC0_C0",
        folder="/DC0/vm/edge/site%2f1",
        pool="gold/routers",
        tags=("role=edge router",),
        cpus=1,
        memory=32,
        networks=("DC0_DVPG0",),
        addresses=found["chr1"].addresses,
        configured_os="otherGuest",
        reported_os="MikroTik RouterOS",
        mark=MARK,
    )
    assert "192.0.2.9" in found["chr1"].addresses
    systems = [vmware_guest(vc, found[name].id).operating_system()["id"] for name in ("chr1", "plain")]
    assert systems == ["routeros", ""]  # as rule agent of an inventory asks for it
    plain = found["plain"]
    assert (plain.folder, plain.pool, plain.mark, plain.tags, plain.reported_os) == ("/DC0/vm", None, None, (), None)
    assert {name for name, one in found.items() if one.template} == {"template"}
    assert (found["asleep"].power, found["off"].power, found["template"].power) == ("suspended", "off", "off")
    lost = found["lost"]
    assert (lost.id, lost.power, lost.cpus, lost.configured_os) == (vc.vm("lost")["moid"], "unknown", None, None)
    assert found["sla/sh"].id == vc.vm("sla%2fsh")["moid"]

    vc.host("notResponding", node)
    found = Source(vc, tmp_path)()
    assert {(one.power, one.node_online) for one in found.values() if one.node == node} == {("unknown", False)}
    assert ("on", True) in {(one.power, one.node_online) for one in found.values()}


def test_attributes_whose_names_cannot_be_read_are_listed_by_their_keys(vcenter, tmp_path):
    vc = vcenter("chr1")
    admin = login(vc, tmp_path)
    fields = admin.content().customFieldsManager
    key = fields.AddCustomFieldDef("role", library().vim.VirtualMachine).key
    fields.SetField(admin.object("VirtualMachine", vc.vm("chr1")["moid"]), key, "edge")
    assert Source(vc, tmp_path)()["chr1"].tags == ("role=edge",)
    with pytest.raises(TypeError):  # the simulator leaves out the type of such an attribute
        fields.AddCustomFieldDef("of every kind of object")
    assert Source(vc, tmp_path)()["chr1"].tags == (f"{key}=edge",)


def pool_size(vim: t.Any) -> t.Any:
    share = vim.ResourceAllocationInfo(
        reservation=0, expandableReservation=True, limit=-1, shares=vim.SharesInfo(level="normal", shares=0)
    )
    return vim.ResourceConfigSpec(cpuAllocation=share, memoryAllocation=share)


def test_vms_in_vapps_are_listed_and_found(vcenter, vmware_guest, tmp_path):
    vc = vcenter("chr1")
    admin = login(vc, tmp_path)
    vim = library().vim
    inside = vim.vm.ConfigSpec(
        name="inside", guestId="otherGuest", files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"), numCPUs=1, memoryMB=64
    )
    vapp = admin.call(
        "make",
        lambda: only(admin, "ResourcePool").CreateVApp(
            "bundle", pool_size(vim), vim.vApp.VAppConfigSpec(), vms_folder(admin)
        ),
    )
    made = run(admin, lambda: vapp.CreateChildVM_Task(inside, None))
    found = Source(vc, tmp_path)()["inside"]
    assert (found.id, found.pool) == (made._moId, "bundle")
    assert vmware_guest(vc, found.id).place()[1] == vmware_guest(vc, "inside").place()[1] == found.id


def vms_folder(vsphere: Vsphere) -> t.Any:
    ((_moid, values),) = vsphere.survey({"Datacenter": ["vmFolder"]})["Datacenter"].items()
    return values["vmFolder"]


@pytest.mark.parametrize("esx", [False, True], ids=["vCenter", "ESXi"])
def test_the_id_of_a_listed_vm_names_it_for_the_connection_after_a_new_name(vcenter, vmware_guest, tmp_path, esx):
    vc = vcenter("chr1", "chr2", esx=esx)
    found = Source(vc, tmp_path)()
    assert found["chr1"].node == ("localhost.localdomain" if esx else found["chr1"].node)
    assert found["chr1"].cluster == (None if esx else "DC0_C0")
    assert (found["chr1"].folder, found["chr1"].pool) == ("/ha-datacenter/vm" if esx else "/DC0/vm", None)
    vc.ask("vm", moid=found["chr1"].id, name="renamed")
    assert Source(vc, tmp_path)()["renamed"].id == found["chr1"].id
    assert vmware_guest(vc, found["chr1"].id).place()[1] == vc.vm("chr1")["moid"]


def test_a_server_without_vms_has_an_empty_list(vcenter, tmp_path):
    vc = vcenter("gone")
    admin = login(vc, tmp_path)
    vm = admin.object("VirtualMachine", vc.vm("gone")["moid"])
    run(admin, vm.PowerOffVM_Task)
    run(admin, vm.Destroy_Task)
    assert Source(vc, tmp_path)() == {}


def test_a_list_that_cannot_be_had_is_a_typed_error(vcenter, tmp_path, monkeypatch):
    vc = vcenter("chr1")
    with pytest.raises(LoginRefused, match="wrong user or password"):
        Source(vc, tmp_path, api_password="s3cr3t-wr0ng")()
    with pytest.raises(UntrustedCertificate, match="chr_ca_path"):
        Source(vc, tmp_path, ca_path=None)()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{port} cannot be reached"):
        Source(vc, tmp_path, api_port=port)()
    for missing in ("api_host", "api_user", "api_password"):
        with pytest.raises(InvalidInput, match=f"chr_{missing} is not set for the list of VMs"):
            Source(vc, tmp_path, **{missing: None})()
    vc.fault("RetrievePropertiesEx", "NoPermission")
    with pytest.raises(NotPermitted, match="does not let 'ansible@vsphere.local' look at its VMs: NoPermission"):
        Source(vc, tmp_path)()
    with pytest.raises(Unreachable, match="did not list its objects within 1e-06 s"):
        Source(vc, tmp_path)(1e-6)
    monkeypatch.setattr(api, "_PAGE", 2)
    monkeypatch.setattr(api, "_OBJECTS", 3)
    with pytest.raises(NotPossible, match="lists more and more objects"):
        Source(vc, tmp_path)()
