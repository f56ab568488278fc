# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backend proxmox as its users run it: ansible-playbook against the lab's Proxmox VE, and OpenSSH
to its node."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible, TooLarge
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import script_ways as ways
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox import qm
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd

SECRETS = ("pass-w0rd", "t0ken-secret", "wr0ng-secret")
NAME = ":put [/system identity get name]"


@pytest.fixture
def cluster(short_path):
    running = []

    def start(version: str = "9.1"):
        running.append(LabProxmox(short_path, version).__enter__())
        return running[-1]

    yield start
    for one in running:
        one.__exit__()


def access(pve, **more):
    return pve.variables(ansible_host="192.0.2.1", chr_connect_timeout=20, **more)


TASKS = [
    {"name": "wait", "outofband.chr.wait_for_agent": None},
    {"name": "name", "outofband.chr.script": {"source": NAME}, "changed_when": False},
    {"name": "note", "outofband.chr.script": {"source": '/system note set note="Zoë {{ inventory_hostname }}"'}},
    {"name": "copy", "outofband.chr.copy": {"content": "# {{ inventory_hostname }}\n", "dest": "x.rsc"}},
    {"name": "fetch", "outofband.chr.fetch": {"src": "x.rsc", "dest": "got/"}},
    {"name": "facts", "outofband.chr.facts": None},
    {"name": "info", "outofband.chr.guest_info": None},
    {"name": "raw", "ansible.builtin.raw": NAME},
    {"name": "reboot", "outofband.chr.power": {"state": "rebooted"}},
    {"name": "off", "outofband.chr.power": {"state": "shutdown"}},
]


@pytest.mark.parametrize(
    ("version", "mode", "switches"),
    [
        pytest.param("7.4", "inline", {}, marks=pytest.mark.slow),
        pytest.param("8.4", "json", {"accepts_null_path": True}, marks=pytest.mark.slow),
        ("9.1", "file", {"path_mode": "works", "accepts_path_with_arg": True, "write_modes": ("w", "wb")}),
    ],
)
def test_the_same_playbook_passes_on_each_way(cluster, playbook, tmp_path, version, mode, switches):
    """Manual 10, REST: scripts, files, questions and the shutdown go through the REST interface."""
    pve = cluster(version)
    vms = [pve.add(100 + number, f"chr{number}", f"pve{number % 2 + 1}", **switches) for number in range(2)]
    run = playbook(TASKS, {vm.name: access(pve) for vm in vms})
    assert run.rc == 0, run.output
    for vm in vms:
        assert run.of("name", vm.name)["result"]["stdout"] == vm.name
        assert run.of("name", vm.name)["result"]["exec_mode"] == mode
        assert run.of("raw", vm.name)["result"]["stdout"] == f"{vm.name}\n"
        assert run.of("info", vm.name)["result"]["host_name"] == vm.name
        assert run.of("info", vm.name)["result"]["backend"] == "proxmox"
        assert run.of("facts", vm.name)["result"]["ansible_facts"]["ansible_net_hostname"] == vm.name
        assert (tmp_path / "got" / vm.name / "x.rsc").read_text() == f"# {vm.name}\n"
        assert vm.router.run(":put [/system note get note]").output == f"Zoë {vm.name}\r\n".encode()
        assert not vm.running
    assert pve.invalid == []


@pytest.mark.slow
def test_twenty_hosts_with_one_ansible_host_reach_their_own_vm_each(cluster, playbook):
    pve = cluster()
    vms = [
        pve.add(100 + number, f"chr{number}", f"pve{number % 2 + 1}", accepts_null_path=True) for number in range(20)
    ]
    hosts = {f"host{vm.vmid}": access(pve, chr_vm=vm.name if vm.vmid % 2 else vm.vmid) for vm in vms}
    tasks = [
        {"name": "note", "outofband.chr.script": {"source": '/system note set note="{{ inventory_hostname }}"'}},
        {"name": "name", "outofband.chr.script": {"source": NAME}},
    ]
    run = playbook(tasks, hosts, "--forks=20")
    assert run.rc == 0, run.output
    for vm in vms:
        assert run.of("name", f"host{vm.vmid}")["result"]["stdout"] == vm.name
        assert vm.router.run(":put [/system note get note]").output == f"host{vm.vmid}\r\n".encode()


