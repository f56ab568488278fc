# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module snapshot on each hypervisor: a real libvirtd, govmomi's vCenter, the lab's Proxmox VE.

The manual: on Proxmox, guest filesystems are quiesced automatically when a snapshot is taken; on
VMware, only if that is requested, with the scripts ``freeze``, ``freeze-fail`` and ``thaw``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.modules import snapshot as page
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
    NotQuiesced,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.snapshots import SnapshotResult
from ansible_collections.outofband.chr.tests.lab.missing import need_program
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import PASSWORD, USER


def task(title, name="first", **options):
    return {"name": title, "outofband.chr.snapshot": {"name": name, **options}}


# -- libvirt ---------------------------------------------------------------------------------------


def of_domain(libvirtd, name, connect_timeout=90.0):
    return open_guest(
        options_for("libvirt", name, connect_timeout, "auto", Path("/nonexistent"), libvirt_uri=libvirtd.uri)
    )


@pytest.fixture(scope="module")
def domains(libvirtd):
    """Three routers that boot side by side: one in order, one that cannot freeze, one that cannot
    thaw."""
    for name, off in (("good", ""), ("nofreeze", "guest-fsfreeze-freeze"), ("nothaw", "guest-fsfreeze-thaw")):
        libvirtd.define(name, disk=True, settings={"commands_off": off} if off else {})
        libvirtd.virsh("start", name)
    names = ("good", "nofreeze", "nothaw")
    for name in names:
        of_domain(libvirtd, name).ping()
    return {
        name: {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri, "chr_connect_timeout": 30} for name in names
    }


def test_a_libvirt_domain_is_frozen_for_its_snapshot_and_thawed_and_failures_are_noticed(libvirtd, domains, playbook):
    run = playbook(
        [
            {**task("would"), "check_mode": True},
            {**task("take", description="Before <it>"), "ignore_errors": True},
            {**task("again", on_unquiesced="warn"), "when": "inventory_hostname != 'nothaw'"},
            {"name": "info", "outofband.chr.guest_info": None},
            {**task("remove", state="absent"), "when": "inventory_hostname == 'good'"},
        ],
        domains,
        "-f3",
    )
    assert run.rc == 0, run.output
    good = [name for host, name in sorted(run.changed()) if host == "good"]
    assert good == ["remove", "take", "would"]
    assert run.of("take", "good")["result"]["quiesced"] is True
    assert run.of("again", "good")["result"]["snapshots"] == ["first"]
    assert run.of("info", "good")["result"]["freeze_state"] == "thawed"
    assert libvirtd.virsh("snapshot-list", "good", "--name").split() == []

    assert (run.of("take", "nofreeze")["status"], run.of("take", "nofreeze")["result"]["changed"]) == ("failed", False)
    assert "guest-fsfreeze-freeze" in run.of("take", "nofreeze")["result"]["msg"]
    tolerant = run.of("again", "nofreeze")["result"]
    assert (tolerant["changed"], tolerant["quiesced"]) == (True, False)
    assert "is not quiesced" in tolerant["warnings"][0]
    assert libvirtd.virsh("snapshot-list", "nofreeze", "--name").split() == ["first"]

    said = run.of("take", "nothaw")["result"]["msg"]
    for part in ("guest-fsfreeze-thaw", "IS STILL FROZEN", "virsh domfsthaw", "domblklist"):
        assert part in said
    assert run.of("info", "nothaw")["result"]["freeze_state"] == "frozen"
    assert "frozen already" in of_domain(libvirtd, "nothaw").snapshots().why_not_quiesced()


def test_a_libvirt_domain_that_is_off_is_at_rest_and_one_without_an_agent_is_known_before(libvirtd):
    need_program("qemu-img")
    libvirtd.define("off", disk=True)
    off = of_domain(libvirtd, "off", 3).snapshots()
    assert off.why_not_quiesced() is None
    assert off.create("first", "", True, Deadline(30)) == SnapshotResult()
    assert off.descriptions() == {"first": ""}
    libvirtd.define("nochannel", disk=True, port=None)
    libvirtd.virsh("start", "nochannel")
    bare = of_domain(libvirtd, "nochannel", 3).snapshots()
    assert "no guest agent channel" in bare.why_not_quiesced()
    with pytest.raises(NotQuiesced, match="No snapshot of .*no guest agent channel"):
        bare.create("first", "", True, Deadline(30))
    assert bare.create("first", "", False, Deadline(30)) == SnapshotResult()
    with pytest.raises(NotPossible, match="'second' was not removed.*no domain snapshot"):
        bare.remove("second", Deadline(30))
    with pytest.raises(InvalidInput, match="part of a file's name"):
        bare.check_name("../x")
    libvirtd.virsh("destroy", "nochannel")


