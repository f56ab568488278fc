# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module vmware_vm through ansible-playbook: pyvmomi and HTTPS against govmomi's simulator, as a
vCenter and as an ESXi host."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import ssl
import subprocess
import tarfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.action.vmware_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import Allowed, ensure_present
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic, Outcome, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.options import VmwareOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.place import PlaceNames, resolve
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.vm import VmwarePlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.vsphere import Vsphere, library
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.password_login import PasswordLogin
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import PASSWORD, USER, Vcenter
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

MIB = 1024**2


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, Path]:
    """A disk with a boot signature and 5 MiB of content, raw and as a streamOptimized vmdk; and one
    of no more than that."""
    folder = tmp_path_factory.mktemp("images")
    raw, stream = folder / "chr.img", folder / "chr.vmdk"
    content = bytearray(random.Random(5).randbytes(5 * MIB))
    content[510:512] = b"\x55\xaa"
    raw.write_bytes(content)
    os.truncate(raw, 128 * MIB)
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, stream]
    subprocess.run(convert, check=True)
    small = folder / "small.img"
    small.write_bytes(content)
    odd = folder / "odd.img"
    odd.write_bytes(content[:-5])
    return {"nfc": stream, "datastore": raw, "small": small, "odd": odd}


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
    """From an image to a router that runs a script: BIOS, system disk on IDE, vmxnet3, verified
    upload, mark; then no change."""
    vc = vcenter("old", boot=0.2)
    script = {"name": "go", "outofband.chr.script": {"source": "/system note set note=hello"}}
    tasks = [
        make(images, nics=[{"network": "DC0_DVPG0"}, {"model": "e1000", "mac": "00:50:56:AA:BB:01"}], cpus=2),
        {"name": "wait", "outofband.chr.wait_for_agent": {}},
        script,
        {**make(images, nics=[{}, {"model": "e1000", "mac": "00:50:56:AA:BB:01"}], cpus=2), "name": "again"},
        differing(make(images)),
    ]
    run = playbook(tasks, hosts(vc, chr_connect_timeout=20))
    assert run.rc == 0, run.output
    result = run.of("make")["result"]
    vm = vc.made("new")
    assert result["changed"] and result["state"] == "running"
    assert (result["id"], result["image"]) == (vm["moid"], sha256(images["nfc"]))
    assert vm["power"] == "poweredOn"
    assert vm["config"]["firmware"] == "bios"
    assert vm["config"]["annotation"] == mark(result["image"], "imported", "new")
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
    assert_told_to_differ(run, "again")
    assert "e1000 is not recommended" in run.output


def test_a_datastore_takes_the_image_too(vcenter, playbook, images):
    """The raw image goes into the VM's folder, is read back, and copied to a disk there; nothing of
    the upload stays."""
    vc = vcenter("old")
    run = playbook(
        [make(images, "datastore", running=False), {**make(images, "datastore"), "name": "start"}], hosts(vc)
    )
    assert run.rc == 0, run.output
    assert run.of("make")["result"]["state"] == "stopped"
    assert run.of("start")["result"] == {**run.of("start")["result"], "changed": True, "state": "running"}
    vm = vc.made("new")
    assert vm["config"]["annotation"] == mark(sha256(images["datastore"]), "imported", "new")
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
    ways = ("nfc", "datastore")
    tasks = [{**task, "name": f"{task['name']} {way}"} for way in ways for task in (make(images, way), ABSENT)]
    run = playbook(tasks, hosts(vc))
    assert run.rc == 0, run.output
    for way in ways:
        assert run.of(f"make {way}")["result"]["image"] == sha256(images[way])
        assert run.of(f"remove {way}")["result"]["changed"]
    assert vc.made("new") is None
    assert [one["sha256"] for one in vc.uploads()] == [sha256(images["nfc"])]


