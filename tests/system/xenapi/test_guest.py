# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend xenapi through ansible-playbook: XML-RPC to the lab's XenAPI, with domains in a real
oxenstored behind it.

The manual's section "Guest tools: Xen": base64 text in ``vm-data/provision/script`` is run,
``script/status`` is ``ready``, ``running`` or ``error``, ``script/otuput`` (perhaps ``output``)
holds the base64 output, a script is accepted only while the status is not ``running``, and scripts
can be given through XenAPI (``VM.add_to_xenstore_data``).
"""

from __future__ import annotations

import json
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._actions import switching
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    ChrError,
    NotAnAgent,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    TooLarge,
    Unreachable,
    VmBusy,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.vm_data import (
    MAX_SOURCE,
    OUTPUTS,
    SCRIPT,
    STATUS,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi import delivery
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.guest import XenapiGuest
from ansible_collections.outofband.chr.tests.lab import reference
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.xenapi.server import PASSWORD, SCHEMA, USER, LabPool, LabVm, encoded
from ansible_collections.outofband.chr.tests.system.conftest import KEEP_SESSIONS

NAME = ":put [/system identity get name]"
OTHERS = {"vm-data/mine": "kept", "FIST/pin": "1"}


@pytest.fixture
def pool(xen, short_path: Path) -> t.Iterator[LabPool]:
    with LabPool(xen, short_path) as one:
        yield one
        assert one.invalid == []


@pytest.fixture
def guest(pool: LabPool, tmp_path: Path) -> t.Callable[..., XenapiGuest]:
    """A guest without Ansible: ``guest("chr1", exec_mode="reboot")``."""

    def make(vm: str, **options: t.Any) -> XenapiGuest:
        defaults = {
            "backend": "xenapi",
            "connect_timeout": 20.0,
            "exec_mode": "auto",
            "runtime_directory": tmp_path / "run",
            "api_host": "localhost",
            "api_port": pool.port,
            "api_user": USER,
            "api_password": PASSWORD,
            "ca_path": f"{pool.certificate}.crt",
        }
        return t.cast("XenapiGuest", open_guest(options_for(vm=vm, **{**defaults, **options})))

    return make


def script(source: str, name: str = "go", **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "outofband.chr.script": {"source": source, **more}}


def until(condition: t.Callable[[], t.Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def booted(vm: LabVm) -> LabVm:
    """Wait until its tools have come up."""
    until(lambda: vm.guest_metrics != "OpaqueRef:NULL")
    time.sleep(0.1)
    return vm


def sources(vm: LabVm) -> list[str]:
    """The scripts that ran, without the line that each gets."""
    return [one.rpartition("\n:put ")[0] for one in vm.log]


def nothing_is_left(vm: LabVm) -> None:
    """Neither in the database nor in xenstore; and the next boot runs nothing."""
    assert not [key for key in vm.database if key.startswith(SCRIPT)]
    assert not [key for key in vm.vm_data() if key.startswith(SCRIPT)]
    ran = len(vm.log)
    vm.stop()
    vm.start()
    booted(vm)
    assert len(vm.log) == ran


def test_the_datamodel_is_at_hand():
    """Without it the lab's other checks still work; calls are then not checked against XenAPI's own
    words."""
    if not reference.find(SCHEMA):
        pytest.skip("not run: the reference schemas are not next to the checkout")


# -- scripts ---------------------------------------------------------------------------------------


def test_a_script_given_before_the_start_runs_and_its_output_comes_back(pool, playbook):
    """Manual 8, at creation, output and status: VM.add_to_xenstore_data; both spellings of the
    output; an error."""
    vms = {spelling: pool.vm(spelling, output_name=spelling) for spelling in ("otuput", "output")}
    vms["fails"] = pool.vm("fails")
    fails = script(':put "so far"\n:error "broken"', "fails") | {"when": "inventory_hostname == 'fails'"}
    works = script(f'{NAME}\n:put "caf\u00e9"') | {"when": "inventory_hostname != 'fails'"}
    run = playbook([works, fails], {name: pool.variables() for name in vms})
    for name in ("otuput", "output"):
        result = run.of("go", name)["result"]
        assert (result["rc"], result["stdout_lines"]) == (0, [name, "caf\u00e9"]), run.output
        assert (result["backend"], result["exec_mode"], result["output_available"]) == ("xenapi", "start", True)
        assert sources(vms[name]) == [f'{NAME}\n:put "caf\u00e9"']
        assert vms[name].power_state == "Running"
    result = run.of("fails", "fails")["result"]
    assert (result["rc"], result["stdout_lines"][0]) == (-1, "so far")
    assert "broken" in result["msg"]
    for vm in vms.values():
        nothing_is_left(vm)


@pytest.mark.parametrize(
    "switches",
    [
        {"output_first": False, "gap": 0.2},
        {"gap": 0.2},
        {"success": "absent"},
        {"announces": False},
        {"writes_status": False},
        {"delay": 0.3},
    ],
    ids=str,
)
def test_the_end_of_a_script_is_seen_however_its_status_goes(pool, guest, switches):
    """Manual 8, status: ready, running or error.

    It knows no "done", and not in which order things are written.
    """
    vm = pool.vm("chr1", **switches)
    result = guest("chr1").run(NAME.encode(), 5)
    assert (result.rc, result.output) == (0, b"chr1\r\n")
    nothing_is_left(vm)


def test_a_running_vm_is_refused_with_the_reason_and_the_ways_out(pool, playbook):
    """set_xenstore_data reaches a running VM, and what it writes is read-only for the guest."""
    vm = booted(pool.vm("chr1", started=True))
    before = dict(vm.database)
    run = playbook([script(NAME)], {"chr1": pool.variables()})
    assert run.of("go")["status"] == "failed"
    message = run.of("go")["result"]["msg"]
    for part in ("read-only for the router", "chr_exec_mode: reboot", "backend xenstore", "shut it down first"):
        assert part in message
    assert (vm.log, vm.boots, vm.database) == ([], 1, before)
    assert not [call for call in pool.calls() if "xenstore_data" in call or call.startswith("Async.")]


def test_with_leave_to_restart_it_a_running_vm_runs_scripts(pool, playbook):
    vm = booted(pool.vm("chr1", started=True))
    tasks = [
        script(NAME),
        {"name": "raw", "ansible.builtin.raw": ":put raw"},
        script("/system note set note=x", "not needed", unless="true"),
    ]
    run = playbook(tasks, {"chr1": pool.variables(chr_exec_mode="reboot")})
    assert run.rc == 0, run.output
    assert run.of("go")["result"]["exec_mode"] == "reboot"
    assert (run.of("go")["result"]["stdout"], run.of("raw")["result"]["stdout"]) == ("chr1", "raw\n")
    assert not run.of("not needed")["result"]["changed"]
    assert (vm.boots, sources(vm)) == (4, [NAME, ":put raw", ":put (true)"])
    nothing_is_left(vm)


def test_what_a_task_has_started_itself_it_may_restart(pool, playbook):
    """A condition boots a halted router, and the script needs the next boot."""
    vm = pool.vm("chr1")
    task = script("/system note set note=x", unless='[/system note get note] = "x"')
    run = playbook([task, script(NAME, "later")], {"chr1": pool.variables()})
    assert run.of("go")["result"]["changed"], run.output
    assert vm.boots == 2
    assert "chr_exec_mode: reboot" in run.of("later")["result"]["msg"]


def test_a_file_of_the_router_is_run_by_import(pool, guest):
    vm = pool.vm("chr1")
    vm.router.run('/file add name=x.rsc contents=":put imported"')
    one = guest("chr1")
    assert one.wait(one.start_file("x.rsc"), 5).output.splitlines()[0] == b"imported"


def test_a_long_script_is_put_together_in_steps_of_one_boot_each(pool, guest, monkeypatch):
    """A xenstore value has 2,048 bytes, 1,536 of script."""
    monkeypatch.setattr(delivery, "_QUIET", 0.2)
    vm = pool.vm("chr1")
    source = "\n".join(f':global v{number} "{number}"' for number in range(120)) + "\n:put $v119"
    assert guest("chr1").run(source.encode(), 5).output == b"119\r\n"
    assert vm.boots == len(vm.log) == 4
    assert vm.router.run(":put [:len [/system script find]]").output == b"0\r\n"
    nothing_is_left(vm)


def test_a_long_script_that_fails_leaves_nothing_on_the_router(pool, guest, monkeypatch):
    monkeypatch.setattr(delivery, "_QUIET", 0.2)
    vm = pool.vm("chr1")
    result = guest("chr1").run(b"# " + b"x" * 2000 + b'\n:error "no luck"', 5)
    assert result.rc == -1
    assert b"no luck" in result.output
    assert vm.router.run(":put [:len [/system script find]]").output == b"0\r\n"
    nothing_is_left(vm)


def test_the_largest_script_of_one_value_needs_one_boot(pool, guest):
    vm = pool.vm("chr1")
    source = b":put 1\n#".ljust(1536 - len('\n:put "0123456789abcdef"'), b"x")
    assert guest("chr1").run(source, 5).output == b"1\r\n"
    assert vm.boots == 1


def test_a_script_beyond_the_limit_is_refused_before_anything_is_stored(pool, guest):
    vm = pool.vm("chr1")
    with pytest.raises(TooLarge, match=str(MAX_SOURCE)):
        guest("chr1").run(b"#" * (MAX_SOURCE + 1), 5)
    assert (pool.calls(), vm.database) == ([], {})


def test_the_lab_stores_an_oversize_value_and_the_next_start_fails(pool, guest):
    """Why lengths are checked in the client; and what somebody else has stored is told and left to
    them."""
    vm = pool.vm("chr1")
    vm.database = {"vm-data/mine": "x" * 2049}
    with pytest.raises(NotPossible, match="E2BIG"):
        guest("chr1").run(NAME.encode(), 5)
    assert vm.power_state == "Halted"
    assert vm.database == {"vm-data/mine": "x" * 2049}


@pytest.mark.parametrize("too_long", ["dropped", "cut"])
def test_output_that_a_value_cannot_hold_is_told(pool, guest, too_long, monkeypatch):
    pool.vm("chr1", too_long=too_long)
    source = ':delay 300ms\n:for i from=1 to=40 do={ :put "a line of some forty characters, so it is" }'
    monkeypatch.setattr(delivery, "_LATE", 0.5)
    result = guest("chr1").run(source.encode(), 5)
    assert (result.rc, result.truncated) == (0, True)
    assert len(result.output) == (1536 if too_long == "cut" else 0)


def test_a_script_that_takes_too_long_goes_on_and_is_not_there_for_the_next_boot(pool, playbook):
    vm = pool.vm("chr1")
    began = time.monotonic()
    run = playbook([script(':put "so far"\n:delay 100', timeout=0.7)], {"chr1": pool.variables()})
    result = run.of("go")["result"]
    assert (result["timed_out"], result.get("rc")) == (True, None)
    assert "continues as job" in result["msg"]
    assert time.monotonic() - began < 90
    nothing_is_left(vm)


def test_a_script_that_restarts_the_router_runs_once(pool, guest):
    """It is in the database that the next boot is made of; taken out of it as soon as it is seen to
    run."""
    vm = pool.vm("chr1")
    with pytest.raises(OutcomeUnknown, match="has restarted before its script said"):
        guest("chr1").run(b":delay 300ms\n/system reboot\n:delay 2", 5)
    booted(vm)
    assert len(vm.log) == 1
    nothing_is_left(vm)


def test_a_script_that_shuts_the_router_down_runs_once(pool, guest):
    vm = pool.vm("chr1")
    with pytest.raises(OutcomeUnknown, match="went off before its script said"):
        guest("chr1").run(b":delay 300ms\n/system shutdown\n:delay 2", 5)
    assert len(vm.log) == 1
    nothing_is_left(vm)


def test_a_router_that_does_not_look_into_xenstore_is_told_and_cleared(pool, guest):
    """Whether CHR 7 still does is not established."""
    vm = pool.vm("chr1", watches=False)
    with pytest.raises(OutcomeUnknown, match="nothing showed that it took its script"):
        guest("chr1").run(NAME.encode(), 1)
    assert vm.database.get(SCRIPT) is None
    assert SCRIPT not in vm.vm_data()


# -- what belongs to others ------------------------------------------------------------------------


def test_the_keys_of_others_are_kept(pool, guest):
    vm = pool.vm("chr1")
    vm.database = dict(OTHERS)
    guest("chr1").run(NAME.encode(), 5)
    assert OTHERS.items() <= vm.database.items()
    assert vm.vm_data()["vm-data/mine"] == "kept"
    guest("chr1", exec_mode="reboot").run(NAME.encode(), 5)
    assert OTHERS.items() <= vm.database.items()


def test_a_status_of_an_earlier_boot_does_not_block_a_script(pool, guest):
    """Manual 8, not while running: a script is accepted only while status is not "running"; a stale
    one would block it for ever."""
    vm = pool.vm("chr1", clears_running=False)
    vm.database = {SCRIPT: encoded(":put old"), STATUS: "running", OUTPUTS[0]: encoded("old")}
    assert guest("chr1").run(NAME.encode(), 5).output == b"chr1\r\n"
    assert sources(vm) == [NAME]


def test_a_script_of_somebody_else_is_neither_replaced_nor_interrupted(pool, guest):
    """Manual 8, not while running: a script is accepted only while status is not "running"."""
    waiting = pool.vm("waiting")
    waiting.database = {SCRIPT: encoded(":put theirs")}
    with pytest.raises(NotPossible, match="has not run yet"):
        guest("waiting").run(NAME.encode(), 5)
    assert waiting.database == {SCRIPT: encoded(":put theirs")}
    assert waiting.boots == 0
    busy = booted(pool.vm("busy", started=True))
    busy.database = {**busy.database, SCRIPT: encoded(":delay 9"), STATUS: "running"}
    with pytest.raises(NotPossible, match="runs a script of somebody else"):
        guest("busy", exec_mode="reboot").run(NAME.encode(), 5)
    assert busy.boots == 1


def test_what_is_left_of_a_run_that_was_killed_is_replaced(pool, guest):
    vm = pool.vm("chr1")
    vm.database = {SCRIPT: encoded(':put old\n:put "0123456789abcdef"')}
    assert guest("chr1").run(NAME.encode(), 5).output == b"chr1\r\n"
    assert sources(vm) == [NAME]


def test_a_script_that_is_overwritten_before_the_restart_is_placed_again(pool, guest):
    """XAPI copies what changes in a running VM's xenstore over the database."""
    vm = booted(pool.vm("chr1", started=True))

    def meddle() -> None:
        until(lambda: "VM.add_to_xenstore_data" in pool.calls())
        pool.xen.store.write(f"{vm.path}/vm-data/mine", "changed")

    threading.Thread(target=meddle).start()
    assert guest("chr1", exec_mode="reboot").run(NAME.encode(), 5).output == b"chr1\r\n"
    assert pool.calls().count("VM.add_to_xenstore_data") >= 2
    assert sources(vm) == [NAME]
    nothing_is_left(vm)


