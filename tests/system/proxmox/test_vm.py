# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module proxmox_vm: from an image to a router whose agent answers, and back, on the lab's Proxmox
VE.

Its requests are checked against Proxmox VE's own schema of the simulated version; sshd, qemu-img
and Ansible are real.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from ansible_collections.outofband.chr.plugins.action.proxmox_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TransferFailed,
    VmAmbiguous,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, UNTAGGED, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.vm import ProxmoxPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import NameTaken, Nic, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import inspect
from ansible_collections.outofband.chr.tests.lab.chr_image import build_chr_image
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox import qm
from ansible_collections.outofband.chr.tests.lab.proxmox.server import EVERYTHING, LabProxmox
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.vm_settings import mark, settings_of
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

SECRETS = ("pass-w0rd", "t0ken-secret")
MIB = 1024**2
LONG = 120  # seconds that a busy machine may take


@pytest.fixture
def cluster(short_path):
    """Start a cluster: ``cluster("8.4")``.

    Its new VMs boot into routers that take scripts as that version hands them over.
    """
    with contextlib.ExitStack() as running:

        def start(version="9.1"):
            pve = running.enter_context(LabProxmox(short_path, version))
            pve.behaviour = {"accepts_null_path": True}
            return pve

        yield start


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    """A disk of 128 MiB that is no router, but begins like one."""
    path = tmp_path_factory.mktemp("images") / "chr-7.22.img"
    with path.open("wb") as file:
        file.write(bytes(510) + b"\x55\xaa" + os.urandom(MIB))
        file.truncate(128 * MIB)
    return path


@pytest.fixture(scope="session")
def image(raw):
    """The same as qcow2, which is a hundred times smaller."""
    path = raw.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, path], check=True)
    return path


