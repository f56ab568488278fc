# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin, with a lab Proxmox VE and with sockets of agents."""

from __future__ import annotations

import re
import socket
import time

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData

from ansible_collections.outofband.chr.plugins.inventory import routers
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import from_options, open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabVm
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches

from .conftest import source

ALL = {"recognise": ["all"]}
IMAGE = "ab" * 32


def mark(vm):
    """Give a VM of the lab the mark of an import."""
    vm.config["description"] = f"notes of somebody\noutofband.chr: image {IMAGE} imported for {'0' * 16}"


def refused(parse, content) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(AnsibleError) as caught:
        parse(content)
    return str(caught.value)


# -- hosts -----------------------------------------------------------------------------------------


def test_a_host_has_what_its_connection_needs_and_what_groups_can_be_made_of(parse, cluster):
    pve = cluster()
    vm = pve.add(101, "chr1", "pve2")
    vm.config |= {"tags": "edge;berlin", "cores": "2", "memory": "1024", "net1": "virtio=AA,bridge=vmbr7"}
    vm.pool = "routers"
    parsed = parse(source(pve, name="berlin", details=True))
    assert parsed.warnings == []
    host = parsed.hosts["chr1"]
    assert {name: value for name, value in host.items() if name.startswith(("ansible_", "chr_"))} == {
        "ansible_connection": "outofband.chr.guest_agent",
        "chr_backend": "proxmox",
        "chr_vm": "101",
        "chr_node": "pve2",
        "chr_api_host": "localhost",
        "chr_api_port": pve.port,
        "chr_api_token_id": "root@pam!chr",
        "chr_ca_path": str(pve.certificate),
        "chr_source": "berlin",
        "chr_vm_name": "chr1",
        "chr_power_state": "running",
        "chr_template": False,
        "chr_hypervisor": "pve2",
        "chr_hypervisor_online": True,
        "chr_cluster": "lab",
        "chr_folder": None,
        "chr_pool": "routers",
        "chr_tags": ["edge", "berlin"],
        "chr_cpus": 2,
        "chr_memory": 1024,
        "chr_networks": ["vmbr0", "vmbr7"],
        "chr_addresses": [],
        "chr_configured_os": None,
        "chr_reported_os": None,
        "chr_image": None,
        "chr_recognised_by": "name",
    }
    assert parsed.group("berlin") == {"chr1"}
    own = [
        name
        for name in host
        if name.startswith("chr_") and name not in ("chr_ca_path", "chr_node") and "_api_" not in name
    ]
    assert all(f"C({name})" in routers.DOCUMENTATION for name in own)


def test_the_variables_of_a_host_reach_its_router_also_after_it_was_renamed(parse, cluster, tmp_path):
    pve = cluster()
    vm = pve.add(101, "chr1")
    host = parse(source(pve)).hosts["chr1"]
    vm.name = vm.config["name"] = "edge7"
    options = {name.removeprefix("chr_"): value for name, value in host.items() if name.startswith("chr_")}
    login = {"api_token_secret": "t0ken-secret", "runtime_directory": tmp_path / "run", "connect_timeout": 2.0}
    guest = open_guest(from_options({**options, **login}))
    assert guest.operating_system()["id"] == "routeros"