CHOSEN = ({}, {"chr_vm": "{{ inventory_hostname }}"}, {"chr_vm": "{{ hostvars[inventory_hostname].number }}"})
"""How ``chr_vm`` names a VM: left out, a template, a lookup."""


def test_delegated_tasks_reach_the_router_they_are_delegated_to(cluster, playbook):
    """Twenty hosts at once delegate to the next one, which names its VM in another way.

    Ansible resolves the variables with the name of the host that delegates.
    """
    pve = cluster()
    vms = [pve.add(100 + number, f"chr{number}", accepts_null_path=True) for number in range(20)]
    hosts = {one.name: access(pve, number=one.vmid, **CHOSEN[at % 3]) for at, one in enumerate(vms)}
    to = "chr{{ (number | int - 99) % 20 }}"
    own = '/system note set note="{{ inventory_hostname }}"'
    tasks = [
        {"name": "own", "outofband.chr.script": {"source": own}, "delegate_to": to},
        {"name": "raw", "ansible.builtin.raw": NAME, "delegate_to": to},
        {"name": "each", "ansible.builtin.raw": NAME, "delegate_to": "{{ item }}", "loop": ["chr3", "chr4"]},
        {"name": "self", "ansible.builtin.raw": NAME},
    ]
    run = playbook(tasks, hosts, "--forks=20")
    assert run.rc == 0, run.output
    for one in vms:
        following = f"chr{(one.vmid - 99) % 20}"
        assert run.of("raw", one.name)["result"]["stdout"].strip() == following
        assert [item["stdout"].strip() for item in run.of("each", one.name)["result"]["results"]] == ["chr3", "chr4"]
        assert run.of("self", one.name)["result"]["stdout"].strip() == one.name
        (target,) = [other for other in vms if other.name == following]
        assert target.router.run(":put [/system note get note]").output == f"{one.name}\r\n".encode()


def with_password(pve, **more):
    return pve.variables(root=True, ansible_host="192.0.2.1", chr_connect_timeout=20, **more)