def test_another_system_is_not_restarted(pool, guest):
    vm = booted(pool.vm("chr1", started=True))
    pool.xen.store.write(f"{vm.path}/data/os_name", "Debian GNU/Linux 12")
    pool.xen.store.write(f"{vm.path}/data/os_distro", "debian")
    with pytest.raises(NotAnAgent, match="Debian"):
        guest("chr1", exec_mode="reboot").run(NAME.encode(), 5)
    assert vm.boots == 1


# -- sessions --------------------------------------------------------------------------------------


def test_fifty_hosts_and_two_tasks_log_in_once_and_reach_their_own_vm_each(pool, playbook, tmp_path):
    """All with the same ansible_host, in parallel; the session is kept in a file of the user's
    alone and never shown."""
    vms = [pool.vm(f"chr{number}") for number in range(50)]
    hosts = {f"host{vm.name}": pool.variables(chr_vm=vm.uuid if index % 2 else vm.name) for index, vm in enumerate(vms)}
    tasks = [
        script(f'{NAME}\n/system note set note="{{{{ inventory_hostname }}}}"'),
        {"name": "info", "outofband.chr.guest_info": None},
        KEEP_SESSIONS,
    ]
    run = playbook(tasks, hosts, "--forks=20", "-vvvvv")
    assert run.rc == 0, run.output
    for vm in vms:
        assert run.of("go", f"host{vm.name}")["result"]["stdout"] == vm.name
        assert run.of("info", f"host{vm.name}")["result"]["uuid"] == vm.uuid
        assert vm.router.run(":put [/system note get note]").output == f"host{vm.name}\r\n".encode()
        assert (len(vm.log), vm.boots) == (1, 1)
    assert pool.logins == 1
    (kept,) = (tmp_path / "kept").glob("xenapi-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    session = json.loads(kept.read_text())["logins"][0]["session"]["ref"]
    for secret in (session, PASSWORD):
        assert secret not in run.output
    assert PASSWORD not in kept.read_text()
    assert pool.sessions == {}
    assert session not in (tmp_path / "home" / "cp" / kept.name).read_text()


def test_a_session_that_was_ended_is_replaced_and_nothing_runs_twice(pool, guest):
    """Between tasks, and between two calls of one."""
    vm = pool.vm("chr1")
    assert guest("chr1").run(NAME.encode(), 5).rc == 0
    pool.sessions.clear()
    vm.stop()
    assert guest("chr1").run(NAME.encode(), 5).rc == 0
    assert pool.logins == 2
    vm.stop()
    pool.faults["Async.VM.start"] = ["!SESSION_INVALID OpaqueRef:x"]
    assert guest("chr1").run(NAME.encode(), 5).rc == 0
    assert (pool.logins, len(vm.log), vm.boots) == (3, 3, 3)


def test_reset_connection_forgets_the_session(pool, playbook):
    pool.vm("chr1")
    info = {"outofband.chr.guest_info": None}
    tasks = [
        {"name": "a", **info},
        {"name": "forget", "ansible.builtin.meta": "reset_connection"},
        {"name": "b", **info},
    ]
    run = playbook(tasks, {"chr1": pool.variables()})
    assert run.rc == 0, run.output
    assert pool.logins == 2


def test_a_wrong_password_is_sent_once_for_all_hosts(pool, playbook):
    names = [f"chr{number}" for number in range(8)]
    for name in names:
        pool.vm(name)
    hosts = {name: pool.variables(chr_api_password="s3cr3t-wr0ng") for name in names}
    run = playbook([script(NAME)], hosts, "--forks=4", "-vvvvv")
    assert run.rc == 2
    assert pool.refusals == 1
    for name in names:
        assert "wrong user or password" in run.of("go", name)["result"]["msg"]
    assert "s3cr3t-wr0ng" not in run.output


# -- faults ----------------------------------------------------------------------------------------


AWAY = ("nowhere", "cut", "error", "refused")


def test_only_the_host_concerned_fails_each_with_its_own_reason(pool, playbook):
    """Two hosts share the API host; no script reaches another VM than the one named."""
    vms = {name: pool.vm(name) for name in ("good", "better", "twin", "snap", *AWAY, "reader", "stranger", "untrusted")}
    twin, vms["snap"].kind, double = vms["twin"], "is_a_snapshot", pool.vm("good")
    double.kind = "is_a_template"  # a template of the same name is no second VM
    second = pool.vm("twin")
    pool.users["reader"] = ("reader-pass", "read-only")
    pool.faults["VM.get_record cut"] = ["cut"] * 9
    pool.faults["VM.get_record error"] = ["500 Internal Server Error"] * 9
    pool.faults["VM.get_record refused"] = ["501 Not Implemented"] * 9
    reader = {"chr_api_user": "reader", "chr_api_password": "reader-pass"}
    hosts = {name: pool.variables() for name in vms} | {
        "unknown": pool.variables(),
        "untrusted": pool.variables(chr_ca_path=None),
        "reader": pool.variables(**reader),
        "stranger": pool.variables(chr_api_user="nobody"),
        "nowhere": pool.variables(chr_api_port=1),
    }
    says = {
        "twin": f"2 VMs of XenAPI at localhost:{pool.port} have the name 'twin': {', '.join(sorted([twin.uuid, second.uuid]))}",
        "snap": "is a snapshot",
        "unknown": "has no VM with the uuid or name 'unknown'",
        "untrusted": "is not trusted",
        "reader": "RBAC_PERMISSION_DENIED",
        "stranger": "wrong user or password",
        "nowhere": "cannot be reached",
        "cut": "in the middle of its answer",
        "error": "HTTP 500",
        "refused": "HTTP 501",
    }
    run = playbook([script(NAME)], hosts, "--forks=6")
    for host in hosts:
        record = run.of("go", host)
        assert record["status"] == ("unreachable" if host in AWAY else "failed" if host in says else "ok"), (
            host,
            record,
        )
        assert says.get(host, "") in record["result"].get("msg", "")
    assert "vm-admin" in run.of("go", "reader")["result"]["msg"]
    assert {vm.name: len(vm.log) for vm in pool.vms if vm.log} == {"good": 1, "better": 1}
    assert double.log == []


def test_a_member_of_a_pool_names_the_coordinator_and_that_is_asked(xen, pool, short_path, playbook):
    """HOST_IS_SLAVE."""
    pool.vm("chr1")
    folder = short_path / "coordinator"
    folder.mkdir()
    with LabPool(xen, folder, at="127.0.0.2", port=pool.port) as coordinator:
        Path(f"{pool.certificate}.crt").replace(folder / "member.crt")
        both = folder / "both.crt"
        both.write_text((folder / "member.crt").read_text() + Path(f"{coordinator.certificate}.crt").read_text())
        pool.coordinator = "127.0.0.2"
        vm = coordinator.vm("chr1")
        hosts = {
            "chr1": pool.variables(chr_ca_path=str(both)),
            "chr2": pool.variables(chr_ca_path=str(folder / "member.crt")),
        }
        hosts["chr2"]["chr_api_user"] = "other"
        run = playbook([script(NAME), {"name": "info", "outofband.chr.guest_info": None}], hosts)
        assert run.of("go", "chr1")["result"]["stdout"] == "chr1", run.output
        assert run.of("info", "chr1")["result"]["uuid"] == vm.uuid
        assert coordinator.logins == 1
        said = run.of("go", "chr2")["result"]["msg"]
        assert "names 127.0.0.2 as its coordinator" in said
        assert "is not trusted" in said


def test_a_host_that_hangs_is_left_in_time(pool, guest, monkeypatch):
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi import api

    pool.vm("chr1")
    monkeypatch.setattr(api, "_PATIENCE", 0.5)
    pool.faults["VM.get_record"] = ["hang"] * 9
    with pytest.raises(Unreachable, match=r"did not answer VM.get_record to its end: no answer within 0.5 s"):
        guest("chr1").run(NAME.encode(), 5)


@pytest.mark.parametrize("fault", ["reset", "lost", "cut", "500 Internal Server Error"])
@pytest.mark.parametrize("method", ["VM.add_to_xenstore_data", "Async.VM.start"])
def test_an_order_without_an_answer_is_not_repeated_and_nothing_is_left(pool, guest, method, fault):
    """The connection breaks before it is carried out, after that, or in mid-reply."""
    vm = pool.vm("chr1")
    pool.faults[method] = [fault]
    with pytest.raises(OutcomeUnknown, match=f"Whether {method} was carried out is unknown; it was not sent again"):
        guest("chr1").run(NAME.encode(), 5)
    assert pool.calls().count(method) <= 1
    assert vm.boots <= 1
    assert SCRIPT not in vm.database
    time.sleep(0.2)
    assert SCRIPT not in vm.vm_data()
    nothing_is_left(vm)


def test_a_start_that_goes_on_after_its_answer_was_lost_is_waited_for(pool, guest):
    """The domain is made of the database while the script is still in it."""
    vm = pool.vm("chr1")
    vm.start_seconds = 1.0
    pool.faults["Async.VM.start"] = ["lost"]
    with pytest.raises(OutcomeUnknown, match="was carried out is unknown"):
        guest("chr1").run(NAME.encode(), 5)
    assert vm.boots == 1
    nothing_is_left(vm)


def test_a_vm_that_somebody_else_starts_is_left_alone(pool, guest):
    vm = pool.vm("chr1")
    vm.operations["OpaqueRef:x"] = "start"
    with pytest.raises(NotPossible, match="Somebody else is starting or stopping"):
        guest("chr1").run(NAME.encode(), 5)
    assert (vm.boots, vm.database) == (0, {})


def test_a_host_that_is_lost_after_the_order_leaves_the_outcome_unknown(pool, guest, monkeypatch):
    vm = pool.vm("chr1")
    monkeypatch.setattr(delivery, "_ORDER", 1.0)
    pool.faults["event.from"] = ["reset"] * 99
    with pytest.raises(OutcomeUnknown, match="its end was not seen. It was not repeated") as caught:
        guest("chr1").run(NAME.encode(), 1)
    assert "The script could not be removed either" in str(caught.value)
    assert vm.boots <= 1


@pytest.mark.parametrize("fault", ["reset", "cut", "500 Internal Server Error"])
def test_looks_that_are_lost_are_repeated(pool, guest, fault):
    vm = pool.vm("chr1")
    pool.faults["event.from"] = [fault, "", fault]
    assert guest("chr1").run(NAME.encode(), 5).output == b"chr1\r\n"
    assert (len(vm.log), vm.boots) == (1, 1)


@pytest.mark.parametrize("fault", ["reset", "lost", "!SESSION_INVALID OpaqueRef:x"])
def test_clearing_away_is_repeated(pool, guest, fault):
    vm = pool.vm("chr1")
    pool.faults["VM.set_xenstore_data"] = [fault]
    assert guest("chr1").run(NAME.encode(), 5).rc == 0
    nothing_is_left(vm)


def test_a_script_that_cannot_be_cleared_away_is_a_failure_that_says_how_to(pool, playbook):
    vm = pool.vm("chr1")
    pool.faults["VM.set_xenstore_data"] = ["500 x"] * 3
    hidden = pool.vm("hidden")
    run = playbook([script(NAME)], {"chr1": pool.variables()})
    message = run.of("go")["result"]["msg"]
    assert "The script on 'chr1' ended well. The script could not be removed either" in message
    assert f"xe vm-param-remove uuid={vm.uuid} param-name=xenstore-data param-key={SCRIPT}" in message
    pool.faults["VM.set_xenstore_data"] = ["500 x"] * 3
    run = playbook([script(NAME) | {"no_log": True}], {"hidden": pool.variables()}, "-vvvvv")
    assert f"xe vm-param-remove uuid={hidden.uuid} param-name=xenstore-data param-key={SCRIPT}" in run.output
    assert NAME not in run.output


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("!VM_BAD_POWER_STATE OpaqueRef:x halted running", "is running and not halted"),
        ("!OTHER_OPERATION_IN_PROGRESS VM OpaqueRef:x", "another operation under way"),
        ("!NO_HOSTS_AVAILABLE", "NO_HOSTS_AVAILABLE"),
    ],
)
def test_a_start_that_is_refused_leaves_nothing(pool, guest, fault, says):
    vm = pool.vm("chr1")
    pool.faults["Async.VM.start"] = [fault]
    with pytest.raises(NotPossible, match=says):
        guest("chr1").run(NAME.encode(), 5)
    assert vm.database == {}
    nothing_is_left(vm)


