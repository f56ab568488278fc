# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configurations of xl as people write them."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Card, Difference
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.xl_config import changed, hardware_of

BY_HAND = """\
name = 'chr1'   # the router of Berlin
memory=256 # MiB
vif = [ 'mac=00:16:3e:00:00:01, bridge=br0',
        "type=ioemu,model=e1000,mac=00:16:3e:00:00:02" ]
boot='n'
"""


def test_a_configuration_that_was_written_by_hand_is_read():
    found = hardware_of(BY_HAND)
    assert (found.cpus, found.memory, found.boot) == (1, 256, "network")
    assert found.nics == (Card(None, "00:16:3e:00:00:01", "br0"), Card("e1000", "00:16:3e:00:00:02", "default"))


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (Difference("cpus", 1, 4), "vcpus = 4"),
        (Difference("memory", 256, 512), "maxmem = 512"),
        (Difference("boot", "network", "disk"), 'boot = "c"'),
        (
            Difference("model", "e1000", "netfront", 2),
            'vif = [ "mac=00:16:3e:00:00:01, bridge=br0", "type=vif,mac=00:16:3e:00:00:02" ]',
        ),
        (
            Difference("network", "br0", "br1", 1),
            'vif = [ "mac=00:16:3e:00:00:01,bridge=br1", "type=ioemu,model=e1000,mac=00:16:3e:00:00:02" ]',
        ),
        (Difference("nics", 2, 1), 'vif = [ "mac=00:16:3e:00:00:01, bridge=br0" ]'),
    ],
)
def test_one_thing_is_changed_and_the_rest_stays(wanted, line):
    text = changed(BY_HAND, [wanted], (Nic(None, "netfront"),), lambda nic: "new")
    assert f"\n{line}\n" in text
    assert "# the router of Berlin" in text
    assert changed(text, [], (), lambda nic: "new") == text


def test_a_domain_without_a_card_gets_one():
    text = changed("memory = 256", [Difference("nics", 0, 1)], (Nic(None, "netfront"),), lambda nic: "mac=1")
    assert text == 'memory = 256\nvif = [ "mac=1" ]\n'
