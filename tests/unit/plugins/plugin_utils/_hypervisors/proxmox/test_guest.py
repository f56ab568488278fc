# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend proxmox against the lab's Proxmox VE, in every version and every position of the
switches."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    FileMissing,
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TooLarge,
    Unreachable,
    VmAmbiguous,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import api
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import script_ways as ways
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.ascii import ascii_source
from ansible_collections.outofband.chr.tests.lab import reference
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import SCHEMAS
from ansible_collections.outofband.chr.tests.lab.routeros import File

VERSIONS = ["6.2", "7.4", "8.0", "8.4", "9.1"]
SECRETS = ("pass-w0rd", "t0ken-secret", "wr0ng-secret")
NAME = b":put [/system identity get name]"
# The switches with which each way is the one that works.
WORKING = {
    "inline": {},
    "json": {"accepts_null_path": True},
    "file": {"path_mode": "works", "accepts_path_with_arg": True, "write_modes": ("w", "wb")},
}


def note(vm) -> str:
    return vm.router.run(":put [/system note get note]").output.decode()


def works(version: str) -> dict[str, object]:
    return WORKING["inline" if version < "8" else "json"]


# -- the ways --------------------------------------------------------------------------------------


def test_the_schemas_are_at_hand():
    """Without them, the lab's other checks still work; what it sends is then not checked against
    Proxmox VE's own words."""
    if not reference.find(SCHEMAS):
        pytest.skip("not run: the reference schemas are not next to the checkout")