def test_a_libvirt_daemon_that_is_lost_in_between_leaves_the_outcome_unknown(libvirtd):
    libvirtd.define("lost", disk=True)
    for changes in (False, True):
        lost = of_domain(libvirtd, "lost", 5).snapshots()
        assert lost.descriptions() == {}
        libvirtd.stop()
        try:
            with pytest.raises(OutcomeUnknown if changes else Unreachable, match="the connection to libvirt was lost"):
                lost.create("first", "", False, Deadline(10)) if changes else lost.descriptions()
        finally:
            libvirtd.start()


# -- VMware ----------------------------------------------------------------------------------------


def script(name, source):
    """A backup script on a router."""
    return f'/system script add name={name} source="{source}"'


MARK = r"/system note set note=\"\$[/system note get note]%s;\""


def marks(vc, name="chr1"):
    return vc.router(name).run(":put [/system note get note]").output.decode().strip()


def backups(vc, **sources):
    """Give chr1 the scripts freeze, freeze-fail and thaw, which leave their names in its note."""
    for name in ("freeze", "freeze-fail", "thaw"):
        source = sources.get(name.replace("-", "_"), MARK % name)
        assert vc.router("chr1").run(script(name, source)).exitcode == 0


def of_vm(vc, folder, connect_timeout=5.0):
    values = {
        "api_host": vc.about["host"],
        "api_port": int(vc.about["port"]),
        "api_user": USER,
        "api_password": PASSWORD,
        "ca_path": vc.about["ca"],
    }
    return open_guest(options_for("vmware", "chr1", connect_timeout, "auto", folder / "run", **values)).snapshots()


def test_vmware_quiesces_only_if_that_is_requested(vcenter, playbook):
    """Manual 7.3, on request, freeze: quiesced only if that is asked for; freeze before, thaw after
    the snapshot."""
    vc = vcenter("chr1")
    backups(vc)
    run = playbook(
        [
            {**task("would"), "check_mode": True},
            task("quiet", description="Before <it>"),
            task("again"),
            task("plain", name="second", quiesce=False),
            task("remove", state="absent"),
            task("gone", state="absent"),
        ],
        {"chr1": vc.variables()},
    )
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", "would"), ("chr1", "quiet"), ("chr1", "plain"), ("chr1", "remove")}
    assert run.of("quiet")["result"]["quiesced"] is True
    assert run.of("plain")["result"]["quiesced"] is False
    assert run.of("gone")["result"]["snapshots"] == ["second"]
    assert marks(vc) == "freeze;thaw;"
    assert vc.backups == ["freeze", "thaw"]


def test_an_error_of_freeze_aborts_the_backup_and_its_output_is_named(vcenter, tmp_path):
    """Manual 7.3, freeze failure, logs: an error of freeze aborts, freeze-fail runs then, the
    output is saved."""
    vc = vcenter("chr1")
    backups(vc, freeze=r":error \"database busy\"")
    snapshots = of_vm(vc, tmp_path)
    with pytest.raises(NotQuiesced, match=r"ApplicationQuiesceFault.*'freeze' may have failed.*freeze-script.log"):
        snapshots.create("first", "", True, Deadline(20))
    assert snapshots.descriptions() == {}
    assert vc.backups == ["freeze", "freeze-fail"]
    assert marks(vc) == "freeze-fail;"
    assert b"database busy" in vc.router("chr1").files["freeze-script.log"].data


def test_a_timeout_of_freeze_aborts_the_backup(vcenter, tmp_path):
    """Manual 7.3, 60 seconds: the limit of each script (here 0.3); a timeout of freeze aborts."""
    vc = vcenter("chr1", backup_limit=0.3)
    backups(vc, freeze=":delay 30s")
    with pytest.raises(NotQuiesced, match="longer than 60 s"):
        of_vm(vc, tmp_path).create("first", "", True, Deadline(20))
    assert vc.backups == ["freeze", "freeze-fail"]


def test_a_snapshot_that_vmware_could_not_prepare_runs_freeze_fail(vcenter, tmp_path):
    """Manual 7.3, freeze-fail: if the hypervisor failed to prepare the snapshot."""
    vc = vcenter("chr1")
    backups(vc, freeze_fail=r":error \"failed twice\"")
    vc.fault("PrepareSnapshot", "yes")
    with pytest.raises(NotQuiesced, match=r"freeze-fail-script.log"):
        of_vm(vc, tmp_path).create("first", "", True, Deadline(20))
    assert vc.backups == ["freeze", "freeze-fail"]
    assert b"failed twice" in vc.router("chr1").files["freeze-fail-script.log"].data


