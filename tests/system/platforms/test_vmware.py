# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module vmware_vm through ansible-playbook: pyvmomi and HTTPS against govmomi's simulator, as a vCenter and as an ESXi host."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import ssl
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.tests.lab.vcenter import PASSWORD, Vcenter

MIB = 1024**2


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, Path]:
    """A disk with a boot signature and 5 MiB of content, raw and as a streamOptimized vmdk."""
    folder = tmp_path_factory.mktemp("images")
    raw, stream = folder / "chr.img", folder / "chr.vmdk"
    content = bytearray(random.Random(5).randbytes(5 * MIB))
    content[510:512] = b"\x55\xaa"
    raw.write_bytes(content)
    os.truncate(raw, 128 * MIB)
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, stream]
    subprocess.run(convert, check=True)
    return {"nfc": stream, "datastore": raw}


def make(images: dict[str, Path], method: str = "nfc", **more: t.Any) -> dict[str, t.Any]:
    return {"name": "make", "outofband.chr.vmware_vm": {"image": str(images[method]), "method": method, **more}}


def hosts(vc: Vcenter, **more: t.Any) -> dict[str, dict[str, t.Any]]:
    return {"new": vc.variables(**more)}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def devices(vm: dict[str, t.Any], kind: str) -> list[dict[str, t.Any]]:
    return [one for one in vm["config"]["hardware"]["device"] if one["_typeName"] == kind]


ABSENT = {"name": "remove", "outofband.chr.vmware_vm": {"state": "absent"}}


def test_a_router_is_made_answers_and_is_left_alone_the_next_time(vcenter, playbook, images):
    """From an image to a router that runs a script: BIOS, system disk on IDE, vmxnet3, verified upload, mark; then no change."""
    vc = vcenter("old", boot=0.2)
    script = {"name": "go", "outofband.chr.script": {"source": "/system note set note=hello"}}
    tasks = [
        make(images, nics=[{"network": "DC0_DVPG0"}, {"model": "e1000", "mac": "00:50:56:AA:BB:01"}], cpus=2),
        {"name": "wait", "outofband.chr.wait_for_agent": {}},
        script,
        {**make(images), "name": "again"},
    ]
    run = playbook(tasks, hosts(vc, chr_connect_timeout=20))
    assert run.rc == 0, run.output
    result = run.of("make")["result"]
    vm = vc.made("new")
    assert result["changed"] and result["state"] == "running"
    assert (result["id"], result["image"]) == (vm["moid"], sha256(images["nfc"]))
    assert vm["power"] == "poweredOn"
    assert vm["config"]["firmware"] == "bios"
    assert vm["config"]["annotation"] == f"outofband.chr: image {result['image']} imported"
    assert vm["config"]["hardware"]["numCPU"] == 2
    assert vm["config"]["hardware"]["memoryMB"] == 256 + 8 * 2
    (disk,) = devices(vm, "VirtualDisk")
    assert disk["controllerKey"] in {one["key"] for one in devices(vm, "VirtualIDEController")}
    assert (disk["unitNumber"], disk["capacityInKB"]) == (0, 128 * 1024)
    assert disk["backing"]["thinProvisioned"] is True
    (first,) = devices(vm, "VirtualVmxnet3")
    assert first["backing"]["_typeName"] == "VirtualEthernetCardDistributedVirtualPortBackingInfo"
    (second,) = devices(vm, "VirtualE1000")
    assert (second["backing"]["deviceName"], second["macAddress"]) == ("VM Network", "00:50:56:aa:bb:01")
    (arrived,) = vc.uploads()
    assert arrived["sha256"] == sha256(images["nfc"])
    assert arrived["type"] == "application/x-vnd.vmware-streamVmdk"
    assert vc.routers.router(vm["moid"]).run(":put [/system note get note]").output.decode().strip() == "hello"
    assert not run.of("again")["result"]["changed"]
    assert "e1000 is not recommended" in run.output


def test_a_datastore_takes_the_image_too(vcenter, playbook, images):
    """The raw image goes into the VM's folder, is read back, and copied to a disk there; nothing of the upload stays."""
    vc = vcenter("old")
    run = playbook([make(images, "datastore", running=False), {**make(images, "datastore"), "name": "start"}], hosts(vc))
    assert run.rc == 0, run.output
    assert run.of("make")["result"]["state"] == "stopped"
    assert run.of("start")["result"] == {**run.of("start")["result"], "changed": True, "state": "running"}
    vm = vc.made("new")
    assert vm["config"]["annotation"] == f"outofband.chr: image {sha256(images['datastore'])} imported"
    (disk,) = devices(vm, "VirtualDisk")
    assert disk["backing"]["fileName"] == "[LocalDS_0] new/system.vmdk"
    assert disk["controllerKey"] in {one["key"] for one in devices(vm, "VirtualIDEController")}
    files = {name: path for name, path in vc.files().items() if name.startswith("[LocalDS_0] new/")}
    assert not [name for name in files if "import" in name]
    assert sha256(files["[LocalDS_0] new/system-flat.vmdk"]) == sha256(images["datastore"])
    assert f'RW {128 * 2048} VMFS "' in files["[LocalDS_0] new/system.vmdk"].read_text()


