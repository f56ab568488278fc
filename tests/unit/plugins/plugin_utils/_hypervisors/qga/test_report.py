# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qga.report import report

ANSWERS = {
    "guest-get-timezone": {"zone": "UTC"},
    "guest-network-get-interfaces": [{"name": "ether1", "ip-addresses": [{"ip-address": "10.0.0.1"}]}],
}


def test_a_value_that_the_agent_does_not_tell_is_none_and_not_zero():
    info = {"version": "2.10.50", "supported_commands": [{"name": name} for name in ANSWERS]}
    found = report("chr1", info, lambda commands: {name: ANSWERS[name] for name in commands})
    assert found.timezone_offset is None
    (interface,) = found.interfaces
    assert (interface.mac_address, interface.addresses[0].prefix) == (None, None)
    assert found.unreadable == ()
