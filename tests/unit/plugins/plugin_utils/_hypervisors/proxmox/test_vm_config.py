# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configurations as Proxmox VE and people write them."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import Card, Difference
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.proxmox.vm_config import changes, hardware_of
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Nic

DISK = {"virtio0": "local-lvm:vm-100-disk-0,size=128M"}


@pytest.mark.parametrize(
    ("config", "boots"),
    [
        ({}, "disk"),
        ({"boot": "cdn"}, "disk"),
        ({"boot": "legacy=ncd"}, "network"),
        ({"boot": "dc"}, "cdrom"),
        ({"boot": "order="}, "nothing"),
        ({"boot": "order=virtio0;net0"}, "disk"),
        ({"boot": "order=ide2;virtio0", "ide2": "none,media=cdrom"}, "ide2"),
        ({"boot": "order=net0"}, "network"),
        ({"boot": "order=scsi3"}, "scsi3"),
    ],
)
def test_what_a_vm_boots_from_first(config, boots):
    assert hardware_of({**DISK, **config}).boot == boots


@pytest.mark.parametrize(
    ("agent", "there"),
    [
        (None, False),
        ("0", False),
        ("1", True),
        ("enabled=1", True),
        ("1,type=isa", False),
        ("type=virtio,enabled=on", True),
    ],
)
def test_only_the_channel_that_routeros_knows_counts(agent, there):
    assert hardware_of({} if agent is None else {"agent": agent}).agent == there


def test_cpus_memory_and_cards_in_all_their_spellings():
    config = {
        **{"cores": "2", "sockets": "2", "memory": "current=1024"},
        **{
            "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
            "net3": "bridge=vmbr1,model=e1000,macaddr=BC:24:11:00:00:02,tag=7",
        },
    }
    found = hardware_of(config)
    assert (found.cpus, found.memory) == (4, 1024)
    assert found.nics == (
        Card("virtio", "BC:24:11:00:00:01", "vmbr0", 0),
        Card("e1000", "BC:24:11:00:00:02", "vmbr1", 7),
    )


def test_the_second_card_is_the_second_slot_that_there_is_and_a_new_one_comes_after_the_last():
    config = {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "net3": "virtio=BC:24:11:00:00:02,bridge=vmbr0"}
    nics = (Nic(None, "virtio"), Nic(None, "virtio"), Nic("vmbr2", "virtio", vlan=5))
    wanted = [Difference("nics", 2, 3), Difference("vlan", 0, 9, 2), Difference("mac", "a", "02:00:5e:10:00:01", 2)]
    assert changes(config, wanted, nics, ordered=True) == {
        "net3": "virtio=02:00:5E:10:00:01,bridge=vmbr0,tag=9",
        "net4": "virtio,bridge=vmbr2,tag=5",
    }


def test_more_cards_than_there_can_be_and_a_vm_without_a_disk_are_refused():
    with pytest.raises(NotPossible, match="a card net32"):
        changes({"net31": "virtio,bridge=vmbr0"}, [Difference("nics", 1, 2)], (Nic(None, "virtio"),) * 2, ordered=True)
    with pytest.raises(NotPossible, match="no disk that it could boot from"):
        changes({"ide2": "none,media=cdrom"}, [Difference("boot", "network", "disk")], (), ordered=True)


def test_the_disk_that_the_order_names_is_kept_and_otherwise_the_first_one_is_taken():
    disks = {"scsi0": "a:b,size=1G", "virtio1": "a:c,size=1G", "ide2": "none,media=cdrom"}
    wanted = [Difference("boot", "network", "disk")]
    for boot, order in (("order=net0;virtio1", "order=virtio1;net0"), ("order=net0", "order=scsi0;net0")):
        assert changes({**disks, "boot": boot}, wanted, (), ordered=True) == {"boot": order}