def test_a_failing_thaw_is_the_routers_own_and_its_output_is_named(vcenter, tmp_path):
    """Manual 7.3, thaw: it runs after the snapshot has been taken, its failed output is saved:
    thaw-script.log."""
    vc = vcenter("chr1")
    backups(vc, thaw=r":error \"still cold\"")
    assert of_vm(vc, tmp_path).create("first", "", True, Deadline(20)) == SnapshotResult()
    assert b"still cold" in vc.router("chr1").files["thaw-script.log"].data
    assert "thaw-script.log" in page.DOCUMENTATION


def test_what_is_not_quiesced_at_all_is_documented():
    """Manual 7.3, FAT32: such disks are not quiesced."""
    assert "FAT32 disks are not quiesced" in page.DOCUMENTATION


def test_without_tools_vmware_ignores_the_wish_so_nothing_is_taken(vcenter, tmp_path):
    vc = vcenter("chr1")
    snapshots = of_vm(vc, tmp_path)
    vc.change("chr1", guest__toolsRunningStatus="guestToolsNotRunning")
    assert "tools of RouterOS do not run" in snapshots.why_not_quiesced()
    with pytest.raises(NotQuiesced, match="guestToolsNotRunning"):
        snapshots.create("first", "", True, Deadline(20))
    assert snapshots.descriptions() == {}
    vc.change("chr1", runtime__powerState="poweredOff")
    assert snapshots.why_not_quiesced() is None
    assert snapshots.create("first", "", True, Deadline(20)) == SnapshotResult()


def test_vmware_faults_and_names_that_two_snapshots_have_are_told(vcenter, tmp_path):
    vc = vcenter("chr1")
    snapshots = of_vm(vc, tmp_path)
    vc.fault("CreateSnapshot_Task", "the datastore is full")
    with pytest.raises(NotPossible, match="the datastore is full"):
        snapshots.create("first", "", True, Deadline(20))
    vc.fault("CreateSnapshot_Task", "NoPermission")
    with pytest.raises(NotPermitted, match="privilege .* is missing"):
        snapshots.create("first", "", True, Deadline(20))
    for _unused in range(2):
        snapshots.create("twin", "", False, Deadline(20))
    with pytest.raises(InvalidInput, match="2 snapshots named 'twin', so none was removed"):
        snapshots.remove("twin", Deadline(20))
    vc.fault("CreateSnapshot_Task", "1.5")
    with pytest.raises(OutcomeUnknown, match="not sent again"):
        of_vm(vc, tmp_path, 1.0).create("late", "", False, Deadline(20))


# -- Proxmox VE ------------------------------------------------------------------------------------


@pytest.fixture
def pve(short_path):
    with LabProxmox(short_path) as cluster:
        yield cluster


def access(pve, **more):
    return pve.variables(chr_connect_timeout=2, **more)


def test_a_router_that_stays_frozen_is_reset_if_that_is_allowed(pve, playbook):
    vm = pve.add(100, "chr1", commands_off=("guest-fsfreeze-thaw",), accepts_null_path=True)
    run = playbook([task("take", restart=True)], {"chr1": access(pve)})
    assert run.rc == 0, run.output
    result = run.of("take")["result"]
    assert (result["restarted"], result["quiesced"]) == (True, True)
    assert "was reset, because it stayed frozen" in result["warnings"][-1]
    assert not vm.lab.agent._frozen
    assert [path for method, path, _values in pve.log if method == "POST" and "/status/" in path] == [
        "/nodes/pve1/qemu/100/status/reset"
    ]


def test_a_snapshot_that_was_taken_is_a_change_although_the_router_is_not_back_after_its_reset(pve, playbook):
    vm = pve.add(100, "chr1", commands_off=("guest-fsfreeze-thaw",), accepts_null_path=True)
    vm.lab.switches.boot_seconds = 60.0
    run = playbook([task("take", restart=True, restart_timeout=3)], {"chr1": access(pve)})
    told = run.of("take")
    assert (told["status"], told["result"]["changed"]) == ("unreachable", True), run.output
    assert len(vm.snapshots) == 1


