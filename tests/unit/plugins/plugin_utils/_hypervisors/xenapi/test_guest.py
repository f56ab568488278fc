# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""XenAPI's answers and errors in words; what is written into xenstore_data and taken out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.vm_data import (
    OUTPUTS,
    SCRIPT,
    STATUS,
    plan,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.api import (
    Xapi,
    XenapiError,
    XenapiLogin,
    told,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.delivery import _is_ours, ours
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xenapi.guest import addresses


@pytest.fixture
def xapi(tmp_path: Path) -> Xapi:
    return Xapi(XenapiLogin("xcp1", 443, "root", "s3cr3t", True, None, 5.0, tmp_path))


def test_the_password_is_in_no_representation(xapi):
    assert "s3cr3t" not in repr(xapi.login)


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
    error = xapi._explained(XenapiError("here", "Async.VM.start", [code, *details]), "Async.VM.start")
    assert isinstance(error, ChrError)
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
    assert [(one.address, one.family) for one in addresses(networks, "0")] == [
        ("192.0.2.1", "ipv4"),
        ("fe80::1", "ipv6"),
    ]