def test_the_disk_of_an_ova_is_imported(vcenter, playbook, images, tmp_path):
    """It arrives as it is in the archive, and the VM has BIOS and IDE whatever the archive's
    description asks for."""
    ova = tmp_path / "chr.ova"
    manifest = tmp_path / "chr.mf"
    manifest.write_text(f"SHA256(disk.vmdk)= {sha256(images['nfc'])}\n")
    with tarfile.open(ova, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(manifest, "chr.mf")
        archive.add(images["nfc"], "disk.vmdk")
    vc = vcenter("old")
    run = playbook([make({"nfc": ova}), {**make(images), "name": "the same"}], hosts(vc))
    assert run.rc == 0, run.output
    assert run.of("make")["result"]["image"] == vc.uploads()[0]["sha256"] == sha256(images["nfc"])
    assert vc.made("new")["config"]["firmware"] == "bios"
    assert not run.of("the same")["result"]["changed"]


def test_check_mode_says_what_would_be_done_and_absent_does_it_once(vcenter, playbook, images):
    """Check mode changes nothing; a removal takes the running VM and its files, and the second one
    finds nothing to do."""
    vc = vcenter("old")
    before = set(vc.files())
    checked = {"check_mode": True}
    tasks = [
        {**make(images), **checked, "name": "would make"},
        {**ABSENT, **checked, "name": "nothing"},
        make(images),
        {**ABSENT, **checked, "name": "would remove"},
        ABSENT,
        {**ABSENT, "name": "again"},
    ]
    run = playbook(tasks, hosts(vc), "--diff")
    assert run.rc == 0, run.output
    changed = {name for _host, name in run.changed()}
    assert changed == {"would make", "make", "would remove", "remove"}
    would = run.of("would make")["result"]
    assert (would["id"], would["state"]) == (None, "running")
    assert would["diff"]["before"] == "new: absent\n"
    assert (run.of("remove")["result"]["id"], run.of("remove")["result"]["state"]) == (None, "absent")
    assert len(vc.uploads()) == 1
    assert vc.made("new") is None and set(vc.files()) == before


def test_a_vm_of_somebody_else_is_not_touched(vcenter, playbook, images):
    """Neither for an import, nor for its removal."""
    vc = vcenter("new")
    run = playbook([{**make(images), "ignore_errors": True}, ABSENT], hosts(vc))
    for task in ("make", "remove"):
        text = run.of(task)["result"]["msg"]
        assert "already has 'new'" in text and "It was not touched" in text
    assert vc.made("new")["power"] == "poweredOn" and not vc.uploads()


def test_a_run_that_was_killed_is_cleared_and_done_anew_by_the_next(vcenter, playbook, images):
    """SIGKILL before the lease was completed: the VM is marked as unfinished; the next run waits
    for VMware to let go of it."""
    vc = vcenter("old")
    vc.fault("HttpNfcLeaseComplete", "3")
    process = playbook.start([make(images)], hosts(vc))
    wait_for(lambda: vc.counts().get("HttpNfcLeaseComplete"))
    playbook.kill(process)
    left = vc.made("new")
    assert left["config"]["annotation"].startswith(mark(sha256(images["nfc"]), "importing", "new") + " in run ")
    vc.fault("Destroy_Task", "TaskInProgress")
    run = playbook([make(images)], hosts(vc))
    assert run.rc == 0, run.output
    made = vc.made("new")
    assert made["moid"] != left["moid"] and made["config"]["annotation"].split()[3] == "imported"
    assert len(vc.uploads()) == 2


def test_what_a_killed_run_left_in_a_datastore_can_be_removed(vcenter, playbook, images):
    """Also the disks that no VM has yet, and without naming the datastore again."""
    vc = vcenter("old")
    vc.fault("CopyVirtualDisk_Task", "1")
    process = playbook.start([make(images, "datastore")], hosts(vc))
    wait_for(lambda: vc.counts().get("CopyVirtualDisk_Task"))
    playbook.kill(process)
    wait_for(lambda: "[LocalDS_0] new/system.vmdk" in vc.files())
    assert " importing" in vc.made("new")["config"]["annotation"]
    run = playbook([ABSENT], hosts(vc))
    assert run.rc == 0, run.output
    assert vc.made("new") is None and not [name for name in vc.files() if name.startswith("[LocalDS_0] new/")]


def wait_for(condition: t.Callable[[], t.Any]) -> None:
    for _unused in range(4800):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come within 240 s")


# -- without Ansible -------------------------------------------------------------------------------


@dataclass
class Importer:
    """The platform's own functions, as the module calls them."""

    vc: Vcenter
    images: dict[str, Path]
    folder: Path
    said: list[str] = field(default_factory=list)

    def platform(
        self, method: t.Any = "nfc", thin: bool = True, image: str = "", name: str = "new", **more: t.Any
    ) -> VmwarePlatform:
        nics = more.pop("nics", (Nic(None, "vmxnet3"),))
        options = more.pop("options", {})
        image = image or {"datastore": "small"}.get(method, method)
        asked = more.pop("asked", Hardware(agent=True, boot=DISK))
        spec = VmSpec(name, 1, 256, nics, inspect(self.images[image]), asked)
        settings = settings_of(ActionModule, method=method, thin=thin, **more)
        return VmwarePlatform(spec, self.options(**options), settings, self.said.append)

    def options(self, **different: t.Any) -> VmwareOptions:
        about = self.vc.about
        where = {"api_host": about["host"], "api_port": int(about["port"]), "ca_path": about["ca"]}
        common = {"backend": "vmware", "vm": "new", "connect_timeout": 10.0, "exec_mode": "auto"}
        login = {"api_user": USER, "api_password": PASSWORD, "runtime_directory": self.folder}
        return options_for(**{**where, **common, **login, **different})

    def vsphere(self) -> Vsphere:
        return Vsphere(PasswordLogin.from_options(self.options(), 443, "the simulator"))

    def run(self, *arguments: t.Any, **more: t.Any) -> str:
        """Create the VM; return its id."""
        outcome = ensure_present(self.platform(*arguments, **more), running=True, check_mode=False)
        assert outcome.id
        return outcome.id

    def reconcile(self, *, adopt: bool = False, **more: t.Any) -> Outcome:
        """Bring an existing VM to what is asked for, with a restart."""
        allowed = Allowed(adopt=adopt, reconcile=True, restart=True)
        return ensure_present(self.platform(**more), running=True, check_mode=False, allowed=allowed)

    def fail_to_reconcile(self, **more: t.Any) -> str:
        with pytest.raises(ChrError) as raised:
            self.reconcile(**more)
        return str(raised.value)

    def fail(self, *arguments: t.Any, **more: t.Any) -> str:
        """Import a VM, which must fail; return the error's text."""
        with pytest.raises(ChrError) as raised:
            self.run(*arguments, **more)
        assert PASSWORD not in str(raised.value)
        return str(raised.value)


@pytest.fixture
def importer(vcenter, images, tmp_path) -> t.Callable[..., Importer]:
    """``importer("old", esx=True)``: a simulator and what imports into it."""

    def start(*names: str, **settings: t.Any) -> Importer:
        return Importer(vcenter(*names, **settings), images, tmp_path / "run")

    return start


def test_it_is_made_where_it_was_asked_for(importer):
    """Folder, resource pool, host and datastore by their names."""
    made = importer("old", datastores="2")
    vsphere = made.vsphere()
    place = resolve(vsphere, PlaceNames(datastore="LocalDS_1", esxi_host="DC0_C0_H1"))
    vim = library().vim
    shares = vim.SharesInfo(level="normal", shares=0)
    part = vim.ResourceAllocationInfo(reservation=0, limit=-1, expandableReservation=True, shares=shares)
    spec = vim.ResourceConfigSpec(cpuAllocation=part, memoryAllocation=part)
    pool = vsphere.call("CreateResourcePool", lambda: place.pool.CreateResourcePool("edge", spec))
    routers = vsphere.call("CreateFolder", lambda: place.folder.CreateFolder("routers"))
    site = vsphere.call("CreateFolder", lambda: routers.CreateFolder("site1"))
    moid = made.run(
        "datastore",
        datastore="LocalDS_1",
        esxi_host="DC0_C0_H1",
        cluster="DC0_C0",
        resource_pool="edge",
        folder="/routers/site1",
        datacenter="DC0",
    )
    vm = made.vc.made("new")
    assert (vm["moid"], vm["folder"], vm["pool"]) == (moid, site._moId, pool._moId)
    assert vm["config"]["files"]["vmPathName"].startswith("[LocalDS_1] new/")
    assert vsphere.properties(moid, ["runtime.host"])["runtime.host"]._moId == place.host._moId


def test_an_esxi_host_is_believed_by_the_thumbprint_that_the_vcenter_tells(importer):
    """The disk goes to a host whose name its certificate does not have; another certificate than
    the one told gets nothing."""
    made = importer("old")
    address = f"localhost:{made.vc.about['port']}"
    der = ssl.PEM_cert_to_DER_cert(Path(made.vc.about["ca"]).read_text())
    made.vc.ask("lease", address=address)
    assert f"certificate of {address} is not trusted" in made.fail()
    made.vc.ask("lease", address=address, thumbprint=":".join(["AB"] * 20))
    assert "something else answers there" in made.fail()
    assert not made.vc.uploads() and made.vc.made("new") is None
    shown = hashlib.sha1(der).hexdigest().upper()
    made.vc.ask("lease", address=address, thumbprint=":".join(shown[i : i + 2] for i in range(0, 40, 2)))
    assert made.run()
    assert len(made.vc.uploads()) == 1


def test_an_esxi_host_that_is_not_reached_is_explained(importer):
    made = importer("old")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        made.vc.ask("lease", address=address)
        text = made.fail()
    assert f"{address} cannot be reached" in text and "Or use method: datastore" in text
    assert made.vc.made("new") is None


def test_a_lease_is_kept_while_an_upload_takes_long(importer):
    """A lease ends when nobody tells of progress for its timeout."""
    made = importer("old")
    made.vc.ask("lease", timeout="1")
    made.vc.ask("transfer", stall="0.5")
    assert made.run()
    assert made.vc.counts()["HttpNfcLeaseProgress"] >= 2


def test_a_server_without_a_manifest_is_told_of(importer):
    """No checksum from the far side is no error, and it is said."""
    made = importer("old")
    made.vc.fault("HttpNfcLeaseGetManifest", "NotSupported")
    assert made.run()
    (line,) = made.said
    assert "does not tell the checksum of what arrived (NotSupported" in line


def test_a_server_that_does_not_convert_copies_as_it_is(importer):
    made = importer("old")
    made.vc.fault("CopyVirtualDisk_Task", "NotSupported")
    assert made.run("datastore")
    assert made.vc.counts()["CopyVirtualDisk_Task"] == 2


def test_two_vms_of_the_name_are_not_touched(importer):
    made = importer("new", "new")
    assert "has 2 VMs named 'new'" in made.fail()


WRONG = {
    "no datastore 'nope' in its cluster 'DC0_C0'": {"datastore": "nope"},
    "2 datastores in its cluster 'DC0_C0'": {"datastore": None},
    "has no network 'nope'": {"nics": (Nic("nope", "vmxnet3"),)},
    "make a port group with that VLAN": {"nics": (Nic(None, "vmxnet3", vlan=5),)},
    "no cluster 'nope' in its datacenter 'DC0'": {"cluster": "nope"},
    "no esxi host 'nope' in its cluster 'DC0_C0'": {"esxi_host": "nope", "cluster": "DC0_C0"},
    "no resource pool 'nope'": {"resource_pool": "nope"},
    "no folder 'a/b'": {"folder": "a/b"},
    "no datacenter 'nope'": {"datacenter": "nope"},
    "VMware takes at most 80 characters": {"name": "n" * 81},
    "subformat=streamOptimized": {"image": "datastore"},
    "not a whole number of sectors": {"method": "datastore", "image": "odd"},
    "takes a raw one": {"method": "datastore", "image": "nfc"},
}


def test_what_cannot_be_right_is_said_before_anything_is_made(importer):
    """Names of the inventory that mean nothing or too much, and formats that the way does not
    take."""
    made = importer("old", datastores="2")
    for text, more in WRONG.items():
        assert text in made.fail(**{"datastore": "LocalDS_1", **more})
    assert made.vc.made("new") is None and "CreateVM_Task" not in made.vc.counts()


def test_what_the_server_says_before_keeps_anything_from_being_made(importer):
    """No space, a datastore that is not accessible, a missing privilege: asked for before the
    import."""
    made = importer("old")
    made.vc.ask("datastore", free=str(MIB))
    assert "has 1 MiB free, and 'new' needs 6" in made.fail()
    made.vc.ask("datastore", free=str(100 * MIB), accessible="false")
    assert "not accessible" in made.fail()
    made.vc.ask("datastore", free=str(100 * MIB))
    assert "has 100 MiB free, and 'new' needs 128" in made.fail(thin=False)
    made.vc.ask("deny", privilege="VApp.Import")
    assert "the user lacks VApp.Import on the resource pool of cluster 'DC0_C0'" in made.fail()
    assert "ImportVApp" not in made.vc.counts() and made.vc.made("new") is None


def fault(method: str, kind: str) -> tuple[str, dict[str, str]]:
    return "fault", {"method": method, "fault": kind, "count": "1"}


FAILS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "nfc": {
        "may not import 'new'": fault("ImportVApp", "NoPermission"),
        "(the free one)": fault("ImportVApp", "RestrictedVersion"),
        "NoDiskSpace. Make space": ("lease", {"error": "NoDiskSpace"}),
        "with the sha1": ("transfer", {"corrupt": "yes"}),
        "The datastore has no space": ("transfer", {"status": "507"}),
        "InvalidState": fault("ReconfigVM_Task", "InvalidState"),
    },
    "datastore": {
        "may not import 'new'": fault("CreateVM_Task", "NoPermission"),
        "[LocalDS_0] new/import-flat.vmdk of 127.0.0.1": ("transfer", {"corrupt": "yes"}),
        "HTTP 403": ("transfer", {"status": "403"}),
        "did not copy the disk of 'new'": fault("CopyVirtualDisk_Task", "NoDiskSpace"),
        "InvalidState": fault("ReconfigVM_Task", "InvalidState"),
    },
}


