# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module provision_agent: the two recipes of the manual's section "Proxmox", up to a router that
answers over TCP.

The Proxmox VE, its qm and its systemd are the lab's; sshd, socat, QEMU and Ansible are real.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    NotPossible,
    OutcomeUnknown,
    Unreachable,
    VmNotFound,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import agent_port as provision
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.port_plan import Endpoint
from ansible_collections.outofband.chr.tests.lab import systemd
from ansible_collections.outofband.chr.tests.lab.missing import need_program
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox import qm
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.qemu.guest import PROVISION_PORT, QemuGuest
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd

NAME = ":put [/system identity get name]"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def pve(short_path):
    with LabProxmox(short_path) as cluster:
        yield cluster


@pytest.fixture
def node(short_path):
    """sshd of a node with qm, systemd and socat; what they were asked for is in
    ``node.calls()``."""
    need_program("socat")
    programs, units, log = short_path / "bin", short_path / "units", short_path / "calls"
    programs.mkdir()
    units.mkdir()

    def program(name: str, command: str) -> None:
        (programs / name).write_text(
            f'#!{shutil.which("sh")}\necho "{name} $*" >> {log}\nexport LAB_QGA_FOLDER={short_path} LAB_UNITS={units}\n{command}\n'
        )
        (programs / name).chmod(0o755)

    program("qm", f'exec {sys.executable} {qm.__file__} "$@"')
    for name in ("systemd-run", "systemctl", "journalctl"):
        program(name, f'exec {sys.executable} {systemd.__file__} {name} "$@"')
    # The node's /run/qemu-server is the lab's folder.
    program("socat", f'exec {shutil.which("socat")} "$1" "UNIX-CLIENT:{short_path}/${{2##*/}}"')
    for shell in ("sh", "bash"):
        (programs / shell).symlink_to(str(shutil.which(shell)))
    server = Sshd(short_path)
    server.start(f"SetEnv PATH={programs}")
    server.programs = programs
    server.calls = lambda: log.read_text().splitlines() if log.exists() else []
    yield server
    for unit in units.glob("*.service"):
        command = [sys.executable, systemd.__file__, "systemctl", "stop", unit.name]
        subprocess.run(command, env=os.environ | {"LAB_UNITS": str(units)}, capture_output=True, check=False)
    server.stop()