def test_compose_groups_and_keyed_groups_work_as_in_other_inventories(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1").config["tags"] = "edge"
    pve.add(102, "chr2", "pve2", running=False)
    parsed = parse(
        source(
            pve,
            compose={"label": "chr_vm_name ~ '@' ~ chr_hypervisor", "wrong": "1 / 0"},
            groups={"small": "chr_memory < 1000"},
            keyed_groups=[{"prefix": "tag", "key": "chr_tags"}, {"prefix": "state", "key": "chr_power_state"}],
        )
    )
    assert parsed.hosts["chr2"]["label"] == "chr2@pve2"
    assert "wrong" not in parsed.hosts["chr2"]
    assert parsed.group("small") == {"chr1", "chr2"}
    assert parsed.group("tag_edge") == parsed.group("state_running") == {"chr1"}
    assert "Could not set wrong for host chr1" in refused(parse, source(pve, compose={"wrong": "1 / 0"}, strict=True))


@pytest.mark.parametrize(
    ("choice", "chr2", "groups"), [("include", True, False), ("exclude", False, False), ("group", True, True)]
)
def test_vms_that_are_off_templates_and_vms_of_offline_nodes_are_chosen(parse, cluster, choice, chr2, groups):
    pve = cluster()
    pve.add(101, "chr1")
    pve.add(102, "chr2", running=False)
    pve.add(103, "chr3", running=False).template = True
    pve.add(104, "chr4", "pve2")
    pve.offline = {"pve2"}
    parsed = parse(source(pve, **dict.fromkeys(("powered_off", "templates", "offline_nodes"), choice), **ALL))
    # A node that is offline does not tell the names of its VMs.
    assert parsed.hosts.keys() == {"chr1", *({"chr2", "chr3", "104"} if chr2 else ())}
    found = {name: parsed.group(name) for name in parsed.data.groups if name.startswith("chr_")}
    assert found == ({"chr_powered_off": {"chr2"}, "chr_templates": {"chr3"}, "chr_offline": {"104"}} if groups else {})


def test_vms_of_an_offline_node_that_no_default_rule_can_recognise_are_said(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    for number in (102, 103):
        pve.add(number, f"chr{number}", "pve2")
    assert len(parse(source(pve)).hosts) == 3
    pve.offline = {"pve2"}
    parsed = parse(source(pve, name="berlin"))
    assert parsed.hosts.keys() == {"chr1"}
    (warning,) = parsed.warnings
    assert (
        "berlin: 2 VMs of offline nodes cannot be recognised, because their names and configurations are not known, for "
        "example VM 102 of the node pve2." in warning
    )
    assert parse(source(pve, offline_nodes="exclude")).warnings == []


def test_a_filter_that_an_offline_node_leaves_undecided_leaves_its_vm_out_and_not_the_file(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    pve.add(102, "chr2", "pve2")
    file = source(pve, name="berlin", filters=["chr_cpus > 0"], **ALL)
    assert parse(file).hosts.keys() == {"chr1", "chr2"}
    pve.offline = {"pve2"}
    parsed = parse(file)
    assert parsed.hosts.keys() == {"chr1"}
    (warning,) = parsed.warnings
    assert (
        "berlin is listed without 1 VM of offline nodes, because filters[0]: 'chr_cpus > 0' cannot be decided for VM "
        "102: " in warning
    )
    assert parse({**file, "filters": ["(chr_cpus or 0) >= 0"]}).hosts.keys() == {"chr1", "102"}


def test_templates_are_left_out_by_default_and_the_rest_is_there(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1", running=False)
    pve.add(102, "chr2").template = True
    assert parse(source(pve)).hosts.keys() == {"chr1"}


# -- what counts as a router -----------------------------------------------------------------------


def test_rules_are_tried_in_order_and_the_first_that_fits_is_named(parse, cluster):
    pve = cluster()
    mark(pve.add(101, "a"))
    pve.add(102, "b").config["tags"] = "Edge"
    pve.add(103, "core-1")
    pve.add(104, "d")
    pve.add(105, "web", commands_off=("guest-get-osinfo",))
    pve.add(106, "off", running=False)
    rules = ["mark", {"tag": ["edge"]}, {"name": "^core-"}, "agent"]
    found = {name: host["chr_recognised_by"] for name, host in parse(source(pve, recognise=rules)).hosts.items()}
    assert found == {"a": "mark", "b": "tag", "core-1": "name", "d": "agent"}
    configs = [path for _method, path, _values in pve.log if path.endswith("/config")]
    agents = {path.split("/")[4] for _method, path, _values in pve.log if "/agent/" in path}
    assert len(configs) == 6
    assert agents == {"104", "105"}  # only those that run and that no earlier rule has decided


def test_details_are_read_only_for_the_vms_that_are_not_decided(parse, cluster):
    pve = cluster()
    for number in range(10):
        pve.add(100 + number, f"chr{number}" if number else "gate", running=False)
    mark(pve.vms[100])
    assert len(parse(source(pve, recognise=["name", "mark"])).hosts) == 10
    assert [path for _method, path, _values in pve.log if path.endswith("/config")] == ["/nodes/pve1/qemu/100/config"]
    assert parse(source(pve, recognise=["name", "mark"])).hosts["gate"]["chr_image"] == IMAGE


@pytest.mark.parametrize("more", [{"recognise": ["mark"]}, {"details": True, "filters": ["chr_image"], **ALL}])
def test_a_configuration_that_cannot_be_read_is_said_and_read_again_despite_a_cache(parse, cluster, cached, more):
    pve = cluster()
    for number in (101, 102):
        mark(pve.add(number, f"edge{number}"))
    pve.faults["/qemu/102/config"] = "500 broken"
    file = source(pve, name="berlin", **more, **cached)
    parsed = parse(file)
    assert parsed.hosts.keys() == {"edge101"}
    (warning,) = parsed.warnings
    assert "berlin: 1 of 2 configurations of VMs were not read, for example that of 'edge102'. " in warning
    pve.faults.clear()
    pve.log.clear()
    for _again in range(2):
        parsed = parse(file)
        assert parsed.hosts.keys() == {"edge101", "edge102"}
        assert parsed.warnings == []
    assert len([path for _method, path, _values in pve.log if "102/config" in path]) == 1


def test_filters_decide_before_any_rule(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1").pool = "routers"
    pve.add(102, "chr2")
    parsed = parse(source(pve, filters=["chr_pool == 'routers'", "chr_memory > 100"], recognise=["agent"]))
    assert parsed.hosts.keys() == {"chr1"}
    assert not [path for _method, path, _values in pve.log if "/102/agent" in path]


def test_agents_that_do_not_answer_cost_a_bounded_time_and_are_named(parse, cluster):
    pve = cluster()
    pve.agent_timeout = 1.0
    for number in range(20):
        pve.add(100 + number, f"vm{number}", mute=("guest-ping", "guest-get-osinfo"))
    begun = time.monotonic()
    parsed = parse(source(pve, recognise=["agent"], agent_timeout=1))
    assert time.monotonic() - begun < 10
    late, _nothing = parsed.warnings
    found = re.search(
        r"agent_timeout: (\d+) of 20 agents were not asked whether they run RouterOS within 1 s, for example the", late
    )
    assert 10 <= int(found[1]) < 20


def test_addresses_are_asked_of_the_agents_only_on_demand(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    assert parse(source(pve)).hosts["chr1"]["chr_addresses"] == []
    assert not [path for _method, path, _values in pve.log if "/agent/" in path]
    assert parse(source(pve, addresses=True)).hosts["chr1"]["chr_addresses"]


# -- cost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 1000])
def test_a_list_takes_two_calls_however_many_vms_there_are(parse, cluster, count):
    pve = cluster()
    off = pve.add(100, "chr0", running=False)
    for number in range(1, count):
        pve.vms[100 + number] = LabVm(100 + number, f"chr{number}", ("pve1", "pve2")[number % 2], off.lab)
    parsed = parse(source(pve))
    assert len(parsed.hosts) == count
    assert [path for _method, path, _values in pve.log] == ["/cluster/resources", "/cluster/status"]


# -- secrets ---------------------------------------------------------------------------------------


def test_no_secret_becomes_a_variable_or_is_cached(parse, cluster, tmp_path, monkeypatch):
    pve = cluster()
    pve.add(101, "chr1").config["description"] = "password of the customer: hunter2-in-notes"
    cache = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")}
    by_password = {"api_user": "root@pam", "api_password": "pass-w0rd", "api_token_id": None, "api_token_secret": None}
    first = source(pve, name="one")
    parsed = parse(
        {
            "sources": [first, {**first, "name": "two", **by_password}],
            "details": True,
            "hostnames": ["chr_source ~ '_' ~ chr_vm_name"],
            **cache,
        }
    )
    assert parsed.hosts.keys() == {"one_chr1", "two_chr1"}
    assert parsed.hosts["two_chr1"]["chr_api_user"] == "root@pam"
    cached = "".join(file.read_text() for file in (tmp_path / "cache").iterdir())
    assert "chr1" in cached
    for secret in ("pass-w0rd", "t0ken-secret", "hunter2"):
        assert secret not in parsed.text()
        assert secret not in cached
        assert secret not in str(parsed.warnings)


def test_group_vars_may_replace_who_logs_in(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    parsed = parse(source(pve, name="berlin"))
    assert parsed.data.groups["berlin"].get_vars() == {"chr_source": "berlin", "chr_api_token_id": "root@pam!chr"}
    assert "chr_api_token_id" not in parsed.data.hosts["chr1"].get_vars()


def test_what_comes_from_the_environment_becomes_no_variable_but_where_the_server_is(parse, cluster, monkeypatch):
    pve = cluster()
    pve.add(101, "chr1")
    for name, value in source(pve).items():
        prefix = "OUTOFBAND_" if name in ("backend", "ca_path") else "PROXMOX_"
        monkeypatch.setenv(prefix + name.removeprefix("api_").upper(), str(value))
    monkeypatch.setenv("OUTOFBAND_CONNECT_TIMEOUT", "")  # as AWX sets an empty input
    found = {name for name in parse({}).hosts["chr1"] if name.startswith(("chr_api", "chr_ca", "chr_validate"))}
    assert found == {"chr_api_host", "chr_api_port"}


KEY = "/tmp/awx_7_x1y2z3/tmpkey"


@pytest.fixture
def one_vm(monkeypatch):
    """Every server has one VM, so that no server is needed."""
    monkeypatch.setattr(routers.listing, "list_vms", lambda options, deadline: [FoundVm(id="1", name="chr1")])


@pytest.mark.parametrize(
    ("environment", "file"),
    [
        ({"OUTOFBAND_SSH_ARGS": f"-i {KEY}"}, {"backend": "qemu"}),
        ({"OUTOFBAND_SSH_ARGS": f"-i {KEY}"}, {"backend": "proxmox", "api_host": "pve"}),
        ({"KEY": KEY}, {"backend": "qemu", "ssh_args": "-i {{ lookup('env', 'KEY') }}"}),
        ({"OUTOFBAND_LIBVIRT_URI": f"qemu+ssh://root@kvm1/system?keyfile={KEY}"}, {"backend": "libvirt"}),
        (
            {"KEY": KEY},
            {"backend": "libvirt", "libvirt_uri": "qemu+ssh://kvm1/system?keyfile={{ lookup('env', 'KEY') }}"},
        ),
        ({"OUTOFBAND_CA_PATH": KEY}, {"backend": "vmware", "api_host": "vcenter"}),
        ({"KEY": KEY}, {"backend": "xenapi", "api_host": "xcp1", "ca_path": "{{ lookup('env', 'KEY') }}"}),
        ({"KEY": KEY}, {"ssh_args": "-i {{ lookup('env', 'KEY') }}", "sources": [{"backend": "qemu"}]}),
    ],
)
def test_the_path_of_a_file_that_awx_writes_for_one_job_is_in_no_variable_group_or_cache(
    parse, one_vm, cached, tmp_path, monkeypatch, environment, file
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    parsed = parse({**file, **ALL, **cached})
    assert parsed.hosts.keys() == {"chr1"}
    kept = "".join(one.read_text() for one in (tmp_path / "cache").iterdir())
    assert "tmpkey" not in parsed.text() + kept + str(list(parsed.data.groups))


def test_a_path_that_the_file_itself_has_is_a_variable(parse, one_vm, monkeypatch):
    for backend, given in (
        ("qemu", {"ssh_host": "kvm1", "ssh_args": "-i /home/me/key"}),
        ("libvirt", {"libvirt_uri": "qemu+ssh://kvm1/system?keyfile=/home/me/key"}),
    ):
        host = parse({"backend": backend, **given, **ALL}).hosts["chr1"]
        assert {name: host[f"chr_{name}"] for name in given} == given
    monkeypatch.setenv("OUTOFBAND_SSH_HOST", "root@kvm1")
    assert parse({"backend": "qemu", **ALL}).hosts["chr1"]["chr_ssh_host"] == "root@kvm1"
    assert "chr_ssh_host" not in parse({"backend": "proxmox", "api_host": "pve", **ALL}).hosts["chr1"]
    monkeypatch.setenv("OUTOFBAND_LIBVIRT_URI", "qemu+ssh://kvm1/system")
    assert parse({"backend": "libvirt", **ALL}).hosts["chr1"]["chr_libvirt_uri"] == "qemu+ssh://kvm1/system"


@pytest.mark.parametrize("in_entry", [False, True])
def test_every_option_of_a_source_may_be_a_template(parse, cluster, monkeypatch, in_entry):
    pve = cluster()
    pve.add(101, "chr1", running=False)
    wanted = {**source(pve), "validate_certs": "True", "agent_timeout": "7", "powered_off": "group", "details": "yes"}
    for name, value in wanted.items():
        monkeypatch.setenv(f"GIVEN_{name}", str(value))
    file = {name: f"{{{{ lookup('env', 'GIVEN_{name}') }}}}" for name in wanted}
    parsed = parse({"sources": [file]} if in_entry else file)
    assert parsed.group("chr_powered_off") == {"chr1"}
    assert parsed.hosts["chr1"]["chr_api_port"] == pve.port
    assert "chr_ca_path" not in parsed.hosts["chr1"]


def test_a_secret_comes_from_the_environment_or_a_template(parse, cluster, monkeypatch):
    pve = cluster()
    pve.add(101, "chr1")
    given = source(pve)
    secret = given.pop("api_token_secret")
    monkeypatch.setenv("PROXMOX_TOKEN_SECRET", secret)
    assert parse(given).hosts.keys() == {"chr1"}
    monkeypatch.setenv("PROXMOX_TOKEN_SECRET", "wrong")
    monkeypatch.setenv("BERLIN", secret)
    template = {"api_token_secret": "{{ lookup('env', 'BERLIN') }}"}
    assert parse({**given, **template}).hosts.keys() == {"chr1"}
    assert parse({"sources": [{**given, **template}]}).hosts.keys() == {"chr1"}


# -- the words of others ---------------------------------------------------------------------------


def test_hostile_names_are_never_templates_and_never_names_of_hosts(parse, cluster):
    pve = cluster()
    evil = "{{ lookup('pipe', 'id') }}"
    for number, name in enumerate(
        [evil, "a\x1b]0;x\x07b", "../../etc/passwd", "x,y:z", "localhost", "-v", "chr\u202e1"]
    ):
        vm = pve.add(101 + number, name)
        vm.config["tags"] = evil.replace(" ", "")
    parsed = parse(source(pve, **ALL, compose={"copy": "chr_vm_name", "again": "chr_tags"}))
    assert all(re.fullmatch(r"[\w.+-]+", name) and name != "localhost" for name in parsed.hosts)
    assert len(parsed.hosts) == 7
    assert "\x1b" not in parsed.text() + str(parsed.warnings)
    (first,) = [host for host in parsed.hosts.values() if host["chr_vm"] == "101"]
    assert first["chr_vm_name"] == first["copy"] == evil
    assert "uid=" not in parsed.text()


def test_two_vms_of_one_name_get_two_hosts_whichever_comes_first(parse, cluster):
    one, two = cluster(), cluster()
    one.add(101, "chr1")
    two.add(201, "chr1")
    two.add(202, "chr2")
    two.add(203, "chr2")
    parsed = parse({"sources": [source(one, name="berlin"), source(two, name="paris")]})
    assert parsed.hosts.keys() == {"chr1_berlin", "chr1_paris", "chr2_202", "chr2_203"}
    assert parsed.hosts["chr1_paris"]["chr_vm"] == "201"
    (warning,) = parsed.warnings
    assert "More than one VM has the name 'chr1', 'chr2'" in warning


def test_a_tag_does_not_bring_a_vm_into_the_group_of_another_source(parse, cluster):
    one, two = cluster(), cluster()
    one.add(101, "chr1")
    two.add(201, "chr2").config["tags"] = "berlin"
    parsed = parse(
        {
            "sources": [source(one, name="berlin"), source(two, name="paris")],
            "keyed_groups": [{"key": "chr_tags", "separator": ""}],
        }
    )
    assert parsed.group("berlin") == {"chr1"}
    assert "chr2 of paris is left out of the group berlin" in parsed.warnings[0]


# -- several files ---------------------------------------------------------------------------------


def static(**groups):
    """An inventory with *groups*, from a file that was read before: the hosts of each."""
    data = InventoryData()
    for group, hosts in groups.items():
        data.add_group(group)
        for host in hosts:
            data.add_host(host, group)
    return data


def test_two_vms_of_one_name_in_two_files_get_two_hosts(parse, cluster):
    one, two = cluster(), cluster()
    one.add(101, "chr1")
    two.add(101, "chr1")
    first = parse(source(one, name="berlin"), "berlin.chr.yml")
    parsed = parse(source(two, name="paris"), "paris.chr.yml", into=first.data)
    assert parsed.group("berlin") == {"chr1"}
    assert parsed.group("paris") == {"chr1_paris"}
    assert {name: host["chr_api_port"] for name, host in parsed.hosts.items()} == {
        "chr1": one.port,
        "chr1_paris": two.port,
    }
    (warning,) = parsed.warnings
    assert "The inventory has hosts of other files with the names of 1 VM" in warning
    assert "such as 'chr1_paris' for 'chr1'." in warning


def test_two_files_whose_sources_have_one_name_keep_the_vms_of_two_servers_apart(parse, cluster):
    one, two = cluster(), cluster()
    one.add(101, "chr1")
    two.add(101, "chr1")
    first = parse(source(one, name="berlin"), "a.chr.yml")
    hosts = parse(source(two, name="berlin"), "b.chr.yml", into=first.data).hosts
    assert {name: host["chr_api_port"] for name, host in hosts.items()} == {
        "chr1": one.port,
        "chr1_berlin": two.port,
    }


def test_the_same_file_read_twice_gives_the_same_hosts(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    first = parse(source(pve, name="berlin"))
    again = parse(source(pve, name="berlin"), into=first.data)
    assert again.hosts.keys() == {"chr1"}
    assert again.warnings == []


def test_a_vm_does_not_become_a_host_or_group_of_another_file(parse, cluster):
    pve = cluster()
    pve.add(101, "kvm1")
    pve.add(102, "hypervisors")
    parsed = parse(source(pve, name="berlin", **ALL), into=static(hypervisors=["kvm1"]))
    assert parsed.data.hosts["kvm1"].vars.keys() == {"inventory_file", "inventory_dir"}
    assert parsed.group("hypervisors") == {"kvm1"}
    assert parsed.group("berlin") == {"kvm1_berlin", "hypervisors_102"}


@pytest.mark.parametrize("group", ["berlin", "edge"])
def test_a_new_router_that_another_file_has_in_the_group_of_the_source_becomes_its_vm(parse, cluster, group):
    pve = cluster()
    pve.add(101, "chr9")
    before = static(**{"berlin": [], group: ["chr9"]})
    if group != "berlin":
        before.add_child("berlin", group)
    parsed = parse(source(pve, name="berlin"), into=before)
    assert parsed.hosts.keys() == {"chr9"}
    assert parsed.hosts["chr9"]["chr_vm"] == "101"
    assert parsed.warnings == []


TAGS = {"keyed_groups": [{"key": "chr_tags", "separator": ""}]}


@pytest.mark.parametrize("order", [("berlin", "paris"), ("paris", "berlin")])
def test_a_tag_does_not_bring_a_vm_into_the_group_of_a_source_in_another_file(parse, cluster, order):
    """Also if that source has no router now."""
    pve, empty = cluster(), cluster()
    pve.add(101, "chr2").config["tags"] = "berlin"
    files = {"berlin": source(empty, name="berlin"), "paris": source(pve, name="paris", **TAGS)}
    data, warnings = InventoryData(), []
    for name in order:
        parsed = parse(files[name], f"{name}.chr.yml", into=data)
        warnings += parsed.warnings
    assert parsed.group("berlin") == set()
    assert parsed.group("paris") == {"chr2"}
    assert [one for one in warnings if "chr2 of paris is left out of the group berlin" in one]


def test_a_tag_does_not_bring_a_vm_into_a_child_of_the_group_of_another_source(parse, cluster):
    one, two = cluster(), cluster()
    one.add(101, "chr1").config["tags"] = "berlin_edge"
    two.add(201, "chr2").config["tags"] = "berlin_edge;red"
    before = static(berlin=["new"], berlin_edge=[])
    before.add_child("berlin", "berlin_edge")
    before.set_variable("berlin", "chr_api_password", "of-berlin")
    parsed = parse(
        {"sources": [source(one, name="berlin"), source(two, name="paris")], **TAGS},
        into=before,
    )
    assert parsed.group("berlin") == {"new", "chr1"}
    assert parsed.group("berlin_edge") == {"chr1"}
    assert parsed.group("red") == parsed.group("paris") == {"chr2"}
    assert "chr_api_password" not in parsed.hosts["chr2"]
    (warning,) = parsed.warnings
    assert "chr2 of paris is left out of the group berlin_edge, because its hosts are also in berlin" in warning


def test_two_sources_that_list_one_vm_are_told_that_it_is_one(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    parsed = parse({"sources": [source(pve, name="berlin"), source(pve, name="again")]})
    (warning,) = parsed.warnings
    assert f"The hosts chr1_berlin and chr1_again are one VM, 101 of localhost:{pve.port} (backend proxmox)." in warning
    hostnames = ["chr_source ~ chr_vm_name"]
    first = parse(source(pve, name="berlin", hostnames=hostnames), "a.chr.yml")
    (warning,) = parse(source(pve, name="again", hostnames=hostnames), "b.chr.yml", into=first.data).warnings
    assert "The hosts berlinchr1 and againchr1 are one VM" in warning


def test_a_group_that_would_be_named_as_the_variables_of_a_list_has_another_name(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1").config["tags"] = "meta"
    parsed = parse(source(pve, keyed_groups=[{"key": "chr_tags"}]))
    assert "_meta" not in parsed.data.groups
    assert parsed.group("_meta_") == {"chr1"}
    (warning,) = parsed.warnings
    assert "fleet.chr.yml: keyed_groups: A group cannot have the name '_meta', so its name is '_meta_'." in warning


# -- several sources -------------------------------------------------------------------------------


def test_an_option_that_a_source_lacks_is_that_of_the_file(parse, cluster, tmp_path):
    pve = cluster()
    pve.add(101, "chr1", "pve1")
    pve.add(102, "edge2", "pve2")
    parsed = parse(
        {
            **source(pve),
            "recognise": ["all"],
            "sources": [{"name": "one", "node": "pve1"}, {"name": "two", "recognise": ["name"]}],
            "hostnames": ["chr_vm_name ~ '_' ~ chr_source"],
        }
    )
    assert parsed.hosts.keys() == {"chr1_one", "chr1_two"}


def test_a_source_that_is_not_reached_is_an_error_or_leaves_the_others(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        away = {**source(pve), "name": "away", "api_port": port, "connect_timeout": 0.5}
        file = {"sources": [source(pve, name="berlin"), away]}
        said = refused(parse, file)
        assert re.search(r"fleet\.chr\.yml: sources\[1\] \(away\): .*localhost:\d+", said)
        parsed = parse({**file, "on_unreachable": "warn"})
    assert parsed.hosts.keys() == {"chr1"}
    assert "sources[1] (away): " in parsed.warnings[0]
    assert "Its routers are missing." in parsed.warnings[0]


# -- the cache -------------------------------------------------------------------------------------


def test_a_cached_list_is_used_until_it_is_flushed_or_the_source_changes(parse, cluster, cached):
    pve = cluster()
    pve.add(101, "chr1")
    file = source(pve, **cached, compose={"twice": "chr_vm_name * 2"})
    fresh = parse(file)
    pve.log.clear()
    again = parse(file)
    assert again.hosts == fresh.hosts
    assert pve.log == []
    pve.add(102, "edge2")
    assert parse({**file, "recognise": ["all"]}).hosts.keys() == {"chr1", "edge2"}
    assert parse({**file, "recognise": ["all"]}).hosts.keys() == {"chr1", "edge2"}
    pve.vms.pop(101).lab.stop()
    assert parse({**file, "recognise": ["all"]}, cache=False).hosts.keys() == {"edge2"}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "x",
        {},
        {"version": 99, "sources": {}},
        {"version": 1},
        {"version": 1, "sources": {"x": [{"id": 1}]}},
        {"version": 1, "sources": {"x": [{"id": 1, "name": 2, "variables": {}, "groups": []}]}},
    ],
)
def test_a_cache_that_is_damaged_or_of_another_version_is_replaced(parse, plugin, cluster, cached, tmp_path, content):
    pve = cluster()
    pve.add(101, "chr1")
    file = source(pve, **cached)
    parse(file)
    (kept,) = (tmp_path / "cache").iterdir()
    if content is None:
        kept.write_text("{")
    else:
        (key,) = plugin.cache.keys()
        plugin.cache[key] = content
        plugin.update_cache_if_changed()
    parsed = parse(file)
    assert parsed.hosts.keys() == {"chr1"}
    said = "fleet.chr.yml: cache: The cached list of routers cannot be used, and is replaced: "
    reason = parsed.warnings[-1].partition(said)[2]
    assert reason.startswith(
        ("it is not a list of this plugin", "another version", "this is not a router", "The cache")
    )
    assert "chr1" in kept.read_text()


def test_a_source_that_was_not_reached_is_asked_again_although_others_are_cached(parse, cluster, cached):
    one, two = cluster(), cluster()
    one.add(101, "chr1")
    two.add(201, "chr2")
    two.faults["/cluster"] = "500 broken"
    file = {"sources": [source(one, name="berlin"), source(two, name="paris")], "on_unreachable": "warn", **cached}
    assert parse(file).hosts.keys() == {"chr1"}
    two.faults.clear()
    one.log.clear()
    assert parse(file).hosts.keys() == {"chr1", "chr2"}
    assert one.log == []


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"api_hots": "x"}, "api_hots is not an option of the plugin outofband.chr.routers. Did you mean api_host?"),
        ({"sources": [{"api_hots": 1}]}, "sources[0].api_hots is not an option"),
        ({"sources": [{"compose": {}}]}, "sources[0].compose is not an option"),
        ({"sources": []}, "sources must be a list of sources with at least one entry."),
        ({"sources": ["x"]}, "sources[0] must be a mapping"),
        ({"sources": [{"libvirt_uri": "qemu:///system"}]}, "sources[0].libvirt_uri: backend proxmox does not have"),
        ({"sources": [{"name": "a"}, {"name": "a"}]}, "sources[1].name: sources[0] also has the name 'a'."),
        ({"name": "1 x"}, "name: '1 x' is not a valid name of a group"),
        ({"name": "all"}, "name: 'all' is not a valid name of a group"),
        ({"backend": "xen"}, "Unknown backend 'xen' for the list of VMs. Set it to one of qemu, libvirt, proxmox"),
        ({"sources": [{"backend": "xenstore"}]}, "sources[0]: Unknown backend 'xenstore'"),
        ({"backend": None}, "backend is not set for the list of VMs."),
        ({"api_host": None}, "api_host is not set for the list of VMs: backend proxmox needs the name of a node."),
        ({"sources": [{"api_port": "many"}]}, "sources[0].api_port is 'many', and must be a whole number."),
        ({"sources": [{"validate_certs": "ture"}]}, "sources[0].validate_certs is 'ture', and must be true or false."),
        ({"sources": [{"api_password": {"t0ken": 1}}]}, "sources[0].api_password must be a text."),
        (
            {"sources": [{"powered_off": "maybe"}]},
            "sources[0].powered_off is 'maybe', and must be one of include, exclude, group.",
        ),
        ({"api_port": "many"}, ": api_port is 'many', and must be a whole number."),
        ({"agent_timeout": "x"}, ": agent_timeout is 'x', and must be a number."),
        ({"on_unreachable": "maybe"}, ": on_unreachable is 'maybe', and must be one of error, warn."),
        ({"compose": ["x"]}, ": compose is ['x'], and must be a mapping."),
        ({"sources": {"a": 1}}, ": sources must be a list."),
        ({"cache": True, "cache_plugin": "jsonfile"}, "_uri"),  # Ansible's words differ from version to version
        (
            {"api_host": "https://root:t0ken@pve1"},
            "api_host has a password, which would become a variable of each host.",
        ),
        ({"compose": {"wrong": "1 / 0"}, "strict": True}, ": compose: Could not set wrong for host chr1"),
        ({"groups": {"g": "nothing > 1"}, "strict": True}, ": groups: Could not add host chr1 to group g"),
        ({"keyed_groups": [{"key": "nothing"}], "strict": True}, ": keyed_groups: Could not generate group"),
        ({"keyed_groups": "x"}, ": keyed_groups: "),
        ({"recognise": [{"name": "("}]}, "recognise[0].name: '(' is not a valid regular expression: missing )"),
        (
            {"sources": [{"recognise": ["mark", "magic"]}]},
            "sources[0].recognise[1]: 'magic' is not a rule. The rules are mark,",
        ),
        ({"recognise": []}, "recognise is empty"),
        ({"recognise": [{"name": "{{ x }}"}]}, "recognise[0].name is '{{ x }}', and cannot be a template."),
        ({"api_port": "{{ 'many' }}"}, ": api_port is 'many', and must be a whole number."),
        ({"powered_off": "{{ nothing }}"}, ": powered_off is a template that cannot be resolved: "),
        ({"recognise": [{"mark": "x"}]}, "recognise[0].mark takes no value."),
        ({"recognise": [{"tag": []}]}, "recognise[0].tag must be a text or a list of texts."),
        ({"filters": ["chr_pol == 1"]}, "filters[0]: 'chr_pol == 1' cannot be decided for 'chr1': "),
        ({"filters": "x"}, "filters must be a list of texts."),
        ({"agent_timeout": 0}, "agent_timeout is 0: it must be a number of seconds above 0"),
        ({"api_host": "{{ nothing }}"}, "api_host is a template that cannot be resolved: "),
        ({"api_token_secret": "t0ken-wrong"}, "does not accept the API token 'root@pam!chr' (401)"),
        ({"ca_path": "missing.pem"}, "missing.pem"),
        ({"ca_path": None}, "is not trusted: self-signed certificate. Give ca_path the "),
        ({"hostnames": ["chr_vm_nam"], "strict": True}, "hostnames[0]: 'chr_vm_nam' cannot be used for 'chr1': "),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name_and_the_key(parse, cluster, change, said):
    pve = cluster()
    pve.add(101, "chr1")
    text = refused(parse, {**source(pve), **change})
    assert said in text
    assert "fleet.chr.yml: " in text
    assert "t0ken" not in text


def test_a_server_without_vms_and_one_without_routers_are_said(parse, cluster):
    pve = cluster()
    (said,) = parse(source(pve, name="berlin")).warnings
    assert said.endswith("fleet.chr.yml: berlin has no VM that this login sees. Look at the rights of the login.")
    (said,) = parse(source(pve, name="berlin", node="pve9")).warnings
    assert "berlin has no VM that this login sees on node pve9. " in said
    pve.add(101, "web")
    (said,) = parse({"sources": [source(pve, name="berlin")]}).warnings
    assert said.endswith(
        "sources[0] (berlin) has 1 VM, but none is a CHR by the rules in recognise (mark, tag, name, os)."
    )
    (said,) = parse(source(pve, name="berlin", filters=["false"])).warnings
    assert "has 1 VM, but none for which all filters are true" in said
    pve.add(102, "chr2")
    for vm in pve.vms.values():
        vm.template = True
    (said,) = parse(source(pve, name="berlin")).warnings
    assert "has 2 VMs, but powered_off, templates and offline_nodes leave all of them out." in said
    (said,) = parse({"backend": "qemu", "name": "bench", "sockets": [str(pve.certificate) + ".d"]}).warnings
    assert f"bench has no VM: there is nothing at sockets ({pve.certificate}.d)." in said


def test_names_that_no_expression_gives_are_said_with_the_reason(parse, cluster):
    pve = cluster()
    pve.add(101, "chr1")
    (said,) = parse(source(pve, hostnames=["chr_vm_nam"])).warnings
    assert (
        "fleet.chr.yml: hostnames: 1 of 1 VMs do not have a name that Ansible takes, so their hosts have others" in said
    )
    assert (
        "such as '101' for '' (VM 101 of proxmox_localhost), because hostnames[0]: 'chr_vm_nam' cannot be used" in said
    )


def test_a_file_with_another_ending_is_not_taken_and_told_to_be_renamed(plugin, tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(plugin.display, "warning", lambda text, *args, **more: warnings.append(text))
    for name, content in (("fleet.yml", "plugin: outofband.chr.routers\n"), ("hosts.yml", "all: {}\n")):
        (tmp_path / name).write_text(content)
        assert not plugin.verify_file(str(tmp_path / name))
    (said,) = warnings
    assert "fleet.yml is for the plugin outofband.chr.routers, but its name does not end in .chr.yml" in said
    assert not plugin.verify_file(str(tmp_path / "missing.chr.yml"))


# -- sockets of QEMU -------------------------------------------------------------------------------


def test_sockets_of_qemu_are_hosts_and_only_the_rule_agent_connects(parse, tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "old.sock").touch()  # not a socket
    with LabRouter(Router(identity="r1"), f"unix:{folder}/chr1.agent.sock", Switches()) as one:
        parsed = parse({"backend": "qemu", "sockets": [str(folder)]})
        assert parsed.hosts["chr1"]["chr_socket"] == parsed.hosts["chr1"]["chr_vm"] == f"{folder}/chr1.agent.sock"
        assert parsed.hosts["chr1"]["chr_power_state"] == "running"
        assert one.agent.log == []
        parsed = parse({"backend": "qemu", "sockets": [f"{folder}/*.agent.sock"], "recognise": ["agent"]})
        assert parsed.hosts["chr1"]["chr_recognised_by"] == "agent"
    assert "sockets: 'x' is not an absolute path" in refused(parse, {"backend": "qemu", "sockets": ["x"]})


@pytest.mark.parametrize("example", routers.EXAMPLES.split("---\n"))
def test_the_examples_are_files_of_the_plugin(parse, tmp_path, monkeypatch, example):
    for variable in ("BERLIN_SECRET", "PROXMOX_TOKEN_SECRET", "VMWARE_PASSWORD", "XENSERVER_PASSWORD"):
        monkeypatch.setenv(variable, "s3cret")
    servers = yaml.safe_load(example).get("sources", [{}])
    away = (
        example.replace("ansible.builtin.", "")
        .replace("/var/tmp/fleet", f"{tmp_path}/cache")
        .replace("example.net", "invalid")
    )
    parsed = parse(away.replace("on_unreachable: warn\n", "") + "on_unreachable: warn\nconnect_timeout: 0.1\n")
    assert sum("Its routers are missing." in one for one in parsed.warnings) == len(servers)