@pytest.mark.parametrize("closes", [False, True], ids=["close silent", "close answers"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", ["inline", "json", "file"])
def test_each_way_is_found_in_each_version_and_leaves_nothing(cluster, reach, version, way, closes):
    pve = cluster(version)
    vm = pve.add(100, "chr1", close_answers=closes, **WORKING[way])
    chr1 = reach(pve, "chr1")
    expected = {"inline": version < "8", "json": version >= "8", "file": True}[way]
    if way == "json" and version < "8":
        expected = False
    if version < "8":
        # the way without a command always works there
        result = chr1.run(NAME, 5)
        assert result.exec_mode == "inline"
    elif expected:
        result = chr1.run(NAME, 5)
        assert result.exec_mode == way
    else:
        with pytest.raises(NotPossible, match="No way to hand a script.*json: .*file: .*chr_ssh_host"):
            chr1.run(NAME, 5)
        return
    assert (result.rc, result.output) == (0, b"chr1\r\n")
    assert [name for name in vm.router.files if name.startswith("outofband")] == []
    assert pve.invalid == []


@pytest.mark.parametrize("way", ["json", "file"])
def test_what_worked_is_remembered_for_this_user_only_and_probed_once(cluster, reach, tmp_path, way):
    pve = cluster()
    vm = pve.add(100, "chr1", **WORKING[way])
    reach(pve, "100").run(NAME, 5)
    before = len([one for one in vm.wire if one["execute"] == "guest-exec"])
    assert reach(pve, "100").run(NAME, 5).exec_mode == way
    assert len([one for one in vm.wire if one["execute"] == "guest-exec"]) == before + 1
    (memory,) = (tmp_path / "run").glob("chr-pve-*.json")
    assert memory.stat().st_mode & 0o777 == 0o600
    assert json.loads(memory.read_text())["ways"] == [way]
    assert not any(secret in memory.read_text() for secret in SECRETS)
    memory.write_text("{broken")
    assert reach(pve, "100").run(NAME, 5).exec_mode == way


def test_a_remembered_way_that_is_refused_later_is_forgotten(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **WORKING["json"], **WORKING["file"])
    assert reach(pve, "100").run(NAME, 5).exec_mode == "json"
    vm.lab.switches.accepts_null_path = False
    with pytest.raises(ChrError, match="path"):
        reach(pve, "100").run(NAME, 5)
    assert reach(pve, "100").run(NAME, 5).exec_mode == "file"


@pytest.mark.parametrize("way", ["json", "file"])
def test_a_way_can_be_forced(cluster, reach, way):
    pve = cluster()
    pve.add(100, "chr1", **WORKING["json"], **WORKING["file"])
    assert reach(pve, "100", way).run(NAME, 5).exec_mode == way
    with pytest.raises(NotPossible, match=r"inline: .* from 8 on"):
        reach(pve, "100", "inline").run(NAME, 5)
    with pytest.raises(
        InvalidInput, match="'import' is not known to backend proxmox; set it to one of auto, inline, json"
    ):
        reach(pve, "100", "import")
    with pytest.raises(InvalidInput, match="qm needs chr_ssh_host"):
        reach(pve, "100", "qm")


def test_what_reaches_the_agent_on_7_4_is_what_the_manual_wants(cluster, reach):
    pve = cluster("7.4")
    vm = pve.add(100, "chr1")
    reach(pve, "100").run(NAME, 5)
    sent = [one["arguments"] for one in vm.wire if one["execute"] == "guest-exec"]
    assert [set(one) for one in sent] == [{"input-data", "capture-output"}] * 2


def test_a_script_file_is_imported_and_a_failing_script_keeps_its_output(cluster, reach):
    for way in ("json", "file"):
        pve = cluster()
        vm = pve.add(100, "chr1", **WORKING[way])
        vm.router.files["x.rsc"] = File(b':put "from file"')
        chr1 = reach(pve, "100")
        assert chr1.wait(chr1.start_file("x.rsc"), 5).output.startswith(b"from file\r\n")
        failed = chr1.run(b':put "before"\n:error "no luck"', 5)
        assert failed.rc == -1
        assert failed.output.startswith(b"before\r\n")
        assert b"no luck" in failed.output
        broken = chr1.run(b"# comment\n:put (((", 5)
        assert broken.rc == -1
        deadline = time.monotonic() + 3
        while any(name.startswith("outofband") for name in vm.router.files) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(vm.router.files) == ["x.rsc"]


def test_a_script_that_arrives_cut_short_is_not_run(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **WORKING["file"])
    chr1 = reach(pve, "100")
    chr1.ping()
    chr1.run(NAME, 5)
    vm.lab.switches.max_write = 400
    result = chr1.run(b'/system note set note="gone wrong"\n' * 40, 5)
    assert result.rc == -1
    assert vm.router.run(":put [/system note get note]").output == b"\r\n"


@pytest.mark.parametrize("version", ["7.4", "9.1"])
def test_bytes_survive_both_ways(cluster, reach, version):
    pve = cluster(version)
    vm = pve.add(100, "chr1", **works(version))
    result = reach(pve, "100").run('# für\n/system note set note="Café €"\n:put "Zoë \\FF"'.encode(), 5)
    assert result.output == "Zoë ".encode() + b"\xff\r\n"
    assert vm.router.run(":put [/system note get note]").output == "Café €\r\n".encode()


@pytest.mark.parametrize(
    ("source", "escaped"),
    [
        ('# é\n:put "é"', '# ??\n:put "\\C3\\A9"'),
        (':put "a\\"é$[:len "é"]é"', ':put "a\\"\\C3\\A9$[:len "\\C3\\A9"]\\C3\\A9"'),
        (':if (1=1) do={\n  # ü\n  :put "ü" }', ':if (1=1) do={\n  # ??\n  :put "\\C3\\BC" }'),
    ],
)
def test_escaping(source, escaped):
    assert ascii_source(source.encode()) == escaped


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("/ip address\nset 0 comment=Café", "Line 2.*outside double quotes"),
        (':put "$[:put é]"', "outside double quotes"),
        (':put "\\é"', "follows a backslash"),
        (':put 1 # it"s é', "behind a '#'"),
        (':put 1 # it"s\n:put "é"', "behind a '#'"),
    ],
)
def test_what_cannot_be_escaped_safely_is_refused(source, says):
    with pytest.raises(InvalidInput, match=says):
        ascii_source(source.encode())


@pytest.mark.parametrize("version", VERSIONS)
def test_scripts_up_to_the_limit_arrive_or_are_refused_with_the_limit(cluster, reach, version):
    pve = cluster(version)
    pve.add(100, "chr1", **works(version))
    chr1 = reach(pve, "100")
    assert chr1.run(b':put "x"\n#' + b"x" * 60_000, 20).rc == 0
    with pytest.raises(TooLarge, match="65537 bytes.*65536"):
        chr1.run(b"#" * 65_537, 5)
    almost = b':put "x"\n#' + b"x" * 65_526
    if version < "8.4":  # the body may have 64 KiB there, and the script is not all of it
        with pytest.raises(TooLarge, match=r"nothing was sent.*would have 655\d\d bytes, .* takes 65280.*45568 bytes"):
            chr1.run(almost, 20)
    else:
        assert chr1.run(almost, 20).rc == 0