def test_a_missing_role_is_named_and_nothing_is_left(pool, guest):
    """RBAC_PERMISSION_DENIED: a vm-operator may start a VM and not change its xenstore_data."""
    vm = pool.vm("chr1")
    pool.users["operator"] = ("operator-pass", "vm-operator")
    with pytest.raises(NotPermitted, match=r"VM.add_to_xenstore_data.*needs the role vm-admin"):
        guest("chr1", api_user="operator", api_password="operator-pass").run(NAME.encode(), 5)
    vm.database = {STATUS: "ready"}
    with pytest.raises(NotPermitted, match=r"VM.remove_from_xenstore_data"):
        guest("chr1", api_user="operator", api_password="operator-pass").run(NAME.encode(), 5)
    assert vm.boots == 0


def test_a_vm_that_is_paused_or_suspended_is_refused(pool, guest):
    vm = pool.vm("chr1")
    for state in ("Paused", "Suspended"):
        vm.state = state
        with pytest.raises(NotPossible, match=f"is {state.lower()}"):
            guest("chr1").run(NAME.encode(), 5)
    assert vm.database == {}


# -- power, facts, information ---------------------------------------------------------------------


def test_power_facts_and_information(pool, playbook):
    """Network and OS information is what the tools report to the host."""
    vm = booted(pool.vm("chr1", started=True))
    for name, value in {"Major": "7", "Minor": "1", "Micro": "0", "Build": "50"}.items():
        pool.xen.store.write(f"{vm.path}/attr/PV{name}Version", value)
    tasks = [
        {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 10}},
        {"name": "info", "outofband.chr.guest_info": None},
        {"name": "rebooted", "outofband.chr.power": {"state": "rebooted", "timeout": 20}},
        {"name": "facts", "outofband.chr.facts": {"gather_subset": ["default"]}},
        {"name": "script", "outofband.chr.power": {"state": "rebooted", "method": "script"}, "ignore_errors": True},
        {"name": "file", "outofband.chr.copy": {"content": "x", "dest": "x.rsc"}, "ignore_errors": True},
        {"name": "off", "outofband.chr.power": {"state": "shutdown", "timeout": 20}},
        {"name": "info of one that is off", "outofband.chr.guest_info": None},
        {"name": "gone", "outofband.chr.wait_for_agent": {"timeout": 1}},
    ]
    run = playbook(tasks, {"chr1": pool.variables(chr_exec_mode="reboot")})
    info = run.of("info")["result"]
    assert (info["agent_version"], info["power_state"], info["tools_status"]) == ("7.1.0-50", "Running", "live")
    assert (info["uuid"], info["host"], info["os"]["id"]) == (vm.uuid, "xcp1", "routeros")
    (nic,) = info["interfaces"]
    assert nic["addresses"] == [{"address": "10.0.2.15", "prefix": None, "family": "ipv4"}]
    assert (run.of("rebooted")["result"]["method"], run.of("off")["result"]["method"]) == ("agent", "agent")
    assert run.of("facts")["result"]["ansible_facts"]["ansible_net_hostname"] == "chr1"
    assert "Use method: agent" in run.of("script")["result"]["msg"]
    assert "moves no files" in run.of("file")["result"]["msg"]
    assert vm.power_state == "Halted"
    assert run.of("info of one that is off")["result"]["power_state"] == "Halted"
    assert run.of("gone")["status"] == "unreachable"
    assert "XenAPI says Halted" in run.of("gone")["result"]["msg"]


