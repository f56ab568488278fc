# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs on XenServer and XCP-ng of an image, by whole runs against the lab's pool, which keeps the
bytes of every disk.

The lab checks each call against XenAPI's datamodel, boots what was made as a domain of a real
oxenstored, and moves disks as xen-api's code does: the good answer before the data, the verdict in
the task, another host's address where the storage is not seen.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import threading
import time
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.action.xenapi_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPermitted, VmAmbiguous
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import NameTaken, Nic, Outcome, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.vm import XenapiPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.lab.xenapi.server import PASSWORD, USER, LabPool
from ansible_collections.outofband.chr.tests.lab.xenapi.storage import MIB
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

SIZE = 128 * MIB + 512  # no multiple of what a storage rounds to


@pytest.fixture
def pool(xen, short_path: Path) -> t.Iterator[LabPool]:
    with LabPool(xen, short_path) as one:
        yield one
        assert one.invalid == []
        assert one.tasks == []


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk, as large as the smallest that a CHR can have."""
    path = tmp_path_factory.mktemp("image") / "chr-7.22.img"
    with path.open("wb") as file:
        file.write(os.urandom(MIB))
        file.seek(510)
        file.write(b"\x55\xaa")
        file.seek(SIZE - MIB)
        file.write(os.urandom(MIB))
    return path


@pytest.fixture
def platform(pool: LabPool, image: Path, tmp_path: Path) -> XenapiPlatform:
    """That of chr1, without Ansible."""
    options = options_for(
        backend="xenapi",
        vm="chr1",
        connect_timeout=30.0,
        exec_mode="auto",
        runtime_directory=tmp_path / "run",
        api_host="localhost",
        api_port=pool.port,
        api_user=USER,
        api_password=PASSWORD,
        ca_path=f"{pool.certificate}.crt",
    )
    spec = VmSpec("chr1", cpus=1, memory=256, nics=(Nic(None, "netfront"),), image=inspect(image))
    return XenapiPlatform(spec, options, settings_of(ActionModule), lambda line: None)


def have(name: str = "have", **arguments: t.Any) -> dict[str, t.Any]:
    return {"name": name, "outofband.chr.xenapi_vm": arguments}


def script(**variables: t.Any) -> dict[str, t.Any]:
    source = ":put [/system identity get name]"
    return {"name": "script", "outofband.chr.script": {"source": source}, "vars": variables}


def records(pool: LabPool, kind: str) -> list[dict[str, t.Any]]:
    return list(pool.inventory.objects[kind].values())


def machines(pool: LabPool) -> list[str]:
    return [vm.name for vm in pool.vms if vm.kind is None]


def content(pool: LabPool) -> str:
    """The sha256 of the only disk, as far as an image reaches."""
    (ref,) = pool.inventory.objects["VDI"]
    with pool.inventory.file(ref).open("rb") as file:
        return hashlib.sha256(file.read(SIZE)).hexdigest()


def nothing_is_left(pool: LabPool) -> None:
    assert (machines(pool), records(pool, "VDI"), records(pool, "VBD"), records(pool, "VIF")) == ([], [], [], [])
    assert pool.inventory.named("SR", "Local storage")["physical_utilisation"] == "0"


def test_from_an_image_to_a_router_that_answers_and_back(pool, playbook, image):
    """Create, first contact, a script, a second run without change, absent, and absent again."""
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    nics = [{"network": "xenbr1", "mac": "02:00:00:00:00:01"}, {"model": "e1000", "network": "Lan"}, {}]
    wanted = {"image": str(image), "routeros": "7.22", "cpus": 2, "nics": nics}
    tasks = [
        have(**wanted),
        {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 30}},
        script(chr_exec_mode="reboot"),
        have("again", **wanted),
        differing(have(**wanted)),
    ]
    run = playbook(tasks, {"chr1": pool.variables()}, "-vvv")
    assert run.rc == 0, run.output
    result = run.of("have")["result"]
    (vm,) = [one for one in pool.vms if one.kind is None]
    assert (result["changed"], result["name"], result["id"]) == (True, "chr1", vm.uuid)
    assert (result["state"], result["image"]) == ("running", sha256)
    assert content(pool) == sha256
    record = vm.record()
    assert record["HVM_boot_params"] == {"order": "c", "firmware": "bios"}
    assert record["platform"] == {
        "acpi": "1",
        "apic": "true",
        "pae": "true",
        "nx": "true",
        "hpet": "true",
        "viridian": "false",
        "nic_type": "e1000",
    }
    assert {record[f"memory_{name}"] for name in ("static_min", "dynamic_max", "static_max")} == {str(288 * MIB)}
    assert (record["VCPUs_max"], record["VCPUs_at_startup"]) == ("2", "2")
    assert record["other_config"]["outofband.chr"] == mark(sha256, "imported")
    (vbd,) = records(pool, "VBD")
    assert (vbd["userdevice"], vbd["bootable"], vbd["mode"]) == ("0", True, "RW")
    cards = [(one["device"], pool.inventory.get("network", one["network"])["bridge"]) for one in records(pool, "VIF")]
    assert cards == [("0", "xenbr1"), ("1", "xenbr1"), ("2", "xenbr0")]
    assert records(pool, "VIF")[0]["MAC"] == "02:00:00:00:00:01"
    assert run.of("script")["result"]["stdout_lines"] == ["chr1"]
    assert not run.of("again")["result"]["changed"]
    assert_told_to_differ(run, "again")
    assert run.of("again")["result"]["id"] == vm.uuid
    assert not [session for session in pool.sessions if session in run.output]
    assert (pool.inventory.uploads, pool.inventory.downloads) == (1, 1)

    gone = playbook([have("gone", state="absent"), have("again", state="absent")], {"chr1": pool.variables()})
    assert gone.rc == 0, gone.output
    assert (gone.of("gone")["result"]["changed"], gone.of("again")["result"]["changed"]) == (True, False)
    nothing_is_left(pool)


def test_one_that_is_not_running_is_started_by_its_first_script(pool, playbook, image):
    """Backend xenapi hands a script over when a VM starts, so this needs no reboot."""
    have_it = have(image=str(image), running=False, verify=False)
    run = playbook([have_it, script()], {"chr1": pool.variables()})
    assert run.rc == 0, run.output
    assert run.of("have")["result"]["state"] == "stopped"
    result = run.of("script")["result"]
    assert (result["stdout_lines"], result["exec_mode"]) == (["chr1"], "start")
    assert pool.inventory.downloads == 0


def test_check_mode_says_what_would_be_and_does_nothing(pool, playbook, image):
    run = playbook([have(image=str(image))], {"chr1": pool.variables()}, "--check", "--diff")
    assert run.rc == 0, run.output
    result = run.of("have")["result"]
    assert (result["changed"], result["state"], result["id"]) == (True, "running", None)
    assert result["diff"] == {"before": "chr1: absent\n", "after": "chr1: running\n"}
    assert not [call for call in pool.calls() if "get_" not in call and not call.startswith("session.")]
    nothing_is_left(pool)


def test_a_vm_of_somebody_else_is_not_touched(pool, platform):
    other = pool.vm("chr1")
    for change in (ensure_absent, functools.partial(ensure_present, running=True)):
        with pytest.raises(
            NameTaken, match=f"already has 'chr1' .{other.uuid}., and this collection did not import it"
        ):
            change(platform, check_mode=False)
    assert machines(pool) == ["chr1"]
    assert pool.inventory.uploads == 0


def test_an_import_that_was_killed_is_begun_anew(pool, playbook, platform, image):
    """SIGKILL in the midst of the upload, while the host still holds the disk."""
    pool.inventory.slow.set()
    process = playbook.start([have(image=str(image))], {"chr1": pool.variables()})
    end = time.monotonic() + 60
    while not pool.inventory.busy:
        assert time.monotonic() < end
        time.sleep(0.02)
    playbook.kill(process)
    (left,) = [vm for vm in pool.vms if vm.kind is None]
    assert "importing" in left.record()["other_config"]["outofband.chr"]

    def let_go() -> None:
        time.sleep(1)  # the import below is to find the disk held
        pool.inventory.slow.clear()

    threading.Thread(target=let_go).start()
    outcome = ensure_present(platform, running=True, check_mode=False)
    assert (outcome.before, outcome.after) == ("unfinished", "running")
    assert machines(pool) == ["chr1"]
    assert content(pool) == hashlib.sha256(image.read_bytes()).hexdigest()
    pool._tasks.clear()  # that of the killed one, which XenAPI removes after a day


def test_a_bare_disk_of_a_killed_import_is_removed_and_one_that_was_kept_is_not(pool, platform):
    storage = next(iter(pool.inventory.objects["SR"]))
    for state in ("importing", "imported"):
        about = {"name_label": "chr1 system disk", "SR": storage, "virtual_size": "1024", "read_only": False}
        pool.inventory.make_disk({**about, "other_config": {"outofband.chr": mark("0" * 64, state)}})
    assert ensure_absent(platform, check_mode=False).changed
    assert not ensure_absent(platform, check_mode=False).changed
    assert ["imported" in one["other_config"]["outofband.chr"] for one in records(pool, "VDI")] == [True]


@pytest.mark.parametrize(
    ("call", "fault", "said"),
    [
        ("import_raw_vdi", "break", "failed in import_raw_vdi: the task ended with INTERNAL_ERROR .*Unix.EIO"),
        ("import_raw_vdi", "vanish", "did not answer .*import_raw_vdi.* The task says: INTERNAL_ERROR .*End_of_file"),
        (
            "import_raw_vdi",
            "corrupt",
            "has the sha256 [0-9a-f]{64} in its first 134218240 bytes .*came.*, and the image",
        ),
        ("VM.create", "lost", "Whether VM.create was carried out is unknown"),
        ("VBD.create", "!SR_BACKEND_FAILURE_46 x", "refused VBD.create: SR_BACKEND_FAILURE_46"),
    ],
    ids=["storage", "connection", "content", "answer", "refusal"],
)
def test_an_import_that_fails_leaves_nothing(pool, platform, call, fault, said):
    pool.faults[call] = [fault]
    with pytest.raises(ChrError, match=said):
        ensure_present(platform, running=True, check_mode=False)
    nothing_is_left(pool)


def test_the_snapshots_of_a_vm_go_with_it(pool, platform):
    ensure_present(platform, running=True, check_mode=False)
    (vm,) = [one for one in pool.vms if one.kind is None]
    snapshot = pool.vm("before the upgrade")
    snapshot.kind = "is_a_snapshot"
    vm.fields["snapshots"] = [snapshot.ref]
    assert ensure_absent(platform, check_mode=False).changed
    nothing_is_left(pool)


def test_the_upload_goes_to_the_host_that_sees_the_storage(pool, platform, image):
    """A host that does not see it answers 302, and the session is not in that address."""
    pool.serve("127.0.0.2")
    pool.inventory.seen_by[next(iter(pool.inventory.objects["SR"]))] = "127.0.0.2"
    ensure_present(platform, running=False, check_mode=False)
    assert content(pool) == hashlib.sha256(image.read_bytes()).hexdigest()
    assert pool.inventory.redirects
    assert not [session for session in pool.sessions if session in "".join(pool.inventory.redirects)]


def test_a_host_that_sees_the_storage_and_cannot_be_reached_is_named(pool, platform):
    here = next(iter(pool.inventory.objects["SR"]))
    pool.inventory.seen_by[here] = "127.0.0.3"
    with pytest.raises(ChrError, match="names 127.0.0.3 as the host that sees the storage.*cannot be reached"):
        ensure_present(platform, running=True, check_mode=False)
    nothing_is_left(pool)


def test_of_two_vms_of_ours_with_one_name_none_is_touched(pool, platform):
    for _number in range(2):
        vm = pool.vm("chr1")
        vm.fields["other_config"] = {"outofband.chr": mark("0" * 64, "imported")}
    with pytest.raises(ChrError, match="has 2 VMs named 'chr1' that this collection imported"):
        ensure_absent(platform, check_mode=False)
    assert machines(pool) == ["chr1", "chr1"]


BAD = {
    "vlan": ({"nics": [{"vlan": 5}]}, "On XenServer and XCP-ng the tag belongs to the network"),
    "models": ({"nics": [{"model": "e1000"}, {"model": "rtl8139"}]}, "are e1000 and rtl8139.*have one model"),
    "network": ({"nics": [{"network": "nowhere"}]}, "has no network with the name, uuid or bridge 'nowhere'.*'Lan'"),
    "storage": ({"storage": "nowhere"}, "has no storage \\(SR\\) 'nowhere'. VMs can have disks on: .*'Local storage'"),
    "content": ({"storage": "ISOs"}, "'ISOs'.* does not take disks"),
    "space": ({"storage": "Small"}, "'Small'.*has 67 MB free, and the disk needs 134 MB"),
    "format": ({"image": "qcow2"}, "XenAPI takes a raw image, but .* is qcow2"),
    "memory": ({"memory": 64}, "64 MiB of memory: 256 are needed"),
    "role": (
        {"user": "op"},
        "does not let 'op' call (vm.create, vdi.create|VM.create .RBAC).* needs the role vm-admin",
    ),
}


def test_what_cannot_go_well_is_told_before_anything_is_made(pool, playbook, image, tmp_path):
    pool.inventory.storage("Small", 64 * MIB)
    pool.users["op"] = ("op-pass", "vm-operator")
    (tmp_path / "chr.qcow2").write_bytes(b"")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "chr.qcow2"), "128M"], check=True)
    hosts = {}
    for host, (arguments, _said) in BAD.items():
        hosts[host] = pool.variables(nics=[{}], path=str(image)) | arguments
        if arguments.get("image") == "qcow2":
            hosts[host]["path"] = str(tmp_path / "chr.qcow2")
        if arguments.get("user"):
            hosts[host] |= {"chr_api_user": "op", "chr_api_password": "op-pass"}
    arguments = {
        "image": "{{ path }}",
        "nics": "{{ nics }}",
        "storage": "{{ storage | default(omit) }}",
        "memory": "{{ memory | default(omit) }}",
    }
    run = playbook([have(**arguments)], hosts, "--forks", "10")
    for host, (_arguments, said) in BAD.items():
        assert re.search(said, run.of("have", host)["result"]["msg"]), run.of("have", host)["result"]["msg"]
    nothing_is_left(pool)
    assert pool.inventory.uploads == 0


# -- drift, and VMs of others ----------------------------------------------------------------------


def reconciled(platform: XenapiPlatform, nics: tuple[Nic, ...] = (), *, adopt: bool = False, **asked: t.Any) -> Outcome:
    cards = tuple(Card(None, nic.mac, nic.network) for nic in nics) or None
    hardware = Hardware(**{"nics": cards, "agent": True, "boot": DISK} | asked)
    platform.spec = replace(platform.spec, nics=nics or platform.spec.nics, asked=hardware)
    allowed = Allowed(adopt=adopt, reconcile=True, restart=True)
    return ensure_present(platform, running=True, check_mode=False, allowed=allowed)


def test_a_router_that_drifted_is_reconciled_once_and_its_cards_keep_their_addresses(pool, platform):
    ensure_present(platform, running=True, check_mode=False)
    (vm,) = [one for one in pool.vms if one.kind is None]
    platform_of_vm = {**vm.fields["platform"], "cores-per-socket": "2"}
    vm.fields |= {"HVM_boot_params": {"order": "nc", "firmware": "bios"}, "platform": platform_of_vm}
    (before,) = records(pool, "VIF")
    nics = (Nic("Lan", "netfront"), Nic("xenbr0", "netfront", "02:00:5e:10:00:01"))
    outcome = reconciled(platform, nics, cpus=3, memory=512)
    assert [(one.what, one.card) for one in outcome.reconciled] == [
        ("cpus", None),
        ("memory", None),
        ("boot", None),
        ("nics", None),
        ("network", 1),
    ]
    record = vm.record()
    assert (record["VCPUs_max"], record["VCPUs_at_startup"]) == ("3", "3")
    assert (record["memory_static_max"], record["power_state"]) == (str(512 * MIB), "Running")
    assert record["HVM_boot_params"] == {"order": "c", "firmware": "bios"}
    assert "cores-per-socket" not in record["platform"]
    first, second = sorted(records(pool, "VIF"), key=lambda one: one["device"])
    assert first["MAC"] == before["MAC"]
    names = [pool.inventory.get("network", one["network"])["bridge"] for one in (first, second)]
    assert (names, second["MAC"]) == (["xenbr1", "xenbr0"], "02:00:5e:10:00:01")
    assert not reconciled(platform, nics, cpus=3, memory=512).changed
    assert [one.what for one in reconciled(platform, nics[:1], cpus=1).reconciled] == ["cpus", "nics"]
    assert len(records(pool, "VIF")) == 1


def test_a_router_that_answers_is_asked_to_shut_down_for_a_change(pool, playbook, image):
    fix = {"image": str(image), "cpus": 2, "reconcile": True, "restart": True}
    wait = {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 60}}
    tasks = [have(image=str(image)), wait, have("fix", **fix), have("again", **fix)]
    run = playbook(tasks, {"chr1": pool.variables()})
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", "have"), ("chr1", "fix")}
    calls = [method for method, _name, _seconds in pool.log]
    assert any("clean_shutdown" in one for one in calls)
    assert not any("hard_shutdown" in one for one in calls)
    (vm,) = [one for one in pool.vms if one.kind is None]
    assert (vm.power_state, vm.record()["VCPUs_max"]) == ("Running", "2")


def test_the_address_of_a_card_is_told_and_left_alone(pool, platform):
    ensure_present(platform, running=True, check_mode=False)
    assert not reconciled(platform, (Nic(None, "netfront", "02:00:5e:10:00:09"),)).changed
    assert "This collection does not change that there" in platform.warnings[0]


def test_a_role_that_may_not_change_the_memory_is_told_before_the_router_is_turned_off(pool, platform):
    ensure_present(platform, running=True, check_mode=False)
    pool.users["ops"] = (PASSWORD, "vm-admin")  # the local superuser has every right
    options = replace(platform._options, api_user="ops")
    platform = XenapiPlatform(platform.spec, options, platform._settings, lambda line: None)
    with pytest.raises(NotPermitted, match="call VM.set_memory_limits. .*vm-power-admin.* Nothing was changed"):
        reconciled(platform, memory=512)
    (vm,) = [one for one in pool.vms if one.kind is None]
    assert vm.power_state == "Running"


def test_a_router_of_somebody_else_is_adopted_and_one_of_two_is_not(pool, platform):
    other = pool.vm("chr1", started=True)
    outcome = reconciled(platform, adopt=True, boot=None)
    assert (outcome.adopted, outcome.id, outcome.image) == (True, other.uuid, None)
    assert not reconciled(platform, adopt=True, boot=None).changed
    assert "image unknown imported" in other.record()["other_config"]["outofband.chr"]
    pool.vm("chr1")
    with pytest.raises(VmAmbiguous, match="2 VMs named 'chr1'. None was adopted"):
        reconciled(platform, adopt=True)