def test_a_stock_agent_is_told_apart_and_gets_no_file(cluster, reach):
    pve = cluster("9.1")
    vm = pve.add(100, "linux", **WORKING["file"])
    vm.lab.agent._guest_get_osinfo = lambda: {"id": "debian"}
    with pytest.raises(NotPossible, match="file: .*does not say that it is RouterOS"):
        reach(pve, "100").run(NAME, 5)
    assert vm.router.files == {}


def test_an_agent_that_sends_no_0xff_cannot_be_reached_through_proxmox(cluster, reach):
    """Proxmox VE takes no reply without it."""
    pve = cluster()
    vm = pve.add(100, "chr1", delimiter=False, **WORKING["json"])
    with pytest.raises(Unreachable, match="agent of .* did not answer within 0.5 s: QEMU guest agent is not running"):
        reach(pve, "chr1", connect_timeout=0.5).run(NAME, 5)
    assert "guest-exec" not in vm.lab.agent.log


# -- files, questions, power -----------------------------------------------------------------------


@pytest.mark.parametrize("closes", [False, True], ids=["close silent", "close answers"])
@pytest.mark.parametrize("wb", [False, True], ids=["no wb", "wb"])
@pytest.mark.parametrize("version", VERSIONS)
def test_files(cluster, reach, version, wb, closes):
    pve = cluster(version)
    modes = ("w", "wb") if wb else ("w",)
    vm = pve.add(100, "chr1", close_answers=closes, write_modes=modes, **works(version))
    chr1 = reach(pve, "100")
    for size in (0, 1, 5000, 46_080, 46_081, 61_440):
        content = os.urandom(size)
        assert chr1.put(io.BytesIO(content), "x.bin") == size
        assert vm.router.files["x.bin"].data == content
        back = io.BytesIO()
        assert chr1.get("x.bin", back) == size
        assert back.getvalue() == content
    with pytest.raises(TooLarge, match="more than 61440 bytes.*chr_ssh_host"):
        chr1.put(io.BytesIO(b"x" * 61_441), "x.bin")
    vm.router.files["big"] = File(b"x" * 70_000)
    with pytest.raises(NotPossible, match="70000 bytes.*Set chr_ssh_host to the node"):
        chr1.get("big", io.BytesIO())
    with pytest.raises(FileMissing):
        chr1.get("none", io.BytesIO())
    assert pve.invalid == []


def test_a_short_write_is_noticed_and_mended(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", max_write=1000, write_modes=("w", "wb"), **works("9.1"))
    content = os.urandom(3000)
    reach(pve, "100").put(io.BytesIO(content), "x.bin")
    assert vm.router.files["x.bin"].data == content


def test_questions_and_shutdown(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1")
    chr1 = reach(pve, "chr1")
    chr1.ping()
    report = chr1.report()
    assert report.agent_version == "2.10.50"
    assert report.os["id"] == chr1.operating_system()["id"] == "routeros"
    assert (report.host_name, report.freeze_state) == ("chr1", "thawed")
    assert report.unreadable == ()
    with pytest.raises(NotPossible, match="method: script"):
        chr1.shutdown("reboot")
    chr1.shutdown("powerdown")
    time.sleep(0.3)
    assert not vm.running
    with pytest.raises(Unreachable, match="is off"):
        chr1.ping()


def test_an_error_inside_http_200_is_seen(cluster, reach):
    pve = cluster()
    pve.add(100, "chr1", commands_off=("guest-info",))
    with pytest.raises(ChrError, match="refused info: Command not supported"):
        reach(pve, "100").report()


# -- logins ----------------------------------------------------------------------------------------


def by_password(password: str = "pass-w0rd") -> dict[str, object]:
    return {"api_user": "root@pam", "api_password": password, "api_token_id": None, "api_token_secret": None}


def test_a_password_logs_in_once_and_again_when_the_ticket_ends(cluster, reach):
    pve = cluster()
    pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "100", **by_password())
    chr1.run(NAME, 5)
    reach(pve, "100", **by_password()).run(NAME, 5)
    assert pve.logins == 1
    pve.expire_tickets()
    chr1.run(NAME, 5)
    assert pve.logins == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (by_password("wr0ng-secret"), "refused the password of 'root@pam'"),
        ({"api_token_secret": "wr0ng-secret"}, "does not accept the API token 'root@pam!chr'"),
        ({"api_token_id": "root@pam!other"}, "does not accept the API token 'root@pam!other'"),
    ],
)
def test_a_wrong_login_says_so_and_shows_no_secret(cluster, reach, options, says):
    pve = cluster()
    pve.add(100, "chr1")
    with pytest.raises(NotPermitted, match=says) as caught:
        reach(pve, "100", **options).ping()
    assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(("version", "privilege"), [("8.4", "VM.Monitor"), ("9.1", "VM.GuestAgent.Unrestricted")])
