# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection network_cli, with the modules of others that it is for."""

from __future__ import annotations

import os

import pytest

from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.peers import collections

from .conftest import Playbook, cache

CLI = {"ansible_connection": "outofband.chr.network_cli"}
RESET = {"name": "reset", "ansible.builtin.meta": "reset_connection"}


def command(name, *commands, **more):
    """A task of community.routeros.command."""
    return {"name": name, "community.routeros.command": {"commands": list(commands)}, **more}


def identity(name="identity", **more):
    return command(name, "/system identity print", **more)


@pytest.fixture
def cli(playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> Playbook:
    """ansible-playbook with the collections whose modules are meant."""
    for name in ("community.routeros", "ansible.netcommon", "ansible.utils"):
        folder = collections(cache(), name)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{folder}")
    return playbook


def test_modules_of_others_run_unmodified(cli, lab):
    subsets = ["default", "hardware", "interfaces", "config"]
    run = cli(
        [
            command("several", "/system identity print", ":put 1; :put 2"),
            {"name": "facts", "community.routeros.facts": {"gather_subset": subsets}},
            {"name": "cli_command", "ansible.netcommon.cli_command": {"command": "/system identity print"}},
        ],
        {"chr1": {**CLI, "chr_socket": lab("chr1").address}},
    )
    assert run.rc == 0, run.output
    assert run.of("several")["result"]["stdout"] == ["name: chr1", "1\n2"]
    assert run.of("cli_command")["result"]["stdout"] == "name: chr1"
    facts = run.of("facts")["result"]["ansible_facts"]
    assert facts["ansible_net_hostname"] == "chr1"
    assert facts["ansible_net_version"].startswith("7.22")
    assert facts["ansible_net_all_ipv4_addresses"] == ["10.0.2.15"]
    assert "/system identity\nset name=chr1" in facts["ansible_net_config"]


# -- each host has its own router ------------------------------------------------------------------


def assert_each_has_its_own(run, hosts, *names):
    assert run.rc == 0, run.output
    for name in names:
        said = {host: run.of(name, host)["result"]["stdout"] for host in hosts}
        assert said == {host: [f"name: {host}"] for host in hosts}, name


def rounds(number):
    """Tasks that ask again and again, with and without the same process."""
    tasks = []
    for one in range(number):
        tasks += [identity(f"round {one}"), *([RESET] if one % 2 else [])]
    return tasks, [f"round {one}" for one in range(number)]


@pytest.mark.parametrize(("many", "number"), [(4, 3), pytest.param(10, 8, marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("address", [{"ansible_host": "192.0.2.1"}, {}], ids=["one address", "no address"])
@pytest.mark.parametrize("strategy", ["linear", "free"])
def test_hosts_with_one_address_never_share_a_router(cli, lab, many, number, address, strategy):
    hosts = {
        f"chr{one}": {**CLI, **address, "chr_vm": "the same", "chr_socket": lab(f"chr{one}").address}
        for one in range(many)
    }
    tasks, names = rounds(number)
    run = cli(tasks, hosts, "--forks=8", strategy=strategy)
    assert_each_has_its_own(run, hosts, *names)


def test_hosts_that_differ_only_in_the_vm_never_share_a_router(cli):
    with hypervisor("proxmox", [f"chr{one}" for one in range(4)], cache()) as hosts:
        hosts = {f"x{name}": {**host, **CLI, "ansible_host": "h", "chr_vm": name} for name, host in hosts.items()}
        tasks, names = rounds(3)
        run = cli(tasks, hosts, "--forks=8")
        assert run.rc == 0, run.output
        for name in names:
            assert {run.of(name, host)["result"]["stdout"][0] for host in hosts} == {
                f"name: {host[1:]}" for host in hosts
            }
