# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real libvirtd with the lab in its domains: what works, and every way in which it does not, told
apart."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
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
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.connection import library, uris
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.guest import LibvirtAgent, _Target
from ansible_collections.outofband.chr.tests.lab.libvirt import libvirtd as lab_libvirtd
from ansible_collections.outofband.chr.tests.lab.options import options_for

BOOT = 90


def router(uri: str, vm: str, connect_timeout: float = BOOT):
    return open_guest(options_for("libvirt", vm, connect_timeout, "auto", Path("/nonexistent"), libvirt_uri=uri))


@pytest.fixture(scope="module")
def domains(libvirtd):
    """Two routers that run, by name: their UUIDs."""
    names = {name: libvirtd.define(name) for name in ("chr1", "chr2")}
    for name in names:
        libvirtd.virsh("start", name)
    for name in names:
        router(libvirtd.uri, name).ping()
    return names


def test_scripts_run_by_name_and_by_uuid(libvirtd, domains):
    for name, uuid in domains.items():
        for vm in (name, uuid, uuid.upper(), uuid.replace("-", "")):
            result = router(libvirtd.uri, vm).run(b":put [/system identity get name]", 30)
            assert (result.rc, result.output) == (0, f"{name}\r\n".encode())
    assert router(libvirtd.uri, "chr1").run(b"/nonsense", 30).rc == -1


def test_virsh_reads_what_the_agent_tells_and_runs_a_script(libvirtd, domains):
    """libvirt's own client, which reads the agent's replies itself."""
    told = libvirtd.virsh("guestinfo", "chr1", "--os", "--hostname", "--interface")
    for part in ("os.id", "routeros", "hostname", "chr1", "if.0.name", "10.0.2.15"):
        assert part in told
    assert "10.0.2.15/24" in libvirtd.virsh("domifaddr", "chr1", "--source", "agent")

    def ask(command: str, **arguments):
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        request = json.dumps({"execute": command, "arguments": named})
        return json.loads(libvirtd.virsh("qemu-agent-command", "chr1", request))["return"]

    source = base64.b64encode(b":put [/system identity get name]").decode()
    pid = ask("guest-exec", input_data=source, capture_output=True)["pid"]
    status = {"exited": False}
    while not status["exited"]:
        status = ask("guest-exec-status", pid=pid)
    assert (status["exitcode"], base64.b64decode(status["out-data"])) == (0, b"chr1\r\n")


def test_a_megabyte_goes_there_and_back(libvirtd, domains):
    content = os.urandom(1_000_000)
    chr1 = router(libvirtd.uri, "chr1")
    assert chr1.put(io.BytesIO(content), "x.bin") == len(content)
    back = io.BytesIO()
    chr1.get("x.bin", back)
    assert back.getvalue() == content
    with pytest.raises(FileMissing, match="no-such"):
        chr1.get("no-such.bin", io.BytesIO())


def test_the_longest_script_arrives_whole_and_a_longer_one_is_refused(libvirtd, domains):
    """libvirtd garbles requests that do not fit into its socket to QEMU, so the limit must stay
    below that."""
    chr1 = router(libvirtd.uri, "chr1")
    limit = chr1.capabilities.max_script
    tail = b"\n:put done"
    assert chr1.run(b"#" * (limit - len(tail)) + tail, 60).output == b"done\r\n"
    with pytest.raises(TooLarge, match="guest_file"):
        chr1.run(b"#" * (limit - len(tail) + 1) + tail, 60)


def test_an_unanswered_close_is_not_waited_for_and_files_are_replaced(libvirtd, domains, monkeypatch):
    """Without a wait, libvirt does not always send the close. Which file is in place shows whether
    it arrived."""
    chr1 = router(libvirtd.uri, "chr1")
    send, waits = library().qemu.qemuAgentCommand, []

    def recorded(domain, text, timeout, flags):
        if "guest-file-close" in text:
            waits.append(timeout)
        return send(domain, text, timeout, flags)

    monkeypatch.setattr(library().qemu, "qemuAgentCommand", recorded)
    for number in range(6):
        content, back = b"%d" % number, io.BytesIO()
        chr1.put(io.BytesIO(content), "one.txt")
        chr1.get("one.txt", back)
        assert back.getvalue() == content
    assert waits.count(0) >= 12 > 6 > waits.count(1)  # 8 attempts rarely fail


