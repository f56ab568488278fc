# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenSSH on loopback in front of agent sockets."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd


@pytest.fixture
def sshd(short_path):
    server = Sshd(short_path)
    server.start()
    yield server
    for master in (short_path / "run").glob("chr-????????????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
    server.stop()


@pytest.fixture
def through(sshd, short_path):
    def guest(address: object, connect_timeout: float = 8.0, host: str = "hypervisor", args: str | None = None):
        return open_guest(
            options_for(
                "qemu",
                "chr1",
                connect_timeout,
                "auto",
                short_path / "run",
                socket=str(address),
                ssh_host=host,
                ssh_args=sshd.options if args is None else args,
            )
        )

    return guest


def test_a_unix_socket_behind_ssh(lab, through):
    assert through(lab("chr1").address).run(b":put [/system identity get name]", 10).output == b"chr1\r\n"


def test_a_tcp_socket_behind_ssh(through, sshd):
    with LabRouter(Router(identity="tcp"), "tcp:127.0.0.1:0") as router:
        assert through(router.address).run(b":put [/system identity get name]", 10).output == b"tcp\r\n"


def test_one_login_serves_many_routers_and_tasks_beyond_max_sessions(lab, playbook, sshd):
    """sshd allows two sessions a connection here; forwarding does not need one."""
    routers = [lab(f"chr{number}") for number in range(12)]
    hosts = {one.router.identity: {"chr_socket": one.address, **sshd.variables} for one in routers}
    tasks = [
        {"name": "name", "outofband.chr.script": {"source": ":put [/system identity get name]"}},
        {"name": "copy", "outofband.chr.copy": {"content": "x", "dest": "x.txt"}},
        {"name": "facts", "outofband.chr.facts": None},
    ]
    run = playbook(tasks, hosts, "--forks=12")
    assert run.rc == 0, run.output
    for one in routers:
        assert run.of("name", one.router.identity)["result"]["stdout"] == one.router.identity
    assert sshd.logins == 1


def test_whether_qemu_has_ended_is_seen_behind_ssh_and_trouble_of_ssh_is_not_taken_for_it(lab, through, sshd):
    tcp = LabRouter(Router(identity="tcp"), "tcp:127.0.0.1:0").start()
    routers = [lab("chr1"), tcp]
    guests = [through(router.address) for router in routers]
    assert [guest.power().is_on() for guest in guests] == [True, True]
    for router in routers:
        router.stop()
    assert [guest.power().is_on() for guest in guests] == [False, False]
    sshd.stop()
    for guest in guests:
        with pytest.raises(Unreachable):
            guest.power().is_on()


def test_a_connection_that_died_is_made_again(lab, through, sshd):
    chr1 = through(lab("chr1").address)
    chr1.ping()
    sshd.stop()
    sshd.start()
    chr1.ping()


def test_a_socket_that_is_not_there_is_told_apart_from_ssh_trouble(through):
    with pytest.raises(
        Unreachable,
        match=r"/nowhere.sock through ssh hypervisor within 1.5 s: [^.]*(reset|closed|Broken pipe).*The VM",
    ) as caught:
        through("/nowhere.sock", 1.5).ping()
    assert caught.value.silent is False


def test_ssh_trouble_is_told_in_ssh_words(lab, through, sshd):
    address = lab("chr1").address
    began = time.monotonic()
    with pytest.raises(Unreachable, match="ssh hypervisor failed.*Permission denied"):
        through(address, 60.0, args=f"{sshd.options} -o PubkeyAuthentication=no").ping()
    with pytest.raises(Unreachable, match="ssh nobody.invalid failed"):
        through(address, 60.0, host="nobody.invalid").ping()
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("host", ["-oProxyCommand=touch pwned", " "])
def test_a_destination_cannot_be_an_option(through, host):
    with pytest.raises(InvalidInput, match="not a valid ssh destination"):
        through("/x.sock", host=host)


def test_the_sockets_are_this_users_only(lab, through, short_path):
    through(lab("chr1").address).ping()
    assert (short_path / "run").stat().st_mode & 0o077 == 0


def test_a_dead_hypervisor_costs_each_of_many_tasks_its_own_timeout_only(lab, playbook, short_path):
    """Ten tasks want a connection that never comes up: they wait side by side, not one after the
    other."""
    silent = socket.create_server(("127.0.0.1", 0))
    options = f"-F none -o StrictHostKeyChecking=no -p {silent.getsockname()[1]}"
    variables = {
        "chr_socket": "/x.sock",
        "chr_ssh_host": "127.0.0.1",
        "chr_ssh_args": options,
        "chr_connect_timeout": 8,
    }
    began = time.monotonic()
    run = playbook(
        [{"name": "go", "outofband.chr.guest_info": None}],
        {f"chr{number}": variables for number in range(10)},
        "--forks=10",
    )
    silent.close()
    assert run.rc == 4
    assert time.monotonic() - began < 70


@pytest.mark.parametrize("path", ["/a:b.sock", "/a$b.sock", "/a%b.sock"])
def test_a_path_that_means_something_else_to_ssh_is_refused(through, path):
    with pytest.raises(InvalidInput, match="meaning of their own"):
        through(path)