@pytest.fixture
def node(short_path, tmp_path):
    """sshd of a node with qm."""
    programs, log = short_path / "bin", short_path / "calls"
    programs.mkdir()
    (programs / "qm").write_text(
        f'#!/bin/sh\necho "qm $*" >> {log}\nexport LAB_QGA_FOLDER={short_path}\nexec {sys.executable} {qm.__file__} "$@"\n'
    )
    (programs / "qm").chmod(0o755)
    (short_path / "spool").mkdir()
    server = Sshd(short_path)
    server.start(f"SetEnv PATH={programs}:/usr/bin:/bin")
    server.calls = lambda: log.read_text().splitlines() if log.exists() else []
    server.spool = short_path / "spool"
    yield server
    for master in (tmp_path / "home" / "cp").glob("chr-????????????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
    server.stop()


def host(pve, node=None, *, root=False, **more):
    """Variables of a router: with a token or the password of root@pam, and perhaps the node through
    ssh."""
    return pve.variables(root=root, chr_connect_timeout=20, **(node.variables if node else {}), **more)


def vm(task, image=None, **options):
    """A task of the module."""
    given = {"image": str(image), "node": "pve1"} if image else {}
    return {"name": task, "outofband.chr.proxmox_vm": given | options}


def ensure(
    pve,
    folder,
    image=None,
    *,
    name="chr1",
    nics=({},),
    through=None,
    root=False,
    absent=False,
    check_mode=False,
    warnings=None,
    asked=None,
    allowed=None,
    **options,
):
    """What the module does, without Ansible around it.

    *through*: sshd of the node. *warnings* gets those of the platform.
    """
    settings = settings_of(ActionModule, **{"node": "pve1", "timeout": 60.0} | options)
    connection = {key.removeprefix("chr_"): value for key, value in host(pve, through, root=root).items()}
    connection |= {"vm": "x", "exec_mode": "auto", "runtime_directory": folder / "t" / "home" / "cp"}
    cards = tuple(Nic(**{"network": None, "model": "virtio"} | nic) for nic in nics)
    spec = VmSpec(name, 1, 256, cards, inspect(image) if image else None, asked or Hardware())
    platform = ProxmoxPlatform(spec, options_for(**connection), settings, lambda line: None)
    if absent:
        return ensure_absent(platform, check_mode=check_mode)
    try:
        return ensure_present(platform, running=True, check_mode=check_mode, allowed=allowed or Allowed())
    finally:
        if warnings is not None:
            warnings += platform.warnings


def test_the_role_waits_for_the_cards_that_it_made_and_not_only_for_the_agent(cluster, playbook, tmp_path):
    pve = cluster()
    pve.cards_after = 6.0
    image = tmp_path / "chr.img"
    build_chr_image(image)
    role = {
        "image_import_platform": "proxmox",
        "image_import_src": str(image),
        "image_import_checksum": "waived",
        "image_import_cache": str(tmp_path / "cache"),
        "image_import_nics": [{}, {}],
        "image_import_proxmox_node": "pve1",
    }
    tasks = [
        {"name": "make", "ansible.builtin.include_role": {"name": "outofband.chr.image_import"}, "vars": role},
        {"name": "next", "outofband.chr.script": {"source": "/ip address add address=192.0.2.1/24 interface=ether2"}},
    ]
    run = playbook(tasks, {"chr1": host(pve)})
    assert run.rc == 0, run.output
    (made,) = pve.vms.values()
    assert made.router.uptime > 6


def nothing_left(pve):
    return (
        not pve.vms
        and not any(one.volumes for one in pve.storages.values())
        and not list(pve.folder.glob("pveupload-*"))
    )


def settled(pve):
    """Every task has ended."""
    deadline = time.monotonic() + LONG
    while any(one.exitstatus is None for one in list(pve.tasks.values())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- up, and down again ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "mode", "root"),
    [
        ("9.1", "upload", False),
        pytest.param("8.4", "upload", False, marks=pytest.mark.slow),
        ("8.0", "path", True),
        ("7.4", "importdisk", False),
        pytest.param("6.2", "importdisk", False, marks=pytest.mark.slow),
    ],
)
def test_an_image_becomes_a_router_whose_agent_answers(cluster, node, playbook, image, version, mode, root):
    """Manual 3 and 10: from the image to the first script, again without a change, and away, on
    each way and version."""
    pve = cluster(version)
    options = {"node_folder": str(node.spool)}
    nics = [{}, {"network": "vmbr1", "model": "e1000", "mac": "bc:24:11:00:00:0a", "vlan": 40}]
    pve.bridges.append("vmbr1")
    there = vm("make", image, nics=nics, serial=True, onboot=True, **options)
    run = playbook(
        [
            {**there, "name": "would", "check_mode": True},
            there,
            {"name": "wait", "outofband.chr.wait_for_agent": None},
            {"name": "script", "outofband.chr.script": {"source": "/system identity set name=chr1"}},
            {**there, "name": "again"},
            differing(there),
            {**vm("would go", state="absent", **options), "check_mode": True},
            vm("go", state="absent", **options),
            vm("gone", state="absent", **options),
        ],
        {"chr1": host(pve, node if mode != "upload" else None, root=root)},
        "--diff",
        "-vvv",
    )
    assert run.rc == 0, run.output
    assert not any(secret in run.output for secret in SECRETS)
    assert {task for _host, task in run.changed()} == {"would", "make", "script", "would go", "go"}
    made = run.of("make")["result"]
    assert (made["state"], made["import_mode"], made["id"]) == ("running", mode, "100")
    assert run.of("again")["result"]["import_mode"] is None
    assert_told_to_differ(run, "again")
    assert run.of("again")["result"]["image"] == made["image"]
    assert pve.invalid == []
    (one,) = pve.gone
    expected = {
        "name": "chr1",
        "ostype": "l26",
        "bios": "seabios",
        "agent": "enabled=1,type=virtio",
        "memory": "264",
        "cores": "1",
        "onboot": "1",
        "serial0": "socket",
        "net1": "e1000=BC:24:11:00:00:0A,bridge=vmbr1,tag=40",
        "virtio0": "local-lvm:vm-100-disk-0,size=128M",
        "description": mark(made["image"], "imported"),
    } | ({"boot": "order=virtio0"} if pve.number >= (7, 0) else {"boot": "c", "bootdisk": "virtio0"})
    assert {key: one.config.get(key) for key in expected} == expected
    assert one.config["net0"].endswith(",bridge=vmbr0")
    assert one.router.identity == "chr1"
    assert [call.split()[1] for call in node.calls()] == {
        "upload": [],
        "path": ["config"],
        "importdisk": ["config", "importdisk"],
    }[mode]
    assert nothing_left(pve)
    assert not list(node.spool.iterdir())


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_every_byte_of_the_disk_is_the_images(cluster, short_path, raw, image, kind):
    """Upload verified: the SHA-256 that the far side was told to check, and that of the disk that
    was made."""
    pve, source = cluster(), inspect(raw if kind == "raw" else image)
    options = {"disk_bus": "sata", "tags": ("chr", "lab"), "vmid": 4711, "pool": "routers"}
    assert ensure(pve, short_path, source.path, **options).id == "4711"
    assert pve.storages["local-lvm"].sha256("vm-4711-disk-0") == inspect(raw).sha256
    ((_method, _path, form),) = [one for one in pve.log if one[1].endswith("/upload")]
    assert (form["checksum-algorithm"], form["checksum"]) == ("sha256", source.sha256)
    assert form["filename"].endswith(f".{kind}")
    assert pve.vms[4711].config["sata0"].startswith("local-lvm:")
    assert pve.vms[4711].config["tags"] == "chr;lab"
    ((_method, _path, created),) = [one for one in pve.log if one[:2] == ("POST", "/nodes/pve1/qemu")]
    assert created["description"].split()[3] == "importing"
    assert created["pool"] == "routers"
    assert pve.invalid == []