@pytest.mark.parametrize("method", FAILS)
def test_an_import_that_fails_leaves_nothing(importer, method):
    """Whatever fails, and in whatever step: the text says what, and there is no VM and no file of
    it."""
    made = importer("old")
    before = set(made.vc.files())
    for text, (what, query) in FAILS[method].items():
        made.vc.ask(what, **query)
        assert text in made.fail(method)
        made.vc.ask("lease")
        assert made.vc.made("new") is None and set(made.vc.files()) == before, text
    assert made.run(method)


def test_a_router_that_cannot_be_switched_on_stays(importer):
    """The import is complete, so the next run only switches it on."""
    made = importer("old")
    made.vc.fault("PowerOnVM_Task", "NoDiskSpace")
    assert "did not switch on 'new'" in made.fail()
    assert made.vc.made("new")["power"] == "poweredOff"
    assert made.run() and len(made.vc.uploads()) == 1


# -- drift, and VMs of others ----------------------------------------------------------------------


def test_a_router_that_drifted_is_reconciled_once(importer):
    made = importer("old")
    made.run(nics=(Nic(None, "vmxnet3"), Nic("DC0_DVPG0", "e1000"), Nic(None, "vmxnet3")))
    before = made.vc.made("new")
    nics = (Nic("DC0_DVPG0", "vmxnet3"), Nic("VM Network", "e1000", "00:50:56:11:22:33"))
    asked = Hardware(4, 512, tuple(Card(nic.model, nic.mac, nic.network) for nic in nics), boot=DISK)
    outcome = made.reconcile(nics=nics, asked=asked)
    assert [(one.what, one.card) for one in outcome.reconciled] == [
        ("cpus", None),
        ("memory", None),
        ("nics", None),
        ("network", 1),
        ("mac", 2),
        ("network", 2),
    ]
    vm = made.vc.made("new")
    assert vm["power"] == "poweredOn"
    assert (vm["config"]["hardware"]["numCPU"], vm["config"]["hardware"]["memoryMB"]) == (4, 512)
    (first,), (second,) = devices(vm, "VirtualVmxnet3"), devices(vm, "VirtualE1000")
    assert first["backing"]["_typeName"] == "VirtualEthernetCardDistributedVirtualPortBackingInfo"
    assert first["macAddress"] == devices(before, "VirtualVmxnet3")[0]["macAddress"]
    assert (second["backing"]["deviceName"], second["macAddress"]) == ("VM Network", "00:50:56:11:22:33")
    assert not made.reconcile(nics=nics, asked=asked).changed
    more = (*nics, Nic(None, "vmxnet3"))
    asked = Hardware(nics=tuple(Card(nic.model) for nic in more))
    assert [one.what for one in made.reconcile(nics=more, asked=asked).reconciled] == ["nics"]
    assert len(devices(made.vc.made("new"), "VirtualVmxnet3")) == 2