@pytest.mark.slow
def test_fifty_hosts_and_two_tasks_log_in_once_with_a_password(cluster, playbook, tmp_path):
    pve = cluster()
    vms = [pve.add(100 + number, f"chr{number}", accepts_null_path=True) for number in range(50)]
    tasks = [
        {"name": "name", "outofband.chr.script": {"source": NAME}},
        {"name": "again", "ansible.builtin.raw": NAME},
    ]
    run = playbook(tasks, {vm.name: with_password(pve) for vm in vms}, "--forks=20", "-vvvvv")
    assert run.rc == 0, run.output
    assert pve.logins == 1
    (kept,) = (tmp_path / "home" / "cp").glob("proxmox-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    session = json.loads(kept.read_text())["logins"][0]["session"]
    for secret in (*session.values(), "pass-w0rd"):
        assert secret not in run.output
    assert "pass-w0rd" not in kept.read_text()


def test_a_ticket_that_has_ended_is_replaced_between_tasks(cluster, playbook):
    pve = cluster()
    hosts = {pve.add(100, "chr1", accepts_null_path=True).name: with_password(pve)}
    assert playbook([{"name": "name", "outofband.chr.script": {"source": NAME}}], hosts).rc == 0
    pve.expire_tickets()
    assert playbook([{"name": "name", "outofband.chr.script": {"source": NAME}}], hosts).rc == 0
    assert pve.logins == 2


def test_reset_connection_forgets_the_login(cluster, playbook):
    pve = cluster()
    hosts = {pve.add(100, "chr1", accepts_null_path=True).name: with_password(pve)}
    tasks = [
        {"name": "name", "outofband.chr.script": {"source": NAME}},
        {"name": "forget", "ansible.builtin.meta": "reset_connection"},
        {"name": "again", "outofband.chr.script": {"source": NAME}},
    ]
    run = playbook(tasks, hosts)
    assert run.rc == 0, run.output
    assert pve.logins == 2


def test_a_wrong_password_is_sent_once_for_all_hosts(cluster, playbook):
    pve = cluster()
    vms = [pve.add(100 + number, f"chr{number}", accepts_null_path=True) for number in range(8)]
    tasks = [{"name": "name", "outofband.chr.script": {"source": NAME}}]
    run = playbook(
        tasks, {vm.name: with_password(pve, chr_api_password="wr0ng-secret") for vm in vms}, "--forks=4", "-vvvvv"
    )
    assert run.rc == 2
    assert pve.refused_logins == 1
    for vm in vms:
        assert "chr_api_password" in run.of("name", vm.name)["result"]["msg"]
    assert "wr0ng-secret" not in run.output


@pytest.mark.parametrize("task", [{"outofband.chr.script": {"source": ':put "s3cr3t"'}}, {"raw": ':put "s3cr3t"'}])
def test_a_script_under_no_log_is_not_put_into_a_file_of_the_router(cluster, playbook, task):
    pve = cluster()
    vm = pve.add(100, "chr1", path_mode="works", accepts_path_with_arg=True, write_modes=("w", "wb"))
    task = {"name": "go", **task, "no_log": True}
    run = playbook([task], {"chr1": access(pve)}, "-vvvvv")
    assert run.rc == 2
    assert "would put a secret (no_log) into a file of the router" in run.output
    assert "s3cr3t" not in run.output
    assert all("s3cr3t" not in json.dumps(sent) for sent in vm.wire)
    assert playbook([{**task, "no_log": False}], {"chr1": access(pve)}).rc == 0


def test_only_the_host_concerned_fails_and_secrets_are_nowhere(cluster, playbook, tmp_path):
    pve = cluster()
    for number, name in enumerate(("good", "password", "off", "twin", "twin")):
        pve.add(100 + number, name, accepts_null_path=True)
    pve.vms[102].lab.stop()
    by_password = {"chr_api_token_id": "", "chr_api_user": "root@pam"}
    hosts = {
        "good": access(pve),
        "password": access(pve, **by_password, chr_api_password="pass-w0rd"),
        "wrong": access(pve, chr_vm="good", **by_password, chr_api_password="wr0ng-secret"),
        "expired": access(pve, chr_vm="good", chr_api_token_secret="wr0ng-secret"),
        "off": access(pve),
        "twin": access(pve),
        "unknown": access(pve),
        "untrusted": access(pve, chr_vm="good", chr_ca_path=None),
    }
    run = playbook([{"name": "go", "outofband.chr.script": {"source": NAME}}], hosts, "-vvvvv")
    says = {
        "wrong": "refused the password",
        "expired": "does not accept the API token",
        "off": "is off",
        "twin": "more than one VM",
        "unknown": "no VM with the vmid or name 'unknown'",
        "untrusted": "is not trusted",
    }
    for host in hosts:
        record = run.of("go", host)
        assert record["status"] == ("unreachable" if host == "off" else "failed" if host in says else "ok"), host
        assert says.get(host, "") in record["result"].get("msg", "")
    assert not any(secret in run.output for secret in SECRETS)
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not any(secret.encode() in path.read_bytes() for path in kept for secret in SECRETS)


def test_the_environment_variables_of_the_ecosystem_are_read(cluster, playbook, monkeypatch):
    pve = cluster("7.4")
    pve.add(100, "chr1")
    for name, value in {
        "HOST": "localhost",
        "PORT": pve.port,
        "TOKEN_ID": "chr",
        "USER": "root@pam",
        "TOKEN_SECRET": "t0ken-secret",
        "VALIDATE_CERTS": "false",
    }.items():
        monkeypatch.setenv(f"PROXMOX_{name}", str(value))
    run = playbook([{"name": "go", "outofband.chr.script": {"source": NAME}}], {"chr1": {"chr_backend": "proxmox"}})
    assert run.rc == 0, run.output


# -- over ssh --------------------------------------------------------------------------------------


@pytest.fixture
def node(short_path):
    """sshd of a node, with a ``qm`` and the agents' sockets of the cluster."""
    programs = short_path / "bin"
    programs.mkdir()
    (programs / "qm").write_text(f'#!/bin/sh\nLAB_QGA_FOLDER={short_path} exec {sys.executable} {qm.__file__} "$@"\n')
    (programs / "qm").chmod(0o755)
    server = Sshd(short_path)
    server.start(f"SetEnv PATH={programs}:/usr/bin:/bin")
    yield server
    for master in (short_path / "run").glob("chr-????????????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
    server.stop()


@pytest.fixture
def reach(node, short_path, monkeypatch):
    monkeypatch.setattr(ways, "SOCKETS", str(short_path))

    def one(pve, exec_mode="auto", vm="100"):
        return open_guest(
            options_for(
                *("proxmox", vm, 5.0, exec_mode, short_path / "run"),
                ssh_host="hypervisor",
                ssh_args=node.options,
                api_host="localhost",
                api_port=pve.port,
                api_token_id="root@pam!chr",
                api_token_secret="t0ken-secret",
                ca_path=str(pve.certificate),
            )
        )

    return one


@pytest.mark.parametrize("version", ["8.0", "9.1"])
@pytest.mark.parametrize("mode", ["auto", "qm", "socket"])
def test_where_rest_takes_no_script_the_node_does(cluster, reach, version, mode):
    pve = cluster(version)
    pve.add(100, "chr1")
    chr1 = reach(pve, mode)
    result = chr1.run(':put "Zoë é"'.encode(), 10)
    assert (result.rc, result.output) == (0, ':put "Zoë é"'[6:-1].encode() + b"\r\n")
    assert result.exec_mode == ("qm" if mode == "auto" else mode)
    size = 200_000
    assert chr1.run(b":put 1\n#" + b"x" * size, 20).rc == 0
    failed = chr1.run(b':error "no luck"', 5)
    assert failed.rc == -1
    assert b"no luck" in failed.output


def test_what_a_refused_file_probe_left_is_taken_away_by_the_next_way(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", write_modes=("w", "wb"))
    assert reach(pve).run(NAME.encode(), 10).exec_mode == "qm"
    vm.router.run(":delay 200ms")
    assert vm.router.files == {}


def test_large_files_go_through_the_socket(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1", accepts_null_path=True)
    chr1 = reach(pve)
    content = os.urandom(1_000_000)
    assert chr1.put(io.BytesIO(content), "big.bin") == len(content)
    assert vm.router.files["big.bin"].data == content
    back = io.BytesIO()
    chr1.get("big.bin", back)
    assert back.getvalue() == content


@pytest.mark.parametrize("mode", ["qm", "socket"])
def test_a_node_of_another_cluster_with_a_vm_of_the_same_number_is_found_out(
    cluster, reach, tmp_path, mode, monkeypatch
):
    """Both clusters have a VM 100; ssh leads to the other one.

    Only the harmless probe reaches it.
    """
    other = cluster()  # the one whose sockets and qm are behind ssh
    wrong = other.add(100, "other")
    folder = tmp_path / "pve"
    folder.mkdir()
    with LabProxmox(folder) as pve:
        right = pve.add(100, "chr1")
        right.lab.agent._next = 500
        with pytest.raises(NotPossible, match=mode):
            reach(pve, mode).run(b'/system note set note="x"', 5)
    assert wrong.router.run(":put [/system note get note]").output == b"\r\n"


def test_a_script_beyond_one_mebibyte_is_refused(cluster, reach):
    pve = cluster()
    pve.add(100, "chr1")
    with pytest.raises(TooLarge, match="1048577 bytes"):
        reach(pve).run(b"#" * (1024 * 1024 + 1), 5)
