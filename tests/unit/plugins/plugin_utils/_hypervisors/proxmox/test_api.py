# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""proxmoxer over the collection's own transport."""

from __future__ import annotations

import contextlib
import html
import json
import logging
import sys
import urllib.parse
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import told
from ansible_collections.outofband.chr.plugins.plugin_utils._core import masking
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPermitted, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest, proxmox
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox import tasks
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.api import (
    Api,
    ApiError,
    ProxmoxLogin,
    json_body,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._transport.https import Interrupted
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.prepared import Answer, PreparedServer

LOGGER = "proxmoxer.core"


def data(value: object) -> Answer:
    return Answer(json.dumps({"data": value}).encode())


@pytest.fixture
def api(prepared: PreparedServer, tmp_path: Path) -> Api:
    token = ("root@pam!chr", "t0ken-secret")
    return Api(ProxmoxLogin("localhost", prepared.port, "", "", True, prepared.ca_path, 5.0, tmp_path / "run", *token))


def test_a_lost_answer_on_a_kept_connection_is_not_asked_for_again(api, prepared):
    prepared.answers = [data({"version": "9.1"}), None]
    api.call(lambda pve: pve.version.get())
    with pytest.raises(Interrupted, match="did not answer POST /nodes/pve1/qemu/100/status/start to its end"):
        api.call(lambda pve: pve.nodes("pve1").qemu(100).status.start.post())
    assert [one.method for one in prepared.requests] == ["GET", "POST"]
    assert len({one.client for one in prepared.requests}) == 1


def test_a_list_without_members_travels_as_json(api, prepared):
    prepared.answers = [data(None)]
    api.call(lambda pve: pve.nodes("pve1").qemu(100).agent("exec").post(command=[]), encode=json_body)
    assert prepared.requests[0].path == "/api2/json/nodes/pve1/qemu/100/agent/exec"
    assert json.loads(prepared.requests[0].body) == {"command": []}


def test_values_of_a_question_are_in_the_query(api, prepared):
    prepared.answers = [data([]), data(None)]
    api.call(lambda pve: pve.nodes("pve1").storage("local").content.get(content="import", vmid=None))
    api.call(lambda pve: pve.nodes("pve1").qemu(100).delete(**{"destroy-unreferenced-disks": 1}))
    get, delete = prepared.requests
    assert get.path == "/api2/json/nodes/pve1/storage/local/content?content=import"
    assert (delete.path, delete.body) == ("/api2/json/nodes/pve1/qemu/100?destroy-unreferenced-disks=1", b"")


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (Answer(b'{"data": null, "errors": {"vmid": "no number"}}', 400, "Parameter verification failed."), ApiError,
         "answered GET /version with 400: Parameter verification failed.; vmid: no number"),
        (Answer(b'{"data": null, "message": "too bad\\n"}', 500, "too bad"), ApiError, "with 500: too bad$"),
        (Answer(b"", 501, "for data too large"), ApiError, "with 501: for data too large"),
        (Answer(b"moved", 301, "Moved Permanently"), ApiError, "with 301: Moved Permanently"),
        (Answer(b"", 403, "Permission check failed"), NotPermitted, "does not let token root@pam!chr do this"),
        (Answer(b"", 401, "no such token"), NotPermitted, "does not accept the API token 'root@pam!chr'"),
        (Answer(b"<html>", 200, "OK"), Interrupted, "GET /version with something other than Proxmox VE's JSON"),
        (Answer(b'["data"]', 200, "OK"), Interrupted, "something other than Proxmox VE's JSON"),
    ],
)  # fmt: skip
def test_errors_of_the_server_are_those_of_the_collection(api, prepared, answer, kind, says):
    prepared.answers = [answer]
    with pytest.raises(kind, match=says) as caught:
        api.call(lambda pve: pve.version.get())
    assert isinstance(caught.value, ChrError)
    assert len(prepared.requests) == 1


@pytest.mark.parametrize("shows", [False, True], ids=["as it is", "without the filter"])
def test_proxmoxers_logger_shows_no_data_at_any_level(prepared, tmp_path, caplog, shows):
    """That the filter is what keeps it silent, the other half shows."""
    login = ProxmoxLogin(
        "localhost", prepared.port, "root@pam", "pass-w0rd", True, prepared.ca_path, 5.0, tmp_path / "run", None, None
    )
    api = Api(login)
    prepared.answers = [
        data({"ticket": "t1cket", "CSRFPreventionToken": "pr3vention"}),
        data({"out-data": "0utput"}),
        Answer(b"", 500, "no"),
    ]
    logger = logging.getLogger(LOGGER)
    filters = logger.filters
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    try:
        logger.filters = [] if shows else filters
        for _unused in range(2):
            try:
                api.call(lambda pve: pve.nodes("pve1").qemu(100).agent("exec").post(**{"input-data": ":put s3cret"}))
            except ApiError as error:
                assert "s3cret" not in str(error)
    finally:
        logger.filters = filters
    assert ("s3cret" in caplog.text, "pass-w0rd" in caplog.text) == (shows, shows)
    if not shows:
        assert [one for one in caplog.records if one.name.startswith("proxmoxer")] == []
    assert not any(word in caplog.text for word in ("t1cket", "pr3vention", "0utput"))


def test_a_missing_library_is_named_and_concerns_its_own_backend_only(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "proxmoxer", None)
    where = {"api_host": "pve1", "api_token_id": "root@pam!chr", "api_token_secret": "t0ken-secret"}
    with pytest.raises(NotPossible) as caught:
        open_guest(options_for("proxmox", "100", 5.0, "auto", tmp_path, **where))
    assert "Backend proxmox needs the Python library proxmoxer>=2" in str(caught.value)
    assert f"{sys.executable} -m pip install 'proxmoxer>=2'" in str(caught.value)
    proxmox.preload()
    open_guest(options_for("qemu", "chr1", 5.0, "auto", tmp_path, socket=str(tmp_path / "agent.sock")))