def test_an_esxi_host_takes_it_in_both_ways(vcenter, playbook, images):
    """A single host names itself ``*`` in a lease, and knows its datacenter without a name."""
    vc = vcenter("old", esx=True)
    for method in ("nfc", "datastore"):
        run = playbook([make(images, method), ABSENT], hosts(vc))
        assert run.rc == 0, run.output
        assert run.of("make")["result"]["image"] == sha256(images[method])
        assert run.of("remove")["result"]["changed"]
        assert vc.made("new") is None
    assert [one["sha256"] for one in vc.uploads()] == [sha256(images["nfc"])]


def test_check_mode_says_what_would_be_done_and_does_nothing(vcenter, playbook, images):
    vc = vcenter("old")
    run = playbook([make(images)], hosts(vc), "--check", "--diff")
    assert run.rc == 0, run.output
    result = run.of("make")["result"]
    assert (result["changed"], result["id"], result["state"]) == (True, None, "running")
    assert vc.made("new") is None and not vc.uploads()


def test_absent_removes_it_once_with_its_files(vcenter, playbook, images):
    vc = vcenter("old")
    before = set(vc.files())
    run = playbook([make(images), ABSENT, {**ABSENT, "name": "again"}], hosts(vc))
    assert run.rc == 0, run.output
    assert run.of("remove")["result"] == {**run.of("remove")["result"], "changed": True, "state": "absent", "id": None}
    assert not run.of("again")["result"]["changed"]
    assert vc.made("new") is None and set(vc.files()) == before


def test_a_vm_of_somebody_else_is_not_touched(vcenter, playbook, images):
    """Neither for an import, nor for its removal."""
    vc = vcenter("new")
    run = playbook([{**make(images), "ignore_errors": True}, ABSENT], hosts(vc))
    for task in ("make", "remove"):
        text = run.of(task)["result"]["msg"]
        assert "already has 'new'" in text and "It was not touched" in text
    assert vc.made("new")["power"] == "poweredOn" and not vc.uploads()


def test_two_vms_of_the_name_are_not_touched(vcenter, playbook):
    vc = vcenter("new", "new")
    run = playbook([ABSENT], hosts(vc))
    assert "has 2 VMs named 'new'" in run.of("remove")["result"]["msg"]


@pytest.mark.parametrize("method", ["nfc", "datastore"])
def test_a_run_that_was_killed_leaves_what_the_next_one_clears(vcenter, playbook, images, method):
    """SIGKILL in the middle: what is there is marked as unfinished, and the next run removes it and begins anew."""
    vc = vcenter("old")
    last = {"nfc": "HttpNfcLeaseComplete", "datastore": "CopyVirtualDisk_Task"}[method]
    vc.fault(last, "3")
    process = playbook.start([make(images, method)], hosts(vc))
    wait_for(lambda: vc.counts().get(last))
    kill(process)
    left = vc.made("new")
    assert f"image {sha256(images[method])} importing" in left["config"]["annotation"]
    run = playbook([make(images, method)], hosts(vc))
    assert run.rc == 0, run.output
    assert run.of("make")["result"]["changed"]
    made = vc.made("new")
    assert made["moid"] != left["moid"] and made["config"]["annotation"].endswith(" imported")
    assert not [name for name in vc.files() if "import" in name]


def test_what_a_killed_run_left_can_be_removed(vcenter, playbook, images):
    """Also while VMware still holds it for the lease, and without naming the datastore again."""
    vc = vcenter("old")
    vc.fault("CopyVirtualDisk_Task", "1")
    process = playbook.start([make(images, "datastore")], hosts(vc))
    wait_for(lambda: vc.counts().get("CopyVirtualDisk_Task"))
    kill(process)
    wait_for(lambda: "[LocalDS_0] new/system.vmdk" in vc.files())
    vc.fault("Destroy_Task", "TaskInProgress")
    run = playbook([ABSENT], hosts(vc))
    assert run.rc == 0, run.output
    assert vc.made("new") is None and not [name for name in vc.files() if name.startswith("[LocalDS_0] new/")]


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for ansible-playbook and its workers, which are in sessions of their own."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def wait_for(condition: t.Callable[[], t.Any]) -> None:
    for _unused in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come within 30 s")


# -- what goes wrong ---------------------------------------------------------------------------------------------------