def test_a_node_that_is_away_does_not_keep_another_from_getting_a_vm(cluster, short_path, image):
    """Though nobody knows the name of what was made there a moment ago."""
    pve = cluster()
    pve.add(100, "other", "pve2").made = time.monotonic()
    pve.offline.add("pve2")
    assert ensure(pve, short_path, image).id == "101"


def test_ten_routers_at_once_get_ten_numbers(cluster, playbook, image):
    """Everybody asks for the next free number at the same time; whoever is late asks again."""
    pve = cluster()
    pve.taken_meanwhile = [1, 2]
    hosts = {f"chr{number}": host(pve) for number in range(10)}
    run = playbook([vm("make", image, running=False)], hosts, "--forks=10")
    assert run.rc == 0, run.output
    ids = {run.of("make", name)["result"]["id"] for name in hosts}
    assert len(ids) == 10
    assert {pve.vms[int(one)].name for one in ids} == set(hosts)
    assert len(pve.vms) == 12


# -- a run that was killed -------------------------------------------------------------------------


@pytest.mark.parametrize("when", [pytest.param("uploading", marks=pytest.mark.slow), "importing"])
def test_a_run_after_one_that_was_killed_begins_anew_and_leaves_nothing_of_it(
    cluster, playbook, short_path, raw, image, when
):
    pve = cluster()
    reached, go = threading.Event(), threading.Event()

    def stop(done):
        if done > 4 * MIB and not go.is_set():
            reached.set()
            go.wait(LONG)

    class Gate:
        def wait(self, _seconds):
            reached.set()
            go.wait(LONG)

    if when == "uploading":
        pve.uploading = stop
    else:
        pve.gates["import"] = Gate()
    process = playbook.start([vm("make", raw)], {"chr1": host(pve)})
    assert reached.wait(LONG)
    playbook.kill(process)
    (killed,) = pve.vms.values()
    assert killed.config["description"].split()[3] == "importing"
    if when == "importing":
        with pytest.raises(ChrError, match="'chr1' .* was not removed: can't lock file"):
            ensure(pve, short_path, image)
    go.set()
    settled(pve)
    assert ensure(pve, short_path, image, check_mode=True).before == "unfinished"
    assert pve.vms == {100: killed}
    assert ensure(pve, short_path, image).changed
    (one,) = pve.vms.values()
    assert one is not killed
    assert one.config["description"].split()[3] == "imported"
    assert not pve.storages["local"].volumes
    assert pve.storages["local-lvm"].volumes.keys() == {"vm-100-disk-0"}
    assert not list(pve.folder.glob("pveupload-*"))


def test_what_a_killed_run_left_is_taken_away_by_absent(cluster, node, playbook, short_path, image):
    """Killed in qm importdisk: the image in the folder of the node, and a disk that no
    configuration names."""
    pve = cluster("7.4")
    options = {"node_folder": str(node.spool)}
    reached, go = threading.Event(), threading.Event()
    convert = pve._convert

    def slow(*given):
        convert(*given)
        reached.set()
        go.wait(LONG)
        raise ConnectionError  # the node's qm ends with its connection

    pve._convert = slow
    process = playbook.start([vm("make", image, **options)], {"chr1": host(pve, node)})
    assert reached.wait(LONG)
    playbook.kill(process)
    go.set()
    assert [len(list(node.spool.iterdir())), len(pve.storages["local-lvm"].volumes)] == [1, 1]
    assert ensure(pve, short_path, through=node, absent=True, **options).changed
    assert nothing_left(pve)
    assert not list(node.spool.iterdir())


