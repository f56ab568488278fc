# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import LoginRefused, NotPossible, Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.shared_session import Login, SharedSession


def shared(folder, password="pa55", where="pve1:8006", wait=5.0):
    return SharedSession(Login("proxmox", where, "root@pam", password, folder, wait))


class Server:
    """Counts logins; each gives another ticket."""

    def __init__(self, refuse=False):
        self.logins = 0
        self.refuse = refuse

    def __call__(self):
        self.logins += 1
        if self.refuse:
            raise LoginRefused("wrong password")
        return {"ticket": f"t{self.logins}"}


def test_tasks_that_start_together_log_in_once(tmp_path):
    server = Server()
    with ThreadPoolExecutor(20) as pool:
        sessions = list(pool.map(lambda _number: shared(tmp_path).get(server), range(50)))
    assert sessions == [{"ticket": "t1"}] * 50
    assert server.logins == 1


def test_a_refused_session_is_replaced_once_for_all_that_held_it(tmp_path):
    server = Server()
    old = shared(tmp_path).get(server)
    assert [shared(tmp_path).get(server, refused=old) for _task in range(3)] == [{"ticket": "t2"}] * 3
    assert server.logins == 2


def test_each_server_has_its_own_session(tmp_path):
    server = Server()
    assert shared(tmp_path).get(server) != shared(tmp_path, where="pve2:8006").get(server)


def test_another_password_does_not_get_the_session(tmp_path):
    shared(tmp_path).get(Server())
    with pytest.raises(LoginRefused):
        shared(tmp_path, password="other").get(Server(refuse=True))


def test_a_refused_password_is_not_sent_again_and_a_corrected_one_is(tmp_path):
    server = Server(refuse=True)
    for _task in range(3):
        with pytest.raises(LoginRefused):
            shared(tmp_path).get(server)
    assert server.logins == 1
    assert shared(tmp_path, password="right").get(Server()) == {"ticket": "t1"}


def test_a_wrong_password_of_one_host_costs_the_others_no_login_and_itself_one(tmp_path):
    """All hosts log in as one user; right and wrong logins in turn would lock it for all."""
    right, wrong = Server(), Server(refuse=True)
    for _task in range(5):
        assert shared(tmp_path).get(right) == {"ticket": "t1"}
        with pytest.raises(LoginRefused):
            shared(tmp_path, password="wr0ng").get(wrong)
    assert (right.logins, wrong.logins) == (1, 1)


def test_the_file_stays_small_however_many_passwords_there_were(tmp_path):
    for number in range(30):
        shared(tmp_path, password=f"pa55-{number}").get(Server())
    (file,) = tmp_path.glob("*.json")
    assert len(json.loads(file.read_text())["logins"]) == 8


def test_the_file_is_for_its_owner_and_the_password_is_not_in_it(tmp_path):
    shared(tmp_path / "cp").get(Server())
    (file,) = (tmp_path / "cp").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cp").stat().st_mode & 0o777 == 0o700
    assert "pa55" not in file.read_text()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"logins": "x"}',
        '{"logins": [1, {}, {"session": "x"}]}',
        '{"logins": [{"session": {"ticket": "evil"}}]}',
    ],
)
def test_a_file_that_is_no_session_counts_as_none(tmp_path, content):
    shared(tmp_path).get(Server())
    (file,) = tmp_path.glob("*.json")
    file.write_text(content)
    assert shared(tmp_path).get(Server()) == {"ticket": "t1"}


def test_a_file_that_others_can_write_counts_as_none(tmp_path):
    shared(tmp_path).get(Server())
    (file,) = tmp_path.glob("*.json")
    known = json.loads(file.read_text())
    file.write_text(json.dumps({"logins": [known["logins"][0] | {"session": {"ticket": "planted"}}]}))
    file.chmod(0o666)
    assert shared(tmp_path).get(Server()) == {"ticket": "t1"}


def test_forgetting_keeps_the_notes(tmp_path):
    session = shared(tmp_path)
    session.get(Server())
    session.note("vm-1", "console")
    session.forget()
    assert session.noted("vm-1") == "console"
    assert session.noted("vm-2") is None
    again = Server()
    session.get(again)
    assert again.logins == 1


def test_waiting_for_another_tasks_login_has_an_end(tmp_path):
    def slow():
        with pytest.raises(Unreachable, match="Another task has been logging in to pve1:8006 for 0.1 s"):
            shared(tmp_path, wait=0.1).get(Server())
        return {"ticket": "mine"}

    assert shared(tmp_path).get(slow) == {"ticket": "mine"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPossible, match="file"):
        shared(tmp_path / "file" / "cp").get(Server())