def test_a_missing_privilege_is_named(cluster, reach, version, privilege):
    pve = cluster(version)
    pve.privileges["root@pam!chr"] = frozenset({"VM.Audit"})
    pve.add(100, "chr1", **works(version))
    with pytest.raises(NotPermitted, match=f"privilege {privilege} on /vms/100"):
        reach(pve, "100").run(NAME, 5)


def test_secrets_are_in_no_representation():
    options = options_for("proxmox", "x", 1, "auto", None, api_password="pass-w0rd", api_token_secret="t0ken-secret")
    login = api.ProxmoxLogin("h", 1, "u", "pass-w0rd", True, None, 5.0, Path("/none"), "t", "t0ken-secret")
    assert not any(secret in f"{options!r} {login!r} {vars(api.Api(login))!r}" for secret in SECRETS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"api_host": None}, "chr_api_host is not set"),
        ({"api_host": "https://pve:8006/"}, "not a valid host name"),
        ({"api_host": "pve..example.net"}, "not a valid host name"),
        ({"api_port": 0}, "not a valid TCP port"),
        ({"api_token_secret": None}, "chr_api_token_secret is not"),
        ({"api_token_id": "chr"}, "user@realm!name"),
        ({"api_token_id": None}, "No login"),
        ({"api_token_secret": "a\r\nX: y"}, "not valid in an API token"),
        (by_password() | {"api_user": "root"}, "needs its realm"),
    ],
)
def test_options_that_cannot_be_right_are_refused(cluster, reach, options, says):
    with pytest.raises(InvalidInput, match=says):
        reach(cluster(), "100", **options)


# -- the right VM ----------------------------------------------------------------------------------


def test_an_unknown_vm_two_of_one_name_and_a_container_are_refused(cluster, reach):
    pve = cluster()
    pve.add(100, "twin")
    pve.add(101, "twin", "pve2")
    pve.add(102, "box").kind = "lxc"
    pve.add(103, "100")
    with pytest.raises(VmNotFound, match="no VM with the vmid or name 'nobody'.*VM.Audit"):
        reach(pve, "nobody").run(NAME, 5)
    with pytest.raises(VmAmbiguous, match=r"vmid 100 \('twin'\) on node pve1 and vmid 101 \('twin'\) on node pve2"):
        reach(pve, "twin").run(NAME, 5)
    with pytest.raises(VmNotFound, match="container 102"):
        reach(pve, "box").run(NAME, 5)
    with pytest.raises(VmAmbiguous, match="vmid 100 .* and vmid 103"):
        reach(pve, "100").run(NAME, 5)
    assert not any(vm.wire for vm in pve.vms.values())


@pytest.mark.parametrize("node", ["pve1", "pve2", "away", "nowhere"])
def test_a_vmid_with_its_node_is_not_looked_up_and_found_wherever_it_is(cluster, reach, node):
    pve = cluster()
    pve.nodes = ("pve1", "pve2", "away")
    pve.offline = {"away"}
    pve.add(100, "chr1", **works("9.1"))
    pve.add(101, "100")  # a name is not a vmid
    chr1 = reach(pve, "100", node=node)
    assert chr1.run(NAME, 5).output == b"chr1\r\n"
    looked_up = sum(path == "/cluster/resources" for _method, path, _values in pve.log)
    assert looked_up == (0 if node == "pve1" else 1)