def test_commands_that_the_agent_refuses_are_told_in_its_words(libvirtd, domains):
    chr1 = router(libvirtd.uri, "chr1")
    report = chr1.report()
    assert report.os["id"] == "routeros"
    assert "guest-exec" in report.agent_commands
    with pytest.raises(NotPossible, match=r"refused guest-shutdown: .*mode"):
        chr1.shutdown("sideways")


def test_a_command_without_an_answer_is_an_unknown_outcome_in_its_time(libvirtd):
    libvirtd.define("mute", settings={"mute": "guest-get-time"})
    libvirtd.virsh("start", "mute")
    router(libvirtd.uri, "mute").ping()
    target = _Target("mute", *uris(libvirtd.uri))
    with LibvirtAgent(target, 30) as agent:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match=r"'mute'.*did not answer guest-get-time within 2 s"):
            agent.execute("guest-get-time", timeout=2)
        assert time.monotonic() - began < 20
        assert agent.execute("guest-ping") == {}  # and no late answer is taken for this one
    libvirtd.virsh("destroy", "mute")


def test_parallel_scripts_reach_the_domain_that_was_named(libvirtd, domains):
    """Both by name and by UUID, 20 scripts each."""

    def ask(number: int) -> tuple[str, int, bytes]:
        name = f"chr{number % 2 + 1}"
        vm = domains[name] if number % 4 > 1 else name
        source = f':put "$[/system identity get name] {number}"'.encode()
        return name, number, router(libvirtd.uri, vm).run(source, 60).output

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(40)))
    assert [output for _name, _number, output in answers] == [
        f"{name} {n}\r\n".encode() for name, n, _output in answers
    ]


def test_a_playbook_with_equal_addresses_reaches_each_its_own(libvirtd, domains, playbook, tmp_path):
    tasks = [
        {
            "name": "script",
            "outofband.chr.script": {"source": ":put [/system identity get name]"},
            "changed_when": False,
            "loop": list(range(20)),
        },
        {"name": "raw", "ansible.builtin.raw": ":put [/system identity get name]"},
        {"name": "copy", "outofband.chr.copy": {"content": "{{ inventory_hostname }}", "dest": "who.txt"}},
        {"name": "fetch", "outofband.chr.fetch": {"src": "who.txt", "dest": f"{tmp_path}/got/"}},
        {"name": "info", "outofband.chr.guest_info": None},
        {"name": "facts", "outofband.chr.facts": None},
    ]
    common = {
        "chr_backend": "libvirt",
        "chr_libvirt_uri": libvirtd.uri,
        "ansible_host": "192.0.2.1",
        "chr_connect_timeout": 30,
    }
    hosts = {"one": {**common, "chr_vm": "chr1"}, "two": {**common, "chr_vm": domains["chr2"]}}
    run = playbook(tasks, hosts, "--forks=2")
    assert run.rc == 0, run.output
    for host, name in (("one", "chr1"), ("two", "chr2")):
        assert [item["stdout"] for item in run.of("script", host)["result"]["results"]] == [name] * 20
        assert run.of("raw", host)["result"]["stdout"] == f"{name}\n"
        assert run.of("info", host)["result"]["host_name"] == name
        assert run.of("info", host)["result"]["backend"] == "libvirt"
        assert run.of("facts", host)["result"]["ansible_facts"]["ansible_net_hostname"] == name
        assert (tmp_path / "got" / host / "who.txt").read_text() == host


def test_the_domains_name_is_the_hosts_name_when_chr_vm_is_not_set(libvirtd, domains, playbook):
    task = {"name": "go", "outofband.chr.script": {"source": ":put [/system identity get name]"}}
    run = playbook([task], {"chr2": {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri}})
    assert run.of("go")["result"]["stdout"] == "chr2"


def test_the_labs_daemon_is_started_anew_when_it_hangs_and_its_domains_go_on(libvirtd, domains, monkeypatch):
    monkeypatch.setattr(lab_libvirtd, "_ANSWER_SECONDS", 0.5)
    hangs = libvirtd.pid
    os.kill(hangs, signal.SIGSTOP)
    libvirtd.restart_if_it_hangs()
    assert libvirtd.pid != hangs
    assert router(libvirtd.uri, "chr2").run(b":put [/system identity get name]", 30).output == b"chr2\r\n"


