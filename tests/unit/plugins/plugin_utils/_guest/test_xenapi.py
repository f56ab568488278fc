# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""XenAPI's answers and errors in words; what is written into xenstore_data and taken out of it."""

from __future__ import annotations

import xmlrpc.client
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import GuestError
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.https import Interrupted, Reply
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.provision import OUTPUTS, SCRIPT, STATUS, plan
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.xenapi.api import Access, Failure, Xapi, told
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.xenapi.guest import _addresses
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.xenapi.script import _is_ours, ours


@pytest.fixture
def xapi(tmp_path: Path) -> Xapi:
    return Xapi(Access("xcp1", 443, "root", "s3cr3t", True, None, 5.0, tmp_path))


def answer(value: object) -> Reply:
    return Reply(200, "OK", xmlrpc.client.dumps((value,), methodresponse=True).encode())


def test_the_password_is_in_no_representation(xapi):
    assert "s3cr3t" not in repr(xapi.access)


def test_a_value_is_taken_out_of_its_answer(xapi):
    value = {"uuid": "x", "tags": ["é"], "map": {"vm-data/a": "1"}}
    assert xapi._value("here", "VM.get_record", answer({"Status": "Success", "Value": value})) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no XML-RPC</html>",
        b"<?xml version='1.0'?><methodResponse>",
        xmlrpc.client.dumps(("x",), methodresponse=True).encode(),
        xmlrpc.client.dumps(({"Value": "x"},), methodresponse=True).encode(),
        xmlrpc.client.dumps(({"Status": "Failure", "ErrorDescription": []},), methodresponse=True).encode(),
        xmlrpc.client.dumps(xmlrpc.client.Fault(500, "broken"), methodresponse=True).encode(),
    ],
    ids=lambda body: body[:20],
)
def test_an_answer_that_is_none_leaves_the_fate_of_a_call_open(xapi, body):
    with pytest.raises(Interrupted, match="here answered VM.start"):
        xapi._value("here", "VM.start", Reply(200, "OK", body))


def test_an_error_has_its_code_and_no_references(xapi):
    failure = answer(
        {"Status": "Failure", "ErrorDescription": ["VM_BAD_POWER_STATE", "OpaqueRef:1", "halted", "running"]}
    )
    with pytest.raises(Failure, match=r"here refused VM.start: VM_BAD_POWER_STATE \(halted, running\)\.") as caught:
        xapi._value("here", "VM.start", failure)
    assert (caught.value.code, caught.value.details[1:]) == ("VM_BAD_POWER_STATE", ["halted", "running"])


def test_a_servers_words_are_short_and_printable():
    said = told(["CODE\x1b[2J", "x" * 5000])
    assert len(said) <= 300
    assert said.isprintable()


@pytest.mark.parametrize(
    ("code", "details", "says"),
    [
        ("RBAC_PERMISSION_DENIED", ["vm.start"], "the role vm-operator"),
        ("SESSION_INVALID", ["x"], "logged 'root' in and then refused the session"),
        ("HOST_IS_SLAVE", ["10.0.0.1"], "changed twice"),
        ("HANDLE_INVALID", ["VM", "x"], "no longer has the VM"),
        ("LICENCE_RESTRICTION", [], "LICENCE_RESTRICTION"),
    ],
)
def test_what_can_be_said_better_than_by_a_code_is(xapi, code, details, says):
    error = xapi._explained(Failure("here", "Async.VM.start", [code, *details]), "Async.VM.start")
    assert isinstance(error, GuestError)
    assert says in str(error)


def test_only_the_keys_of_scripts_are_ours():
    others = ["vm-data", "vm-data/provision", "vm-data/provision/script2", "vm-data/mine", "FIST/pin"]
    assert ours([SCRIPT, STATUS, *OUTPUTS, *others]) == [SCRIPT, STATUS, *OUTPUTS]


def test_scripts_from_here_are_told_from_others():
    (step,) = plan(b":put 1").steps
    assert _is_ours(step.value)
    assert _is_ours("")
    assert not _is_ours("OnB1dCAx")  # :put 1
    assert not _is_ours("no base64!")


def test_addresses_are_those_of_one_interface_each_once():
    networks = {"0/ip": "192.0.2.1", "0/ipv4/0": "192.0.2.1", "0/ipv6/0": "fe80::1", "1/ip": "192.0.2.2"}
    assert [(one["ip-address"], one["ip-address-type"]) for one in _addresses(networks, "0")] == [
        ("192.0.2.1", "ipv4"),
        ("fe80::1", "ipv6"),
    ]
