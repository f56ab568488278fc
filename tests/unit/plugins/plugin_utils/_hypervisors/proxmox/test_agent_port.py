# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first recipe of the manual's section "Proxmox": ``chr.provision_agent`` on a TCP port, in the
VM's ``args``."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import (
    InvalidInput,
    NotPermitted,
    NotPossible,
    OutcomeUnknown,
    VmAmbiguous,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.agent_port import (
    _own,
    _relay,
    _without_own,
    fragment,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.port_plan import Endpoint, endpoint
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import EVERYTHING

VERSIONS = ["6.2", "7.4", "8.0", "8.4", "9.1"]
HERE = Endpoint("127.0.0.1", 1234)
# As the manual prints it, with its variables filled in.
MANUAL = (
    "-chardev 'socket,host=192.168.0.1,port=1234,id=chr-agent,server,nowait' -device 'virtio-serial,bus=pci.0,addr=0x9' "
    "-device 'virtserialport,chardev=chr-agent,name=chr.provision_agent'"
)
FOREIGN = [
    "",
    "-cpu host,+aes",
    "-smbios 'type=0,vendor=FOO BAR'",
    '-fw_cfg "name=opt/x,string=a \\" b"',
    "-device virtio-serial,id=other,bus=pci.0,addr=0x1a -chardev socket,id=mine,path=/x -device virtserialport,chardev=mine,name=m",
]


@pytest.fixture
def port(tmp_path):
    """The port of a VM, as root@pam with a password: ``port(pve, "chr1", slot=9)``."""

    def one(pve, vm="chr1", slot=9, channel="provision", **more):
        values = {
            "api_host": "localhost",
            "api_port": pve.port,
            "api_user": "root@pam",
            "api_password": "pass-w0rd",
            "ca_path": str(pve.certificate),
        } | more
        guest = open_guest(options_for("proxmox", vm, 1.0, "auto", tmp_path / "run", **values))
        return guest.agent_port(channel, slot)

    return one


def ensure(one, wanted):
    plan = one.plan(wanted)
    if plan.changed:
        one.carry_out(wanted, plan)
    return plan


# -- the arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("before", FOREIGN)
@pytest.mark.parametrize("after", FOREIGN)
@pytest.mark.parametrize("mine", [MANUAL, fragment(HERE, 9), fragment(Endpoint("::1", 99), 0x1F)])
def test_only_what_is_ours_is_found_and_taken_out(before, after, mine):
    text = " ".join(part for part in (before, mine, after) if part)
    assert _own(text) == shlex.split(mine)
    assert _without_own(text) == " ".join(part for part in (before, after) if part)


@given(st.lists(st.text("ab-=, '\"\\\\.", min_size=1)))
def test_foreign_arguments_survive_whatever_they_are(words):
    foreign = " ".join(shlex.quote(word) for word in words)
    assert _own(foreign) == []
    assert shlex.split(_without_own(f"{foreign} {fragment(HERE, 9)}")) == shlex.split(foreign)


def test_the_arguments_need_no_quotes_in_a_shell():
    for address in ("127.0.0.1", "fe80::1", "::1"):
        words = fragment(endpoint(address, 65535), 31).split()
        assert all(shlex.quote(word) == word for word in words)


@pytest.mark.parametrize(
    "address", ["", "0.0.0.0", "::", "224.0.0.1", "pve1", "127.0.0.1,fork", "1.2.3", "fe80::1%eth0", "127.0.0.1 -x"]
)
def test_an_address_that_is_not_one_hosts_is_refused(address):
    """Manual, Proxmox (note): neither has authentication or encryption, so nothing listens
    everywhere."""
    with pytest.raises(InvalidInput, match="address"):
        endpoint(address, 1234)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(InvalidInput, match=f"port {port} is not a valid TCP port"):
        endpoint("127.0.0.1", port)


def test_the_manuals_second_recipe_is_bound_to_one_address():
    """Manual, Proxmox: ``socat TCP-LISTEN:$portnum,reuseaddr,fork
    UNIX-CLIENT:/run/qemu-server/$vmid.qga``."""
    rest = "reuseaddr,fork UNIX-CLIENT:/run/qemu-server/256.qga"
    assert _relay(256, HERE) == f"socat TCP-LISTEN:1234,bind=127.0.0.1,{rest}"
    assert _relay(256, Endpoint("::1", 1234)) == f"socat TCP6-LISTEN:1234,bind=[::1],{rest}"


# -- set, replaced, removed ------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("foreign", FOREIGN)
def test_the_manuals_first_recipe_is_set_replaced_and_removed_and_nothing_else(cluster, port, version, foreign):
    """Manual, Proxmox: ``qm set $vmid --args ...`` enables chr.provision_agent, ``qm set $vmid
    --delete args`` disables it."""
    pve = cluster(version)
    vm = pve.add(100, "chr1")
    if foreign:
        vm.config["args"] = foreign
    plan = ensure(port(pve), HERE)
    assert plan.before == foreign
    assert plan.after == f"{foreign} {fragment(HERE, 9)}".strip()
    assert plan.restart_required
    assert vm.with_pending()["args"] == plan.after
    assert ensure(port(pve), HERE) == type(plan)(plan.after, plan.after, restart_required=True)
    vm.cold_start()
    assert ensure(port(pve), HERE) == type(plan)(plan.after, plan.after, restart_required=False)
    ensure(port(pve, slot=0x1A), Endpoint("127.0.0.1", 4101))
    assert vm.with_pending()["args"] == f"{foreign} {fragment(Endpoint('127.0.0.1', 4101), 0x1A)}".strip()
    plan = ensure(port(pve), None)
    assert plan.restart_required
    assert vm.with_pending().get("args", "") == foreign
    vm.cold_start()
    assert ensure(port(pve), None) == type(plan)(foreign, foreign, restart_required=False)
    assert ("args" in vm.config) is bool(foreign)
    assert pve.invalid == []


def test_a_change_that_is_taken_back_before_the_restart_needs_none(cluster, port):
    pve = cluster()
    pve.add(100, "chr1")
    assert ensure(port(pve), HERE).restart_required
    plan = ensure(port(pve), None)
    assert (plan.changed, plan.restart_required) == (True, False)


def test_what_the_manuals_own_command_has_set_is_known_replaced_and_removed(cluster, port):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.config["args"] = f"-no-hpet {MANUAL}"
    assert ensure(port(pve), HERE).after == f"-no-hpet {fragment(HERE, 9)}"
    vm.config["args"], vm.pending = MANUAL, {}
    plan = ensure(port(pve), None)
    assert (plan.before, plan.after) == (MANUAL, "")
    assert vm.pending == {"args": None}


def test_a_vm_that_is_off_needs_no_restart(cluster, port):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.lab.stop()
    assert ensure(port(pve), HERE).restart_required is False
    assert vm.config["args"] == fragment(HERE, 9)


def test_a_token_may_not_set_args_and_both_ways_are_named(cluster, port):
    pve = cluster()
    vm = pve.add(100, "chr1")
    token = {"api_password": None, "api_token_id": "root@pam!chr", "api_token_secret": "t0ken-secret"}
    with pytest.raises(NotPermitted, match="only root can set 'args'.*chr_api_user: root@pam.*chr_ssh_host"):
        ensure(port(pve, **token), HERE)
    assert vm.pending == {}


def test_a_configuration_that_somebody_else_changed_is_not_overwritten(cluster, port):
    pve = cluster()
    vm = pve.add(100, "chr1")
    one = port(pve)
    plan = one.plan(HERE)
    vm.config["args"] = "-no-hpet"
    with pytest.raises(NotPossible, match="changed by somebody else.*Repeat the task"):
        one.carry_out(HERE, plan)
    assert vm.config["args"] == "-no-hpet"


@pytest.mark.parametrize("fault", ["reset", "596 Broken pipe"])
def test_an_answer_that_is_lost_leaves_the_outcome_unknown(cluster, port, fault):
    pve = cluster()
    pve.add(100, "chr1")
    one = port(pve)
    plan = one.plan(HERE)
    pve.faults["/config"] = fault
    with pytest.raises(OutcomeUnknown, match="not sent again"):
        one.carry_out(HERE, plan)


def test_a_missing_privilege_is_named(cluster, port):
    pve = cluster()
    pve.add(100, "chr1")
    pve.privileges["root@pam"] = EVERYTHING - {"VM.Config.Options"}
    with pytest.raises(NotPermitted, match="privilege VM.Config.Options on /vms/100"):
        ensure(port(pve), HERE)


def test_a_name_of_two_vms_changes_neither(cluster, port):
    pve = cluster()
    twins = [pve.add(100, "twin"), pve.add(101, "twin", "pve2")]
    with pytest.raises(VmAmbiguous, match="more than one VM"):
        ensure(port(pve, "twin"), HERE)
    assert [vm.pending for vm in twins] == [{}, {}]


def test_the_slot_of_a_spice_display_is_not_taken(cluster, port):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.config["vga"] = "qxl"
    with pytest.raises(InvalidInput, match="SPICE.*another slot"):
        port(pve).plan(HERE)
    assert port(pve, slot=0x1A).plan(HERE).changed
    for slot in (0, 32):
        with pytest.raises(InvalidInput, match="1 to 31"):
            port(pve, slot=slot)


def test_the_default_channel_needs_the_node(cluster, port):
    pve = cluster()
    pve.add(100, "chr1")
    with pytest.raises(InvalidInput, match="Set chr_ssh_host to the node"):
        port(pve, channel="default")
