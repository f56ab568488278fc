# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that answers with anything but what XenAPI promises: every answer is a typed error."""

from __future__ import annotations

import contextlib
import typing as t
import xmlrpc.client
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi import api as module
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.answers import (
    XenapiRecord,
    checked,
    events,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.api import Xapi, XenapiLogin
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.guest import XenapiGuest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.machine import XenapiMachine
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.prepared import Answer, PreparedServer

GOOD: dict[str, t.Any] = {
    "uuid": "3f2a91bc-6f0c-4d1e-9d0f-6f0c4d1e9d0f",
    "power_state": "Running",
    "domid": "7",
    "is_a_template": False,
    "is_a_snapshot": False,
    "is_control_domain": False,
    "current_operations": {},
    "allowed_operations": ["clean_reboot"],
    "xenstore_data": {},
    "guest_metrics": "OpaqueRef:NULL",
    "metrics": "OpaqueRef:m",
    "resident_on": "OpaqueRef:NULL",
    "VIFs": [],
}
ODD = ("text", 7, True, [], {}, [[]], {"a": {}}, {"a": []}, ["x", 1], "", -1)


def answer(value: object) -> Answer:
    return Answer(xmlrpc.client.dumps(({"Status": "Success", "Value": value},), methodresponse=True).encode())


@pytest.fixture
def chr1(prepared: PreparedServer, tmp_path: Path) -> XenapiGuest:
    login = XenapiLogin("localhost", prepared.port, "root", "s3cr3t", True, prepared.ca_path, 0.2, tmp_path / "run")
    options = options_for("xenapi", vm=GOOD["uuid"], connect_timeout=0.2, exec_mode="reboot")
    return XenapiGuest(XenapiMachine(Xapi(login), GOOD["uuid"]), options)


OPERATIONS: dict[str, t.Callable[[XenapiGuest], t.Any]] = {
    "ping": lambda guest: guest.ping(0.1),
    "report": lambda guest: guest.report(),
    "boot": lambda guest: guest.boot(),
    "run": lambda guest: guest.run(b":put 1", 0.1),
    "shutdown": lambda guest: guest.shutdown("powerdown"),
    "require_routeros": lambda guest: guest.require_routeros(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_answer_is_an_untyped_error(chr1, prepared, operation, monkeypatch):
    """The first answers are right, and then comes something odd, at each place."""
    monkeypatch.setattr(module, "_PATIENCE", 1.0)
    for right in ([], ["OpaqueRef:vm"], ["OpaqueRef:vm", GOOD]):
        for odd in ODD:
            chr1.reset()
            prepared.answers = [answer("OpaqueRef:session"), *map(answer, right), *[answer(odd)] * 12]
            with contextlib.suppress(ChrError):
                OPERATIONS[operation](chr1)


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_record_with_a_field_of_another_type_is_refused(field):
    for odd in ([1], {"a": 1}, 7.5, None):
        with pytest.raises(NotPossible, match=f"XenAPI at xcp1 answered VM.get_record without a valid {field}"):
            checked("VM.get_record", {**GOOD, field: odd}, "XenAPI at xcp1")


def test_a_field_that_is_missing_is_refused_when_it_is_needed():
    record = checked("VM.get_record", {"uuid": "x"}, "XenAPI at xcp1")
    assert record["uuid"] == "x"
    assert record.get("domid") is None
    with pytest.raises(NotPossible, match="answered VM.get_record without the field 'domid'"):
        record["domid"]


def test_right_answers_stay_as_they_are():
    assert checked("VM.get_record", GOOD, "x") == GOOD
    assert checked("SR.get_all_records", {"r": {"physical_size": "-1"}}, "x") == {"r": {"physical_size": "-1"}}
    assert events({"events": [{"ref": "r", "snapshot": GOOD}, {"ref": "s"}], "token": "1,2"}, "x") == (
        {"r": GOOD},
        "1,2",
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from(["VM.get_record", "SR.get_all_records", "VM.get_by_name_label", "VM.get_by_uuid"]))
def test_any_value_is_checked_or_refused(value, method):
    with contextlib.suppress(NotPossible):
        checked(method, value, "x")
    with contextlib.suppress(NotPossible):
        events(value, "x")
    with contextlib.suppress(NotPossible):
        XenapiRecord(value, "x")


@pytest.mark.parametrize("host", ["a b", "", "http://x/", "x" * 300, "a..b", "10.0.0.1\n"])
def test_a_coordinator_with_an_impossible_name_is_not_asked(chr1, prepared, host):
    failure = {"Status": "Failure", "ErrorDescription": ["HOST_IS_SLAVE", host]}
    prepared.answers = [Answer(xmlrpc.client.dumps((failure,), methodresponse=True).encode())] * 3
    with pytest.raises(ChrError):
        chr1.ping(0.1)
    assert len(prepared.requests) == 1