def test_a_vm_without_tools_is_not_there_and_is_not_restarted(pool, guest):
    """Manual 8, every 30 seconds: so a router that has just booted has reported nothing yet, and
    that is said."""
    vm = pool.vm("chr1", started=True, control_shutdown=False, boot_seconds=30.0)
    with pytest.raises(Unreachable, match="they have reported nothing.*it reports every 30 s"):
        guest("chr1").ping(0.3)
    assert guest("chr1").power().is_on()
    with pytest.raises(NotPossible, match="has not allowed a clean reboot of 'chr1' within 0.5 s"):
        guest("chr1", exec_mode="reboot", connect_timeout=0.5).run(NAME.encode(), 5)
    with pytest.raises(NotPossible, match="VM_LACKS_FEATURE"):
        guest("chr1").shutdown("powerdown")
    assert (vm.boots, vm.database.get(SCRIPT)) == (1, None)


def test_a_router_that_boots_is_waited_for_before_it_is_rebooted(pool, guest):
    vm = pool.vm("chr1", started=True, boot_seconds=1.0)
    assert guest("chr1", exec_mode="reboot").run(NAME.encode(), 20).output == b"chr1\r\n"
    assert vm.boots == 2


def test_a_vm_that_is_paused_or_busy_is_not_turned_on_or_off(pool, guest):
    vm = pool.vm("chr1", started=True)
    switch = guest("chr1").power()
    switch.check()
    vm.state = "Paused"
    assert switch.is_on()
    with pytest.raises(NotPossible, match="'chr1' is paused, so it was not turned on or off"):
        switch.check()
    vm.state, vm.operations = None, {"OpaqueRef:1": "pool_migrate"}
    with pytest.raises(VmBusy, match=r"XenAPI carries out pool_migrate there \(the tasks OpaqueRef:1\)"):
        switch.check()


