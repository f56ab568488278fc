# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions of the library XenAPI over the collection's own transport."""

from __future__ import annotations

import sys
import xmlrpc.client
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPossible,
    OutcomeUnknown,
    Unreachable,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest, xenapi
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.api import (
    Xapi,
    XenapiError,
    XenapiLogin,
)
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.prepared import Answer, PreparedServer


class Text(str):
    """A text of another type than str, as Ansible's are."""


def encoded(value: object) -> Answer:
    return Answer(xmlrpc.client.dumps((value,), methodresponse=True).encode())


def fault(code: int) -> Answer:
    return Answer(xmlrpc.client.dumps(xmlrpc.client.Fault(code, "broken"), methodresponse=True).encode())


def success(value: object) -> Answer:
    return encoded({"Status": "Success", "Value": value})


def failure(*details: str) -> Answer:
    return encoded({"Status": "Failure", "ErrorDescription": list(details)})


@pytest.fixture
def xapi(prepared: PreparedServer, tmp_path: Path) -> Xapi:
    return Xapi(
        XenapiLogin("localhost", prepared.port, "root", "s3cr3t", True, prepared.ca_path, 5.0, tmp_path / "run")
    )


def sent(prepared: PreparedServer) -> list[tuple[str | None, tuple[object, ...]]]:
    """(method, parameters) of each request."""
    return [(method, values) for values, method in (xmlrpc.client.loads(one.body) for one in prepared.requests)]


LOGIN = ("session.login_with_password", ("root", "s3cr3t", "1.0", "outofband.chr"))


def test_a_call_has_the_session_and_plain_texts_and_its_value_comes_back(xapi, prepared):
    value = {"uuid": "x", "tags": ["é"], "map": {"vm-data/a": "1"}}
    prepared.answers = [success("OpaqueRef:s"), success(value)]
    assert xapi.call("VM.create", {Text("name_label"): Text("é"), "tags": [Text("a")]}, 1.5) == value
    assert sent(prepared) == [LOGIN, ("VM.create", ("OpaqueRef:s", {"name_label": "é", "tags": ["a"]}, 1.5))]


def test_the_session_is_shared_with_other_tasks(xapi, prepared):
    prepared.answers = [success("OpaqueRef:s"), success({"domid": "1"}), success({"domid": "2"})]
    xapi.call("VM.get_record", "OpaqueRef:1")
    Xapi(xapi.login).call("VM.get_record", "OpaqueRef:1")
    assert [method for method, _values in sent(prepared)] == [LOGIN[0], "VM.get_record", "VM.get_record"]


def test_a_session_that_has_ended_is_replaced_once(xapi, prepared):
    prepared.answers = [
        success("OpaqueRef:s"),
        failure("SESSION_INVALID", "OpaqueRef:s"),
        success("OpaqueRef:t"),
        success(""),
    ]
    xapi.call("VM.destroy", "OpaqueRef:1", changes=True)
    assert [values[0] for _method, values in sent(prepared)] == ["root", "OpaqueRef:s", "root", "OpaqueRef:t"]
    prepared.answers = [
        failure("SESSION_INVALID", "OpaqueRef:t"),
        success("OpaqueRef:u"),
        failure("SESSION_INVALID", "x"),
    ]
    with pytest.raises(NotPossible, match="logged 'root' in and then refused the session"):
        xapi.call("VM.destroy", "OpaqueRef:1", changes=True)


def test_a_login_with_an_answer_about_sessions_is_not_repeated(xapi, prepared):
    prepared.answers = [failure("SESSION_INVALID", "OpaqueRef:s")]
    with pytest.raises(NotPossible, match="refused the session"):
        xapi.call("VM.get_all")


def test_the_lost_answer_of_a_question_is_asked_for_again(xapi, prepared):
    prepared.answers = [success("OpaqueRef:s"), None, fault(500), success("7")]
    assert xapi.call("VM.get_domid", "OpaqueRef:1") == "7"
    prepared.answers = [None, None, None]
    with pytest.raises(Unreachable, match="did not answer VM.get_domid to its end"):
        xapi.call("VM.get_domid", "OpaqueRef:1")
    assert [method for method, _values in sent(prepared)][1:] == ["VM.get_domid"] * 6


def test_a_lost_answer_on_a_kept_connection_is_not_asked_for_again(xapi, prepared):
    """Python's own transport for XML-RPC sends such a request a second time."""
    prepared.answers = [success("OpaqueRef:s"), None]
    with pytest.raises(OutcomeUnknown, match="did not answer Async.VM.start to its end"):
        xapi.call("Async.VM.start", "OpaqueRef:1", False, False, changes=True)
    assert [method for method, _values in sent(prepared)] == [LOGIN[0], "Async.VM.start"]
    assert len({one.client for one in prepared.requests}) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b""),
        Answer(b"<html>no XML-RPC</html>"),
        Answer(b"<?xml version='1.0'?><methodResponse>"),
        encoded("x"),
        encoded({"Value": "x"}),
        encoded({"Status": "Success"}),
        failure(),
        fault(500),
        fault(401),
        Answer(success("").body, 500, "Internal Server Error"),
    ],
)
def test_an_answer_that_is_none_leaves_the_fate_of_a_call_open(xapi, prepared, answer):
    prepared.answers = [success("OpaqueRef:s"), answer]
    with pytest.raises(OutcomeUnknown, match=rf"XenAPI at localhost:{prepared.port} answered VM.start with"):
        xapi.call("VM.start", "OpaqueRef:1", changes=True)


def test_an_error_has_its_code_and_no_references(xapi, prepared):
    prepared.answers = [success("OpaqueRef:s"), failure("VM_BAD_POWER_STATE", "OpaqueRef:1", "halted", "running")]
    with pytest.raises(XenapiError, match=r"refused VM.start: VM_BAD_POWER_STATE \(halted, running\)\.") as caught:
        xapi.call("VM.start", "OpaqueRef:1")
    assert (caught.value.code, caught.value.details[1:]) == ("VM_BAD_POWER_STATE", ["halted", "running"])


def test_a_text_that_is_no_utf8_is_not_sent(xapi, prepared):
    with pytest.raises(InvalidInput, match="not valid UTF-8"):
        xapi.call("VM.get_by_name_label", "\udcff")
    assert prepared.requests == []


def test_a_missing_library_is_named_and_concerns_its_own_backend_only(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "XenAPI", None)
    where = {"api_host": "xcp1", "api_user": "root", "api_password": "s3cr3t"}
    with pytest.raises(NotPossible) as caught:
        open_guest(options_for("xenapi", "chr1", 5.0, "auto", tmp_path, **where))
    assert "Backend xenapi needs the Python library XenAPI>=25" in str(caught.value)
    assert f"{sys.executable} -m pip install 'XenAPI>=25'" in str(caught.value)
    xenapi.preload()
    open_guest(options_for("qemu", "chr1", 5.0, "auto", tmp_path, socket=str(tmp_path / "agent.sock")))