WRONG = {
    "store": ({"datastore": "nope"}, "no datastore 'nope' in its cluster 'DC0_C0'"),
    "no store": ({"cluster": "DC0_C0"}, "2 datastores in its cluster 'DC0_C0'"),
    "network": ({"nics": [{"network": "nope"}]}, "has no network 'nope'"),
    "uplinks": ({"nics": [{"vlan": 5}]}, "make a port group with that VLAN"),
    "mac": ({"nics": [{"mac": "00:50:56"}]}, "no MAC address"),
    "cluster": ({"cluster": "nope"}, "no cluster 'nope' in its datacenter 'DC0'"),
    "host": ({"esxi_host": "nope"}, "no esxi host 'nope' in its datacenter 'DC0'"),
    "pool": ({"resource_pool": "nope"}, "no resource pool 'nope'"),
    "folder": ({"folder": "a/b"}, "no folder 'a/b'"),
    "datacenter": ({"datacenter": "nope"}, "no datacenter 'nope'"),
    "name": ({"name": "n" * 81}, "VMware takes 80 characters"),
}


def test_what_cannot_be_right_is_said_before_anything_is_made(vcenter, playbook, images):
    """Names of the inventory that mean nothing or too much, and formats that the way does not take."""
    vc = vcenter("old", datastores="2")
    fine = {"datastore": "LocalDS_1"}
    tasks = [
        {**make(images, **{**fine, **more}), "name": name, "ignore_errors": True} for name, (more, _text) in WRONG.items()
    ]
    tasks[1]["outofband.chr.vmware_vm"].pop("datastore")
    for method, other in (("nfc", "datastore"), ("datastore", "nfc")):
        tasks.append({**make(images, method, **fine), "name": method, "ignore_errors": True})
        tasks[-1]["outofband.chr.vmware_vm"]["image"] = str(images[other])
    run = playbook(tasks, hosts(vc))
    expected = {name: text for name, (_more, text) in WRONG.items()}
    expected |= {"nfc": "subformat=streamOptimized", "datastore": "takes a raw one"}
    for name, text in expected.items():
        assert text in run.of(name)["result"]["msg"], name
    assert vc.made("new") is None


def test_what_the_server_says_before_keeps_anything_from_being_made(vcenter, playbook, images):
    """No space, a datastore that is not accessible, a missing privilege: asked for before the import."""
    vc = vcenter("old")
    vc.ask("datastore", free=str(MIB))
    assert "has 1 MiB free, and 'new' needs 6" in failure(playbook([make(images)], hosts(vc)))
    vc.ask("datastore", free=str(100 * MIB), accessible="false")
    assert "not accessible" in failure(playbook([make(images)], hosts(vc)))
    vc.ask("datastore", free=str(100 * MIB))
    assert "has 100 MiB free, and 'new' needs 128" in failure(playbook([make(images, thin=False)], hosts(vc)))
    vc.ask("deny", privilege="VApp.Import")
    text = failure(playbook([make(images)], hosts(vc)))
    assert "missing are VApp.Import on the resource pool of cluster 'DC0_C0'" in text
    assert vc.counts().get("ImportVApp") is None and vc.made("new") is None


def failure(run: t.Any) -> str:
    assert run.rc == 2, run.output
    assert PASSWORD not in run.output
    return t.cast("str", run.of("make")["result"]["msg"])


FAILS = {
    "privilege": ("fault", {"method": "ImportVApp", "fault": "NoPermission", "count": "1"}, "privilege VirtualMachine.Guest"),
    "license": ("fault", {"method": "ImportVApp", "fault": "RestrictedVersion", "count": "1"}, "(the free one)"),
    "full": ("lease", {"error": "NoDiskSpace"}, "NoDiskSpace"),
    "corrupt": ("transfer", {"corrupt": "yes"}, "arrived at 127.0.0.1"),
    "refused": ("transfer", {"status": "507"}, "The datastore has no space"),
    "mark": ("fault", {"method": "ReconfigVM_Task", "fault": "InvalidState", "count": "1"}, "InvalidState"),
    "power": ("fault", {"method": "PowerOnVM_Task", "fault": "NoDiskSpace", "count": "1"}, "did not switch on 'new'"),
}


@pytest.mark.parametrize("method", ["nfc", "datastore"])
def test_an_import_that_fails_leaves_nothing(vcenter, playbook, images, method):
    """Whatever fails, and in whatever step: the text says what, and there is no VM and no file of it."""
    vc = vcenter("old")
    before = set(vc.files())
    own = {
        "corrupt": ("transfer", {"corrupt": "yes"}, "[LocalDS_0] new/import-flat.vmdk"),
        "copy": ("fault", {"method": "CopyVirtualDisk_Task", "fault": "NoDiskSpace", "count": "1"}, "did not copy the disk"),
    }
    cases = FAILS if method == "nfc" else own
    for name, (what, query, text) in cases.items():
        vc.ask(what, **query)
        said = failure(playbook([make(images, method)], hosts(vc)))
        assert text in said, name
        if what == "lease":
            vc.ask("lease")
        if name != "power":
            assert vc.made("new") is None and set(vc.files()) == before, name
    if method == "nfc":
        assert vc.counts()["HttpNfcLeaseAbort"] == 3