def test_the_wrong_node_is_told_and_a_vm_that_moves_is_found_again(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **works("9.1"))
    with pytest.raises(VmNotFound, match="on node 'pve1'.*chr_node is 'pve2'"):
        reach(pve, "chr1", node="pve2").ping()
    chr1 = reach(pve, "100")
    chr1.run(NAME, 5)
    vm.node = "pve2"
    assert chr1.run(NAME, 5).output == b"chr1\r\n"
    del pve.vms[100]
    with pytest.raises(VmNotFound):
        chr1.run(NAME, 5)


def test_names_that_were_swapped_a_moment_ago_reach_the_right_vms(cluster, reach):
    """The next task uses the list of the last one, and asks whether its VM is still so called."""
    pve = cluster()
    first, second = (pve.add(vmid, name, **works("9.1")) for vmid, name in ((100, "chr1"), (101, "chr2")))
    write = b'/system note set note="here"'
    reach(pve, "chr1").run(NAME, 5)
    before = len(pve.log)
    reach(pve, "chr1").run(NAME, 5)
    asked = [path for _method, path, _values in pve.log[before:]]
    assert asked[0] == "/nodes/pve1/qemu/100/config"
    assert "/cluster/resources" not in asked
    first.name, second.name = "chr2", "chr1"
    reach(pve, "chr1").run(write, 5)
    assert "here" not in note(first)
    assert "here" in note(second)


def test_a_name_that_moves_to_another_vm_within_a_task_reaches_neither(cluster, reach):
    pve = cluster()
    old = pve.add(100, "chr1", **works("9.1"))
    other = pve.add(101, "chr2", **works("9.1"))
    chr1 = reach(pve, "chr1")
    job = chr1.start(b":delay 20s")
    del pve.vms[100]
    other.name = "chr1"
    before = len(other.wire)
    with pytest.raises(OutcomeUnknown, match="another VM now: vmid 101.*instead of vmid 100.*its end was not seen"):
        chr1.wait(job, 10)
    with pytest.raises(VmNotFound, match="another VM now.*Nothing was sent"):
        chr1.run(NAME, 5)
    assert len(other.wire) == before
    old.lab.stop()


def test_a_vm_that_is_made_anew_with_the_same_number_is_not_taken_for_the_old_one_within_a_job(cluster, reach):
    pve = cluster()
    old = pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "chr1")
    job = chr1.start(b":delay 20s")
    old.lab.stop()
    pve.add(100, "chr1", **works("9.1")).lab.agent._next = 500
    with pytest.raises(OutcomeUnknown, match="no longer knows the job"):
        chr1.wait(job, 10)
    assert [one["execute"] for one in pve.vms[100].wire if one["execute"] == "guest-exec"] == []


def test_a_template_is_told_and_not_confused_with_a_vm_that_is_off(cluster, reach):
    pve = cluster()
    pve.add(100, "golden").template = True
    with pytest.raises(VmNotFound, match="'golden' .vmid 100. is a template.*chr_vm"):
        reach(pve, "golden").run(NAME, 5)


def test_what_worked_through_ssh_is_forgotten_with_other_arguments_of_ssh(tmp_path, cluster, reach):
    """They may lead to another node, which may have a VM of the same number."""
    pve = cluster()
    pve.add(100, "chr1")
    vm = reach(pve, "100")._vm
    ways.VmNotesFile(tmp_path, vm, "node", "-p 1").write(ways.VmNotes(["socket"]))
    assert ways.VmNotesFile(tmp_path, vm, "node", "-p 1").read().ways == ["socket"]
    for host, arguments in (("node", "-p 2"), ("node", ""), ("other", "-p 1"), (None, "")):
        assert ways.VmNotesFile(tmp_path, vm, host, arguments).read().ways == []


@pytest.mark.parametrize("fault", ["reset", "500 something odd", "597 Connection timed out"])
def test_a_probe_that_is_lost_leaves_nothing_unknown(cluster, reach, fault):
    pve = cluster()
    vm = pve.add(100, "chr1", **works("9.1"))
    pve.faults["/agent/exec"] = fault
    with pytest.raises(Unreachable, match="only a harmless probe: the script itself was not sent"):
        reach(pve, "100", connect_timeout=0.5).run(b"/system note set note=x", 5)
    assert vm.router.run(":put [/system note get note]").output == b"\r\n"


