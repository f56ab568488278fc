# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of hosts: what Ansible takes, and two VMs of one name."""

from __future__ import annotations

import itertools

import pytest
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import split_host_pattern

from ansible_collections.outofband.chr.plugins.plugin_utils._inventory.names import Named, distinct, similar, valid


@pytest.mark.parametrize("name", ["chr1", "Edge7(Berlin)", "münchen-1", "10.0.0.1", "a@b", "x=y", "100"])
def test_ordinary_names_stay(name):
    assert valid(name)
    assert split_host_pattern(name) == [name]  # --limit takes it as one host


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Edge 7",
        " x",
        "x ",
        "-v",
        ".x",
        "a,b",
        "a:b",
        "a[1]",
        "a*",
        "!a",
        "&a",
        "~a",
        "@a",
        "a/b",
        "../a",
        "{{x}}",
        "a'b",
        "$x",
    ]
    + ["a\nb", "a\x1bb", "a\u202eb", "localhost", "all", "ungrouped", "_meta", "::1", "x" * 201],
)
def test_other_names_are_replaced_by_one_that_is_valid(name):
    assert not valid(name)
    made = similar(name, "vm-12")
    assert valid(made)
    assert InventoryData().add_host(made) == made


def test_a_name_of_a_group_is_not_one_of_a_host():
    assert not valid("berlin", {"berlin"})
    assert similar("berlin", "101", {"berlin"}) == "berlin_101"


def test_no_two_hosts_have_one_name_and_the_order_does_not_matter():
    vms = [
        Named("a", "berlin", "1"),
        Named("a", "paris", "1"),
        Named("b", "berlin", "2"),
        Named("b", "berlin", "3"),
        Named("c", "berlin", "4"),
        Named("a_berlin", "rome", "5"),
    ]
    wanted = {}
    for order in itertools.permutations(vms):
        names = dict(zip(order, distinct(order), strict=True))
        assert len(set(names.values())) == len(vms)
        wanted = wanted or names
        assert names == wanted
    assert wanted[vms[4]] == "c"
    assert wanted[vms[5]] == "a_berlin"  # a VM that is alone with its name keeps it
    assert distinct([Named("a", "x", "1/2"), Named("a", "x", "1:2")]) == ["a_x_1_2", "a_x_1_2_2"]