# -- what is somebody else's -----------------------------------------------------------------------


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("kind", ["a VM", "a container", "a template"])
def test_a_name_that_something_else_has_is_left_alone(cluster, short_path, image, absent, kind):
    pve = cluster()
    other = pve.add(100, "chr1", "pve2")
    other.kind, other.template = "lxc" if kind == "a container" else "qemu", kind == "a template"
    before = dict(other.config)
    with pytest.raises(NameTaken, match=r"already has 'chr1' \(100\), and this collection did not import it"):
        ensure(pve, short_path, image, absent=absent)
    assert (pve.vms, other.config, other.running) == ({100: other}, before, True)
    assert not [one for one in pve.log if one[0] != "GET"]


def test_a_number_that_something_else_has_is_left_alone(cluster, short_path, image):
    """Also where the user does not see whose it is."""
    pve = cluster()
    other = pve.add(105, "other")
    pve.privileges["root@pam!chr"] = EVERYTHING - {"VM.Audit"}
    with pytest.raises(
        NameTaken, match=r"already has a VM 105 \(vmid\), which may be one that token root@pam!chr does not see"
    ):
        ensure(pve, short_path, image, vmid=105)
    assert pve.vms == {105: other}


def test_a_failure_is_one_message_without_a_secret(cluster, playbook, image):
    pve = cluster()
    pve.add(100, "chr1")
    run = playbook([vm("make", image)], {"chr1": host(pve, root=True)}, "-vvvv")
    assert run.rc == 2, run.output
    assert not any(secret in run.output for secret in SECRETS)
    assert "Traceback" not in run.output
    assert "It was not touched" in run.of("make")["result"]["msg"]


# -- bad input -------------------------------------------------------------------------------------


def without(*privileges):
    return lambda pve: pve.privileges.update({"root@pam!chr": EVERYTHING - set(privileges)})