def test_a_router_that_answers_is_asked_to_shut_down_for_a_change(vcenter, playbook, images):
    vc = vcenter("old", boot=0.2)
    fix = make(images, cpus=2, reconcile=True, restart=True)
    wait = {"name": "wait", "outofband.chr.wait_for_agent": {}}
    tasks = [make(images), wait, {**fix, "name": "fix"}, {**fix, "name": "again"}, {**wait, "name": "back"}]
    run = playbook(tasks, hosts(vc, chr_connect_timeout=20), "--diff")
    assert run.rc == 0, run.output
    assert run.changed() == {("new", "make"), ("new", "fix")}
    assert run.of("fix")["result"]["diff"]["after"] == "new: running\ncpus: 2\n"
    vm = vc.made("new")
    assert (vm["power"], vm["config"]["hardware"]["numCPU"]) == ("poweredOn", 2)


def test_the_model_of_a_card_is_told_and_left_alone(importer):
    """Another device would have another address, and be another interface to RouterOS."""
    made = importer("old")
    made.run()
    platform = made.platform(nics=(Nic(None, "e1000"),), asked=Hardware(nics=(Card("e1000"),)))
    allowed = Allowed(reconcile=True, restart=True)
    assert not ensure_present(platform, running=True, check_mode=False, allowed=allowed).changed
    assert (
        "model of ether1 vmxnet3 instead of e1000. This collection does not change that there" in platform.warnings[0]
    )