def test_twenty_in_parallel_reach_their_own_vm_each(cluster, reach):
    pve = cluster()
    for number in range(20):
        pve.add(100 + number, f"chr{number}", f"pve{number % 2 + 1}", **WORKING["json" if number % 3 else "file"])
    failures = []

    def work(number: int) -> None:
        chr_n = reach(pve, f"chr{number}" if number % 2 else str(100 + number), connect_timeout=20)
        for turn in range(3):
            chr_n.run(f'/system note set note="{number}-{turn}"'.encode(), 20)
            if chr_n.run(NAME, 20).output != f"chr{number}\r\n".encode():
                failures.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert failures == []
    for number in range(20):
        assert pve.vms[100 + number].router.run(":put [/system note get note]").output == f"{number}-2\r\n".encode()


# -- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_an_agent_that_is_not_enabled_is_told_at_once(cluster, reach, version):
    """With ``agent: 0`` Proxmox VE only says that the agent is not running."""
    pve = cluster(version)
    zero, missing, waiting = pve.add(100, "zero"), pve.add(101, "missing"), pve.add(102, "waiting")
    zero.agent_enabled = False
    del missing.config["agent"]
    waiting.agent_enabled, waiting.pending = False, {"agent": "enabled=1"}
    began = time.monotonic()
    for vm, says in ((zero, "agent: 0. Set agent: 1"), (missing, "Set agent: 1"), (waiting, "waits for a cold start")):
        with pytest.raises(NotPossible, match=f"enabled in the options of '{vm.name}'.*{says}"):
            reach(pve, vm.name, connect_timeout=20).run(NAME, 5)
    assert time.monotonic() - began < 15
    by_args = pve.add(103, "by-args")
    by_args.agent_enabled, by_args.config["args"] = False, "-chardev socket,path=/var/run/qemu-server/103.qga,id=q"
    with pytest.raises(Unreachable, match="did not answer within 0.5 s"):
        reach(pve, "by-args", connect_timeout=0.5).ping()


def test_vm_off_and_agent_not_running(cluster, reach):
    pve = cluster()
    off, silent = pve.add(100, "off"), pve.add(102, "silent", mute=("guest-ping",))
    off.lab.stop()
    with pytest.raises(Unreachable, match="is off: VM 100 is not running"):
        reach(pve, "off").run(NAME, 5)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer within 1 s") as caught:
        reach(pve, "silent", connect_timeout=1).run(NAME, 5)
    assert caught.value.silent
    assert 0.9 < time.monotonic() - began < 20
    silent.lab.switches.mute = ()


def test_a_booting_router_is_waited_for(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", boot_seconds=1.0, **works("9.1"))
    vm.lab.reset()
    assert reach(pve, "100", connect_timeout=10).run(NAME, 5).rc == 0


def test_a_certificate_that_is_not_trusted(cluster, reach):
    pve = cluster()
    pve.add(100, "chr1")
    with pytest.raises(InvalidInput, match="certificate of .* is not trusted: .*chr_ca_path"):
        reach(pve, "100", ca_path=None).ping()
    with pytest.raises(InvalidInput, match="chr_ca_path '/none' cannot be used"):
        reach(pve, "100", ca_path="/none").ping()
    with pytest.raises(InvalidInput, match="not trusted"):
        reach(pve, "100", api_host="127.0.0.1").ping()
    reach(pve, "100", ca_path=None, validate_certs=False).ping()
    assert pve.log[0][1] == "/cluster/resources"


def test_a_look_up_that_fails_is_told_as_such_because_nothing_was_sent_to_the_vm(cluster, reach):
    pve = cluster()
    pve.add(100, "chr1")
    pve.faults["/cluster/resources"] = "500 database is locked"
    with pytest.raises(ChrError, match="database is locked") as caught:
        reach(pve, "chr1").shutdown("powerdown")
    assert not isinstance(caught.value, OutcomeUnknown)
    pve.faults["/cluster/resources"] = "403 Permission check failed"
    with pytest.raises(NotPermitted) as caught:
        reach(pve, "chr1").shutdown("powerdown")
    assert "/vms/None" not in str(caught.value)
    assert [path for _method, path, _values in pve.log if "agent" in path] == []


def test_a_host_that_refuses_or_hangs(cluster, reach):
    pve = cluster()
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    with pytest.raises(Unreachable, match="cannot be reached: no answer within 1 s"):
        reach(pve, "100", api_port=port, connect_timeout=1).ping()
    silent.close()
    with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        reach(pve, "100", api_port=port).ping()
    with pytest.raises(Unreachable, match="name cannot be resolved"):
        reach(pve, "100", api_host="nobody.invalid").ping()


@pytest.mark.parametrize("fault", ["reset", "cut", "596 Broken pipe", "597 Connection timed out"])
def test_an_answer_that_is_lost_leaves_the_outcome_unknown_and_nothing_is_sent_again(cluster, reach, fault):
    pve = cluster()
    pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "100")
    chr1.run(NAME, 5)
    pve.faults["/agent/exec"] = fault
    with pytest.raises(OutcomeUnknown, match="not sent again"):
        chr1.run(NAME, 5)
    pve.faults = {"exec-status": fault}
    with pytest.raises(OutcomeUnknown, match="was not told: .*its end was not seen"):
        chr1.run(NAME, 0.5)
    pve.faults = {"/cluster/": fault, "/config": fault}
    with pytest.raises(Unreachable):
        reach(pve, "100", connect_timeout=0.5).run(NAME, 5)


