# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last run that uses a session ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import Unreachable
from ansible_collections.outofband.chr.plugins.plugin_utils._transport import runs
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.shared_session import Login, SharedSession

SERVER = {"host": "vc1", "port": 443, "validate_certs": True, "ca_path": None}


@pytest.fixture
def login(tmp_path, monkeypatch):
    """Log in as a run: ``login()`` is another run in this process each time."""
    monkeypatch.setattr(runs, "_begun", [])

    def one(password="pa55"):
        run = runs.begin()
        session = SharedSession(Login("vsphere", "vc1:443", "ops", password, tmp_path, 5.0, SERVER))
        assert session.get(lambda: {"id": password}) == {"id": password}
        return run

    return one


def ended(run, folder):
    out = []
    runs.end(run, folder, {"vsphere": lambda session, server: out.append((session, server))})
    return out


def kept(folder):
    (file,) = folder.glob("vsphere-*.json")
    return [one["session"]["id"] for one in json.loads(file.read_text())["logins"]]


def test_the_session_ends_with_the_last_run_that_uses_it(login, tmp_path):
    first, second = login(), login()
    assert ended(first, tmp_path) == []
    assert kept(tmp_path) == ["pa55"]
    assert ended(second, tmp_path) == [({"id": "pa55"}, SERVER)]
    assert kept(tmp_path) == []
    assert ended(second, tmp_path) == []


def test_a_run_that_was_killed_does_not_keep_a_session(login, tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    login()
    (file,) = tmp_path.glob("vsphere-*.json")
    known = json.loads(file.read_text())
    known["logins"][0]["runs"] = [{"id": "x", "pid": killed.pid, "host": os.uname().nodename}]
    file.write_text(json.dumps(known))
    assert len(ended(login(), tmp_path)) == 1


def test_a_run_on_another_machine_keeps_its_session(login, tmp_path):
    run = login()
    (file,) = tmp_path.glob("vsphere-*.json")
    known = json.loads(file.read_text())
    known["logins"][0]["runs"].append({"id": "x", "pid": 1, "host": "elsewhere"})
    file.write_text(json.dumps(known))
    assert ended(run, tmp_path) == []


def test_a_login_with_another_password_is_another_session(login, tmp_path):
    login("one")
    assert ended(login("two"), tmp_path) == [({"id": "two"}, SERVER)]
    assert kept(tmp_path) == ["one"]


def test_a_worker_ends_nothing(login, tmp_path):
    run = login()
    assert ended(runs.Run(run.id, run.pid + 1, run.host), tmp_path) == []
    assert kept(tmp_path) == ["pa55"]


def test_a_server_that_cannot_be_reached_at_the_end_is_no_error(login, tmp_path):
    def fails(_session, _server):
        raise Unreachable("gone")

    runs.end(login(), tmp_path, {"vsphere": fails})
    assert kept(tmp_path) == []