# -- what does not work, told apart ----------------------------------------------------------------


def test_a_domain_that_is_off(libvirtd):
    libvirtd.define("idle")
    with pytest.raises(Unreachable, match=r"'idle' \(libvirt .*\) is off: .*Start it"):
        router(libvirtd.uri, "idle").ping()


def test_a_domain_without_an_agent_channel(libvirtd):
    libvirtd.define("plain", port=None)
    libvirtd.virsh("start", "plain")
    with pytest.raises(NotPossible, match=r"'plain'.*has no guest agent channel: .*<channel type='unix'>"):
        router(libvirtd.uri, "plain").ping()
    libvirtd.virsh("destroy", "plain")


def test_a_domain_that_boots_is_waited_for(libvirtd):
    libvirtd.define("late")
    libvirtd.virsh("start", "late")
    late = router(libvirtd.uri, "late", 1.0)
    silent = r"'late'.*did not answer within 1 s: .*(not connected|no answer within).*is running"
    with pytest.raises(Unreachable, match=silent) as caught:
        late.ping()
    assert caught.value.silent
    assert router(libvirtd.uri, "late", 120).run(b":put 1", 30).output == b"1\r\n"
    libvirtd.virsh("suspend", "late")
    with pytest.raises(Unreachable, match=r"within 1 s: .*is paused: resume it"):
        late.ping()
    libvirtd.virsh("resume", "late")
    late.shutdown("powerdown")
    for _unused in range(240):
        if libvirtd.virsh("domstate", "late").strip() == "shut off":
            break
        time.sleep(0.5)
    with pytest.raises(Unreachable, match="is off"):
        late.ping()


def test_a_domain_that_is_cut_off_in_a_job_has_an_unknown_outcome(libvirtd):
    libvirtd.define("cut")
    libvirtd.virsh("start", "cut")
    cut = router(libvirtd.uri, "cut")
    job = cut.start(b":delay 300")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cut.wait, job, 60)
        time.sleep(1)
        libvirtd.virsh("destroy", "cut")
        with pytest.raises(OutcomeUnknown, match=r"not run again"):
            waiting.result(60)


@pytest.mark.parametrize("vm", ["nosuch", "chr", "CHR1", "1", "7f6b8a52-6f0c-4d1e-9d0f-000000000000", "chr1 "])
def test_an_unknown_domain(libvirtd, domains, vm):
    with pytest.raises(VmNotFound, match=r"has no VM '.*'.*list --all"):
        router(libvirtd.uri, vm).ping()


def test_a_uuid_that_is_also_another_domains_name(libvirtd):
    uuid = libvirtd.define("twin")
    libvirtd.define(uuid)
    with pytest.raises(VmAmbiguous, match="name of another"):
        router(libvirtd.uri, uuid).ping()


def test_a_name_that_moves_to_another_domain_within_a_task(libvirtd):
    libvirtd.define("moved")
    moved = router(libvirtd.uri, "moved", 2)
    with pytest.raises(Unreachable, match="is off"):
        moved.ping()
    libvirtd.virsh("undefine", "moved")
    with pytest.raises(Unreachable, match="not exist any more"):
        moved.ping()
    libvirtd.define("moved")
    with pytest.raises(VmNotFound, match="another VM now"):
        moved.ping()


def test_no_daemon(short_path):
    uri = f"qemu:///session?socket={short_path}/nobody"
    with pytest.raises(
        Unreachable, match=r"libvirt at .*nobody was not reached for 'chr1' within 0.5 s: .*No such file"
    ):
        router(uri, "chr1", 0.5).ping()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="refused"):
            router(f"qemu+tcp://127.0.0.1:{unused.getsockname()[1]}/system", "chr1", 0.5).ping()


def test_a_daemon_that_never_answers_ends_with_connect_timeout():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        uri = f"qemu+tcp://127.0.0.1:{deaf.getsockname()[1]}/system"
        began = time.monotonic()
        with pytest.raises(Unreachable, match="within 1 s: the connection was not made in time"):
            router(uri, "chr1", 1.0).ping()
        assert time.monotonic() - began < 20


