# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge as a playbook uses it."""

from __future__ import annotations

import contextlib

from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.peers import collections
from ansible_collections.outofband.chr.tests.system.conftest import cache

ROUTERS = {"qemu": 3, "libvirt": 2, "proxmox": 3, "xenstore": 2}


def test_ten_routers_without_an_address_on_four_backends_come_to_one_firewall(playbook, monkeypatch):
    """Done when: a second run changes nothing."""
    monkeypatch.setenv(
        "ANSIBLE_COLLECTIONS_PATH",
        f"{__import__('os').environ['ANSIBLE_COLLECTIONS_PATH']}:{collections(cache(), 'community.routeros')}",
    )
    hosts = {}
    with contextlib.ExitStack() as running:
        for backend, count in ROUTERS.items():
            names = [f"{backend}{number}" for number in range(count)]
            hosts |= running.enter_context(hypervisor(backend, names, cache()))
        wait = playbook(
            [
                {"outofband.chr.wait_for_agent": {"timeout": 90}},
                {"outofband.chr.script": {"source": "/ip address remove [find]"}, "ignore_errors": True},
            ],
            hosts,
            "--forks=10",
        )
        assert wait.rc == 0, wait.output
        import time

        t = time.time()
        first = playbook("outofband.chr.configure", hosts, "--forks=10")
        print("first", time.time() - t)
        print(first.output[-3000:])
        assert first.rc == 0
        t = time.time()
        second = playbook("outofband.chr.configure", hosts, "--forks=10")
        print("second", time.time() - t)
        print(second.output[-2500:])
    assert second.rc == 0
    assert second.changed() == set()
    assert False
