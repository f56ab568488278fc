# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, locks and sockets of one user, in a folder that another one may have made."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import ssh
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.private_file import PrivateFile, lock, locked
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.sockets import UnixChannel
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.ssh import SshForward, SshMaster


@pytest.fixture
def folder(tmp_path):
    """A folder that cannot be made, because its name is that of a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "cp"


def test_a_lock_file_that_cannot_be_used_is_named(folder):
    said = rf"The lock file {folder}/vm\.lock cannot be used: .*{folder}.*must belong to the user"
    with pytest.raises(NotPossible, match=said), locked(folder / "vm.lock", Deadline(1)):
        pass


def test_a_connection_of_ssh_whose_lock_cannot_be_used_is_not_made(folder):
    with pytest.raises(NotPossible, match=r"The lock file .*\.lock cannot be used"):
        SshMaster("kvm1.example.net", "", folder).execute(["true"], b"", Deadline(1))


@pytest.fixture
def of_another_user(monkeypatch):
    """What is made from now on is another user's, as this process sees it."""

    def change():
        uid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)

    return change


def test_a_folder_of_another_user_is_not_used(tmp_path, of_another_user):
    (tmp_path / "cp").mkdir(mode=0o777)
    of_another_user()
    for use in (
        lambda: PrivateFile(tmp_path / "cp", "x.json").save({"ticket": "secret"}),
        lambda: lock(tmp_path / "cp" / "x.lock", Deadline(1)),
        lambda: SshMaster("kvm1.example.net", "", tmp_path / "cp").execute(["true"], b"", Deadline(1)),
    ):
        with pytest.raises(NotPossible, match="cp belongs to another user .*Set ANSIBLE_HOME to a folder of the user"):
            use()
    assert list((tmp_path / "cp").iterdir()) == []


def test_a_folder_that_others_can_open_is_closed(tmp_path):
    (tmp_path / "cp").mkdir()
    (tmp_path / "cp").chmod(0o777)
    PrivateFile(tmp_path / "cp", "x.json").save({"a": 1})
    assert (tmp_path / "cp").stat().st_mode & 0o777 == 0o700


def test_a_lock_file_is_not_followed_and_no_special_file_blocks(tmp_path):
    (tmp_path / "target").write_text("")
    (tmp_path / "link.lock").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "fifo.lock")
    os.mkfifo(tmp_path / "fifo.json", 0o600)
    with pytest.raises(NotPossible, match="link.lock cannot be used"):
        lock(tmp_path / "link.lock", Deadline(1))
    with pytest.raises(NotPossible, match="fifo.lock is not a file of this user"):
        lock(tmp_path / "fifo.lock", Deadline(1))
    assert PrivateFile(tmp_path, "fifo.json").load() == {}


@pytest.fixture
def forward(tmp_path):
    """A forwarded socket, and its local path, on which somebody listens already."""
    folder = Path(tempfile.mkdtemp(prefix="ob"))  # a socket's path must be short
    ssh = SshMaster("kvm1.example.net", "", folder)
    channel = SshForward(ssh, UnixChannel(Path("/run/chr1.sock")))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(ssh.socket_for("/run/chr1.sock")))
        listener.listen()
        yield channel
    shutil.rmtree(folder)


def test_a_forwarded_socket_of_this_user_is_used(forward):
    forward.connect(Deadline(1)).close()


def test_a_forwarded_socket_of_another_user_gets_no_script(forward, of_another_user):
    of_another_user()
    with pytest.raises(NotPossible, match="is not a socket of this user. Nothing was sent to it"):
        forward.connect(Deadline(1))


def test_a_process_of_another_user_gets_no_script(forward, monkeypatch):
    """Even at a socket that this user has made: the process that listens counts."""
    monkeypatch.setattr(ssh, "own_socket", lambda path: True)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(NotPossible, match="A process of another user listens on"):
        forward.connect(Deadline(1))