def test_a_refused_login_is_told_at_once(short_path, monkeypatch):
    """An ssh that has no key for the host, and one that does not know the host."""
    program = short_path / "ssh"
    monkeypatch.setenv("PATH", str(short_path), prepend=":")
    for words in ("root@kvm1: Permission denied (publickey,password).", "Host key verification failed."):
        program.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 255\n")
        program.chmod(0o755)
        began = time.monotonic()
        with pytest.raises(NotPermitted, match=words[:20].partition("@")[0]):
            router("qemu+ssh://root@kvm1.example.net/system", "chr1", 20).ping()
        assert time.monotonic() - began < 15


def test_a_user_who_may_not_use_the_socket(libvirtd):
    """In a process of its own, which gives up root's rights where it has them; what it needs is
    imported before."""
    code = (
        "import os, sys; import libvirt, libvirt_qemu\n"
        "from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest\n"
        "from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import guest\n"
        "from ansible_collections.outofband.chr.tests.lab.options import options_for\n"
        "if os.getuid() == 0: os.setgid(12345); os.setuid(12345)\n"
        "options = options_for('libvirt', 'chr1', 20, libvirt_uri=sys.argv[1])\n"
        "try: open_guest(options).ping()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    libvirtd.socket.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, libvirtd.uri], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        libvirtd.socket.chmod(0o777)
    assert done.stdout.startswith("NotPermitted "), done
    assert "Permission denied" in done.stdout
    assert "group libvirt" in done.stdout


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "xen:///system",
        "test:///default",
        "qemu+carrier-pigeon://kvm1/system",
        "qemu://:bad:/x",
        "qemu:///sy\x00stem",
    ],
)
def test_a_uri_that_cannot_be_used(uri):
    with pytest.raises((InvalidInput, Unreachable), match="libvirt"):
        router(uri, "chr1", 1.0).ping()


def test_a_password_in_the_uri_is_not_shown():
    with pytest.raises(Unreachable) as caught:
        router("qemu+tcp://root:hunter2@127.0.0.1:1/system", "chr1", 0.3).ping()
    assert "hunter2" not in str(caught.value)


def test_the_library_is_missing(monkeypatch):
    from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt import (
        connection as libvirt_connection,
    )

    monkeypatch.setattr(libvirt_connection, "_loaded", None)
    monkeypatch.setitem(sys.modules, "libvirt_qemu", None)
    with pytest.raises(NotPossible, match=r"libvirt-python, which .* cannot import.*pip install libvirt-python"):
        router("qemu:///system", "chr1", 1.0).ping()


def test_only_the_host_concerned_fails_and_a_lost_router_is_unreachable(libvirtd, domains, playbook):
    common = {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri, "chr_connect_timeout": 20}
    hosts = {
        "chr1": common,
        "nosuch": common,
        "gone": {**common, "chr_libvirt_uri": "qemu:///session?socket=/nonexistent", "chr_connect_timeout": 1},
    }
    run = playbook([{"name": "go", "outofband.chr.script": {"source": ":put 1"}}], hosts)
    assert run.of("go", "chr1")["status"] == "ok"
    assert run.of("go", "nosuch")["status"] == "failed"
    assert "has no VM 'nosuch'" in run.of("go", "nosuch")["result"]["msg"]
    assert run.of("go", "gone")["status"] == "unreachable"


@pytest.mark.slow
def test_power_reboots_and_shuts_down(libvirtd, playbook):
    libvirtd.define("cycle")
    libvirtd.virsh("start", "cycle")
    tasks = [
        {"name": "wait", "outofband.chr.wait_for_agent": None},
        {"name": "reboot", "outofband.chr.power": {"state": "rebooted"}},
        {"name": "off", "outofband.chr.power": {"state": "shutdown"}},
    ]
    asleep = router(libvirtd.uri, "cycle")
    libvirtd.virsh("suspend", "cycle")
    assert asleep.power().is_on()
    libvirtd.virsh("resume", "cycle")
    run = playbook(
        tasks, {"cycle": {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri, "chr_connect_timeout": 30}}
    )
    assert run.rc == 0, run.output
    assert libvirtd.virsh("domstate", "cycle").strip() == "shut off"
    libvirtd.virsh("undefine", "cycle")
    assert not asleep.power().is_on()