def test_proxmox_quiesces_automatically_and_a_failed_freeze_is_noticed(pve, playbook):
    """Manual 10, quiesced snapshot: guest filesystems are quiesced automatically when a snapshot is
    taken."""
    refused = {"commands_off": ("guest-fsfreeze-freeze",)}
    good = pve.add(100, "good")
    for number, name in enumerate(("remove", "fail", "warn", "lax"), 101):
        pve.add(number, name, **refused)
    pve.add(105, "freeze0").config["agent"] = "1,freeze-fs=0"
    pve.add(106, "agent0").agent_enabled = False
    pve.add(107, "off").lab.stop()
    pve.vms[107].agent_enabled = False
    thaw = pve.add(108, "thaw")
    thaw.thaws_refused = 1
    stuck = pve.add(109, "stuck", commands_off=("guest-fsfreeze-thaw",))
    pve.add(110, "half").snapshots["first"] = {"snapstate": "prepare", "snaptime": 1}
    pve.add(111, "silent", mute=("guest-ping",))
    del pve.add(112, "bare").config["agent"]
    variables = {"fail": {"policy": "fail"}, "warn": {"policy": "warn"}, "lax": {"quiesce": False}}
    variables |= {"silent": {"policy": "warn"}, "bare": {"quiesce": False}}
    hosts = {vm.name: access(pve, **variables.get(vm.name, {})) for vm in pve.vms.values()}
    options = {"on_unquiesced": "{{ policy | default(omit) }}", "quiesce": "{{ quiesce | default(omit) }}"}
    run = playbook(
        [task("take", **options), {**task("again", **options), "when": "inventory_hostname == 'good'"}], hosts, "-f5"
    )

    def end(host):
        record = run.of("take", host)
        result = record["result"]
        return record["status"], result["changed"], result.get("quiesced"), "first" in pve.vms[vmid[host]].snapshots

    vmid = {vm.name: number for number, vm in pve.vms.items()}
    assert end("good") == ("ok", True, True, True)
    assert good.snapshots["first"]["at_rest"]
    assert run.of("again", "good")["result"]["changed"] is False
    assert end("remove") == ("failed", False, False, False)
    assert end("fail") == ("failed", True, False, True)
    assert end("warn") == ("ok", True, False, True)
    assert end("lax") == ("ok", True, False, True)
    assert end("freeze0") == ("failed", False, None, False)
    assert end("agent0") == ("failed", False, None, False)
    assert end("off") == ("ok", True, True, True)
    assert end("thaw") == ("ok", True, True, True)
    assert end("stuck") == ("failed", True, True, True)
    assert end("silent") == ("ok", True, False, True)
    assert end("bare") == ("ok", True, False, True)
    assert end("half") == ("failed", False, None, True)

    def said(host):
        result = run.of("take", host)["result"]
        return " ".join([result.get("msg", ""), *result.get("warnings", [])])

    assert "unable to freeze guest fs - Command not supported" in said("remove")
    assert "It was removed again." in said("remove")
    assert "It is kept." in said("fail")
    assert "is not quiesced: Proxmox VE could not freeze" in said("warn")
    assert "freeze-fs=0" in said("freeze0")
    assert "agent: 1" in said("agent0")
    assert "was thawed afterwards" in said("thaw")
    assert "FROZEN" not in said("silent") + said("bare")
    assert said("bare") == ""
    assert "is not a whole one: Proxmox VE shows it with snapstate: prepare" in said("half")
    assert "IS STILL FROZEN" in said("stuck")
    assert not thaw.lab.agent._frozen
    assert stuck.lab.agent._frozen
    assert pve.invalid == []


def test_the_freeze_state_is_shown_through_the_socket_and_through_rest(pve, lab, playbook):
    """Manual 10, REST: some agent commands go through the REST interface."""
    routers = {name: lab(name) for name in ("cold", "warm")}
    frozen, unknown = pve.add(100, "frozen"), pve.add(101, "unknown", commands_off=("guest-fsfreeze-status",))
    pve.add(102, "thawed")
    frozen.lab.agent._frozen = routers["cold"].agent._frozen = True
    hosts = {vm.name: access(pve) for vm in pve.vms.values()}
    hosts |= {name: {"chr_socket": router.address} for name, router in routers.items()}
    run = playbook([{"name": "info", "outofband.chr.guest_info": None}], hosts)
    assert run.rc == 0, run.output
    states = {name: run.of("info", name)["result"]["freeze_state"] for name in hosts}
    assert states == {"cold": "frozen", "warm": "thawed", "frozen": "frozen", "thawed": "thawed", "unknown": None}
    assert {"execute": "guest-fsfreeze-status"} in unknown.wire  # its error came inside HTTP 200


# -- and the others --------------------------------------------------------------------------------


def test_a_plain_qemu_has_no_hypervisor_to_ask(lab, playbook):
    run = playbook([task("take")], {"chr1": {"chr_socket": lab("chr1").address}})
    assert run.of("take")["status"] == "failed"
    assert "takes no snapshots of 'chr1'. Take it with the tools" in run.of("take")["result"]["msg"]