def test_a_library_that_is_too_old_is_refused_with_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("proxmoxer.__version__", "1.2.0")
    where = {"api_host": "pve1", "api_token_id": "root@pam!chr", "api_token_secret": "t0ken-secret"}
    with pytest.raises(NotPossible, match=r"needs proxmoxer>=2, but .* has 1\.2\.0\. Install it"):
        open_guest(options_for("proxmox", "100", 5.0, "auto", tmp_path, **where))


def test_calls_of_one_task_share_a_connection_although_answers_say_close_and_keep_alive(cluster, reach):
    """Each call of its own connection is a TLS handshake, which takes three round trips."""
    pve = cluster()
    pve.add(100, "chr1", accepts_null_path=True)
    chr1 = reach(pve, "chr1")
    for _unused in range(5):
        assert chr1.run(b":put 1", 5).rc == 0
    assert len(pve.log) > 12
    assert pve.connections == 1


SECRET = "pa$$ w\u00f6rd/+secret"


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@pytest.mark.parametrize(
    "login",
    [
        {"api_user": "root@pam", "api_password": SECRET},
        {"api_token_id": "root@pam!chr", "api_token_secret": "t0ken-secret-of-chr1"},
    ],
    ids=["password", "token"],
)
def test_a_server_that_repeats_the_login_does_not_make_it_known(prepared, tmp_path, login, status):
    """A proxy can show a form or a header in its error page. It is masked before it is cut."""
    secret = login.get("api_password") or login["api_token_secret"]
    echo = [secret, urllib.parse.quote_plus(secret), json.dumps(secret), html.escape(secret)]
    body = json.dumps({"message": " ".join(echo), "errors": {"p": "x" * 400 + secret}, "data": None}).encode()
    prepared.answers = [Answer(body, status, f"No {urllib.parse.quote(secret)}")] * 3
    api = {"api_host": "localhost", "api_port": prepared.port, "ca_path": prepared.ca_path, **login}
    options = options_for("proxmox", vm="chr1", runtime_directory=tmp_path / "run", **api)
    try:
        with pytest.raises(ChrError) as caught:
            Api(ProxmoxLogin.from_options(options)).call(lambda pve: pve.version.get())
        shown = told(str(caught.value))
    finally:
        masking.forget()
    assert not [one for one in (*echo, secret[:6], "w%C3%B6rd") if one in shown], shown


HOSTILE = [
    b"",
    b"[]",
    b'"x"',
    b'{"data": null}',
    b'{"data": []}',
    b'{"data": "x"}',
    b'{"data": 7}',
    b'{"data": {}}',
    b'{"data": [{}]}',
    b'{"data": ["x"]}',
    b'{"data": [{"vmid": "x", "node": 1, "type": []}]}',
    b'{"data": {"version": [], "exitcode": {}, "result": "x"}}',
    b'{"data": [{"vmid": Infinity, "node": "pve1", "type": "qemu"}]}',
    b'{"data": ' + b"[" * 100_000,
    b'{"data": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: body[:40].decode())
def test_no_answer_of_a_hostile_server_is_an_untyped_error(prepared, tmp_path, body):
    options = options_for(
        "proxmox",
        vm="100",
        connect_timeout=0.2,
        runtime_directory=tmp_path / "run",
        api_host="localhost",
        api_port=prepared.port,
        ca_path=prepared.ca_path,
        api_token_id="root@pam!chr",
        api_token_secret="t0ken-secret",
    )
    version, vms = data({"version": "9.1"}), data([{"vmid": 100, "node": "pve1", "type": "qemu", "name": "chr1"}])
    for right in ([], [version], [vms], [vms, version], [version, vms]):
        for ask in (
            lambda guest: guest.ping(0.1),
            lambda guest: guest.report(),
            lambda guest: guest.operating_system(),
            lambda guest: guest.run(b":put 1", 0.1),
            lambda guest: guest.snapshots().descriptions(),
        ):
            prepared.answers = [*right, *[Answer(body)] * 40]
            with contextlib.suppress(ChrError):
                ask(open_guest(options))


@pytest.mark.parametrize("ticket", ["PVE:x\r\nX-Evil: 1", "PVE:\u20ac", "\x1b[2J"])
def test_a_ticket_that_no_header_can_carry_is_refused_and_not_shown(prepared, tmp_path, ticket):
    prepared.answers = [data({"ticket": ticket, "CSRFPreventionToken": "x"})] * 3
    login = ProxmoxLogin(
        "localhost", prepared.port, "a@pam", "x", True, prepared.ca_path, 5.0, tmp_path / "t", None, None
    )
    with pytest.raises(ChrError, match="with a ticket that HTTP cannot carry") as caught:
        Api(login).call(lambda pve: pve.version.get())
    assert ticket not in str(caught.value)


@pytest.mark.parametrize("lines", [500, 100_000])
def test_a_log_without_end_is_not_read_for_ever(lines):
    page = [{"n": number, "t": "line\x1b[2J"} for number in range(lines)]

    class Endless:
        where = "here"
        asked = 0

        def call(self, ask, **how):
            self.asked += 1
            return page if self.asked > 1 else {"status": "stopped", "exitstatus": "OK"}

    endless = Endless()
    ended = tasks.finish(endless, "UPID:pve1:1:2:3:qmsnapshot:100:root@pam:", Deadline(60))
    assert endless.asked < 100
    assert len(ended.log) == 20_000
    assert ended.log[0] == "line [2J"
