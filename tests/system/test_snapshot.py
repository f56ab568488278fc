# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module snapshot on each hypervisor: a real libvirtd, govmomi's vCenter, the lab's Proxmox VE.

The manual: on Proxmox, guest filesystems are quiesced automatically when a snapshot is taken; on VMware, only if that is requested,
with the scripts ``freeze``, ``freeze-fail`` and ``thaw``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.backends import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.errors import NotPossible, NotQuiesced
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.snapshots import Taken
from ansible_collections.outofband.chr.tests.lab.proxmox import LabProxmox


def task(title, name="first", **options):
    return {"name": title, "outofband.chr.snapshot": {"name": name, **options}}


# -- libvirt --------------------------------------------------------------------------------------------------------------


def of_domain(libvirtd, name, connect_timeout=90.0):
    return open_guest(
        GuestOptions("libvirt", name, connect_timeout, "auto", Path("/nonexistent"), libvirt_uri=libvirtd.uri)
    )


def started(libvirtd, name, **settings):
    libvirtd.define(name, disk=True, settings=settings)
    libvirtd.virsh("start", name)
    guest = of_domain(libvirtd, name)
    guest.ping()
    return guest


def test_a_libvirt_domain_is_frozen_for_its_snapshot_and_thawed(libvirtd, playbook):
    started(libvirtd, "snap1")
    run = playbook(
        [
            {**task("would"), "check_mode": True},
            task("take", description="Before <it>"),
            task("again"),
            {"name": "info", "outofband.chr.guest_info": None},
            task("remove", state="absent"),
            task("gone", state="absent"),
        ],
        {"snap1": {"chr_backend": "libvirt", "chr_libvirt_uri": libvirtd.uri, "chr_connect_timeout": 30}},
        "--diff",
    )
    assert run.rc == 0, run.output
    assert run.changed() == {("snap1", "would"), ("snap1", "take"), ("snap1", "remove")}
    assert run.of("take")["result"]["quiesced"] is True
    assert run.of("take")["result"]["snapshots"] == ["first"]
    assert run.of("info")["result"]["freeze_state"] == "thawed"
    assert libvirtd.virsh("snapshot-list", "snap1", "--name").split() == []
