# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Proxmox VE tells about the way to a VM."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.tests.lab.proxmox.server import EVERYTHING


def granted(guest) -> dict[str, bool | None]:
    return {one.privilege.name: one.granted for one in guest.checks().privileges()}


@pytest.mark.parametrize(
    ("version", "agent"), [("7.4", "VM.Monitor"), ("8.4", "VM.Monitor"), ("9.1", "VM.GuestAgent.Unrestricted")]
)
def test_each_version_is_asked_for_its_own_privileges(cluster, reach, version, agent):
    pve = cluster(version)
    pve.add(100, "chr1")
    pve.privileges["root@pam!chr"] = (EVERYTHING | {agent}) - {"VM.Snapshot"}
    assert granted(reach(pve, "chr1")) == {
        "VM.Audit": True,
        agent: True,
        "VM.PowerMgmt": True,
        "VM.Snapshot": False,
    }


@pytest.mark.parametrize(
    "fault", ["501 Method 'GET /access/permissions' not implemented", "403 Permission check failed"]
)
def test_a_server_that_does_not_tell_privileges_leaves_them_unknown(cluster, reach, fault):
    pve = cluster()
    pve.add(100, "chr1")
    pve.faults["/access/permissions"] = fault
    assert set(granted(reach(pve, "chr1")).values()) == {None}


@pytest.mark.parametrize(
    ("value", "pending", "said"),
    [("1", None, None), ("enabled=1,type=virtio", None, None), ("0", None, "agent: 0"), ("0", "1", "cold start")],
)
def test_the_option_of_the_agent_counts_and_what_waits_for_a_cold_start_is_told(cluster, reach, value, pending, said):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.config["agent"] = value
    if pending:
        vm.pending["agent"] = pending
    checks = reach(pve, "chr1").checks()
    if said is None:
        assert checks.channel()
        return
    with pytest.raises(NotPossible, match=said):
        checks.channel()


def test_a_socket_in_the_arguments_counts_as_a_channel(cluster, reach):
    pve = cluster()
    vm = pve.add(100, "chr1")
    vm.config |= {"agent": "0", "args": "-chardev socket,path=/run/qemu-server/100.qga,server=on,wait=off,id=x"}
    assert reach(pve, "chr1").checks().channel()


def test_the_cards_of_the_vm_are_told_by_their_addresses(cluster, reach):
    pve = cluster()
    pve.add(100, "chr1").config |= {
        "net0": "virtio=bc:24:11:00:00:01,bridge=vmbr0,tag=7",
        "net3": "model=virtio,macaddr=BC:24:11:00:00:02,bridge=vmbr0",
        "virtio0": "local-lvm:vm-100-disk-0",
    }
    assert reach(pve, "chr1").checks().cards() == ("BC:24:11:00:00:01", "BC:24:11:00:00:02")