def test_a_server_that_hangs_in_an_answer(cluster, reach, monkeypatch):
    pve = cluster()
    pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "100")
    chr1.run(NAME, 5)
    pve.faults["/agent/exec"] = "hang"
    monkeypatch.setattr(api.Api.call, "__kwdefaults__", {**api.Api.call.__kwdefaults__, "patience": 1.0})
    monkeypatch.setattr(
        type(chr1._vm).agent, "__kwdefaults__", {**type(chr1._vm).agent.__kwdefaults__, "patience": 1.0}
    )
    with pytest.raises(OutcomeUnknown, match="no answer within 1 s"):
        chr1.run(NAME, 5)


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("500 something odd", OutcomeUnknown, "something odd.*unknown"),
        ("501 Method not implemented", NotPossible, "too old"),
        ("595 No route to host", Unreachable, "cannot reach the node of 'chr1'.*Check that the node is up"),
        ("501 for data too large", TooLarge, "nothing reached"),
    ],
)
def test_http_errors(cluster, reach, fault, kind, says):
    pve = cluster()
    pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "chr1")
    chr1.run(NAME, 5)
    pve.faults["/agent/exec"] = fault
    with pytest.raises(kind, match=says):
        chr1.run(NAME, 5)


def test_a_job_that_the_agent_forgot(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "100")
    job = chr1.start(b":delay 5s")
    vm.lab.agent.forget()
    with pytest.raises(OutcomeUnknown, match="no longer knows the job"):
        chr1.wait(job, 5)


@pytest.mark.parametrize(
    "fault", ["595 No route to host", "500 VM 100 qmp command 'guest-exec-status' failed - got timeout"]
)
def test_a_look_that_fails_is_repeated_while_there_is_time(cluster, reach, fault):
    pve = cluster()
    pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "100")
    job = chr1.start(b':put "done"')
    pve.faults["exec-status"] = fault
    threading.Timer(0.7, pve.faults.clear).start()
    assert chr1.wait(job, 10).output == b"done\r\n"


def test_a_vm_that_goes_off_under_a_script_leaves_the_outcome_unknown(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **works("9.1"))
    chr1 = reach(pve, "100")
    job = chr1.start(b":delay 20s")
    vm.lab.stop()
    with pytest.raises(OutcomeUnknown, match="is off.*its end was not seen"):
        chr1.wait(job, 10)


def test_a_long_script_is_reported_with_its_job(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", **works("9.1"))
    result = reach(pve, "100").run(b':delay 700ms\n/system note set note="done"', 0.2)
    assert (result.rc, result.timed_out) == (None, True)
    time.sleep(1)
    assert vm.router.run(":put [/system note get note]").output == b"done\r\n"


def test_the_api_may_not_be_proxmox(cluster, reach):
    pve = cluster()
    pve.faults["/"] = "200 OK"
    with pytest.raises(ChrError, match="without a list of VMs"):
        reach(pve, "100").ping()