def test_a_router_that_boots_from_the_network_is_reconciled(importer):
    made = importer("old")
    moid = made.run()
    vsphere, vim = made.vsphere(), library().vim
    vsphere.content()
    (card,) = devices(made.vc.made("new"), "VirtualVmxnet3")
    network = vim.vm.BootOptions.BootableEthernetDevice(deviceKey=card["key"])
    spec = vim.vm.ConfigSpec(bootOptions=vim.vm.BootOptions(bootOrder=[network]))
    vm = vsphere.object("VirtualMachine", moid)
    vsphere.run("ReconfigVM_Task", lambda: vm.ReconfigVM_Task(spec), Deadline(60), "new")
    assert [str(one) for one in made.reconcile().reconciled] == ["boot network instead of disk"]
    assert not made.reconcile().changed


def test_a_router_of_somebody_else_is_adopted_and_its_notes_stay(importer):
    made = importer("old")
    vsphere, vim = made.vsphere(), library().vim
    ((moid, _name),) = [(moid, name) for moid, name in vsphere.values("name") if name == "old"]
    vm = vsphere.object("VirtualMachine", moid)
    spec = vim.vm.ConfigSpec(annotation="The old router.")
    vsphere.run("ReconfigVM_Task", lambda: vm.ReconfigVM_Task(spec), Deadline(60), "old")
    assert "adopt: true takes it over" in made.fail(name="old")
    outcome = made.reconcile(adopt=True, name="old", asked=Hardware())
    assert (outcome.adopted, outcome.id, outcome.image) == (True, moid, None)
    assert outcome.hardware.cpus and outcome.hardware.nics
    assert not made.reconcile(adopt=True, name="old", asked=Hardware()).changed
    notes = vsphere.properties(moid, ["config.annotation"])["config.annotation"]
    assert notes.startswith("The old router.\n\noutofband.chr: image unknown imported for ")


def test_what_is_missing_for_a_change_is_told_before_the_router_is_turned_off(importer):
    made = importer("old")
    made.run()
    asked = Hardware(nics=(Card(network="nosuch"),))
    assert "no network 'nosuch'" in made.fail_to_reconcile(nics=(Nic("nosuch", "vmxnet3"),), asked=asked)
    assert made.vc.made("new")["power"] == "poweredOn"