def test_an_operation_of_somebody_else_is_waited_for(pool, guest):
    pool.vm("chr1", started=True)
    pool.faults["Async.VM.hard_shutdown"] = ["!OTHER_OPERATION_IN_PROGRESS VM OpaqueRef:x"] * 2
    one = guest("chr1")
    with pytest.raises(VmBusy, match="has another operation under way"):
        one.power().stop(Deadline(10))
    switching.order(one, one.power(), "stopped", Deadline(60))
    assert not one.power().is_on()
    assert pool.calls("chr1").count("Async.VM.hard_shutdown") == 3


def test_a_reset_needs_the_role_of_an_operator_and_is_not_sent_twice(pool, guest):
    vm = pool.vm("chr1", started=True)
    pool.users["reader"] = ("x", "read-only")
    with pytest.raises(NotPermitted, match="Async.VM.hard_reboot.*needs the role vm-operator"):
        guest("chr1", api_user="reader", api_password="x").power().reset(Deadline(10))
    pool.faults["Async.VM.hard_reboot"] = ["lost"]
    with pytest.raises(OutcomeUnknown, match="Whether Async.VM.hard_reboot was carried out is unknown"):
        guest("chr1").power().reset(Deadline(10))
    until(lambda: vm.boots == 2)
    assert pool.calls("chr1").count("Async.VM.hard_reboot") == 2  # the one that was refused, and the lost one


