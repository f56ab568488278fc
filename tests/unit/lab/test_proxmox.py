# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Proxmox VE answers as the real server's code does, byte for byte where it matters.

The right answers were seen with pve-http-server 3.2 to 6.0.5 and qemu-server 6.4 to 9.2.6.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox

TOKEN = {"Authorization": "PVEAPIToken=root@pam!chr=t0ken-secret"}
AGENT = "/nodes/pve1/qemu/100/agent"
JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Got:
    status: int
    reason: str
    body: bytes
    connection: list[str]
    length: str | None

    @property
    def json(self) -> t.Any:
        return json.loads(self.body)


@pytest.fixture
def start(tmp_path):
    with contextlib.ExitStack() as running:

        def one(version: str = "9.1", **more) -> LabProxmox:
            folder = tmp_path / version
            folder.mkdir()
            pve = running.enter_context(LabProxmox(folder, version, **more))
            pve.add(100, "chr1", accepts_null_path=True)
            return pve

        yield one


def connect(pve: LabProxmox) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(pve.certificate))
    return http.client.HTTPSConnection("localhost", pve.port, context=context, timeout=10)


def ask(pve, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Got:
    with contextlib.closing(connect(pve)) as connection:
        connection.request(method, f"/api2/json{path}", body, {**TOKEN, **(headers or {})})
        answer = connection.getresponse()
        said = answer.headers
        return Got(
            answer.status, answer.reason, answer.read(), said.get_all("Connection", []), said.get("Content-Length")
        )


@pytest.mark.parametrize("version", ["7.4", "8.0", "8.4", "9.1"])
def test_a_refused_login_is_late_empty_and_closed(start, version):
    pve = start(version)
    pve.refusal_seconds = 0.2
    new = version >= "8.4"
    for credentials, reason in {
        "PVEAPIToken=root@pam!chr=wrong": "invalid token value!",
        "PVEAPIToken=root@pam!nope=t0ken-secret": "no such token 'nope' for user 'root@pam'",
        "PVEAPIToken=root@pam=t0ken-secret": "no tokenid specified",
    }.items():
        began = time.monotonic()
        got = ask(pve, "GET", "/version", headers={"Authorization": credentials})
        assert time.monotonic() - began > 0.2
        assert (got.status, got.body, got.connection, got.length) == (401, b"", ["close"], None)
        assert got.reason == ("Authentication failed!" if new else reason)
    got = ask(pve, "GET", "/version", headers={"Authorization": "", "Cookie": "PVEAuthCookie=old"})
    assert got.reason == ("Authentication failed!" if new else "permission denied - invalid PVE ticket")


def test_errors_close_the_connection_and_what_comes_from_pvedaemon_names_both(start):
    pve = start()
    assert ask(pve, "GET", "/version").connection == ["Keep-Alive"]
    assert ask(pve, "GET", "/cluster/resources?type=vm").connection == ["Keep-Alive"]
    assert ask(pve, "POST", f"{AGENT}/ping", b"", FORM).connection == ["close", "Keep-Alive"]
    for path in ("/nodes/pve1/qemu/999/config", f"{AGENT}/nonsense", "/nodes/x/qemu/100/config"):
        got = ask(pve, "GET", path)
        assert got.status >= 500
        assert got.connection == ["close"]
    with contextlib.closing(connect(pve)) as connection:
        for _unused in range(3):
            connection.request("GET", "/api2/json/version", headers=TOKEN)
            connection.getresponse().read()
    assert pve.connections == 7


def test_a_connection_without_a_request_is_closed(start):
    pve = start()
    pve.idle_seconds = 0.2
    with contextlib.closing(connect(pve)) as connection:
        connection.connect()
        assert connection.sock.recv(1) == b""


@pytest.mark.parametrize(("version", "body"), [("8.0", b""), ("9.1", b"for data too large")])
def test_a_body_that_is_too_large_is_refused_unread(start, version, body):
    pve = start(version)
    with contextlib.closing(connect(pve)) as connection:
        connection.putrequest("POST", f"/api2/json{AGENT}/exec")
        for name, value in {**TOKEN, **JSON, "Content-Length": str(600_000)}.items():
            connection.putheader(name, value)
        connection.endheaders()  # and nothing of the body
        answer = connection.getresponse()
        assert (answer.status, answer.reason, answer.read()) == (501, "for data too large", body)
    got = ask(pve, "DELETE", "/nodes/pve1/qemu/100", b"purge=1", FORM)
    assert (got.status, got.reason) == (501, "Unexpected content for method 'DELETE'")
    assert got.body in (b"", got.reason.encode())


@pytest.mark.parametrize(("version", "status"), [("8.0", 501), ("9.1", 500)])
def test_bodies_that_are_not_understood(start, version, status):
    pve = start(version)
    for body in (b"{", b'["a"]'):
        got = ask(pve, "POST", f"{AGENT}/exec", body, JSON)
        assert (got.status, got.connection) == (status, ["close"])
        assert not got.body.startswith(b"{")
    assert ask(pve, "POST", f"{AGENT}/exec", b"a", {"Content-Type": "text/plain"}).status == 506


def test_three_workers_are_blocked_by_slow_agents_and_close_what_they_have_accepted(start):
    pve = start()
    pve.connection_seconds = 0.2
    gate, at_the_gate = threading.Event(), threading.Semaphore(0)

    def wait_at_the_gate() -> dict[str, t.Any]:
        at_the_gate.release()
        gate.wait(10)
        return {}

    for vmid in (101, 102, 103):
        pve.add(vmid, f"chr{vmid}").lab.agent._guest_get_osinfo = wait_at_the_gate
    pve.add(104, "chr104").lab.agent._guest_get_osinfo = lambda: time.sleep(0.3) or {}
    said: dict[int, Got] = {}

    def question(vmid: int) -> None:
        said[vmid] = ask(pve, "GET", f"/nodes/pve1/qemu/{vmid}/agent/get-osinfo")

    callers = {vmid: threading.Thread(target=question, args=(vmid,)) for vmid in (101, 102, 103, 104, 100)}
    for vmid, caller in callers.items():
        caller.start()
        if vmid in (101, 102, 103):
            assert at_the_gate.acquire(timeout=10)
        else:
            while len(pve._daemon("pve1")._backlog) < (1 if vmid == 104 else 2):
                time.sleep(0.01)
    assert ask(pve, "GET", "/version").status == 200  # pveproxy's own
    gate.set()
    for caller in callers.values():
        caller.join()
    assert {vmid: got.status for vmid, got in said.items()} == {101: 200, 102: 200, 103: 200, 104: 200, 100: 596}
    assert (said[100].reason, said[100].body) == ("Broken pipe", b"")


def test_agent_0_is_not_called_unconfigured(start):
    pve = start()
    pve.vms[100].agent_enabled = False
    assert ask(pve, "POST", f"{AGENT}/ping", b"", FORM).reason == "QEMU guest agent is not running"
    del pve.vms[100].config["agent"]
    assert ask(pve, "POST", f"{AGENT}/ping", b"", FORM).reason == "No QEMU guest agent configured"


def test_forms_of_a_command(start):
    new, old = start("9.1"), start("7.4")
    script = "OnB1dCAx"
    for body in (b'{"command": ":put 1"}', b'{"command": [":put 1"]}'):
        got = ask(new, "POST", f"{AGENT}/exec", body, JSON)
        assert (got.status, got.reason) == (500, "Agent error: Invalid parameter 'path'")
    assert ask(new, "POST", f"{AGENT}/exec", b"command=a", FORM).reason == "Agent error: Invalid parameter 'path'"
    for body in (b'{"input-data": "x"}', b'{"command": null, "input-data": "x"}'):
        got = ask(new, "POST", f"{AGENT}/exec", body, JSON)
        assert got.status == 400
        assert got.json["errors"] == {"command": "property is missing and it is not optional"}
    for command in ("[]", "null"):
        body = f'{{"command": {command}, "input-data": ":put 1"}}'.encode()
        assert ask(old, "POST", f"{AGENT}/exec", body, JSON).status == 200
        assert old.vms[100].wire[-1]["arguments"] == {"capture-output": True, "input-data": script}
    got = ask(new, "POST", f"{AGENT}/exec", json.dumps({"command": [], "input-data": "€"}).encode(), JSON)
    assert got.reason.endswith("PVE/QemuServer/Agent.pm line 135.")


@pytest.mark.parametrize("version", ["6.2", "9.1"])
def test_file_write_encodes_with_newlines_which_a_strict_agent_refuses(start, version):
    pve = start(version)
    pve.vms[100].lab.switches.write_modes = ("wb",)
    for size, status in ((50, 200), (60, 500)):
        got = ask(pve, "POST", f"{AGENT}/file-write", b"file=x&content=" + b"y" * size, FORM)
        if size == 50:
            assert got.reason in ("OK", "Agent error: Base64 decode error")  # one newline at its end
        else:
            assert got.status == status


def test_answers_of_the_agent_reach_the_next_connection_if_they_are_late(start):
    pve = start()
    pve.vms[100].late = ["guest-get-osinfo"]
    assert ask(pve, "GET", f"{AGENT}/get-osinfo").reason.endswith("got timeout")
    got = ask(pve, "GET", f"{AGENT}/info")
    assert got.reason == "QEMU guest agent is not running"  # its ping got the late answer
    assert ask(pve, "GET", f"{AGENT}/info").status == 200


def test_one_client_at_a_time_is_at_the_agents_socket(start):
    pve = start()
    vm = pve.vms[100]
    with socket.socket(socket.AF_UNIX) as stray:
        stray.connect(vm.lab.address)
        time.sleep(0.05)
        assert ask(pve, "POST", f"{AGENT}/ping", b"", FORM).reason == "QEMU guest agent is not running"
    time.sleep(0.05)
    assert ask(pve, "POST", f"{AGENT}/ping", b"", FORM).status == 200


def test_words_of_other_answers(start):
    new, old = start("9.1"), start("8.0")
    assert ask(new, "GET", "/version").json["data"].keys() == {"version", "release", "repoid"}
    assert ask(new, "GET", f"{AGENT}/get-vcpus").json["data"]["result"]["error"]["desc"] == "Command not supported"
    got = ask(new, "GET", f"{AGENT}/nonsense")
    assert (got.status, got.json["message"]) == (501, f"Method 'GET {AGENT}/nonsense' not implemented")
    upid = "UPID:pve1:0001E240:0A1B2C3D:656F1A2B:qmstart:100:root@pam:"
    assert ask(new, "GET", f"/nodes/pve1/tasks/{upid}/status").json["errors"] == {"upid": "no such task"}
    assert ask(new, "GET", "/nodes/pve1/tasks/UPID/status").json["errors"] == {"upid": "unable to parse worker upid"}
    for pve, word in ((new, "mismatch"), (old, "missmatch")):
        got = ask(pve, "PUT", "/nodes/pve1/qemu/100/config", b"description=a&digest=" + b"0" * 40, FORM)
        assert (got.status, got.reason) == (500, f"checksum {word} (file change by other user?)")
    assert "digest" in {one["key"] for one in ask(new, "GET", "/nodes/pve1/qemu/100/pending").json["data"]}
    assert ask(new, "GET", "/nodes/x/qemu/100/config").reason.startswith("hostname lookup 'x' failed - ")
    new.offline = {"pve1"}
    got = ask(new, "GET", "/nodes/pve1/qemu/100/config")
    assert (got.status, got.reason, got.body) == (595, "Network is unreachable", b"")
    new.offline = set()
    new.privileges["root@pam!chr"] = frozenset({"VM.Audit"})
    assert "(/vms/100, VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted)" in ask(new, "GET", f"{AGENT}/info").reason


def test_the_log_of_a_task_tells_how_long_it_is(start):
    pve = start()
    upid = ask(pve, "POST", "/nodes/pve1/qemu/100/snapshot", b"snapname=ss", FORM).json["data"]
    deadline = time.monotonic() + 5
    while pve.tasks[upid].exitstatus is None and time.monotonic() < deadline:
        time.sleep(0.01)
    got = ask(pve, "GET", f"/nodes/pve1/tasks/{upid}/log?limit=1").json
    assert len(got["data"]) == 1
    assert got["total"] == len(pve.tasks[upid].log) > 1
