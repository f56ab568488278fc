# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's stock qemu-ga as an independent peer: the protocol, files, and that no script ever
becomes a shell command."""

from __future__ import annotations

import io
import os
import socket
import time
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    AgentRefused,
    FileMissing,
    NotAnAgent,
    TransferFailed,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.protocol import AgentSession
from ansible_collections.outofband.chr.tests.lab.options import options_for


@pytest.fixture
def stock(stock_agent):
    """A stock agent on a unix socket, in a folder of its own; (folder, guest factory)."""
    folder, address = stock_agent

    def guest(exec_mode: str = "auto"):
        return open_guest(options_for("qemu", "linux", 5.0, exec_mode, Path("/nonexistent"), socket=str(address)))

    return folder, guest


def test_sync_ping_and_info(stock):
    _folder, guest = stock
    guest().ping()
    report = guest().report()
    assert "guest-exec" in report.agent_commands
    assert report.os["id"]
    assert report.host_name
    assert report.interfaces
    assert report.unreadable == ()


def test_garbage_of_a_former_client_does_no_harm(stock, short_path):
    _folder, guest = stock
    for left in (
        b'{"execute":"guest-info"}\n',
        b'{"execute":"guest-exec","arguments":{"path":"/bin/tou',
        b"}}}\xff\n[1,",
    ):
        with socket.socket(socket.AF_UNIX) as rude:
            rude.settimeout(60)
            rude.connect(str(short_path / "ga.sock"))
            rude.sendall(left)
            # qemu-ga on a listening socket ends when a client leaves an answer unread, and how many
            # answers garbage gets differs between its versions.
            rude.shutdown(socket.SHUT_WR)
            while rude.recv(65536):
                pass
        guest().ping()


@pytest.mark.parametrize("size", [0, 1, 100_000, 2_000_000])
def test_files_go_there_and_back(stock, size):
    folder, guest = stock
    content = os.urandom(size)
    assert guest().put(io.BytesIO(content), "x.bin") == size
    assert (folder / "x.bin").read_bytes() == content
    back = io.BytesIO()
    assert guest().get("x.bin", back) == size
    assert back.getvalue() == content


def test_a_missing_file_and_a_full_disk_are_told(stock):
    _folder, guest = stock
    with pytest.raises(FileMissing, match="nosuch"):
        guest().get("nosuch", io.BytesIO())
    (_folder / "full").symlink_to("/dev/full")
    with pytest.raises(TransferFailed):
        guest().put(io.BytesIO(b"x" * 100_000), "full")


@pytest.mark.parametrize(
    "source",
    [
        "touch pwned",
        "/bin/sh -c 'touch pwned'",
        "pwned.sh",
        "/bin/touch",
        "$(touch pwned)",
        "`touch pwned`",
        ";touch pwned",
    ],
)
def test_a_script_never_runs_as_a_shell_command(stock, source):
    folder, guest = stock
    with pytest.raises(NotAnAgent, match=r"not RouterOS's.*Nothing was run"):
        guest().run(source.encode(), 5)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("exec_mode", ["auto", "import", "path", "inline"])
def test_a_script_file_never_runs_as_a_program(stock, exec_mode):
    folder, guest = stock
    program = folder / "evil.rsc"
    program.write_text("#!/bin/sh\ntouch pwned\n")
    program.chmod(0o755)
    with pytest.raises(NotAnAgent):
        guest(exec_mode).start_file("evil.rsc")
    time.sleep(0.3)
    assert list(folder.iterdir()) == [program]


def test_through_ansible_nothing_runs_either(stock, playbook, short_path):
    folder, _guest = stock
    tasks = [
        {"name": "script", "outofband.chr.script": {"source": "touch pwned"}, "ignore_errors": True},
        {"name": "raw", "ansible.builtin.raw": "touch pwned", "ignore_errors": True},
        {"name": "shell", "ansible.builtin.shell": "touch pwned", "ignore_errors": True},
        {"name": "file", "outofband.chr.script": {"guest_file": "x"}, "ignore_errors": True},
        {"name": "copy", "outofband.chr.copy": {"content": "x", "dest": "pwned"}, "ignore_errors": True},
        {"name": "fetch", "outofband.chr.fetch": {"src": "x", "dest": "got/"}, "ignore_errors": True},
        {"name": "power", "outofband.chr.power": {"state": "shutdown"}, "check_mode": True, "ignore_errors": True},
        {"name": "info", "outofband.chr.guest_info": None},
    ]
    run = playbook(tasks, {"linux": {"chr_socket": str(short_path / "ga.sock")}})
    assert run.rc == 0, run.output
    assert "not RouterOS's" in run.of("script")["result"]["msg"]
    for task in ("copy", "fetch", "power"):
        assert "does not say that it is RouterOS" in run.of(task)["result"]["msg"]
    assert run.of("info")["result"]["os"]["id"] != "routeros"
    assert list(folder.iterdir()) == []


def test_an_error_object_of_the_stock_agent_is_told(stock):
    _folder, guest = stock
    with guest()._session() as agent:
        assert isinstance(agent, AgentSession)
        with pytest.raises(AgentRefused, match="guest-nosuch"):
            agent.execute("guest-nosuch")