def test_an_order_that_goes_on_after_its_time_is_told(pool, guest):
    vm = pool.vm("chr1")
    vm.start_seconds = 2.0
    with pytest.raises(OutcomeUnknown, match="did not finish start of 'chr1' within 0.5 s and is still working on it"):
        guest("chr1").power().start(Deadline(0.5))
    until(lambda: vm.boots == 1)


def test_certificates_can_be_left_unchecked_and_the_environment_can_name_the_pool(pool, playbook, monkeypatch):
    """The variables that community.general's xenserver modules use."""
    pool.vm("chr1")
    for name, value in {
        "HOST": "localhost",
        "PORT": pool.port,
        "USER": USER,
        "PASSWORD": PASSWORD,
        "VALIDATE_CERTS": "no",
    }.items():
        monkeypatch.setenv(f"XENSERVER_{name}", str(value))
    run = playbook([script(NAME)], {"chr1": {"chr_backend": "xenapi"}})
    assert run.rc == 0, run.output


@pytest.mark.parametrize(
    "options",
    [{"api_host": None}, {"api_host": "https://x"}, {"api_user": ""}, {"api_password": None}, {"exec_mode": "qm"}],
)
def test_options_that_cannot_be_right_are_refused_before_anything_is_sent(pool, guest, options):
    with pytest.raises(ChrError, match=r"chr_(api_host|api_user|api_password|exec_mode)"):
        guest("chr1", **options)
    assert pool.log == []


def test_check_mode_boots_nothing(pool, playbook):
    vm = booted(pool.vm("on", started=True))
    off = pool.vm("off")
    tasks = [
        script(NAME, unless="true"),
        {"name": "facts", "outofband.chr.facts": None},
        {"name": "info", "outofband.chr.guest_info": None},
    ]
    run = playbook(tasks, {name: pool.variables(chr_exec_mode="reboot") for name in ("on", "off")}, "--check")
    assert run.rc == 0, run.output
    assert run.of("go", "off")["result"]["changed"]
    assert run.of("facts", "on")["status"] == "skipped"
    assert (vm.boots, off.boots) == (1, 0)