@pytest.mark.parametrize(
    ("prepare", "options", "says"),
    [
        (
            lambda pve: setattr(pve.storages["local-lvm"], "free", 100 * MIB),
            {},
            "has 105 MB free, and the disk of 'chr1' needs 134 MB",
        ),
        (lambda pve: setattr(pve.storages["local"], "free", 1000), {}, "the image of 'chr1' needs"),
        (
            lambda pve: setattr(pve.storages["local-lvm"], "active", False),
            {"storage": "local-lvm"},
            "is disabled or cannot be reached",
        ),
        (
            lambda pve: None,
            {"storage": "local"},
            "does not take content type 'images', but backup, import, iso, vztmpl",
        ),
        (lambda pve: None, {"storage": "ceph"}, "no storage 'ceph', but local, local-lvm"),
        (
            lambda pve: pve.storages["local"].content.discard("import"),
            {},
            "import_mode upload needs a storage of node 'pve1' with content",
        ),
        (
            lambda pve: None,
            {"import_mode": "path"},
            "path needs a login as root@pam with a password, which no API token is and root",
        ),
        (lambda pve: None, {"node": "pve9"}, "has no node 'pve9', but pve1, pve2"),
        (lambda pve: None, {"node": None}, "has the nodes pve1, pve2. Choose one for the VM with node or chr_node"),
        (lambda pve: pve.offline.add("pve1"), {}, "Node 'pve1' of Proxmox VE at localhost"),
        (lambda pve: None, {"nics": [{"network": "vmbr9"}]}, "no bridge 'vmbr9', but vmbr0"),
        (lambda pve: None, {"name": "chr_1"}, "'chr_1' is not a valid name for a VM"),
        (
            without("VM.Config.Disk", "Datastore.Allocate"),
            {},
            "the account lacks VM.Config.Disk on /vms/100; Datastore.Allocate on /storage/local.",
        ),
        (without("SDN.Use"), {}, "One for which it has no SDN.Use is not shown"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_made(cluster, short_path, image, prepare, options, says):
    pve = cluster()
    prepare(pve)
    with pytest.raises(ChrError) as caught:
        ensure(pve, short_path, image, **options)
    assert says in str(caught.value)
    assert not [one for one in pve.log if one[0] != "GET"]
    assert nothing_left(pve)


@pytest.mark.parametrize(
    ("version", "options", "says"),
    [
        ("8.0", {}, "import_mode upload needs Proxmox VE 8.4 (this is 8.0) and a storage"),
        ("8.0", {"import_mode": "importdisk"}, "importdisk needs root on node 'pve1' through ssh (chr_ssh_host)"),
        ("6.2", {"import_mode": "path"}, "path needs Proxmox VE 7.2 (this is 6.2) and a login"),
    ],
)
def test_a_way_that_this_version_or_user_does_not_have_is_told(cluster, short_path, image, version, options, says):
    pve = cluster(version)
    with pytest.raises(ChrError) as caught:
        ensure(pve, short_path, image, **options)
    assert says in str(caught.value)
    assert nothing_left(pve)


def test_an_image_that_proxmox_does_not_import_is_told(cluster, short_path, raw):
    pve, image = cluster(), raw.with_suffix(".vdi")
    subprocess.run(["qemu-img", "convert", "-O", "vdi", raw, image], check=True)
    with pytest.raises(ChrError, match="cannot import a vdi image .*Convert it with outofband.chr.image"):
        ensure(pve, short_path, image)
    assert nothing_left(pve)


@pytest.mark.parametrize(
    ("prepare", "kind", "says"),
    [
        (
            lambda pve: setattr(pve, "corrupt", True),
            TransferFailed,
            r"did not accept chr-7.22.qcow2 as local:import/outofband-chr1-.*: checksum mismatch: got",
        ),
        (
            lambda pve: setattr(pve, "spool_full", True),
            TransferFailed,
            "501: write to temporary file failed - No space left on device",
        ),
        (
            lambda pve: pve.task_faults.update(qmcreate="unable to create VM 100 - got lock timeout"),
            ChrError,
            "did not make VM 100: unable to create",
        ),
        (
            lambda pve: pve.task_faults.update(qmconfig="lvcreate 'pve/vm-100-disk-0' error"),
            ChrError,
            "'chr1' .* did not get its disk: lvcreate",
        ),
        (
            lambda pve: pve.lost.append(("POST", "/qemu")),
            OutcomeUnknown,
            "Whether VM 100 is being made is unknown; it was not asked again",
        ),
        (
            lambda pve: pve.lost.append(("POST", "/upload")),
            OutcomeUnknown,
            "Whether chr-7.22.qcow2 as local:import/.* arrived is unknown",
        ),
        (lambda pve: pve.lost.append(("POST", "/config")), OutcomeUnknown, "it was not sent again"),
    ],
    ids=[
        "bits lost",
        "no room for the upload",
        "not made",
        "no room for the disk",
        *(f"answer {one} lost" for one in range(3)),
    ],
)
def test_an_import_that_fails_takes_away_what_it_made(cluster, short_path, image, prepare, kind, says):
    """Also where an answer was lost: nothing is sent twice, and what was made all the same is found
    by its mark."""
    pve = cluster()
    prepare(pve)
    with pytest.raises(kind, match=says):
        ensure(pve, short_path, image)
    settled(pve)
    assert nothing_left(pve) or (
        kind is OutcomeUnknown and all("importing" in one.config["description"] for one in pve.vms.values())
    )
    pve.corrupt = pve.spool_full = False
    pve.task_faults.clear()
    assert ensure(pve, short_path, image).after == "running"
    assert pve.vms.keys() == {100}
    assert not pve.storages["local"].volumes
    assert pve.storages["local-lvm"].volumes.keys() == {"vm-100-disk-0"}
    assert pve.invalid == []


def test_a_last_answer_that_is_lost_is_looked_up(cluster, short_path, image):
    pve = cluster()
    pve.lost.append(("PUT", "/config"))
    assert ensure(pve, short_path, image).after == "running"
    assert pve.lost == []


def test_a_vm_that_does_not_start_is_there_all_the_same(cluster, short_path, image):
    pve = cluster()
    pve.task_faults["qmstart"] = "start failed: QEMU exited with code 1"
    with pytest.raises(ChrError, match="'chr1' .* did not start: start failed: QEMU exited with code 1"):
        ensure(pve, short_path, image)
    assert pve.vms[100].config["description"].split()[3] == "imported"
    del pve.task_faults["qmstart"]
    assert (ensure(pve, short_path, image).after, len(pve.vms)) == ("running", 1)


def test_a_server_that_logs_out_during_an_upload_is_logged_in_to_again(cluster, short_path, image):
    """And the file begins again at its beginning."""
    pve = cluster()
    real = pve.login

    def once(method, headers):
        if "multipart" in headers.get("Content-Type", ""):
            pve.login = real
            pve.expire_tickets()
        return real(method, headers)

    pve.login = once
    assert ensure(pve, short_path, image, root=True).after == "running"
    assert pve.logins == 2


def test_a_node_that_does_not_tell_the_names_of_its_vms_is_warned_of(cluster, short_path, image):
    """One of them may have the name already, and then there are two."""
    pve = cluster()
    pve.add(300, "chr1", "pve2").made = time.monotonic()
    pve.offline = {"pve2"}
    warnings: list[str] = []
    assert ensure(pve, short_path, image, warnings=warnings).after == "running"
    (said,) = warnings
    assert "Node pve2 did not answer (595 Network is unreachable), so the names of its VMs 300 are not known." in said
    assert "If one of them is 'chr1', there will be two of that name." in said


# -- drift, and VMs of others ----------------------------------------------------------------------


def test_a_router_that_drifted_is_told_of_and_reconciled_with_a_restart(cluster, playbook, image):
    """Twice: the second time without a change. What the task does not set stays as it is."""
    pve = cluster()
    pve.bridges.append("vmbr1")
    small = vm("make", image, nics=[{"network": "vmbr0"}])
    nics = [{"network": "vmbr1", "vlan": 40}, {"model": "e1000", "mac": "bc:24:11:00:00:0a"}]
    wanted = vm("want", image, cpus=2, memory=512, nics=nics)
    allowed = {"name": "fix", "outofband.chr.proxmox_vm": {**wanted["outofband.chr.proxmox_vm"], "reconcile": True}}
    restart = {"name": "restart", "outofband.chr.proxmox_vm": {**allowed["outofband.chr.proxmox_vm"], "restart": True}}
    run = playbook(
        [
            small,
            wanted,
            allowed,
            {**restart, "name": "would", "check_mode": True},
            restart,
            {**restart, "name": "again"},
            {"name": "wait", "outofband.chr.wait_for_agent": None},
            {**small, "name": "tuned"},
        ],
        {"chr1": host(pve)},
        "--diff",
    )
    assert run.rc == 0, run.output
    assert {task for _host, task in run.changed()} == {"make", "would", "restart"}
    found = [("cpus", None), ("memory", None), ("nics", None), ("network", "ether1"), ("vlan", "ether1")]
    for task in ("want", "fix", "would", "restart"):
        assert [(one["what"], one["interface"]) for one in run.of(task)["result"]["differences"]] == found, task
    assert len([one for one in run.of("want")["result"]["warnings"] if "instead of" in one]) == 5
    warned = [one for one in run.of("fix")["result"]["warnings"] if "instead of" in one]
    assert all("restart: true" in one for one in warned)
    diff = run.of("would")["result"]["diff"]
    assert diff == run.of("restart")["result"]["diff"]
    assert "network of ether1: vmbr0\nvlan of ether1: untagged\n" in diff["before"]
    assert "cpus: 2\nmemory: 512 MiB\n" in diff["after"]
    assert run.of("again")["result"]["differences"] == []
    (one,) = pve.vms.values()
    assert one.running
    # The router was asked to shut down, and its power was not cut.
    assert [path.rpartition("/")[2] for method, path, _form in pve.log if method == "POST" and "/status/" in path] == [
        *["start"] * 2
    ]
    assert (one.config["cores"], one.config["memory"]) == ("2", "512")
    assert one.config["net0"].endswith(",bridge=vmbr1,tag=40")
    assert one.config["net1"] == "e1000=BC:24:11:00:00:0A,bridge=vmbr0"
    # One card is asked for now, on another network; cpus and memory are not asked for.
    different = [(one["what"], one["interface"]) for one in run.of("tuned")["result"]["differences"]]
    assert different == [("nics", None), ("network", "ether1"), ("vlan", "ether1")]
    assert pve.invalid == []


@pytest.mark.parametrize(
    ("version", "config", "wrong", "right"),
    [
        (
            "9.1",
            {"agent": "0,fstrim_cloned_disks=1"},
            "agent",
            {"agent": "enabled=1,fstrim_cloned_disks=1,type=virtio"},
        ),
        ("9.1", {"agent": "1,type=isa"}, "agent", {"agent": "enabled=1,type=virtio"}),
        ("9.1", {"boot": "order=net0;virtio0"}, "boot", {"boot": "order=virtio0;net0"}),
        ("6.2", {"boot": "n", "bootdisk": "virtio0"}, "boot", {"boot": "c", "bootdisk": "virtio0"}),
        ("9.1", {"cores": "1", "sockets": "4", "vcpus": "3"}, "cpus", {"cores": "2", "sockets": "1", "vcpus": None}),
        ("9.1", {"memory": "4096", "balloon": "2048"}, "memory", {"memory": "512", "balloon": None}),
        (
            "9.1",
            {"net0": "model=e1000,macaddr=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=7"},
            "model vlan",
            {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"},
        ),
        (
            "9.1",
            {"net1": "virtio=BC:24:11:00:00:02,bridge=vmbr0"},
            "nics",
            {"net1": None},
        ),
    ],
)
def test_what_is_wrong_is_made_right_and_the_rest_stays(cluster, short_path, image, version, config, wrong, right):
    pve = cluster(version)
    one = pve.add(100, "chr1")
    one.config["description"] = mark(inspect(image).sha256, "imported")
    one.config |= config
    one.lab.stop()
    asked = Hardware(2 if wrong == "cpus" else None, 512 if wrong == "memory" else None, None, True, DISK)
    if wrong in ("nics", "model vlan"):
        asked = replace(asked, nics=(Card("virtio", None, "vmbr0", UNTAGGED),))
    allowed = Allowed(reconcile=True)
    outcome = ensure(pve, short_path, image, asked=asked, allowed=allowed)
    assert " ".join(one.what for one in outcome.reconciled) == wrong
    assert {key: one.config.get(key) for key in right} == right
    assert not ensure(pve, short_path, image, asked=asked, allowed=allowed).differences
    assert pve.invalid == []


@pytest.mark.parametrize(
    ("prepare", "kind", "says"),
    [
        (lambda pve, one: pve.privileges.update({"root@pam!chr": EVERYTHING - {"VM.Config.CPU"}}), NotPermitted,
         "the account lacks VM.Config.CPU on /vms/100. Nothing was changed"),
        (lambda pve, one: one.config.update(lock="backup"), NotPossible, r"is locked \(backup\)"),
        (lambda pve, one: setattr(one, "qmpstatus", "paused"), NotPossible, "is paused, so it was not turned on or off"),
    ],
)  # fmt: skip
def test_a_change_that_is_not_possible_is_told_before_the_vm_is_turned_off(
    cluster, short_path, image, prepare, kind, says
):
    pve = cluster()
    one = pve.add(100, "chr1")
    one.config["description"] = mark(inspect(image).sha256, "imported")
    prepare(pve, one)
    with pytest.raises(kind, match=says):
        ensure(pve, short_path, image, asked=Hardware(2), allowed=Allowed(reconcile=True, restart=True))
    assert one.running
    assert not [call for call in pve.log if call[0] == "POST"]


def test_a_router_runs_again_after_a_change_that_proxmox_refused(cluster, short_path, image):
    pve = cluster()
    one = pve.add(100, "chr1")
    one.config["description"] = mark(inspect(image).sha256, "imported")
    pve.task_faults["qmconfig"] = "it cannot be"
    with pytest.raises(NotPossible, match=r"was not changed: it cannot be. The VM was turned on again\."):
        ensure(pve, short_path, image, asked=Hardware(2), allowed=Allowed(reconcile=True, restart=True))
    assert one.running


def test_a_router_of_somebody_else_is_adopted_after_showing_what_it_is(cluster, playbook, image):
    pve = cluster()
    one = pve.add(100, "chr1")
    one.config |= {"cores": "4", "memory": "1024", "description": "The old router.\n"}
    take = vm("adopt", image, adopt=True)
    run = playbook(
        [
            {**vm("refused", image), "ignore_errors": True},
            {**take, "name": "would", "check_mode": True},
            take,
            {**take, "name": "again"},
            {**vm("known", image), "name": "known"},
            vm("go", state="absent"),
        ],
        {"chr1": host(pve)},
        "--diff",
    )
    assert run.rc == 0, run.output
    assert {task for _host, task in run.changed()} == {"would", "adopt", "go"}
    assert "adopt: true takes it over as it is" in run.of("refused")["result"]["msg"]
    for task in ("would", "adopt"):
        result = run.of(task)["result"]
        assert (result["adopted"], result["image"], result["differences"]) == (True, None, [])
        assert (result["found"]["cpus"], result["found"]["memory"], result["found"]["state"]) == (4, 1024, "running")
        assert "cpus: 4\nmemory: 1024 MiB\n" in result["diff"]["before"]
    assert not run.of("again")["result"]["adopted"]
    (gone,) = pve.gone
    assert gone.config["description"].startswith("The old router.\n\noutofband.chr: image unknown imported for ")


def test_a_container_and_one_of_two_vms_of_a_name_are_not_adopted(cluster, short_path, image):
    pve = cluster()
    pve.add(100, "chr1").kind = "lxc"
    with pytest.raises(NotPossible, match="is a container or a template, so it was not adopted"):
        ensure(pve, short_path, image, allowed=Allowed(adopt=True))
    pve.add(101, "chr1")
    with pytest.raises(VmAmbiguous, match="100 and 101. None was adopted"):
        ensure(pve, short_path, image, allowed=Allowed(adopt=True))


@pytest.mark.parametrize("level", ["free", "p1"])
def test_a_router_with_a_license_is_only_removed_when_that_is_confirmed(cluster, playbook, image, level):
    pve = cluster()
    one = pve.add(100, "chr1", **pve.behaviour)
    one.config["description"] = mark(inspect(image).sha256, "imported")
    one.router.license.level = level
    run = playbook(
        [
            {**vm("would", state="absent"), "check_mode": True, "ignore_errors": True},
            {**vm("go", state="absent"), "ignore_errors": True},
            vm("confirmed", state="absent", confirm_licensed=True),
        ],
        {"chr1": host(pve)},
    )
    assert run.rc == 0, run.output
    if level == "free":
        assert run.changed() == {("chr1", "would"), ("chr1", "go")}
        assert run.of("go")["result"]["license"] == {"level": "free", "system_id": None}
        assert not run.of("go")["result"].get("warnings")
        return
    assert run.changed() == {("chr1", "confirmed")}
    for task in ("would", "go"):
        assert "has a license of the level p1" in run.of(task)["result"]["msg"]
        assert "set confirm_licensed: true" in run.of(task)["result"]["msg"]
    result = run.of("confirmed")["result"]
    assert result["license"] == {"level": "p1", "system_id": one.router.license.system_id}
    assert "can be transferred there to another CHR of the same account" in result["warnings"][0]


def test_a_license_that_cannot_be_read_is_told_and_the_router_is_removed(cluster, playbook, image):
    pve = cluster()
    pve.add(100, "chr1").config["description"] = mark(inspect(image).sha256, "imported")
    pve.vms[100].lab.stop()
    run = playbook([vm("go", state="absent")], {"chr1": host(pve)})
    assert run.changed() == {("chr1", "go")}
    assert "could not be read. The VM is off." in run.of("go")["result"]["warnings"][0]
    assert run.of("go")["result"]["license"] is None


def test_provision_runs_over_a_router_that_exists(cluster, playbook, tmp_path):
    """It is refused, then adopted and reconciled, and a second run changes nothing."""
    pve = cluster()
    one = pve.add(100, "chr1", **pve.behaviour)
    one.config |= {"cores": "1", "memory": "1024"}
    image = tmp_path / "chr.img"
    build_chr_image(image)
    variables = {
        "image_import_src": str(image),
        "image_import_checksum": "waived",
        "image_import_version": "7.22",
        "image_import_cache": str(tmp_path / "cache"),
        "image_import_cpus": 2,
    }
    allowed = [f"-eimage_import_{name}=true" for name in ("adopt", "reconcile", "restart")]
    hosts = {"chr1": host(pve, **variables)}
    refused = playbook("outofband.chr.provision", hosts)
    assert refused.rc
    assert "adopt: true takes it over as it is" in refused.output
    first = playbook("outofband.chr.provision", hosts, *allowed, "--diff")
    assert first.rc == 0, first.output
    assert {task.rpartition(" : ")[2] for _host, task in first.changed()} >= {"Create or remove the VM on Proxmox VE"}
    assert (one.config["cores"], one.config["memory"], one.running) == ("2", "1024", True)
    second = playbook("outofband.chr.provision", hosts, *allowed)
    assert (second.rc, second.changed()) == (0, set()), second.output
