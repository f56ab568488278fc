# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.outofband.chr.plugins.plugin_utils._core.identity import Identity
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import fleet, system_ids
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.system_ids import Decision, Foreign, KnownRouter

UUID = "6f1c2b34-5d7e-4a89-9b0c-112233445566"


def named(name, system_id, vm=None):
    return KnownRouter(name, system_id, Identity(name, "proxmox", "pve1:8006", str(vm)) if vm else None)


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 4)), min_size=1, max_size=8))
def test_one_vm_of_each_id_keeps_it_and_each_other_one_changes_once(found):
    """Whatever names the VMs have: the id is that of the VM, so all its names have it."""
    ids = {vm: system_id for system_id, vm in reversed(found)}
    play = [named(f"chr{at}", ids[vm], vm) for at, (_unused, vm) in enumerate(found)]
    changed = [one.identity.vm for one in play if system_ids.decide(one, play, []).keeper]
    assert len(changed) == len(set(changed))
    kept = {vm: system_id for vm, system_id in ids.items() if str(vm) not in changed}
    assert sorted(kept.values()) == sorted(set(ids.values()))


def test_a_router_outside_of_the_play_keeps_its_id():
    first, second = named("chr1", "A", 1), named("chr2", "A", 2)
    assert system_ids.decide(first, [first], [second]) == Decision("chr2", ())
    assert system_ids.decide(first, [first], [named("alias", "A", 1)]) == Decision(None, ("alias",))
    assert system_ids.decide(first, [first], [named("old report", "A")]).keeper == "old report"


def test_a_uuid_is_one_vm_at_every_endpoint_and_an_id_is_not():
    for vm, same in ((UUID, True), ("104", False)):
        one, other = (Identity("x", "xenapi", host, vm) for host in ("xcp1:443", "xcp2:443"))
        assert (one.key == other.key) is same


def test_what_was_read_from_another_router_is_refused():
    router = dataclasses.asdict(Identity("chr2", "libvirt", "qemu:///system", UUID))
    license = {"system_id": "A", "router": router}
    with pytest.raises(Foreign, match="stored for 'chr1' was read from 'chr2'"):
        system_ids.known("chr1", license)
    assert system_ids.known("chr2", license).system_id == "A"
    assert system_ids.known("chr1", {"system_id": "A"}).identity is None


def test_a_report_gives_back_the_routers_it_was_made_of():
    router = {"host": "chr1", "backend": "proxmox", "endpoint": "pve1:8006", "vm": "104"}
    license = {"system_id": "A", "level": "free", "router_time": "2026-11-23T12:00:00", "router": router}
    data = fleet.as_data(fleet.fleet([fleet.read("chr1", license), fleet.not_read("chr2", "no answer")]))
    assert system_ids.from_report(data) == [KnownRouter("chr1", "A", Identity(**router))]
    for other in ([], {}, {"schema": fleet.SCHEMA}, {"schema": "x", "routers": []}):
        with pytest.raises(ValueError, match="schema"):
            system_ids.from_report(other)
