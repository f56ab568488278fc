# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts of an inventory a playbook acts on, with Ansible's own inventory."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.utils.context_objects import CLIArgs
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.outofband.chr.plugins.lookup.router_hosts import DOCUMENTATION, LookupModule
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.router_hosts import CONNECTIONS

(ROUTER,) = CONNECTIONS


@pytest.fixture(autouse=True)
def arguments(monkeypatch):
    """Set options of ansible-playbook."""

    def give(**options: t.Any) -> None:
        monkeypatch.setattr(context, "CLIARGS", CLIArgs({"connection": "ssh", **options}))

    give()
    return give


def inventory_of(groups: dict[str, dict[str, str | None]]) -> InventoryManager:
    """Groups, with their hosts and these hosts' connections."""
    inventory = InventoryManager(DataLoader(), sources=["/dev/null"])
    for group, hosts in groups.items():
        inventory.add_group(group)
        for name, connection in hosts.items():
            inventory.add_host(name, group)
            if connection:
                inventory.get_host(name).set_variable("ansible_connection", connection)
    inventory.reconcile_inventory()
    return inventory


def patterns(given: list[t.Any], variables: dict[str, t.Any]) -> list[str]:
    """What the plugin returns. It has its options as Ansible's loader gives them."""
    plugin = LookupModule()
    plugin._load_name = "outofband.chr.router_hosts"
    options = yaml.safe_load(DOCUMENTATION)["options"]
    C.config.initialize_plugin_configuration_definitions("lookup", plugin._load_name, options)
    return t.cast("list[str]", plugin.run(given, variables))


def matched(inventory: InventoryManager, *given: t.Any, **more: t.Any) -> list[str]:
    """The names of the hosts that the plugin's pattern matches, for what a playbook passes to
    it."""
    variables = {
        **more,
        "ansible_play_hosts_all": [host.name for host in inventory.get_hosts()],
        "hostvars": {host.name: host.vars for host in inventory.get_hosts()},
        "groups": inventory.get_groups_dict(),
    }
    (pattern,) = patterns(list(given), variables)
    return [host.name for host in inventory.get_hosts(pattern)]


def test_only_routers_are_matched_in_the_order_of_the_inventory():
    hosts = {"b": ROUTER, "pve1": "ssh", "a": ROUTER, "web": None, "localhost": "local"}
    assert matched(inventory_of({"all": hosts})) == ["b", "a"]


def test_a_limit_holds():
    inventory = inventory_of({"one": {"a": ROUTER, "b": "ssh"}, "two": {"c": ROUTER}})
    inventory.subset("one")
    assert matched(inventory) == ["a"]


def test_the_connection_of_the_command_line_or_the_configuration_counts_where_a_host_has_none(arguments):
    inventory = inventory_of({"all": {"a": None, "b": "ssh", "c": ROUTER}})
    arguments(connection=ROUTER)
    assert matched(inventory) == ["a", "c"]


HOSTILE = [
    "a,b",
    "chr 1",
    "x:y",
    "fe80::1",
    "a[1]",
    "a[0:2]",
    "*",
    ".",
    "!web",
    "&web",
    "~.*",
    "é",
    "a\\Z",
    "(",
    "a|web",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_matched_exactly(name):
    inventory = inventory_of(
        {"all": {"web": "ssh", "a": "ssh", "b": "ssh", "chr": "ssh", name: ROUTER, "chr9": ROUTER}}
    )
    assert matched(inventory) == [name, "chr9"]


def test_a_router_with_the_name_of_a_group_brings_no_others_of_the_group():
    assert matched(inventory_of({"edge": {"web": "ssh", "edge": ROUTER}, "x": {"chr1": ROUTER}})) == ["edge", "chr1"]


def test_a_pattern_that_is_given_is_taken_instead():
    inventory = inventory_of({"one": {"a": ROUTER, "b": "ssh"}, "two": {"c": ROUTER}})
    assert matched(inventory, "one:two:!a") == ["b", "c"]
    assert matched(inventory, ["a", "b"]) == ["a", "b"]
    assert matched(inventory, "") == ["a", "c"]


@pytest.mark.parametrize(("options", "where"), [({}, "2 hosts of the inventory"), ({"subset": "x"}, "of this --limit")])
def test_no_router_is_said_in_one_sentence(arguments, options, where):
    arguments(**options)
    with pytest.raises(AnsibleLookupError, match=f"no router to act on: none of the .*{where} has the connection"):
        matched(inventory_of({"all": {"a": "ssh", "b": None}}))


@pytest.mark.parametrize("hosts", [{}, {"a": "ssh", "b": None}], ids=len)
def test_a_job_may_have_no_router_if_a_variable_says_so(hosts):
    assert matched(inventory_of({"all": hosts}), chr_no_routers="ok") == []
    with pytest.raises(AnsibleLookupError, match="no router to act on"):
        matched(inventory_of({"all": hosts}), chr_no_routers="error")
    assert matched(inventory_of({"all": {**hosts, "c": ROUTER}}), chr_no_routers="ok") == ["c"]


def test_a_pattern_that_matches_no_host_is_an_error_unless_a_job_may_have_no_router(arguments, monkeypatch):
    arguments()
    monkeypatch.setattr(C, "HOST_PATTERN_MISMATCH", "warning")  # ansible-test sets it to "error"
    inventory = inventory_of({"all": {"a": ROUTER}})
    hostvars = HostVars(inventory, VariableManager(DataLoader(), inventory), DataLoader())
    variables = {"ansible_play_hosts_all": ["a"], "groups": {}, "hostvars": hostvars}
    with pytest.raises(AnsibleLookupError, match="no router to act on: the pattern 'nowhere' matches no host"):
        patterns(["nowhere"], variables)
    assert patterns(["nowhere"], {**variables, "chr_no_routers": "ok"}) == ["nowhere"]


def test_an_inventory_without_hosts_is_said(arguments):
    arguments()
    with pytest.raises(AnsibleLookupError, match="no router to act on: the inventory has no hosts. If a source of it"):
        matched(inventory_of({}))


def test_what_cannot_be_evaluated_is_left_alone():
    assert matched(inventory_of({"all": {"a": ROUTER, "b": "{{ nowhere }}"}})) == ["a"]


def test_without_a_play_before_it_the_plugin_says_what_is_missing_and_a_listing_has_all_hosts(arguments):
    variables = {"ansible_play_hosts_all": ["a"], "groups": {}}
    with pytest.raises(AnsibleLookupError, match="put a play with 'hosts: all' and without tasks before"):
        patterns([""], variables)
    arguments(listhosts=True)
    assert patterns([""], variables) == ["all"]