@pytest.fixture
def tasks(playbook, tmp_path):
    """Run tasks, and end the ssh connections that they leave."""
    yield playbook
    for master in (tmp_path / "home" / "cp").glob("chr-????????????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)


def host(pve, node=None, **more):
    """Variables of a router: with a password of root@pam, or with a token and the node through
    ssh."""
    return pve.variables(root=not node, chr_connect_timeout=20, **(node.variables if node else {}), **more)


def task(name, **options):
    return {"name": name, "outofband.chr.provision_agent": options}


PRESENT = task("go", address="127.0.0.1", port=4101)
ARGS = provision.fragment(Endpoint("127.0.0.1", 4101), 9)


# -- the first recipe ------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["REST as root@pam", "qm set on the node"])
def test_the_provision_port_is_put_into_args_and_taken_out_again(pve, node, tasks, over):
    """Manual 10, enable provision agent, disable provision agent: ``qm set --args``, and ``--delete
    args``."""
    vm = pve.add(100, "chr1")
    run = tasks(
        [
            {**PRESENT, "name": "would", "check_mode": True},
            PRESENT,
            {**PRESENT, "name": "again"},
            task("away", state="absent"),
            task("still away", state="absent"),
        ],
        {"chr1": host(pve, node if "node" in over else None)},
        "-vvvv",
        "--diff",
    )
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", "would"), ("chr1", "go"), ("chr1", "away")}
    first = run.of("go")["result"]
    assert (first["restart_required"], first["socket"]) == (True, "tcp://127.0.0.1:4101")
    assert run.of("again")["result"]["restart_required"] is True
    assert run.of("still away")["result"]["socket"] is None
    assert [sign for sign in ("+", "-") for line in run.output.splitlines() if line == f"{sign}{ARGS}"] == [
        "+",
        "+",
        "-",
    ]
    assert vm.with_pending().get("args") is None
    puts = [values for method, path, values in pve.log if method == "PUT" and path.endswith("/config")]
    assert len(puts) == 2
    changes = [call.partition(" --digest")[0] for call in node.calls() if call.startswith("qm set")]
    assert changes == ([f"qm set 100 --args {ARGS}", "qm set 100 --delete args"] if "node" in over else [])
    assert not any(secret in run.output for secret in ("pass-w0rd", "t0ken-secret"))


def test_a_router_is_restarted_for_its_port_if_that_is_allowed(pve, tasks):
    vm = pve.add(100, "chr1", accepts_null_path=True)
    restart = task("go", address="127.0.0.1", port=4101, restart=True)
    run = tasks(
        [
            {**PRESENT, "name": "left"},
            {**restart, "name": "would", "check_mode": True},
            restart,
            {**restart, "name": "again"},
        ],
        {"chr1": host(pve)},
    )
    assert run.rc == 0, run.output
    assert "With restart: true, the router is shut down" in run.of("left")["result"]["msg"]
    assert run.changed() == {("chr1", "left"), ("chr1", "would"), ("chr1", "go")}
    went = run.of("go")["result"]
    assert (went["restarted"], went["restart_required"]) == (True, False)
    assert vm.running
    assert vm.config["args"] == ARGS
    assert [path for method, path, _values in pve.log if method == "POST" and "/status/" in path] == [
        "/nodes/pve1/qemu/100/status/start"
    ]


def test_a_router_that_does_not_shut_down_is_not_turned_off_for_its_port(pve, tasks):
    vm = pve.add(100, "chr1", accepts_null_path=True)
    vm.lab.stop_soon = vm.lab.stop = lambda *_given: None
    run = tasks([task("go", address="127.0.0.1", port=4101, restart=True, restart_timeout=2)], {"chr1": host(pve)})
    assert run.rc != 0
    assert (vm.pending["args"], run.of("go")["result"]["changed"]) == (ARGS, True)
    assert vm.running
    assert not any("/status/st" in path for method, path, _values in pve.log if method == "POST")


@pytest.fixture
def port(node, tmp_path):
    """A channel of a VM, through the node and without Ansible: ``port(pve, "default")``."""
    run = tmp_path / "run"

    def one(pve, channel, vm="chr1"):
        guest = open_guest(
            options_for(
                *("proxmox", vm, 5.0, "auto", run),
                ssh_host="hypervisor",
                ssh_args=node.options,
                api_host="localhost",
                api_port=pve.port,
                api_token_id="root@pam!chr",
                api_token_secret="t0ken-secret",
                ca_path=str(pve.certificate),
            )
        )
        return guest.agent_port(channel, 9)

    yield one
    for master in run.glob("chr-????????????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)


def ensure(one, wanted):
    plan = one.plan(wanted)
    if plan.changed:
        one.carry_out(wanted, plan)
    return plan


HERE = Endpoint("127.0.0.1", 4101)


@pytest.mark.parametrize("channel", ["provision", "default"])
def test_a_node_of_another_cluster_with_a_vm_of_the_same_number_is_not_touched(pve, node, port, tmp_path, channel):
    """ssh leads to the node of *pve*, the API is that of another cluster; both have a VM 100 named
    chr1."""
    wrong = pve.add(100, "chr1")
    folder = tmp_path / "other"
    folder.mkdir()
    with LabProxmox(folder) as other:
        other.add(100, "chr1")
        with pytest.raises(VmNotFound, match="The VM 100 on hypervisor is not 'chr1'.*Nothing was changed"):
            ensure(port(other, channel), HERE)
    assert wrong.pending == {}
    assert not any(call.startswith(("qm set", "systemd-run")) for call in node.calls())


def test_a_node_that_does_not_have_the_vm_is_told(pve, port):
    pve.add(100, "chr1", "pve2")
    with pytest.raises(VmNotFound, match="hypervisor does not have 'chr1'.*runs on node 'pve2'"):
        ensure(port(pve, "provision"), HERE)


def test_a_configuration_that_changes_before_qm_set_is_not_overwritten(pve, port):
    vm = pve.add(100, "chr1")
    one = port(pve, "provision")
    plan = one.plan(HERE)
    vm.config["args"] = "-no-hpet"
    with pytest.raises(NotPossible, match="changed by somebody else"):
        one.carry_out(HERE, plan)
    assert vm.with_pending()["args"] == "-no-hpet"


def test_ssh_that_fails_is_told_apart_from_qm_that_fails(pve, port, node):
    pve.add(100, "chr1")
    one = port(pve, "provision")
    plan = one.plan(HERE)
    real = (node.programs / "qm").rename(node.programs / "qm.real")
    (node.programs / "qm").write_text(f'#!/bin/sh\nif [ "$1" = set ]; then kill -9 $PPID; fi\nexec {real} "$@"\n')
    (node.programs / "qm").chmod(0o755)
    with pytest.raises(OutcomeUnknown, match="The end of .* was not seen.*not run again"):
        one.carry_out(HERE, plan)
    (node.programs / "qm").write_text("#!/bin/sh\nkill -9 $PPID\n")
    with pytest.raises(Unreachable, match="The end of 'qm config 100' on hypervisor was not seen"):
        port(pve, "provision").carry_out(HERE, plan)
    (node.programs / "qm").unlink()
    with pytest.raises(NotPossible, match="cannot run qm: .*must be the Proxmox VE node"):
        port(pve, "provision").carry_out(HERE, plan)
    deadline = time.monotonic() + 5  # the first qm went on without us, and the next run sees what it did
    while port(pve, "provision").plan(HERE).changed:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_qemu_started_with_the_generated_args_has_the_agent_at_the_port(pve, image, tmp_path, playbook):
    """Manual 10, enable provision agent: device chr.provision_agent, a TCP server, next to
    the default agent."""
    vm = pve.add(100, "chr1")
    port = free_port()
    run = playbook([task("go", address="127.0.0.1", port=port)], {"chr1": host(pve)})
    assert run.rc == 0, run.output
    vm.cold_start()
    with QemuGuest(
        image,
        name="chr1",
        directory=tmp_path / "vm",
        agent=f"unix:{tmp_path}/100.qga",
        settings={"identity": "chr1"},
        arguments=shlex.split(vm.config["args"]),
        more_ports=[PROVISION_PORT],
    ):
        socket_name = run.of("go")["result"]["socket"]
        for address in (socket_name, f"{tmp_path}/100.qga"):
            chr1 = open_guest(options_for("qemu", "chr1", 90, "auto", Path("/nonexistent"), socket=address))
            assert chr1.run(NAME.encode(), 30).output == b"chr1\r\n"


# -- the second recipe -----------------------------------------------------------------------------


def relay(name, **options):
    return task(name, channel="default", **options)


def test_the_default_agent_is_relayed_and_the_router_is_reached_through_it(pve, node, tasks):
    """Manual 10, remote default agent: socat from a TCP port to /run/qemu-server/$vmid.qga."""
    pve.add(100, "chr1")
    port = free_port()
    hosts = {"chr1": host(pve, node), "direct": {"chr_backend": "qemu", "chr_socket": f"tcp://127.0.0.1:{port}"}}
    here = {"when": "inventory_hostname == 'chr1'"}
    run = tasks(
        [
            {**relay("would open", address="127.0.0.1", port=port), "check_mode": True, **here},
            {**relay("open", address="127.0.0.1", port=port), **here},
            {**relay("again", address="127.0.0.1", port=port), **here},
            {"name": "name", "outofband.chr.script": {"source": NAME}, "when": "inventory_hostname == 'direct'"},
            {**relay("close", state="absent"), **here},
            {**relay("still closed", state="absent"), **here},
        ],
        hosts,
        "--diff",
    )
    assert run.rc == 0, run.output
    assert run.changed() == {("chr1", "would open"), ("chr1", "open"), ("chr1", "close"), ("direct", "name")}
    assert run.of("open", "chr1")["result"]["socket"] == f"tcp://127.0.0.1:{port}"
    assert run.of("open", "chr1")["result"]["restart_required"] is False
    assert run.of("name", "direct")["result"]["stdout"] == "chr1"
    command = f"socat TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork UNIX-CLIENT:/run/qemu-server/100.qga"
    assert f"+{command}" in run.output
    started = [call for call in node.calls() if call.startswith("systemd-run")]
    assert len(started) == 1
    assert started[0].startswith("systemd-run --unit=chr-agent-100.service --collect ")
    assert started[0].endswith(f" -- {command}")
    assert socket.socket().connect_ex(("127.0.0.1", port)) != 0


def test_a_relay_on_another_port_takes_the_place_of_the_first(pve, port):
    pve.add(100, "chr1")
    one, two = free_port(), free_port()
    ensure(port(pve, "default"), Endpoint("127.0.0.1", one))
    with socket.create_connection(("127.0.0.1", one)):
        pass
    ensure(port(pve, "default"), Endpoint("::1", two))
    assert socket.socket().connect_ex(("127.0.0.1", one)) != 0
    with socket.create_connection(("::1", two)):
        pass
    assert not ensure(port(pve, "default"), Endpoint("::1", two)).changed


def test_a_port_that_is_taken_is_told_in_socats_words(pve, port):
    pve.add(100, "chr1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(NotPossible, match=f"ended at once.*Address already in use.*Is port {number} taken"):
            ensure(port(pve, "default"), Endpoint("127.0.0.1", number))


@pytest.mark.parametrize("missing", ["socat", "systemd-run"])
def test_a_node_without_socat_or_systemd_is_told(pve, node, port, missing):
    pve.add(100, "chr1")
    (node.programs / missing).unlink()
    with pytest.raises(NotPossible, match=f"has no {missing}, which this channel needs"):
        ensure(port(pve, "default"), HERE)


# -- both ------------------------------------------------------------------------------------------


def test_neither_has_authentication_so_an_address_must_be_named_and_others_are_warned_of(pve, lab, playbook):
    """Manual, Proxmox (note): whoever reaches the port controls the router.

    Other backends get a sentence.
    """
    pve.add(100, "chr1")
    here = {"when": "inventory_hostname == 'chr1'"}
    run = playbook(
        [
            {**task("none"), **here, "ignore_errors": True},
            {**task("all", address="0.0.0.0"), **here, "ignore_errors": True},
            {**task("other", address="192.0.2.7"), **here},
            task("local", address="127.0.0.1"),
        ],
        {"chr1": host(pve), "plain": {"chr_socket": lab("plain").address}},
    )
    assert "no authentication and no encryption" in run.of("none", "chr1")["result"]["msg"]
    assert "not the address of one host" in run.of("all", "chr1")["result"]["msg"]
    assert (
        "Anyone who can reach tcp://192.0.2.7:1234 controls 'chr1'" in run.of("other", "chr1")["result"]["warnings"][0]
    )
    assert "warnings" not in run.of("local", "chr1")["result"]
    assert run.of("local", "plain")["status"] == "failed"
    assert "on Proxmox VE only, but its backend is qemu" in run.of("local", "plain")["result"]["msg"]
